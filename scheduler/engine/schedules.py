"""Slots of a cron expression in a time zone, with the daylight-saving rules.

- An expression that names fewer than 24 hours (``30 2 * * *``, ``*/20 2 * * *``, ``0 */6 * * *``) has fixed hours. Each
  of its wall-clock times fires once a day: at the first of two occurrences in a fold; times in a gap become one slot at
  the first instant after it. A local day that does not exist (Apia, 30 December 2011) has none.
- An expression of all 24 hours (``0 * * * *``, ``*/15 * * * *``, ``0 0-23 * * *``) follows elapsed time: it fires at
  every instant whose wall clock matches, so twice in a fold and never in a gap.

Source: cron(8) of Debian. It treats any ``*`` in hours or minutes as the second kind; here the hours decide, so that
``0 */6 * * *`` loses no slot to a gap at midnight. croniter alone runs fixed hours twice in a fold.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Literal

from scheduler.engine.cron import CronRule, count_walls, next_wall, read_cron
from scheduler.engine.cron_readings import find_quartz_weekdays
from scheduler.engine.reasons import Code, Reason
from scheduler.engine.zones import ONE_SECOND, Change, changes_around, changes_between, zone_of
from scheduler.exceptions import InvalidScheduleError

MOMENT = timedelta(microseconds=1)
MOST_YEARS = 9  # around 2100 a leap day is eight years away
FIRST_INSTANT = datetime(1900, 1, 1, tzinfo=UTC)
LAST_YEAR = 9900


@dataclass(frozen=True)
class Schedule:
    """A cron expression in a time zone; created by `parse_schedule`, which validates both."""

    expression: str
    timezone: str


@dataclass(frozen=True)
class TransitionEffect:
    """The effect of a clock change on one fixed wall-clock time.

    Attributes:
        day: the local date of the wall-clock time.
        kind: ``gap``: the time does not exist that day; ``fold``: it occurs twice.
        wall: ``HH:MM``, with ``:SS`` if the seconds are not 0.
        runs_at: when it runs instead (gap) or its only run (fold); UTC.
    """

    day: date
    kind: Literal["gap", "fold"]
    wall: str
    runs_at: datetime


@lru_cache(maxsize=20_000)
def parse_schedule(expression: str, timezone: str) -> Schedule:
    """Return the schedule for a cron expression of five fields, six with seconds first, or an alias.

    Day of month and day of week are joined as in Debian's cron; see `cron.begins_with_star`.

    Raises:
        InvalidScheduleError: names the value and the allowed values.
    """
    read_cron(expression)
    zone_of(timezone)
    return Schedule(expression, timezone)


def accept_schedule(expression: str, timezone: str, now: datetime) -> Schedule:
    """Return the schedule that somebody enters at `now`.

    Raises:
        InvalidScheduleError: it cannot be read, does not fire within nine years, or another scheduler of the same form
            reads other weekdays.
    """
    schedule = parse_schedule(expression, timezone)
    slot = next_slot(schedule, now)
    if slot is None or slot.year > now.year + MOST_YEARS:
        shown = "" if slot is None else f"{slot.astimezone(zone_of(timezone)):%Y-%m-%d}"
        values = {"expression": expression, "date": shown, "most": MOST_YEARS}
        raise InvalidScheduleError(Reason(Code.SCHEDULE_FIRES_LATE, values))
    two_readings = find_quartz_weekdays(expression)
    if two_readings is not None:
        raise InvalidScheduleError(two_readings)
    return schedule


def has_fixed_hours(schedule: Schedule) -> bool:
    """Return whether the expression names fewer than 24 hours, so that each wall-clock time fires once a day."""
    return read_cron(schedule.expression).is_fixed


def next_slot(schedule: Schedule, after: datetime) -> datetime | None:
    """Return the first slot strictly after `after`, or None after the year 9900.

    Args:
        after: aware. The result is UTC.

    Raises:
        ValueError: `after` is naive.
    """
    if after.tzinfo is None:
        raise ValueError("after is naive; an aware instant is needed")
    if after.year > LAST_YEAR:
        return None
    instant = FIRST_INSTANT if after.year < FIRST_INSTANT.year else after.astimezone(UTC)
    rule = read_cron(schedule.expression)
    find = _next_fixed if rule.is_fixed else _next_elapsed
    return find(rule, schedule.timezone, instant)


def _wall_at(timezone: str, instant: datetime) -> datetime:
    """Return the wall-clock time at `instant`; naive."""
    return instant.astimezone(zone_of(timezone)).replace(tzinfo=None, fold=0)


def _next_fixed(rule: CronRule, timezone: str, after: datetime) -> datetime | None:
    wall: datetime | None = _reached(timezone, after)
    while wall is not None:
        wall = next_wall(rule, wall)
        slot = None if wall is None else _first_instant(timezone, wall)
        if slot is not None:
            return slot
    return None


def _reached(timezone: str, instant: datetime) -> datetime:
    """Return the latest wall-clock time reached up to `instant`; in a fold, it is later than the current one."""
    wall = _wall_at(timezone, instant)
    for change in changes_around(timezone, instant.year):
        if change.at > instant:
            break
        if wall < change.wall_before:
            wall = change.wall_before - MOMENT
    return wall


def _first_instant(timezone: str, wall: datetime) -> datetime | None:
    """Return the first instant at which clocks have reached `wall`, or None if its day does not exist."""
    for change in changes_around(timezone, wall.year):
        if change.has_skipped(wall):
            first, end = change.missing_days()
            return None if first <= wall < end else change.at
    return wall.replace(tzinfo=zone_of(timezone)).astimezone(UTC)


def _next_elapsed(rule: CronRule, timezone: str, after: datetime) -> datetime | None:
    wall = _wall_at(timezone, after)
    offset = wall - after.replace(tzinfo=None)
    while True:
        found = next_wall(rule, wall)
        if found is None:
            return None
        slot = (found - offset).replace(tzinfo=UTC)
        change = next(changes_between(timezone, after, slot), None)
        if change is None:
            return slot
        # The offset is valid up to the change only; continue from there, its first instant included.
        after, wall, offset = change.at, change.wall_after - MOMENT, change.offset_after


def iterate_slots(schedule: Schedule, after: datetime) -> Iterator[datetime]:
    """Yield the slots strictly after `after`, in order."""
    slot = next_slot(schedule, after)
    while slot is not None:
        yield slot
        slot = next_slot(schedule, slot)


def slots_between(
    schedule: Schedule, start: datetime, end: datetime, *, limit: int | None = None
) -> list[datetime]:
    """Return the first `limit` slots in (`start`, `end`], in ascending order."""
    slots: list[datetime] = []
    if limit == 0:
        return slots
    for slot in iterate_slots(schedule, start):
        if slot > end:
            break
        slots.append(slot)
        if len(slots) == limit:
            break
    return slots


def count_slots(schedule: Schedule, start: datetime, end: datetime) -> int:
    """Return the number of slots in (`start`, `end`], by arithmetic: a year costs about as much as a month."""
    rule, timezone = read_cron(schedule.expression), schedule.timezone
    begin, stop = (instant.astimezone(UTC).replace(microsecond=0) + ONE_SECOND for instant in (start, end))
    if begin >= stop:
        return 0
    changes = list(changes_between(timezone, begin - ONE_SECOND, stop - ONE_SECOND))
    # A slot at `begin` itself belongs to the span, and so does the change that may have caused it.
    total, wall = 0, _start_of_span(rule, timezone, begin)
    for change in changes:
        total += count_walls(rule, wall, change.wall_before) + _made_by_gap(rule, change)
        wall = max(wall, change.wall_before, change.wall_after) if rule.is_fixed else change.wall_after
    return total + count_walls(rule, wall, _wall_at(timezone, stop - ONE_SECOND) + ONE_SECOND)


def _start_of_span(rule: CronRule, timezone: str, begin: datetime) -> datetime:
    """Return the first wall-clock time that has not passed at `begin`."""
    before = begin - ONE_SECOND
    reached = _reached(timezone, before) if rule.is_fixed else _wall_at(timezone, before)
    return reached.replace(microsecond=0) + ONE_SECOND


def _made_by_gap(rule: CronRule, change: Change) -> int:
    """Return 1 if a gap causes a slot at its end that the wall clock there does not match, else 0."""
    if (
        change.is_fold
        or not rule.is_fixed
        or count_walls(rule, change.wall_after, change.wall_after + ONE_SECOND)
    ):
        return 0
    skipped = count_walls(rule, change.wall_before, change.wall_after)
    return int(skipped > count_walls(rule, *change.missing_days()))


def describe_transitions(schedule: Schedule, after: datetime, *, days: int = 366) -> list[TransitionEffect]:
    """Return the effects of clock changes in the next `days` on the fixed times of a schedule, in order.

    Empty for a schedule that follows elapsed time. Only the first of several seconds in a minute is listed.
    """
    if not has_fixed_hours(schedule):
        return []
    rule, begin = read_cron(schedule.expression), after.astimezone(UTC)
    effects: list[TransitionEffect] = []
    for change in changes_between(schedule.timezone, begin - timedelta(days=2), begin + timedelta(days=days)):
        effects += (e for e in _effects(rule, schedule.timezone, change) if e.runs_at > begin)
    return effects


def _effects(rule: CronRule, timezone: str, change: Change) -> Iterator[TransitionEffect]:
    low, high = sorted((change.wall_before, change.wall_after))
    wall = next_wall(rule, low - MOMENT)
    while wall is not None and wall < high:
        runs_at = _first_instant(timezone, wall)
        if runs_at is not None:
            shown = f"{wall:%H:%M:%S}" if wall.second else f"{wall:%H:%M}"
            yield TransitionEffect(wall.date(), "fold" if change.is_fold else "gap", shown, runs_at)
        wall = next_wall(rule, wall.replace(second=59))
