"""Expressions that are read otherwise than they look, or otherwise by another scheduler."""

from __future__ import annotations

import re
from collections.abc import Sequence

from scheduler.engine.cron import FIELD_CODES, FIELDS, WEEKDAYS, split_cron
from scheduler.engine.reasons import Code, Reason

WIDE_STEP = re.compile(r"\*/([0-9]+)\Z")
NUMBERS = re.compile(r"([0-9])(?:-([0-9]))?(?:/([0-9]+))?\Z")
WEEKDAY_NAMES = list(WEEKDAYS)
QUARTZ_LAST = 7


def find_wide_steps(expression: str) -> list[Reason]:
    """Return a note for each step of ``*`` that reaches beyond its field, such as ``*/90`` in the minutes.

    Source: get_range of Debian's entry.c counts from the lowest value in such steps, here one step only.
    """
    notes = []
    for (name, (lowest, highest, _)), field in zip(FIELDS.items(), split_cron(expression), strict=True):
        for item in field.split(","):
            match = WIDE_STEP.match(item)
            if match is not None and int(match[1]) > highest - lowest:
                place = {"field": Reason(FIELD_CODES[name]), "expression": expression}
                notes.append(Reason(Code.STEP_IS_WIDE, {**place, "item": item, "value": lowest}))
    return notes


def find_quartz_weekdays(expression: str) -> Reason | None:
    """Return why numeric weekdays beside ``?`` are ambiguous, with both readings; None if there are none.

    Source: Quartz, whose expressions have ``?``, counts weekdays from 1, Sunday. ``*/2`` starts at Sunday in both.
    """
    fields = split_cron(expression)
    day, weekday = fields[3], fields[5]
    if day != "?" or not re.search(r"(?<![/#0-9])[0-9]", weekday):
        return None
    items = weekday.split(",")
    readings = {"here": _read(items, first=0), "quartz": _read(items, first=1)}
    return Reason(Code.SCHEDULE_QUARTZ_DAYS, {"expression": expression, "weekdays": weekday, **readings})


def _read(items: Sequence[str], *, first: int) -> list[str]:
    """Return the weekdays of items by name if Sunday has the number `first`; "–" for a number without a day."""
    names: list[str] = []
    for item in items:
        match = NUMBERS.match(item)
        if match is None:
            names.append(re.sub(r"(?<![/#])[0-9]", lambda number: _name(int(number[0]), first), item))
            continue
        low, high, step = match.groups()
        end = high or (QUARTZ_LAST - 1 + first if step else low)
        names += [_name(number, first) for number in range(int(low), int(end) + 1, int(step or 1))]
    return list(dict.fromkeys(names))


def _name(number: int, first: int) -> str:
    return WEEKDAY_NAMES[(number - first) % 7] if first <= number <= QUARTZ_LAST else "–"
