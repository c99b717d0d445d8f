"""Sending what stands in the outbox: claim, compose, send, record; at least once, each within a total deadline.

Where it runs. `jobs.send_deliveries` is a job of the django-q2 cluster. A worker process that runs executions is
occupied by them for as long as there is work, so a job that waits for a free one may wait for hours; and a mail server
that hangs would occupy a process that executions need. Therefore a cluster has one process more than
`SCHEDULER_WORKERS` and seats for both kinds of jobs (`scheduler.cluster.seat`): executions never take the last process,
sending never takes more than one. Within that process each attempt has a thread, so that no channel waits for another;
the threads do not touch the database. A second cluster with a queue of its own would do the same for 60 MB of memory
and one more thing to start and to watch.

Nothing is lost. A claim is a conditional UPDATE that also moves `next_attempt_at` to the end of a lease: when the
sender dies, the delivery is simply due again, with the same key. The dispatcher wakes a sender at each sweep while
something is due.
"""

from __future__ import annotations

import logging
import queue
import random
import secrets
import sys
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import DatabaseError, InterfaceError, close_old_connections, connection

from notifications.channels import REGISTRY, get_channel
from notifications.choices import State
from notifications.models import Delivery
from notifications.services.attempts import PER_KIND, PER_TARGET, Attempt, Result, lost
from notifications.services.facts import facts_of
from scheduler import crashpoints

logger = logging.getLogger(__name__)

FIRST_WAIT, LONGEST_WAIT = 30.0, 3600.0
LONGEST_ASKED_WAIT = 86_400.0
JITTER = 0.2
LEASE_MARGIN = 15.0  # seconds beyond the deadline
LINGER = 1.0  # seconds without work after which the job ends; longer than `wake.ENOUGH`
POLL = 0.1
STOP_WAIT = 5.0
TRIES = 10  # of a database that does not answer; the dispatcher wakes again
STUCK_FOR = 60.0


def wait_after(attempt: int, *, retry_after: float | None = None, chance: float = 0.5) -> float:
    """Return the seconds before the next attempt: 30, 60, 120 … at most an hour, each ±20 %; or what was asked for.

    Args:
        attempt: number of the attempt that failed, from 1.
        retry_after: what the other side asked for; at most a day of it counts.
        chance: from 0 to 1; spreads the attempts of many messages.
    """
    wait = min(FIRST_WAIT * 2.0 ** min(attempt - 1, 20), LONGEST_WAIT)
    wait *= 1 + JITTER * (2 * chance - 1)
    return max(wait, min(retry_after or 0.0, LONGEST_ASKED_WAIT))


def _now() -> datetime:
    return datetime.now(UTC)


