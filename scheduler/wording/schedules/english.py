"""Schedules in English."""

from __future__ import annotations

from calendar import day_name, month_name
from collections.abc import Sequence

from scheduler.wording.schedules.parts import MOST_TIMES, cycle, progression

ORDINALS = ("last", "first", "second", "third", "fourth", "fifth")
AROUND = {"second": "minute", "minute": "hour"}


class English:
    """English words; where cron-descriptor says the slots exactly, they are its words."""

    def at(self, clocks: Sequence[str], *, is_alone: bool) -> str:
        """Return "At 02:00 and 03:00"."""
        return f"At {_listed(clocks)}"

    def every(self, unit: str, step: int) -> str:
        """Return "Every 5 minutes"."""
        return f"Every {unit}" if step == 1 else f"Every {step} {unit}s"

    def past(self, unit: str, values: Sequence[int]) -> str:
        """Return "At 5 and 20 minutes past the hour" or "Minutes 1 through 5 past the hour"."""
        numbers = _numbers(values)
        if "through" in numbers:
            return f"{unit.capitalize()}s {numbers} past the {AROUND[unit]}"
        return f"At {numbers} {unit if numbers == '1' else f'{unit}s'} past the {AROUND[unit]}"

    def within(self, unit: str, values: Sequence[int]) -> str:
        """Return "between 09:00 and 17:59" or "in the minutes 1 and 5"."""
        if unit == "hour" and values[-1] - values[0] == len(values) - 1:
            return f"between {values[0]:02}:00 and {values[-1]:02}:59"
        return f"in the {unit}{'s' if len(values) > 1 else ''} {_numbers(values)}"

    def hours(self, step: int, first: str, last: str) -> str:
        """Return "Every 2 hours from 01:05 to 23:05"."""
        return f"{self.every('hour', step)} from {first} to {last}"

    def days(self, days: Sequence[int], *, has_last: bool) -> str:
        """Return "on day 1 and 15 of the month"."""
        step = progression(days)
        if not has_last and step == 1:
            return f"between day {days[0]} and {days[-1]} of the month"
        if not has_last and step is not None and len(days) > MOST_TIMES:
            return f"every {step} days from day {days[0]} to {days[-1]} of the month"
        if not days:
            return "on the last day of the month"
        last = ["the last day"] if has_last else []
        return f"on day {_listed([*map(str, days), *last])} of the month"

    def nearest(self, day: int) -> str:
        """Return "on the weekday nearest day 15 of the month"."""
        return f"on the weekday nearest day {day} of the month"

    def weekdays(self, weekdays: Sequence[int]) -> str:
        """Return "Monday through Friday" or "on Monday and Friday"."""
        names = [day_name[day - 1] for day in weekdays]
        return f"{names[0]} through {names[-1]}" if progression(weekdays) == 1 else f"on {_listed(names)}"

    def nth(self, which: Sequence[tuple[int, int]]) -> str:
        """Return "on the first Monday and the third Wednesday of the month"."""
        named = [f"the {ORDINALS[number]} {day_name[day - 1]}" for number, day in which]
        return f"on {_listed(named)} of the month"

    def either(self, by_month: str, by_week: str) -> str:
        """Return "…, or on Friday"."""
        return f"{by_month}, or {by_week}"

    def both(self, by_month: str, by_week: str) -> str:
        """Return "…, but only on Friday"."""
        return f"{by_month}, but only {by_week}"

    def months(self, months: Sequence[int]) -> str:
        """Return "every 3 months", "March through June" or "only in May"."""
        step = cycle(months, 12, lowest=1)
        if step is not None and step < 12:
            return f"every {step} months"
        names = [month_name[month] for month in months]
        return f"{names[0]} through {names[-1]}" if progression(months) == 1 else f"only in {_listed(names)}"

    def join(self, parts: Sequence[str]) -> str:
        """Return the parts with commas."""
        return ", ".join(parts)


def _listed(items: Sequence[str]) -> str:
    return " and ".join([", ".join(items[:-1]), items[-1]] if len(items) > 1 else items)


def _numbers(values: Sequence[int]) -> str:
    step = progression(values)
    if step is not None and (step == 1 or len(values) > MOST_TIMES):
        return f"{values[0]} through {values[-1]}" + (f" in steps of {step}" if step > 1 else "")
    return _listed([str(value) for value in values])
