"""Sends the messages of the outbox: claim, compose, send, record; at least once, each within a total deadline.

Process model: `jobs.send_deliveries` is a job of the django-q2 cluster. Worker processes are busy while executions are
queued, so a job could wait hours for a free one; and a hanging mail server would block a process that executions need.
Therefore a cluster has one process more than `SCHEDULER_WORKERS`, and permits for both kinds of jobs (see
`cluster.job_permit`): executions never take the last process, sending never takes more than one. Within that process
each attempt has its own thread, so that channels do not delay each other; the threads do not use the database. A
second cluster with its own queue would cost 60 MB of memory and one more process to deploy and monitor.

No message is lost: a claim is a conditional UPDATE that also moves `next_attempt_at` to the end of a lease, so if the
sender dies, the delivery becomes due again with the same key. The dispatcher wakes a sender at each sweep while
deliveries are due.
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
from django.db import DatabaseError, InterfaceError, close_old_connections, connection, transaction

from notifications.channels.registry import REGISTRY, get_channel
from notifications.choices import State
from notifications.engine.reasons import Code
from notifications.models import Delivery, answer_columns
from notifications.services import counts
from notifications.services.attempts import PER_KIND, PER_TARGET, Attempt, Result, abandoned
from notifications.services.facts import facts_of
from scheduler import failpoints
from scheduler.engine.reasons import Reason, as_reason, shortened
from scheduler.models.reasons import reason_columns

logger = logging.getLogger(__name__)

FIRST_WAIT, LONGEST_WAIT = 30.0, 3600.0
LONGEST_ASKED_WAIT = 86_400.0
JITTER = 0.2
LEASE_MARGIN = 15.0  # seconds added to the deadline
IDLE_SECONDS = 1.0  # seconds without work after which the job ends; longer than `wake.MIN_WAKE_INTERVAL`
POLL = 0.1
STOP_WAIT = 5.0
LONGEST_TEXT = 2000  # characters stored of a reason or a response
TRIES = 10  # attempts to reach the database; the dispatcher wakes the sender again
STUCK_FOR = 60.0


def wait_after(attempt: int, *, retry_after: float | None = None, chance: float = 0.5) -> float:
    """Return the delay in seconds before the next attempt: 30, 60, 120 … up to an hour, ±20 %; or `retry_after`.

    Args:
        attempt: number of the failed attempt, from 1.
        retry_after: delay requested by the receiver; capped at one day.
        chance: random number from 0 to 1; spreads the retries of many messages.
    """
    wait = min(FIRST_WAIT * 2.0 ** min(attempt - 1, 20), LONGEST_WAIT)
    wait *= 1 + JITTER * (2 * chance - 1)
    return max(wait, min(retry_after or 0.0, LONGEST_ASKED_WAIT))


def _now() -> datetime:
    return datetime.now(UTC)


class Sender:
    """Sends due deliveries until it was idle for a while."""

    def __init__(
        self,
        *,
        clock: Callable[[], datetime] = _now,
        should_stop: Callable[[], object] = lambda: False,
        idle_seconds: float = IDLE_SECONDS,
    ) -> None:
        self._clock = clock
        self._should_stop = should_stop
        self._idle_seconds = idle_seconds
        self._flying: dict[int, Attempt] = {}
        self._ended: queue.SimpleQueue[tuple[Attempt, Result]] = queue.SimpleQueue()

    def run(self) -> None:
        """Run until idle for `idle_seconds` seconds or until the cluster stops."""
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
            # Attempts that ended in the last step may have freed capacity; only a step without work counts as idle.
            if not is_idle:
                idle_since = time.monotonic()
            elif time.monotonic() - idle_since >= self._idle_seconds:
                return
        self._stop()

    def _step(self) -> bool:
        """Record finished attempts, abandon late ones, claim due deliveries; return whether there was work."""
        if not connection.in_atomic_block:
            close_old_connections()
        taken = [] if self._should_stop() else self._take()
        for delivery in taken:
            self._begin(delivery)
        recorded = self._record_ended(wait=POLL if self._flying or self._idle_seconds else 0)
        for attempt in [a for a in self._flying.values() if a.is_late]:
            self._give_up(attempt, no_answer())
        return bool(taken or recorded or self._flying)

    # --- claiming -------------------------------------------------------------------------------------

    def _take(self) -> list[Delivery]:
        """Claim due deliveries within the capacity of their kinds and targets."""
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
        stuck = abandoned(kind)
        if len(stuck) >= PER_KIND and all(time.monotonic() > a.ends_at + STUCK_FOR for a in stuck):
            logger.critical("all threads for %s are stuck; the cluster starts again", kind)
            sys.exit(70)
        flying = sum(attempt.delivery.kind == kind for attempt in self._flying.values())
        return PER_KIND - flying - len(stuck)

    def _begin(self, delivery: Delivery) -> None:
        channel = delivery.channel
        if channel is None:
            self._record(delivery, Result(False, Reason(Code.CHANNEL_REMOVED), is_permanent=True))
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
        """Store the content, so that every attempt sends the same."""
        try:
            facts = facts_of(delivery)
            delivery.content = get_channel(delivery.kind).compose(config, facts)
        except (DatabaseError, InterfaceError):
            raise
        except Exception as error:
            logger.exception("delivery %s cannot be composed", delivery.pk)
            self._record(delivery, Result(False, not_composed(error), is_permanent=True))
            return False
        streak = facts.values.get("threshold_count")
        delivery.streak = int(streak) if streak is not None else None
        self._claimed(delivery).update(content=delivery.content, streak=delivery.streak)
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
                continue  # abandoned in the meantime
            try:
                self._record(attempt.delivery, result)
            except (DatabaseError, InterfaceError):
                self._ended.put((attempt, result))  # keep it: a database error must not resend
                raise
            del self._flying[attempt.delivery.pk]

    def _give_up(self, attempt: Attempt, why: Reason) -> None:
        del self._flying[attempt.delivery.pk]
        attempt.give_up()
        self._record(attempt.delivery, Result(False, why))

    def _record(self, delivery: Delivery, result: Result) -> None:
        record(delivery, result, now=self._clock(), chance=random.random())  # noqa: S311 - spreads retries

    def _claimed(self, delivery: Delivery) -> Any:
        return Delivery.objects.filter(pk=delivery.pk, claim=delivery.claim)

    def _stop(self) -> None:
        """Wait briefly for attempts in progress; make the unfinished ones due again at once."""
        end = time.monotonic() + STOP_WAIT
        while self._flying and time.monotonic() < end:
            self._record_ended(wait=POLL)
        for attempt in list(self._flying.values()):
            self._flying.pop(attempt.delivery.pk)
            attempt.give_up()
            reason = reason_columns(Reason(Code.WORKER_STOPPED))
            self._claimed(attempt.delivery).update(
                state=State.PENDING, claim="", next_attempt_at=self._clock(), **reason
            )


def no_answer() -> Reason:
    """Return the reason of an attempt that was abandoned."""
    return Reason(Code.NO_ANSWER, {"seconds": settings.SCHEDULER_NOTIFY_DEADLINE})


def not_composed(error: Exception) -> Reason:
    """Return the reason of a message that could not be rendered."""
    return Reason(Code.NOT_COMPOSED, {"error": f"{type(error).__name__}: {error}"})


def record(delivery: Delivery, result: Result, *, now: datetime, chance: float = 0.5) -> bool:
    """Record the result of an attempt; return False when another sender has claimed the delivery meanwhile."""
    said = shortened(as_reason(result.said), LONGEST_TEXT)
    values: dict[str, Any] = {"claim": "", "next_attempt_at": None, **reason_columns(None)}
    if result.is_sent:
        values |= {"state": State.SENT, "sent_at": now, **answer_columns(said)}
    else:
        values |= reason_columns(said)
        if result.content is not None:
            values["content"] = dict(result.content)
        if result.is_permanent or delivery.attempts >= settings.SCHEDULER_NOTIFY_ATTEMPTS:
            values["state"] = State.FAILED
        else:
            wait = wait_after(delivery.attempts, retry_after=result.retry_after, chance=chance)
            values |= {"state": State.PENDING, "next_attempt_at": now + timedelta(seconds=wait)}
    with transaction.atomic():
        won = Delivery.objects.filter(pk=delivery.pk, claim=delivery.claim).update(**values)
        if won and values["state"] != State.PENDING:
            counts.add({(delivery.kind, values["state"]): 1})
    failpoints.hit("send.recorded")
    return bool(won)


def has_due(now: datetime) -> bool:
    """Return whether a delivery is due or its sender was lost."""
    return Delivery.objects.due(now).order_by().exists()


def send_due(
    *, clock: Callable[[], datetime] = _now, should_stop: Callable[[], object] = lambda: False
) -> None:
    """Send due deliveries and return when none is left, without idling; for tests and commands."""
    Sender(clock=clock, should_stop=should_stop, idle_seconds=0).run()
