"""When a schedule says "now": strict reading of cron, and slots with the daylight-saving rules.

An expression whose hours are fixed (no ``*`` and no ``/`` in the hour field) runs each of its wall-clock times once
a day: in a gap at the first valid instant after it, in a fold at the first of the two. Any other expression follows
elapsed time: it runs at every instant whose wall clock matches, so twice in a fold and not at all in a gap.

Source: cron(8) of Debian; croniter alone runs a fixed hour twice in a fold.
"""

from __future__ import annotations

import re
import zoneinfo
from bisect import bisect_right
from calendar import monthrange
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from itertools import product
from typing import Literal

from croniter import croniter

from scheduler.exceptions import InvalidScheduleError

LONGEST = 255
SEARCHED_MONTHS = 12 * 9  # a leap day can be eight years away
ONE_DAY = timedelta(days=1)
ALIASES = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
MONTHS = {name: i for i, name in enumerate("jan feb mar apr may jun jul aug sep oct nov dec".split(), start=1)}
WEEKDAYS = {name: i for i, name in enumerate("sun mon tue wed thu fri sat".split())}
#: field -> lowest, highest, names
FIELDS: dict[str, tuple[int, int, dict[str, int]]] = {
    "second": (0, 59, {}),
    "minute": (0, 59, {}),
    "hour": (0, 23, {}),
    "day of month": (1, 31, {}),
    "month": (1, 12, MONTHS),
    "day of week": (0, 7, WEEKDAYS),
}
ITEM = re.compile(r"(\*|[0-9]{1,4}|[a-z]{3})(?:-([0-9]{1,4}|[a-z]{3}))?(?:/([0-9]{1,4}))?\Z")


@dataclass(frozen=True)
class Schedule:
    """A checked expression in a time zone; made by `parse_schedule` only.

    Attributes:
        weekdays: 0 is Sunday.
        is_either_day: day of month and day of week are both restricted, so that either may match (POSIX).
    """

    expression: str
    timezone: str
    seconds: tuple[int, ...]
    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: frozenset[int]
    has_last_day: bool
    months: frozenset[int]
    weekdays: frozenset[int]
    is_either_day: bool
    is_fixed: bool

    @property
    def zone(self) -> zoneinfo.ZoneInfo:
        """The zone in which the expression is read."""
        return zoneinfo.ZoneInfo(self.timezone)


@dataclass(frozen=True)
class TransitionEffect:
    """What a daylight-saving change does to a fixed wall-clock time; `runs_at` is UTC."""

    day: date
    kind: Literal["gap", "fold"]
    wall: str
    runs_at: datetime


@lru_cache(maxsize=20_000)
def parse_schedule(expression: str, timezone: str) -> Schedule:
    """Return the schedule for a cron expression of five fields, or six with seconds first, or an alias.

    Raises:
        InvalidScheduleError: with a sentence that names the field, the value and what is allowed.
    """
    if len(expression) > LONGEST:
        raise InvalidScheduleError(
            f"the schedule has {len(expression)} characters; at most {LONGEST} are allowed"
        )
    _check_zone(timezone)
    text = " ".join(expression.split()).lower()
    if text.startswith("@"):
        if text not in ALIASES:
            raise InvalidScheduleError(
                f'the schedule "{expression}" is no known alias; allowed are {", ".join(ALIASES)}'
            )
        text = ALIASES[text]
    schedule = _parse_fields(expression, text.split(), timezone)
    if _next_day(schedule, date(2024, 1, 1)) is None:
        raise InvalidScheduleError(
            f'the schedule "{expression}" never fires: no such day exists in any of its months'
        )
    return schedule


def _check_zone(timezone: str) -> None:
    try:
        zoneinfo.ZoneInfo(timezone)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise InvalidScheduleError(
            f'the time zone "{timezone[:80]}" is unknown; a name of the IANA database such as '
            "Asia/Shanghai or Europe/Berlin is needed"
        ) from error


