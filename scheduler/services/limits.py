"""Attempt counters shared by all processes, and the limits that they enforce.

An attempt is counted before it is checked, and given back if it was right, so that parallel guesses get no more checks
than sequential ones. Refused attempts are not counted, so that waiting helps.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Q

from schedsite.forwarded import network_of
from scheduler.engine.limits import Limit, count_left
from scheduler.exceptions import LimitReachedError
from scheduler.models import AttemptCount

Scope = AttemptCount.Scope
KEPT = timedelta(days=1)


@dataclass(frozen=True)
class Counted:
    """A counter and its limit.

    Attributes:
        account, address: key of the counter; empty means any.
        limit: the wait that results from the count.
        is_obeyed: whether the limit is enforced; otherwise attempts are only counted.
    """

    scope: AttemptCount.Scope
    limit: Limit
    account: str = ""
    address: str = ""
    is_obeyed: bool = True

    @property
    def key(self) -> tuple[str, str, str]:
        """Key of its row; rows are locked in key order."""
        return (str(self.scope), self.account, self.address)


@dataclass(frozen=True)
class Taken:
    """A counted attempt: its rows, and until when it blocks each of them."""

    rows: dict[int, datetime | None]


def take(things: Iterable[Counted], *, now: datetime) -> Taken:
    """Count an attempt.

    Raises:
        LimitReachedError: the attempt is refused and not counted.
    """
    things = sorted(things, key=lambda thing: thing.key)
    _refuse_blocked(things, _rows(things), now)  # without a lock: a flood of refused attempts writes nothing
    with transaction.atomic():
        AttemptCount.objects.bulk_create([_new_row(thing, now) for thing in things], ignore_conflicts=True)
        rows = _rows(things, is_locked=True)
        _refuse_blocked(things, rows, now)
        for thing in things:
            if thing.key in rows:  # it may have been unlocked concurrently
                _count(rows[thing.key], thing.limit, now)
        return Taken({row.pk: row.blocked_until for row in rows.values()})


def give_back(taken: Taken) -> None:
    """Undo the count of a successful attempt."""
    with transaction.atomic():
        rows = AttemptCount.objects.select_for_update().filter(pk__in=taken.rows)
        for row in rows.order_by("scope", "account", "address"):
            row.count = max(0.0, row.count - 1)
            if row.blocked_until == taken.rows[row.pk]:
                row.blocked_until = None
            row.save(update_fields=["count", "blocked_until"])


def forget(*things: Counted) -> None:
    """Reset counters."""
    AttemptCount.objects.filter(_any_of(things)).delete()


def is_counted(thing: Counted) -> bool:
    """Return whether the counter has recent attempts."""
    return AttemptCount.objects.filter(_any_of([thing])).exists()


def unlock(name: str = "") -> int:
    """Reset the counters of an account or address, or all counters; return how many were reset."""
    rows = AttemptCount.objects.all()
    if name:
        rows = rows.filter(Q(account=name) | Q(address__in={name, network_of(name)}))
    return rows.delete()[0]


def prune(now: datetime) -> None:
    """Delete expired counters."""
    AttemptCount.objects.filter(counted_at__lt=now - KEPT).delete()


def _any_of(things: Sequence[Counted]) -> Q:
    chosen = Q(pk__in=[])
    for thing in things:
        chosen |= Q(scope=thing.scope, account=thing.account, address=thing.address)
    return chosen


def _rows(things: Sequence[Counted], *, is_locked: bool = False) -> dict[tuple[str, str, str], AttemptCount]:
    rows = AttemptCount.objects.filter(_any_of(things)).order_by("scope", "account", "address")
    if is_locked:
        rows = rows.select_for_update()
    return {(row.scope, row.account, row.address): row for row in rows}


def _refuse_blocked(
    things: Sequence[Counted], rows: dict[tuple[str, str, str], AttemptCount], now: datetime
) -> None:
    until = [
        row.blocked_until
        for thing in things
        if thing.is_obeyed and (row := rows.get(thing.key)) is not None and row.blocked_until is not None
    ]
    if until and max(until) > now:
        raise LimitReachedError((max(until) - now).total_seconds())


def _new_row(thing: Counted, now: datetime) -> AttemptCount:
    return AttemptCount(scope=thing.scope, account=thing.account, address=thing.address, counted_at=now)


def _count(row: AttemptCount, limit: Limit, now: datetime) -> None:
    idle = (now - row.counted_at).total_seconds()
    row.count = count_left(row.count, seconds=idle, limit=limit) + 1
    row.counted_at = max(now, row.counted_at)
    wait = limit.wait_after(row.count)
    row.blocked_until = now + timedelta(seconds=wait) if wait else None
    row.save(update_fields=["count", "counted_at", "blocked_until"])
