"""What happens to slots that are found late."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from scheduler.choices import MisfirePolicy
from scheduler.engine.schedules import MOMENT, Schedule, count_slots, slots_between

RUN_ALL_LIMIT = 100
ON_TIME = timedelta(seconds=1)  # a dispatcher that is well looks some milliseconds after a slot
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
        newest: the newest of them, listed.
        older: the rest after a long outage, counted exactly; None when there is none.
    """

    newest: tuple[datetime, ...]
    older: MissedSpan | None = None


@dataclass(frozen=True)
class SlotPlan:
    """Slots to run now, oldest first, and the span that is recorded as missed."""

    run: tuple[datetime, ...]
    missed: MissedSpan | None


def grace_of(seconds: float) -> timedelta:
    """Return how late a slot may be found and still be in time, for a task that allows so many seconds."""
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

    Only the newest are listed and the others counted, so that a year of a schedule that fires each second
    costs milliseconds more than the list: those within `grace` and as many late ones as may run, at most `cap`.

    Args:
        since: aware; usually the slot that a task waits for.
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
    """Return the newest `number` slots in (`begin`, `now`], which holds at least as many.

    Bisects for a start after which so many are left; slots fall on whole seconds.
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

    A slot found within `grace` is not late and runs. Of the late ones, ``run_once`` runs the latest, unless a slot in
    time runs in the same pass and so catches up already; ``skip`` runs none; ``run_all`` runs the newest `limit` of
    them, oldest first. The others are missed.

    Args:
        due: oldest first, none later than `now`.
        grace: inclusive.
        limit: bounds the late slots that ``run_all`` runs, not those in time.
    """
    slots = due.newest if isinstance(due, DueSlots) else tuple(due)
    older = due.older if isinstance(due, DueSlots) else None
    late = [slot for slot in slots if now - slot > grace]
    in_time = slots[len(late) :]
    number = min(len(late), _number_caught_up(policy, limit, is_any_in_time=bool(in_time)))
    dropped = late[: len(late) - number]
    return SlotPlan(slots[len(dropped) :], _join(older, dropped))


def _number_caught_up(policy: MisfirePolicy, limit: int, *, is_any_in_time: bool) -> int:
    """Return how many late slots run."""
    if policy == MisfirePolicy.RUN_ALL:
        return max(limit, 0)
    return int(policy == MisfirePolicy.RUN_ONCE and not is_any_in_time)


def _join(older: MissedSpan | None, dropped: Sequence[datetime]) -> MissedSpan | None:
    if not dropped:
        return older
    first = older.first if older else dropped[0]
    return MissedSpan(first, dropped[-1], len(dropped) + (older.count if older else 0))
