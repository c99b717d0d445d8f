"""Strict parsing of cron expressions, and iteration over wall-clock times without a zone.

croniter expands the fields. Forms that it interprets in a surprising way are rejected first: ``5-1`` (wraps), ``R`` and
``H`` (random, hashed), a year field; ``3-3`` (which it expands to the whole cycle) becomes ``3``. As in Debian's cron,
a step of ``*`` may be wider than the field: ``*/90`` is its lowest value.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from calendar import monthrange
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time
from functools import lru_cache
from typing import Any

from croniter import croniter

from scheduler.engine.reasons import Code, Params, Reason
from scheduler.exceptions import InvalidScheduleError

LONGEST = 255  # croniter's cost grows with the length: half a megabyte takes seconds
SEARCHED_MONTHS = 12 * 41  # around 2100 a leap day that is a Monday is forty years away
FIRST_CHECKED_DAY = date(2024, 1, 1)  # any: whatever fires at all fires in the span from every day
ALIASES = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
MONTH_NAMES = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
MONTHS = {name: number for number, name in enumerate(MONTH_NAMES, start=1)}
WEEKDAYS = {name: i for i, name in enumerate(["sun", "mon", "tue", "wed", "thu", "fri", "sat"])}
NAMES = {**MONTHS, **WEEKDAYS}
#: field -> lowest, highest, names; in the order of a six-field expression
FIELDS: Mapping[str, tuple[int, int, Mapping[str, int]]] = {
    "second": (0, 59, {}),
    "minute": (0, 59, {}),
    "hour": (0, 23, {}),
    "day of month": (1, 31, {}),
    "month": (1, 12, MONTHS),
    "day of week": (0, 7, WEEKDAYS),
}
ITEM = re.compile(r"(\*|[0-9]{1,4}|[a-z]{3})(?:-([0-9]{1,4}|[a-z]{3}))?(?:/([0-9]{1,4}))?\Z")
NEAREST_WEEKDAY = re.compile(r"(?:0?[1-9]|[12][0-9]|3[01])w\Z")
NTH_WEEKDAY = re.compile(r"(?:l[0-7]|(?:[0-7]|sun|mon|tue|wed|thu|fri|sat)#[1-5])\Z")
LAST = "l"
EXTRAS = frozenset(
    {"day of month", "day of week"}
)  # fields that take more than numbers, names, ranges and steps
FIELD_CODES = {
    "second": Code.SECOND,
    "minute": Code.MINUTE,
    "hour": Code.HOUR,
    "day of month": Code.DAY_OF_MONTH,
    "month": Code.MONTH,
    "day of week": Code.DAY_OF_WEEK,
}


@dataclass(frozen=True, eq=False)
class CronRule:
    """The wall-clock times that an expression matches. Compared by identity; created by `read_cron` only.

    Attributes:
        days: days of the month; 0 means the last one.
        weekdays: 0 is Sunday.
        nth: weekday to its occurrences in the month, from 1; 0 means the last one.
        nearest: the day whose nearest weekday is meant.
        is_either_day: a day matches if it matches either day field; otherwise it must match both.
        is_fixed: fewer than all 24 hours are named.
    """

    seconds: tuple[int, ...]
    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    nth: Mapping[int, frozenset[int]]
    nearest: int | None
    is_either_day: bool
    is_fixed: bool


# --- reading --------------------------------------------------------------------------------------


@lru_cache(maxsize=20_000)
def read_cron(expression: str) -> CronRule:
    """Parse a cron expression of five fields, six with seconds first, or an alias.

    Raises:
        InvalidScheduleError: names the field, the value and the allowed values.
    """
    fields = split_cron(expression)
    for name, value in zip(FIELDS, fields, strict=True):
        _check_field(expression, name, value)
    _check_day_fields(expression, fields)
    rule = _expand(expression, fields)
    if next_day(rule, FIRST_CHECKED_DAY) is None:
        raise InvalidScheduleError(Reason(Code.SCHEDULE_NEVER_FIRES, {"expression": expression}))
    return rule


def split_cron(expression: str) -> list[str]:
    """Return the six fields of an expression in lower case, seconds first.

    Raises:
        InvalidScheduleError: it has another number of fields, or characters that no field has.
    """
    if len(expression) > LONGEST:
        raise InvalidScheduleError(
            Reason(Code.SCHEDULE_TOO_LONG, {"number": len(expression), "most": LONGEST})
        )
    text = " ".join(expression.split()).lower()
    odd = next((character for character in text if not character.isprintable()), None)
    if odd is not None:  # shown escaped: databases reject NUL and lone surrogates
        raise InvalidScheduleError(Reason(Code.SCHEDULE_CHARACTER, {"character": f"U+{ord(odd):04X}"}))
    setting = re.match(r"\s*((?:cron_)?tz)\s*=\s*(\S*)", expression, re.IGNORECASE)
    if setting is not None:
        values = {"expression": expression, "name": setting[1].upper(), "zone": setting[2].strip("'\"")}
        raise InvalidScheduleError(Reason(Code.SCHEDULE_HAS_ZONE, values))
    if text.startswith("@"):
        if text not in ALIASES:
            raise InvalidScheduleError(
                Reason(Code.SCHEDULE_ALIAS_UNKNOWN, {"expression": expression, "known": list(ALIASES)})
            )
        text = ALIASES[text]
    fields = text.split()
    if len(fields) not in (5, 6):
        raise InvalidScheduleError(
            Reason(Code.SCHEDULE_FIELD_COUNT, {"expression": expression, "number": len(fields)})
        )
    return fields if len(fields) == 6 else ["0", *fields]


def _check_field(expression: str, name: str, value: str) -> None:
    for item in value.split(","):
        if name == "day of month" and (item == LAST or NEAREST_WEEKDAY.match(value)):
            continue
        if name == "day of week" and NTH_WEEKDAY.match(item):
            continue
        if name in EXTRAS and value == "?":
            continue
        _check_item(expression, name, item)


def _check_item(expression: str, name: str, item: str) -> None:
    """Check a number, a name, a range or a step against the bounds of its field."""
    lowest, highest, _ = FIELDS[name]
    match = ITEM.match(item)
    if match is None:
        raise _refused(expression, name, f'"{item}"')
    start, end, step = match.groups()
    low, high = (_number(expression, name, text) for text in (start, end))
    if high is not None and low is None:
        raise _refused(expression, name, f'"{item}"')
    if low is not None and high is not None and low > high:
        raise InvalidScheduleError(
            Reason(
                Code.SCHEDULE_RANGE_FALLS,
                {**_place(expression, name), "range": item, "rising": f"{lowest}-{highest}"},
            )
        )
    most = int(step or 1) if item.startswith("*") else highest
    if step is not None and not 1 <= int(step) <= most:
        steps = Reason(Code.STEPS, {"low": 1, "high": highest})
        raise _refused(expression, name, Reason(Code.THE_STEP, {"step": step}), steps)


def _number(expression: str, name: str, text: str | None) -> int | None:
    """Return the value of a number or name, None for ``*`` or nothing."""
    if text is None or text == "*":
        return None
    lowest, highest, names = FIELDS[name]
    number = int(text) if text.isdigit() else names.get(text)
    if number is None or not lowest <= number <= highest:
        raise _refused(expression, name, f'"{text}"')
    return number


def _refused(
    expression: str, name: str, found: Reason | str, allowed: Reason | None = None
) -> InvalidScheduleError:
    place = _place(expression, name)
    return InvalidScheduleError(
        Reason(Code.SCHEDULE_FIELD, {**place, "found": found, "allowed": allowed or _ranges(name)})
    )


def _place(expression: str, name: str) -> Params:
    return {"field": Reason(FIELD_CODES[name]), "expression": expression}


def _ranges(name: str) -> Reason:
    """Return the allowed values of a field."""
    lowest, highest, names = FIELDS[name]
    values = {"low": lowest, "high": highest}
    if names:
        code = Code.RANGES_OF_WEEKDAYS if name in EXTRAS else Code.RANGES_OF_NAMES
        return Reason(code, {**values, "names": list(names)})
    return Reason(Code.RANGES_OF_DAYS if name in EXTRAS else Code.RANGES, values)


def _check_day_fields(expression: str, fields: list[str]) -> None:
    """Reject combinations that croniter cannot express, such as "the third Friday or the 13th"."""
    day, weekday = fields[3], fields[5]
    if (day.endswith("w") or "#" in weekday or "l" in weekday) and not {day, weekday} & {"*", "?"}:
        raise InvalidScheduleError(Reason(Code.SCHEDULE_DAYS_COMBINED, {"expression": expression}))


def _expand(expression: str, fields: list[str]) -> CronRule:
    text = " ".join(",".join(without_range(item) for item in field.split(",")) for field in fields)
    try:
        expanded, nth = croniter.expand(text, second_at_beginning=True)
    except (ValueError, TypeError, LookupError, ArithmeticError, AttributeError) as error:
        message = str(error).splitlines()[0][:LONGEST] if str(error) else type(error).__name__
        values = {"expression": expression, "error": message}
        raise InvalidScheduleError(Reason(Code.SCHEDULE_UNREADABLE, values)) from error
    minutes, hours, days, months, weekdays, seconds = expanded  # croniter returns seconds last
    named_hours = _numbers(hours, 0, 23)
    return CronRule(
        seconds=_numbers(seconds, 0, 59),
        minutes=_numbers(minutes, 0, 59),
        hours=named_hours,
        days=frozenset(_numbers(days, 1, 31)),
        months=frozenset(_numbers(months, 1, 12)),
        weekdays=frozenset(_numbers(weekdays, 0, 6)),
        nth={int(day): frozenset(0 if n == LAST else int(n) for n in which) for day, which in nth.items()},
        nearest=int(fields[3][:-1]) if fields[3].endswith("w") else None,
        is_either_day=not (begins_with_star(fields[3]) or begins_with_star(fields[5])),
        is_fixed=len(named_hours) < 24,
    )


def without_range(item: str) -> str:
    """Return ``3`` for ``3-3``, ``3-03`` and ``3-3/2``, other items as they are."""
    match = ITEM.match(item.lower())
    if match is None or match[2] is None:
        return item
    low, high = (int(text) if text.isdigit() else NAMES.get(text) for text in match.group(1, 2))
    return match[1] if low == high else item


def begins_with_star(field: str) -> bool:
    """Return whether a day field joins the other one by AND: it begins with ``*``, as in ``*/2``, or is ``?``.

    Source: entry.c of Debian's cron sets DOM_STAR and DOW_STAR by the first character of a field; with either, a day
    must match both fields, else either field.
    """
    return field.startswith(("*", "?"))


def _numbers(values: list[Any], lowest: int, highest: int) -> tuple[int, ...]:
    """Return the numbers of an expanded field in ascending order; ``l`` becomes 0."""
    if "*" in values:
        return tuple(range(lowest, highest + 1))
    return tuple(sorted({0 if value == LAST else int(value) for value in values}))


# --- days -----------------------------------------------------------------------------------------


@lru_cache(maxsize=65_536)
def days_of_month(rule: CronRule, year: int, month: int) -> tuple[int, ...]:
    """Return the matching days of a month in ascending order."""
    if month not in rule.months:
        return ()
    first, length = monthrange(year, month)  # Monday is 0
    if rule.nearest is not None:
        return (_nearest_weekday(min(rule.nearest, length), first, length),)
    return tuple(day for day in range(1, length + 1) if _matches_day(rule, day, length, (first + day) % 7))


def _matches_day(rule: CronRule, day: int, length: int, weekday: int) -> bool:
    by_month = day in rule.days or (day == length and 0 in rule.days)
    by_week = weekday in rule.weekdays
    if by_week and rule.nth:
        which = rule.nth.get(weekday, frozenset())
        by_week = (day + 6) // 7 in which or (day + 7 > length and 0 in which)
    return (by_month or by_week) if rule.is_either_day else (by_month and by_week)


def _nearest_weekday(day: int, first: int, length: int) -> int:
    """Return the day from Monday to Friday nearest to `day` within its month."""
    weekday = (first + day - 1) % 7  # Monday is 0
    if weekday == 5:
        return day - 1 if day > 1 else day + 2
    if weekday == 6:
        return day + 1 if day < length else day - 2
    return day


def next_day(rule: CronRule, start: date) -> date | None:
    """Return the first matching day at or after `start`; None if no day within 41 years matches, thus none ever."""
    year, month, after = start.year, start.month, start.day - 1
    for _ in range(SEARCHED_MONTHS):
        days = days_of_month(rule, year, month)
        index = bisect_right(days, after)
        if index < len(days):
            return date(year, month, days[index])
        year, month, after = (year, month + 1, 0) if month < 12 else (year + 1, 1, 0)
    return None


# --- times ----------------------------------------------------------------------------------------


def next_wall(rule: CronRule, after: datetime) -> datetime | None:
    """Return the first matching wall-clock time strictly after `after`; both naive."""
    day = after.date()
    if after.day in days_of_month(rule, after.year, after.month):
        later = _next_time(rule, after.hour, after.minute, after.second)
        if later is not None:
            return datetime.combine(day, later)
    found = next_day(rule, date.fromordinal(day.toordinal() + 1))
    if found is None:
        return None
    return datetime(found.year, found.month, found.day, rule.hours[0], rule.minutes[0], rule.seconds[0])


def _next_time(rule: CronRule, hour: int, minute: int, second: int) -> time | None:
    hours, minutes, seconds = rule.hours, rule.minutes, rule.seconds
    if hour in hours:
        if minute in minutes:
            index = bisect_right(seconds, second)
            if index < len(seconds):
                return time(hour, minute, seconds[index])
        index = bisect_right(minutes, minute)
        if index < len(minutes):
            return time(hour, minutes[index], seconds[0])
    index = bisect_right(hours, hour)
    return time(hours[index], minutes[0], seconds[0]) if index < len(hours) else None


def count_walls(rule: CronRule, start: datetime, end: datetime) -> int:
    """Return how many matching wall-clock times lie in [`start`, `end`); both naive, in whole seconds."""
    if end <= start:
        return 0
    times = len(rule.hours) * len(rule.minutes) * len(rule.seconds)
    return times * _count_days(rule, start.date(), end.date()) - _rank(rule, start) + _rank(rule, end)


def _count_days(rule: CronRule, start: date, end: date) -> int:
    """Return how many days in [`start`, `end`) match."""
    total, year, month = 0, start.year, start.month
    while (year, month) < (end.year, end.month):
        total += len(days_of_month(rule, year, month))
        year, month = (year, month + 1) if month < 12 else (year + 1, 1)
    before_end = bisect_left(days_of_month(rule, end.year, end.month), end.day)
    return total + before_end - bisect_left(days_of_month(rule, start.year, start.month), start.day)


def _rank(rule: CronRule, wall: datetime) -> int:
    """Return the number of matching times on the same day before `wall`."""
    if wall.day not in days_of_month(rule, wall.year, wall.month):
        return 0
    hours, minutes, seconds = rule.hours, rule.minutes, rule.seconds
    rank = bisect_left(hours, wall.hour) * len(minutes) * len(seconds)
    if wall.hour in hours:
        rank += bisect_left(minutes, wall.minute) * len(seconds)
        if wall.minute in minutes:
            rank += bisect_left(seconds, wall.second)
    return rank
