"""Misfire policy: decide which late slots run and which are recorded as missed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from scheduler.choices import MisfirePolicy
from scheduler.engine.schedules import MOMENT, Schedule, count_slots, slots_between

RUN_ALL_LIMIT = 100
ON_TIME = timedelta(seconds=1)  # a healthy dispatcher checks within milliseconds of a slot
LONGEST_LIST = 10_000


@dataclass(frozen=True)
class MissedSpan:
    """An unbroken series of missed slots; `first` and `last` are inclusive."""

    first: datetime
    last: datetime
    count: int


@dataclass(frozen=True)
class DueSlots:
    """The due slots of a task, oldest first.

    Attributes:
        newest: the newest slots, listed.
        older: the remaining slots after a long outage, counted exactly; None if there are none.
    """

    newest: tuple[datetime, ...]
    older: MissedSpan | None = None


@dataclass(frozen=True)
class SlotPlan:
    """The slots to run now, oldest first, and the span to record as missed."""

    run: tuple[datetime, ...]
    missed: MissedSpan | None


def grace_of(seconds: float) -> timedelta:
    """Return the effective grace period of a task that allows `seconds`."""
    return max(timedelta(seconds=seconds), ON_TIME)


def due_slots(
    schedule: Schedule,
    since: datetime,
    now: datetime,
    *,
    grace: timedelta | None = None,
    cap: int = LONGEST_LIST,
) -> DueSlots:
    """Return the slots from `since` to `now`, both inclusive.

    Only the newest are listed: those within `grace` and as many late ones as may run, at most `cap`. The others are
    counted, so a year of a schedule that fires every second costs only milliseconds more.

    Args:
        since: aware; usually the next slot of the task.
        grace: inclusive; None: list up to `cap`.
        cap: at least 1.
    """
    begin = since - MOMENT
    total = count_slots(schedule, begin, now)
    if grace is not None:
        cap = min(cap, count_slots(schedule, now - grace - MOMENT, now) + RUN_ALL_LIMIT)
    if total <= cap:
        return DueSlots(tuple(slots_between(schedule, begin, now)))
    first = slots_between(schedule, begin, now, limit=1)[0]
    last_older, *newest = _newest(schedule, begin, now, cap + 1)
    return DueSlots(tuple(newest), MissedSpan(first, last_older, total - cap))


def _newest(schedule: Schedule, begin: datetime, now: datetime, number: int) -> list[datetime]:
    """Return the newest `number` slots in (`begin`, `now`], which contains at least that many.

    Bisects for the start of a span with that many slots; slots fall on whole seconds.
    """
    start, too_late = begin, now
    while too_late - start > timedelta(seconds=1):
        middle = start + (too_late - start) / 2
        if count_slots(schedule, middle, now) >= number:
            start = middle
        else:
            too_late = middle
    return slots_between(schedule, start, now)[-number:]


def plan_slots(
    due: DueSlots | Sequence[datetime],
    *,
    now: datetime,
    grace: timedelta,
    policy: MisfirePolicy,
    limit: int = RUN_ALL_LIMIT,
) -> SlotPlan:
    """Divide due slots into those that run and those that are recorded as missed.

    A slot within `grace` is on time and runs. Of the late slots, ``run_once`` runs the latest, unless an on-time slot
    in the same pass already catches up; ``skip`` runs none; ``run_all`` runs the newest `limit`, oldest first. The
    others are missed.

    Args:
        due: oldest first, none later than `now`.
        grace: inclusive.
        limit: maximum number of late slots that ``run_all`` runs; on-time slots are not limited.
    """
    slots = due.newest if isinstance(due, DueSlots) else tuple(due)
    older = due.older if isinstance(due, DueSlots) else None
    late = [slot for slot in slots if now - slot > grace]
    in_time = slots[len(late) :]
    number = min(len(late), _number_caught_up(policy, limit, is_any_in_time=bool(in_time)))
    dropped = late[: len(late) - number]
    return SlotPlan(slots[len(dropped) :], _join(older, dropped))


def _number_caught_up(policy: MisfirePolicy, limit: int, *, is_any_in_time: bool) -> int:
    """Return the number of late slots to run."""
    if policy == MisfirePolicy.RUN_ALL:
        return max(limit, 0)
    return int(policy == MisfirePolicy.RUN_ONCE and not is_any_in_time)


def _join(older: MissedSpan | None, dropped: Sequence[datetime]) -> MissedSpan | None:
    if not dropped:
        return older
    first = older.first if older else dropped[0]
    return MissedSpan(first, dropped[-1], len(dropped) + (older.count if older else 0))
