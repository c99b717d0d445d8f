#!/bin/sh
# croniter 7.0.0: whether the two day fields are joined by "and" or "or" depends on a star anywhere in a list, which
# adds no value. "1-31" and "22,*" are the same days, but beside a weekday the first means every day, and the second
# that weekday only. cron of Debian looks at the first character of the field: both mean every day there. The option
# implement_cron_bug, which is to follow that rule, does not change it. With a step of * in the list of weekdays, even
# "1-31" becomes "and".
#
# Seen (the first days after 2026-01-30, plain and with implement_cron_bug):
#   0 0 1-31 * 1: 31 01 02 03 / 31 01 02 03
#   0 0 22,* * 1: 02 09 16 23 / 02 09 16 23
#   0 0 1-31 * 3,*/8: 01 04 08 11 / 01 04 08 11
#   0 0 1-31 * 3,0: 31 01 02 03 / 31 01 02 03
set -eu
script=$(cd "$(dirname "$0")" && pwd)/$(basename "$0")
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT; cd "$folder"
python3 -m venv v
v/bin/pip install --quiet --disable-pip-version-check croniter==7.0.0 2>/dev/null
cat >look.py <<'PY'
from datetime import datetime

from croniter import croniter

for line in ("0 0 1-31 * 1", "0 0 22,* * 1", "0 0 1-31 * 3,*/8", "0 0 1-31 * 3,0"):
    found = []
    for bug in (False, True):
        days = croniter(line, datetime(2026, 1, 30, 12), implement_cron_bug=bug)
        found.append(" ".join(f"{days.get_next(datetime):%d}" for _ in range(4)))
    print(f"{line}: {' / '.join(found)}")
PY
v/bin/python look.py >seen
sed -n 's/^#   //p' "$script" | diff - seen
