"""How long the next slots of 10,000 tasks take, in zones that change their clocks. Run by `make bench`."""

from __future__ import annotations

import sys
import time
from datetime import UTC, datetime

from installation import installation, write_result

ZONES = (
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",
    "Africa/Casablanca",
    "Asia/Shanghai",
)
TASKS = 10_000
LIMIT_S = 1.5


def main() -> int:
    """Measure, print, write; 1 when it is slower than it must be."""
    with installation():
        from scheduler.engine.schedules import next_slot, parse_schedule

        schedules = [
            parse_schedule(f"{n % 60} {n % 24} * * {n % 7}", ZONES[n % len(ZONES)]) for n in range(TASKS)
        ]
        now = datetime(2026, 3, 29, 0, 30, tzinfo=UTC)
        begin = time.perf_counter()
        for schedule in schedules:
            next_slot(schedule, now)
        seconds = time.perf_counter() - begin
    print(f"next slots of {TASKS} tasks {seconds:.2f} s; the limit is {LIMIT_S} s")
    write_result("schedules", {"tasks": TASKS, "seconds": round(seconds, 3)})
    return 0 if seconds < LIMIT_S else 1


if __name__ == "__main__":
    sys.exit(main())