class Sender:
    """Sends what is due until nothing is left for a while."""

    def __init__(
        self,
        *,
        clock: Callable[[], datetime] = _now,
        should_stop: Callable[[], object] = lambda: False,
        linger: float = LINGER,
    ) -> None:
        self._clock = clock
        self._should_stop = should_stop
        self._linger = linger
        self._flying: dict[int, Attempt] = {}
        self._ended: queue.SimpleQueue[tuple[Attempt, Result]] = queue.SimpleQueue()

    def run(self) -> None:
        """Work until nothing was due for the time to linger, or the cluster stops."""
        idle_since, failures = time.monotonic(), 0
        while failures < TRIES:
            try:
                is_idle = not self._step()
                failures = 0
            except (DatabaseError, InterfaceError):
                failures += 1
                logger.exception("the database does not answer; deliveries wait")
                if not connection.in_atomic_block:
                    connection.close()
                time.sleep(0.5)
                continue
            if self._should_stop():
                break
            # What ended in the last step may have made room for more: only a step that found nothing is idle.
            if not is_idle:
                idle_since = time.monotonic()
            elif time.monotonic() - idle_since >= self._linger:
                return
        self._stop()

    def _step(self) -> bool:
        """Record what ended, give up what is late, take what is due; return whether there was anything."""
        if not connection.in_atomic_block:
            close_old_connections()
        taken = [] if self._should_stop() else self._take()
        for delivery in taken:
            self._begin(delivery)
        recorded = self._record_ended(wait=POLL if self._flying or self._linger else 0)
        for attempt in [a for a in self._flying.values() if a.is_late]:
            self._give_up(attempt, f"no answer within {settings.SCHEDULER_NOTIFY_DEADLINE:g} s")
        return bool(taken or recorded or self._flying)

    # --- taking ---------------------------------------------------------------------------------------

    def _take(self) -> list[Delivery]:
        """Claim what is due, as far as kinds and targets have room."""
        now = self._clock()
        room = {kind: self._room(kind) for kind in REGISTRY}
        full = [kind for kind, places in room.items() if places <= 0]
        busy = Counter(attempt.delivery.target for attempt in self._flying.values())
        targets = [target for target, count in busy.items() if count >= PER_TARGET]
        due = Delivery.objects.due(now).exclude(kind__in=full).exclude(target__in=targets)
        chosen: list[int] = []
        for pk, kind, target in due.values_list("pk", "kind", "target")[: 2 * PER_KIND * len(REGISTRY)]:
            if room.get(kind, 1) > 0 and busy[target] < PER_TARGET and pk not in self._flying:
                room[kind] = room.get(kind, 1) - 1
                busy[target] += 1
                chosen.append(pk)
        if not chosen:
            return []
        until = now + timedelta(seconds=settings.SCHEDULER_NOTIFY_DEADLINE + LEASE_MARGIN)
        return Delivery.objects.take(chosen, claim=secrets.token_hex(8), now=now, until=until)

    def _room(self, kind: str) -> int:
        stuck = lost(kind)
        if len(stuck) >= PER_KIND and all(time.monotonic() > a.ends_at + STUCK_FOR for a in stuck):
            logger.critical("all threads for %s are stuck; the cluster starts again", kind)
            sys.exit(70)
        flying = sum(attempt.delivery.kind == kind for attempt in self._flying.values())
        return PER_KIND - flying - len(stuck)

    def _begin(self, delivery: Delivery) -> None:
        channel = delivery.channel
        if channel is None:
            self._record(delivery, Result(False, "its channel was removed", is_permanent=True))
            return
        if delivery.content is None and not self._compose(delivery, channel.config):
            return
        attempt = Attempt(
            delivery,
            channel.config,
            deadline=settings.SCHEDULER_NOTIFY_DEADLINE,
            on_end=lambda attempt, result: self._ended.put((attempt, result)),
        )
        self._flying[delivery.pk] = attempt
        attempt.start()

    def _compose(self, delivery: Delivery, config: dict[str, Any]) -> bool:
        """Store what will be sent, so that each attempt sends the same."""
        try:
            facts = facts_of(delivery)
            delivery.content = get_channel(delivery.kind).compose(config, facts)
        except (DatabaseError, InterfaceError):
            raise
        except Exception as error:
            logger.exception("delivery %s cannot be composed", delivery.pk)
            said = f"the message cannot be composed: {type(error).__name__}: {error}"
            self._record(delivery, Result(False, said, is_permanent=True))
            return False
        streak = facts.values.get("threshold_count")
        delivery.streak = int(streak) if streak is not None else None
        self._mine(delivery).update(content=delivery.content, streak=delivery.streak)
        return True

    # --- recording ------------------------------------------------------------------------------------

    def _record_ended(self, *, wait: float) -> int:
        count = 0
        while True:
            try:
                attempt, result = self._ended.get(timeout=wait) if wait else self._ended.get_nowait()
            except queue.Empty:
                return count
            wait = 0
            count += 1
            if self._flying.get(attempt.delivery.pk) is not attempt:
                continue  # it was given up meanwhile
            try:
                self._record(attempt.delivery, result)
            except (DatabaseError, InterfaceError):
                self._ended.put((attempt, result))  # what was sent must not be sent again because of us
                raise
            del self._flying[attempt.delivery.pk]

    def _give_up(self, attempt: Attempt, why: str) -> None:
        del self._flying[attempt.delivery.pk]
        attempt.give_up()
        self._record(attempt.delivery, Result(False, why))

    def _record(self, delivery: Delivery, result: Result) -> None:
        record(delivery, result, now=self._clock(), chance=random.random())  # noqa: S311 - spreads retries

    def _mine(self, delivery: Delivery) -> Any:
        return Delivery.objects.filter(pk=delivery.pk, claim=delivery.claim)

    def _stop(self) -> None:
        """Wait a little for what is on its way; what has not ended then is due again at once."""
        end = time.monotonic() + STOP_WAIT
        while self._flying and time.monotonic() < end:
            self._record_ended(wait=POLL)
        for attempt in list(self._flying.values()):
            self._flying.pop(attempt.delivery.pk)
            attempt.give_up()
            reason = "the worker stopped before the other side answered"
            self._mine(attempt.delivery).update(
                state=State.PENDING, claim="", next_attempt_at=self._clock(), reason=reason
            )


def record(delivery: Delivery, result: Result, *, now: datetime, chance: float = 0.5) -> bool:
    """Record how an attempt ended; return False when somebody else has taken the delivery meanwhile."""
    values: dict[str, Any] = {"claim": "", "reason": "", "next_attempt_at": None}
    if result.is_sent:
        values |= {"state": State.SENT, "sent_at": now, "response": result.text[:2000]}
    else:
        values["reason"] = result.text[:2000]
        if result.content is not None:
            values["content"] = dict(result.content)
        if result.is_permanent or delivery.attempts >= settings.SCHEDULER_NOTIFY_ATTEMPTS:
            values["state"] = State.FAILED
        else:
            wait = wait_after(delivery.attempts, retry_after=result.retry_after, chance=chance)
            values |= {"state": State.PENDING, "next_attempt_at": now + timedelta(seconds=wait)}
    won = Delivery.objects.filter(pk=delivery.pk, claim=delivery.claim).update(**values)
    crashpoints.passed("send.recorded")
    return bool(won)


def has_due(now: datetime) -> bool:
    """Tell whether something waits for a sender, or lost it."""
    return Delivery.objects.due(now).order_by().exists()


def send_due(
    *, clock: Callable[[], datetime] = _now, should_stop: Callable[[], object] = lambda: False
) -> None:
    """Send what is due and end when nothing is, without lingering; for tests and people."""
    Sender(clock=clock, should_stop=should_stop, linger=0).run()