def _parse_fields(expression: str, fields: list[str], timezone: str) -> Schedule:
    if len(fields) not in (5, 6):
        raise InvalidScheduleError(
            f'the schedule "{expression}" has {len(fields)} fields; five are needed (minute, hour, day of month, '
            "month, day of week), or six with seconds first"
        )
    full = fields if len(fields) == 6 else ["0", *fields]
    for name, value in zip(FIELDS, full, strict=True):
        for item in value.split(","):
            if not (name == "day of month" and item == "l"):
                _check_item(expression, name, item)
    try:
        expanded, _ = croniter.expand(" ".join(full), second_at_beginning=True, strict=False)
    except (ValueError, KeyError, ArithmeticError, AttributeError, TypeError) as error:
        raise InvalidScheduleError(f'the schedule "{expression}" cannot be read: {error}') from error
    # croniter answers minute, hour, day, month, weekday, second
    minutes, hours, days, months, weekdays, seconds = (list(values) for values in expanded[:6])
    return Schedule(
        expression=expression,
        timezone=timezone,
        seconds=_numbers(seconds, 0, 59),
        minutes=_numbers(minutes, 0, 59),
        hours=_numbers(hours, 0, 23),
        days=frozenset(_numbers([d for d in days if d != "l"], 1, 31)),
        has_last_day="l" in days,
        months=frozenset(_numbers(months, 1, 12)),
        weekdays=frozenset(day % 7 for day in _numbers(weekdays, 0, 6)),
        is_either_day="*" not in days and "*" not in weekdays,
        is_fixed="*" not in full[2] and "/" not in full[2],
    )


def _numbers(values: list[object], lowest: int, highest: int) -> tuple[int, ...]:
    if "*" in values:
        return tuple(range(lowest, highest + 1))
    return tuple(sorted({int(str(value)) for value in values}))


def _check_item(expression: str, name: str, item: str) -> None:
    """Refuse what croniter would read in a surprising way: wrapping and one-value ranges, random, hashed."""
    lowest, highest, names = FIELDS[name]
    allowed = f"allowed are {lowest} to {highest}, *, lists, ranges and steps"
    if names:
        allowed += f", and the names {', '.join(names)}"
    where = f'the {name} field of the schedule "{expression}"'
    match = ITEM.match(item)
    if not match:
        raise InvalidScheduleError(f'{where} has "{item}"; {allowed}')
    start, end, step = match.groups()
    bounds = []
    for value in (start, end):
        if value is None or value == "*":
            continue
        number = int(value) if value.isdigit() else names.get(value, -1)
        if not lowest <= number <= highest:
            raise InvalidScheduleError(f'{where} has "{value}"; {allowed}')
        bounds.append(number)
    if end is not None:
        if start == "*":
            raise InvalidScheduleError(f'{where} has "{item}"; {allowed}')
        if bounds[0] >= bounds[1]:
            raise InvalidScheduleError(
                f'{where} has the range "{item}"; a range must rise, such as {lowest}-{lowest + 1}'
            )
    if step is not None and not 1 <= int(step) <= highest:
        raise InvalidScheduleError(f'{where} has the step "/{step}"; allowed are 1 to {highest}')


def has_fixed_hours(schedule: Schedule) -> bool:
    """Tell whether the expression names its hours, so that each wall-clock time runs once a day."""
    return schedule.is_fixed


# --- days -----------------------------------------------------------------------------------------


@lru_cache(maxsize=100_000)
def _days_of_month(schedule: Schedule, year: int, month: int) -> tuple[int, ...]:
    if month not in schedule.months:
        return ()
    first_weekday, length = monthrange(year, month)  # Monday is 0
    return tuple(
        day
        for day in range(1, length + 1)
        if _matches_day(schedule, day, length, (first_weekday + day) % 7)  # Sunday is 0
    )


def _matches_day(schedule: Schedule, day: int, length: int, weekday: int) -> bool:
    by_month = day in schedule.days or (schedule.has_last_day and day == length)
    by_week = weekday in schedule.weekdays
    return (by_month or by_week) if schedule.is_either_day else (by_month and by_week)


def _next_day(schedule: Schedule, start: date) -> date | None:
    """Return the first matching day at or after `start`."""
    year, month, after = start.year, start.month, start.day - 1
    for _ in range(SEARCHED_MONTHS):
        if year > 9998:
            return None
        days = _days_of_month(schedule, year, month)
        index = bisect_right(days, after)
        if index < len(days):
            return date(year, month, days[index])
        month, after = month + 1, 0
        if month > 12:
            year, month = year + 1, 1
    return None


# --- instants -------------------------------------------------------------------------------------


@lru_cache(maxsize=100_000)
def _offset_of_day(timezone: str, day: date) -> timedelta | None:
    """Return the offset from UTC that holds all day, or None when it changes on that day."""
    zone = zoneinfo.ZoneInfo(timezone)
    begin, end = datetime.combine(day, time()), datetime.combine(day + ONE_DAY, time())
    offsets = {
        moment.replace(tzinfo=zone, fold=fold).utcoffset() for moment in (begin, end) for fold in (0, 1)
    }
    return offsets.pop() if len(offsets) == 1 else None


