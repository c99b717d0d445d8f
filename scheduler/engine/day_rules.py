"""How the two day fields of a cron expression were joined before, and which days that changes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, timedelta
from functools import lru_cache

from scheduler.engine.cron import CronRule, days_of_month, read_cron

COMPARED_DAYS = 400


@dataclass(frozen=True)
class ChangedDays:
    """The days of a span that only one of the two rules matches, in order.

    Attributes:
        dropped: days that were due by the old rule.
        added: days that are due by the present rule.
    """

    dropped: tuple[date, ...]
    added: tuple[date, ...]


@lru_cache(maxsize=1000)
def changed_days(expression: str, first: date, *, days: int = COMPARED_DAYS) -> ChangedDays:
    """Return the days from `first` on that change if the day fields are joined the other way than before.

    Args:
        expression: one whose day fields used to be joined otherwise: by OR instead of AND, or by AND instead of OR.

    Raises:
        InvalidScheduleError: the expression cannot be read.
    """
    rule = read_cron(expression)
    now = set(_days(rule, first, days))
    before = set(_days(replace(rule, is_either_day=not rule.is_either_day), first, days))
    return ChangedDays(tuple(sorted(before - now)), tuple(sorted(now - before)))


def _days(rule: CronRule, first: date, days: int) -> Iterator[date]:
    span = (first + timedelta(days=number) for number in range(days))
    return (day for day in span if day.day in days_of_month(rule, day.year, day.month))
