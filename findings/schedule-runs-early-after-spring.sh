#!/bin/sh
# schedule 1.2.2 (PyPI) on a host in UTC: every().day.at("02:30", "Europe/Berlin") runs twice on the day after the clocks
# went forward. The run of 2026-03-29, whose 02:30 does not exist, comes at 03:30 CEST; the next one is planned for
# 01:30 CEST of the 30th, an hour before the time that was asked for, and the right one follows at 02:30.
#
# Seen (instants in UTC; 02:30 in Berlin is 01:30 until the 28th and 00:30 from the 30th on):
#   2026-03-28 01:30
#   2026-03-29 01:30
#   2026-03-29 23:30
#   2026-03-30 00:30
#   2026-03-31 00:30
set -eu
script=$(cd "$(dirname "$0")" && pwd)/$(basename "$0")
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT; cd "$folder"
python3 -m venv v
v/bin/pip install --quiet --disable-pip-version-check schedule==1.2.2 pytz==2026.2 time-machine==3.2.0 2>/dev/null
cat >look.py <<'PY'
from datetime import datetime, timedelta, timezone

import schedule
import time_machine

now, end = datetime(2026, 3, 27, 12, tzinfo=timezone.utc), datetime(2026, 3, 31, 12, tzinfo=timezone.utc)
with time_machine.travel(now, tick=False) as clock:
    plan = schedule.Scheduler()
    plan.every().day.at("02:30", "Europe/Berlin").do(lambda: print(f"{now:%Y-%m-%d %H:%M}"))
    while now < end:
        clock.move_to(now)
        plan.run_pending()
        now += timedelta(minutes=10)
PY
TZ=UTC v/bin/python look.py >seen
sed -n 's/^#   //p' "$script" | diff - seen
