#!/bin/sh
# Python 3.11 (zoneinfo) with the package tzdata 2026.6 beside tables of the system from 2025b, as Debian 12 installs
# them (here those of the package 2025.2, in a folder named by PYTHONTZPATH).
# The package is read only for zones that the system lacks: where both have a zone, the older tables of the system win,
# and upgrading the package changes nothing. British Columbia stays on UTC-7 from November 2026; zoneinfo says UTC-8.
# No version is compared, and no warning is given.
#
# Seen (America/Vancouver, 2026-11-27 09:00):
#   package installed: 2026f
#   with the tables of the system: UTC-08:00
#   with the package alone: UTC-07:00
set -eu
script=$(cd "$(dirname "$0")" && pwd)/$(basename "$0")
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT; cd "$folder"
python3 -m venv v
v/bin/pip install --quiet --disable-pip-version-check tzdata==2026.6 2>/dev/null
v/bin/pip install --quiet --disable-pip-version-check --target system tzdata==2025.2 2>/dev/null
cat >look.py <<'PY'
import sys
from datetime import datetime
from zoneinfo import ZoneInfo

print(sys.argv[1], "UTC" + datetime(2026, 11, 27, 9, tzinfo=ZoneInfo("America/Vancouver")).isoformat()[-6:])
PY
{
    v/bin/python -c 'import tzdata; print("package installed:", tzdata.IANA_VERSION)'
    PYTHONTZPATH=$PWD/system/tzdata/zoneinfo v/bin/python look.py "with the tables of the system:"
    PYTHONTZPATH= v/bin/python look.py "with the package alone:"
} >seen
sed -n 's/^#   //p' "$script" | diff - seen
