"""The parts of a sentence on a schedule: times, days and months, from the values that its expression matches."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise, product
from typing import Protocol

from scheduler.engine.cron import CronRule

MOST_TIMES = 6  # times that are listed one by one
EVERY_DAY = frozenset(range(1, 32))
EVERY_MONTH = frozenset(range(1, 13))


class Language(Protocol):
    """The words of one language; each method returns one part of a sentence."""

    def at(self, clocks: Sequence[str], *, is_alone: bool) -> str:
        """Return "at these times"; `is_alone` if nothing restricts the days."""

    def every(self, unit: str, step: int) -> str:
        """Return "every `step` units" of ``second``, ``minute`` or ``hour``."""

    def past(self, unit: str, values: Sequence[int]) -> str:
        """Return "at these seconds of the minute" or "minutes of the hour"."""

    def within(self, unit: str, values: Sequence[int]) -> str:
        """Return "in these minutes" or "hours"."""

    def hours(self, step: int, first: str, last: str) -> str:
        """Return "every `step` hours from `first` to `last`"."""

    def days(self, days: Sequence[int], *, has_last: bool) -> str:
        """Return "on these days of the month", with the last one if `has_last`."""

    def nearest(self, day: int) -> str:
        """Return "on the weekday nearest to `day`"."""

    def weekdays(self, weekdays: Sequence[int]) -> str:
        """Return "on these weekdays", of which 1 is Monday and 7 Sunday."""

    def nth(self, which: Sequence[tuple[int, int]]) -> str:
        """Return "on the first Monday", for (occurrence, weekday) each; occurrence 0 is the last one."""

    def either(self, by_month: str, by_week: str) -> str:
        """Join two parts on days of which one must hold."""

    def both(self, by_month: str, by_week: str) -> str:
        """Join two parts on days which must both hold."""

    def months(self, months: Sequence[int]) -> str:
        """Return "in these months"."""

    def join(self, parts: Sequence[str]) -> str:
        """Return the parts as one sentence."""


def progression(values: Sequence[int]) -> int | None:
    """Return the constant difference of three values or more, None if they have none."""
    steps = {later - value for value, later in pairwise(values)}
    return steps.pop() if len(values) > 2 and len(steps) == 1 else None


def cycle(values: Sequence[int], size: int, *, lowest: int = 0) -> int | None:
    """Return the step of values that go evenly around a cycle from its lowest one; None if they do not."""
    step = size // len(values)
    return step if list(values) == list(range(lowest, lowest + size, step)) else None


def sentence_of(rule: CronRule, words: Language) -> str:
    """Return the sentence on a rule."""
    months = "" if rule.months == EVERY_MONTH else words.months(sorted(rule.months))
    rest = [part for part in (_days(rule, words), months) if part]
    return words.join([*_times(rule, words, is_alone=not rest), *rest])


# --- times ----------------------------------------------------------------------------------------


def _times(rule: CronRule, words: Language, *, is_alone: bool) -> list[str]:
    seconds, minutes, hours = rule.seconds, rule.minutes, rule.hours
    step = cycle(hours, 24)
    if step is not None and step < 24 and minutes == seconds == (0,):
        return [words.every("hour", step)]
    is_listed = len(seconds) * len(minutes) * len(hours) <= MOST_TIMES
    if is_listed or (len(seconds) == len(minutes) == 1 and len(hours) < 24 and progression(hours) is None):
        return [words.at(_clocks(rule), is_alone=is_alone)]
    if seconds != (0,):
        return [_points("second", seconds, words), *_within("minute", minutes, words), *_hours(hours, words)]
    if len(minutes) == 1 and len(hours) < 24:
        clocks = _clocks(rule)
        return [words.hours(progression(hours) or 1, clocks[0], clocks[-1])]
    return [_points("minute", minutes, words), *_hours(hours, words)]


def _clocks(rule: CronRule) -> list[str]:
    has_seconds = rule.seconds != (0,)
    return [
        f"{hour:02}:{minute:02}" + (f":{second:02}" if has_seconds else "")
        for hour, minute, second in product(rule.hours, rule.minutes, rule.seconds)
    ]


def _points(unit: str, values: Sequence[int], words: Language) -> str:
    step = cycle(values, 60)
    return words.every(unit, step) if step is not None and step < 60 else words.past(unit, values)


def _within(unit: str, values: Sequence[int], words: Language) -> list[str]:
    return [] if len(values) == 60 else [words.within(unit, values)]


def _hours(hours: Sequence[int], words: Language) -> list[str]:
    return [] if len(hours) == 24 else [words.within("hour", hours)]


# --- days -----------------------------------------------------------------------------------------


def _days(rule: CronRule, words: Language) -> str:
    by_month, by_week = _by_month(rule, words), _by_week(rule, words)
    if by_month and by_week:
        return (words.either if rule.is_either_day else words.both)(by_month, by_week)
    return "" if rule.is_either_day else by_month or by_week


def _by_month(rule: CronRule, words: Language) -> str:
    if rule.nearest is not None:
        return words.nearest(rule.nearest)
    if rule.days >= EVERY_DAY:
        return ""
    return words.days(sorted(rule.days - {0}), has_last=0 in rule.days)


def _by_week(rule: CronRule, words: Language) -> str:
    if rule.nth:
        pairs = [(number, day % 7 or 7) for day, which in rule.nth.items() for number in which]
        return words.nth(sorted(pairs, key=lambda pair: (pair[1], pair[0] or 9)))
    if len(rule.weekdays) == 7:
        return ""
    return words.weekdays(sorted(day % 7 or 7 for day in rule.weekdays))
