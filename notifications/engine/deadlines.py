"""Missed deadlines: a task is overdue if it has not succeeded by its deadline. Pure; times are passed in.

A deadline is a local time of day (``"06:00"``) or a number of seconds.

- Seconds: the task is overdue when this much time has passed since its last success.
- Time of day: the task is overdue when it has not succeeded between the previous day's deadline and this one. If the
    task has a schedule, successes count from its first slot in that interval: a late finish of the previous day's run
    does not count, and an interval without a slot has no deadline, so a weekday task is not overdue on Sunday.

Time before the last change of the task's definition does not count: a deadline applies only after it was set.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache

from scheduler.engine.schedules import next_slot, parse_schedule
from scheduler.engine.zones import zone_of

ONE_DAY = timedelta(days=1)


def missed_deadline(
    deadline: str | float,
    *,
    schedule: str,
    zone: str,
    last_success_at: datetime | None,
    since: datetime,
    now: datetime,
) -> datetime | None:
    """Return the latest missed deadline at or before `now` that no later success has met, or None.

    Args:
        deadline: as above.
        schedule: cron expression of the task, or "".
        zone: IANA time zone name.
        since: time of the last change of the task's definition.

    Raises:
        ValueError: the deadline is neither a time of day nor a positive number.
        InvalidScheduleError: the schedule or the zone is invalid.
    """
    if isinstance(deadline, str):
        return _missed_time(time.fromisoformat(deadline), schedule, zone, last_success_at, since, now)
    if not deadline > 0:
        raise ValueError(f"a deadline must be HH:MM or seconds above 0, but {deadline!r} was found")
    begin = since if last_success_at is None else max(since, last_success_at)
    due = begin + timedelta(seconds=deadline)
    return due if due <= now else None


def daily_deadlines(deadline: str, *, zone: str, since: datetime, until: datetime) -> Iterator[datetime]:
    """Yield the instants of a time of day from `since` to `until`, both inclusive, in order."""
    at = time.fromisoformat(deadline)
    day = since.astimezone(zone_of(zone)).date()
    while (instant := _instant(day, at, zone)) <= until:
        if instant >= since:
            yield instant
        day += ONE_DAY


def _missed_time(
    at: time, schedule: str, zone: str, last_success_at: datetime | None, since: datetime, now: datetime
) -> datetime | None:
    today = now.astimezone(zone_of(zone)).date()
    due = _instant(today, at, zone)
    if due > now:
        today -= ONE_DAY
        due = _instant(today, at, zone)
    if due <= since or (last_success_at is not None and last_success_at > due):
        return None
    begin = _expected_from(schedule, zone, _instant(today - ONE_DAY, at, zone))
    if begin is None or begin > due:
        return None
    return due if last_success_at is None or last_success_at <= begin else None


@lru_cache(maxsize=16_384)  # evaluated at each sweep
def _expected_from(schedule: str, zone: str, before: datetime) -> datetime | None:
    """Return when successes begin to count for the deadline that follows the one at `before`; None: never."""
    return next_slot(parse_schedule(schedule, zone), before) if schedule else before


def _instant(day: date, at: time, zone: str) -> datetime:
    """Return the instant of a local time: the first if it is ambiguous; in a DST gap shifted by the gap's length."""
    return datetime.combine(day, at, tzinfo=zone_of(zone)).astimezone(UTC)
