"""What happens to slots that are found late."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from scheduler.choices import MisfirePolicy
from scheduler.engine.schedules import Schedule, count_slots, slots_between

RUN_ALL_LIMIT = 100
LONGEST_LIST = 1_000
ONE_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True)
class MissedSpan:
    """A series of missed slots; `first` and `last` are inclusive."""

    first: datetime
    last: datetime
    count: int


@dataclass(frozen=True)
class DueSlots:
    """The due slots of a task, oldest first.

    Attributes:
        newest: at most LONGEST_LIST, the newest of them.
        older: the rest, after a long outage; None when there is none.
    """

    newest: tuple[datetime, ...]
    older: MissedSpan | None = None


@dataclass(frozen=True)
class SlotPlan:
    """Slots to run now, oldest first, and the span that is recorded as missed."""

    run: tuple[datetime, ...]
    missed: MissedSpan | None


def due_slots(schedule: Schedule, *, since: datetime, now: datetime) -> DueSlots:
    """Return the slots from `since` to `now`, both inclusive.

    After a long outage only the newest are listed and the others counted, so that a year of a schedule that
    fires each second costs no more than its count.
    """
    begin = since - ONE_MICROSECOND
    listed = slots_between(schedule, begin, now, limit=LONGEST_LIST + 1)
    if len(listed) <= LONGEST_LIST:
        return DueSlots(tuple(listed))
    newest = _newest(schedule, begin, now)
    last_older = newest[0] - ONE_MICROSECOND
    count = count_slots(schedule, begin, last_older)
    older = MissedSpan(listed[0], _last_before(schedule, begin, newest[0]), count)
    return DueSlots(tuple(newest), older)


def _newest(schedule: Schedule, begin: datetime, now: datetime) -> list[datetime]:
    """Return the newest slots, found by doubling the span that is looked at from its end."""
    span = timedelta(minutes=15)
    while True:
        start = max(begin, now - span)
        found = slots_between(schedule, start, now)
        if len(found) >= LONGEST_LIST or start == begin:
            return found[-LONGEST_LIST:]
        span *= 2


def _last_before(schedule: Schedule, begin: datetime, end: datetime) -> datetime:
    span = timedelta(minutes=15)
    while True:
        start = max(begin, end - span)
        found = slots_between(schedule, start, end - ONE_MICROSECOND)
        if found:
            return found[-1]
        span *= 2


def plan_slots(
    due: DueSlots | Sequence[datetime],
    *,
    now: datetime,
    grace: timedelta,
    policy: MisfirePolicy,
    limit: int = RUN_ALL_LIMIT,
) -> SlotPlan:
    """Divide due slots into those that run and those that are recorded as missed.

    A slot found within `grace` is not late and runs. Of the late ones:
    ``run_once`` runs the latest, unless a slot in time runs anyway; ``skip`` runs none; ``run_all`` runs the
    newest `limit` of them, oldest first.

    Args:
        due: oldest first, none later than `now`.
        grace: inclusive.
    """
    slots = due.newest if isinstance(due, DueSlots) else tuple(due)
    older = due.older if isinstance(due, DueSlots) else None
    late = [slot for slot in slots if now - slot > grace]
    in_time = slots[len(late) :]
    kept = _kept(late, policy, limit, has_fresh=bool(in_time))
    dropped = late[: len(late) - len(kept)]
    return SlotPlan((*kept, *in_time), _join(older, dropped))


def _kept(
    late: Sequence[datetime], policy: MisfirePolicy, limit: int, *, has_fresh: bool
) -> Sequence[datetime]:
    if policy is MisfirePolicy.RUN_ALL:
        return late[-limit:]
    if policy is MisfirePolicy.RUN_ONCE and not has_fresh:
        return late[-1:]
    return []


def _join(older: MissedSpan | None, dropped: Sequence[datetime]) -> MissedSpan | None:
    if not dropped:
        return older
    first = older.first if older else dropped[0]
    count = len(dropped) + (older.count if older else 0)
    return MissedSpan(first, dropped[-1], count)