@lru_cache(maxsize=512)
def _instants_of_day(schedule: Schedule, day: date) -> tuple[datetime, ...]:
    """Return all slots whose wall-clock date is `day`, in UTC, rising."""
    if _next_day(schedule, day) != day:
        return ()
    offset = _offset_of_day(schedule.timezone, day)
    walls = (
        datetime(day.year, day.month, day.day, *hms)
        for hms in product(schedule.hours, schedule.minutes, schedule.seconds)
    )
    if offset is not None:
        return tuple((wall - offset).replace(tzinfo=UTC) for wall in walls)
    resolve = _once if schedule.is_fixed else _each
    zone = schedule.zone
    return tuple(sorted({instant for wall in walls for instant in resolve(wall, zone)}))


def _utc(wall: datetime, zone: zoneinfo.ZoneInfo, fold: int) -> datetime:
    return wall.replace(tzinfo=zone, fold=fold).astimezone(UTC)


def _exists(wall: datetime, zone: zoneinfo.ZoneInfo) -> bool:
    return _utc(wall, zone, 0).astimezone(zone).replace(tzinfo=None) == wall


def _each(wall: datetime, zone: zoneinfo.ZoneInfo) -> list[datetime]:
    """Return every instant at which clocks show `wall`: none, one or two."""
    return [_utc(wall, zone, 0), _utc(wall, zone, 1)] if _exists(wall, zone) else []


def _once(wall: datetime, zone: zoneinfo.ZoneInfo) -> list[datetime]:
    """Return the first instant at which clocks show `wall`, or the end of the gap that swallows it.

    A local day that does not exist at all (Apia, 30 December 2011) has none.
    """
    if _exists(wall, zone):
        return [_utc(wall, zone, 0)]
    end = _end_of_gap(wall, zone)
    is_day_missing = not _exists(wall.replace(hour=0, minute=0, second=0), zone) and (
        end.astimezone(zone).replace(tzinfo=None) >= datetime.combine(wall.date() + ONE_DAY, time())
    )
    return [] if is_day_missing else [end]


def _end_of_gap(wall: datetime, zone: zoneinfo.ZoneInfo) -> datetime:
    """Return the instant of the change that skips `wall`, by bisection to the second."""
    # In a gap, fold=1 reads the wall clock with the offset after the change and so gives the earlier instant.
    before, after = _utc(wall, zone, 1), _utc(wall, zone, 0)
    old = before.astimezone(zone).utcoffset()
    while after - before > timedelta(seconds=1):
        middle = before + timedelta(seconds=int((after - before).total_seconds()) // 2)
        if middle.astimezone(zone).utcoffset() == old:
            before = middle
        else:
            after = middle
    return after


def next_slot(schedule: Schedule, after: datetime) -> datetime | None:
    """Return the first slot strictly after `after`, or None when there is none within nine years.

    Args:
        after: aware. The result is UTC.
    """
    after = after.astimezone(UTC)
    if not datetime(1902, 1, 1, tzinfo=UTC) < after < datetime(9990, 1, 1, tzinfo=UTC):
        return None
    local = after.astimezone(schedule.zone)
    day = local.date()
    if not _is_regular(schedule.timezone, day):
        slot = _among_neighbours(schedule, day, after)
        if slot is not None:
            return slot
        day += ONE_DAY
    else:
        slot = _later_that_day(schedule, local, after)
        if slot is not None:
            return slot
        day += ONE_DAY
    return _first_from(schedule, day, after)


def _first_from(schedule: Schedule, day: date, after: datetime) -> datetime | None:
    """Return the first slot after `after` on `day` or later; `after` lies before that day."""
    # A day around a change is looked at together with its neighbours, whose times can fall into it.
    while True:
        found = _next_day(schedule, day)
        if found is None:
            return None
        if _is_regular(schedule.timezone, found):
            offset = _offset_of_day(schedule.timezone, found)
            assert offset is not None  # noqa: S101 - regular days have one
            wall = datetime(
                found.year, found.month, found.day, schedule.hours[0], schedule.minutes[0], schedule.seconds[0]
            )
            return (wall - offset).replace(tzinfo=UTC)
        slot = _among_neighbours(schedule, found, after)
        if slot is not None:
            return slot
        day = found + ONE_DAY


def _is_regular(timezone: str, day: date) -> bool:
    """Tell whether no change of the clock touches `day` or its neighbours."""
    return all(_offset_of_day(timezone, day + n * ONE_DAY) is not None for n in (-1, 0, 1))


def _among_neighbours(schedule: Schedule, day: date, after: datetime) -> datetime | None:
    merged = sorted(
        {instant for n in (-1, 0, 1) for instant in _instants_of_day(schedule, day + n * ONE_DAY)}
    )
    index = bisect_right(merged, after)
    return merged[index] if index < len(merged) else None


def _later_that_day(schedule: Schedule, local: datetime, after: datetime) -> datetime | None:
    """Return the next slot on the regular day of `local`, or None."""
    day = local.date()
    if _next_day(schedule, day) != day:
        return None
    wall = _next_time(schedule, local.time())
    if wall is None:
        return None
    offset = local.utcoffset()
    assert offset is not None  # noqa: S101 - aware
    return (datetime.combine(day, wall) - offset).replace(tzinfo=UTC)


def _next_time(schedule: Schedule, after: time) -> time | None:
    """Return the first time of day strictly after `after` that the expression names."""
    hours, minutes, seconds = schedule.hours, schedule.minutes, schedule.seconds
    if after.hour in hours:
        if after.minute in minutes:
            index = bisect_right(seconds, after.second)
            if index < len(seconds):
                return time(after.hour, after.minute, seconds[index])
        index = bisect_right(minutes, after.minute)
        if index < len(minutes):
            return time(after.hour, minutes[index], seconds[0])
    index = bisect_right(hours, after.hour)
    return time(hours[index], minutes[0], seconds[0]) if index < len(hours) else None


def iterate_slots(schedule: Schedule, after: datetime) -> Iterator[datetime]:
    """Yield the slots strictly after `after`, in order."""
    slot = next_slot(schedule, after)
    while slot is not None:
        yield slot
        slot = next_slot(schedule, slot)


def slots_between(
    schedule: Schedule, start: datetime, end: datetime, *, limit: int | None = None
) -> list[datetime]:
    """Return the slots in (`start`, `end`], rising, at most the first `limit` of them."""
    slots: list[datetime] = []
    for slot in iterate_slots(schedule, start):
        if slot > end or (limit is not None and len(slots) >= limit):
            break
        slots.append(slot)
    return slots


def count_slots(schedule: Schedule, start: datetime, end: datetime) -> int:
    """Return how many slots lie in (`start`, `end`], day by day, without listing those of whole days."""
    zone = schedule.zone
    day, last = start.astimezone(zone).date() - ONE_DAY, end.astimezone(zone).date() + ONE_DAY
    inner = (day + 3 * ONE_DAY, last - 3 * ONE_DAY)
    each = len(schedule.hours) * len(schedule.minutes) * len(schedule.seconds)
    total = 0
    while day <= last:
        if inner[0] <= day <= inner[1] and _offset_of_day(schedule.timezone, day) is not None:
            total += each if _next_day(schedule, day) == day else 0
        else:
            total += sum(1 for instant in _instants_of_day(schedule, day) if start < instant <= end)
        day += ONE_DAY
    return total


def describe_transitions(schedule: Schedule, after: datetime, *, days: int = 366) -> list[TransitionEffect]:
    """Return what the changes of the clock in the next `days` do to the fixed times of a schedule."""
    if not schedule.is_fixed:
        return []
    zone = schedule.zone
    first = after.astimezone(zone).date()
    effects = []
    for n in range(days):
        day = first + n * ONE_DAY
        if _offset_of_day(schedule.timezone, day) is None and _next_day(schedule, day) == day:
            effects += _effects_of_day(schedule, day, zone)
    return effects


def _effects_of_day(schedule: Schedule, day: date, zone: zoneinfo.ZoneInfo) -> list[TransitionEffect]:
    effects = []
    for hms in product(schedule.hours, schedule.minutes, schedule.seconds[:1]):
        wall = datetime(day.year, day.month, day.day, *hms)
        instants = _once(wall, zone)
        if not instants:
            continue
        if not _exists(wall, zone):
            effects.append(TransitionEffect(day, "gap", f"{wall:%H:%M}", instants[0]))
        elif _utc(wall, zone, 0) != _utc(wall, zone, 1):
            effects.append(TransitionEffect(day, "fold", f"{wall:%H:%M}", instants[0]))
    return effects
