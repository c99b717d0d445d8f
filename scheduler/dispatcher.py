"""The loop of a dispatcher: dispatch what is due, sweep now and then, sleep to the next due instant."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from django.conf import settings
from django.db import close_old_connections, connection

from scheduler.models import Process
from scheduler.runner import Spool
from scheduler.services import claims, dispatch, processes, pruning, recovery, tasks
from scheduler.signals import dispatcher_swept

logger = logging.getLogger(__name__)

LONGEST_SLEEP = 1.0  # so that an edit of a schedule is seen
SHORTEST_SLEEP = 0.002
PRUNE_EVERY = timedelta(hours=1)


class Dispatcher:
    """Owns the row and the timers of one dispatcher process."""

    def __init__(self) -> None:
        self.spool = Spool(settings.SCHEDULER_SPOOL_DIR)
        self.process: Process | None = None
        self._stop = threading.Event()
        self._beat_at = self._sweep_at = self._prune_at = datetime.min.replace(tzinfo=UTC)

    def run(self) -> None:
        """Loop until SIGTERM or SIGINT; a pass that fails is logged and tried again."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._stop.set())
        logger.info("dispatcher started")
        failures = 0
        while not self._stop.is_set():
            try:
                self._pass()
                failures = 0
                sleep = self._until_next_due()
            except Exception:
                failures += 1
                logger.exception("a pass of the dispatcher failed")
                self._drop_connection()
                sleep = min(0.2 * 2**failures, 5.0)
            self._stop.wait(sleep)
        self._say_goodbye()
        logger.info("dispatcher stopped")

    def once(self) -> dispatch.DispatchResult:
        """Do one pass with one sweep, for people and tests."""
        result = dispatch.dispatch_due(datetime.now(UTC))
        self._sweep(datetime.now(UTC))
        return result

    def _pass(self) -> None:
        close_old_connections()
        now = datetime.now(UTC)
        if now - self._beat_at >= timedelta(seconds=settings.SCHEDULER_HEARTBEAT) or now < self._beat_at:
            self._beat(now)
        dispatch.dispatch_due(now)
        if now - self._sweep_at >= timedelta(seconds=settings.SCHEDULER_SWEEP) or now < self._sweep_at:
            self._sweep_at = now
            self._sweep(now)
        dispatch.wake_waiting(now, older_than=timedelta(seconds=1))

    def _beat(self, now: datetime) -> None:
        if self.process is None:
            self.process = processes.register(
                Process.Kind.DISPATCHER, host_id=self.spool.host_id, queue="", slots=0, now=now
            )
        processes.beat(self.process, now=now)
        self._beat_at = now

    def _sweep(self, now: datetime) -> None:
        """Reap, look after this host's orphans, repair, prune; one part that fails does not stop the others."""
        parts: list[Callable[[], object]] = [
            lambda: claims.reap(host_id=self.spool.host_id, now=now),
            lambda: recovery.tend_orphans(self.spool, now=now),
            lambda: tasks.reschedule_broken(now),
            lambda: dispatcher_swept.send_robust(Dispatcher, now=now),
        ]
        if now - self._prune_at >= PRUNE_EVERY:
            self._prune_at = now
            parts.append(lambda: pruning.prune(now))
        for part in parts:
            try:
                part()
            except Exception:
                logger.exception("a part of the sweep failed")

    def _until_next_due(self) -> float:
        now = datetime.now(UTC)
        due = dispatch.next_due_at(now)
        if due is None:
            return LONGEST_SLEEP
        return min(max((due - now).total_seconds(), SHORTEST_SLEEP), LONGEST_SLEEP)

    def _drop_connection(self) -> None:
        if not connection.in_atomic_block:
            connection.close()

    def _say_goodbye(self) -> None:
        if self.process is not None:
            try:
                processes.stop(self.process, now=datetime.now(UTC))
            except Exception:
                logger.warning("the end of this dispatcher could not be recorded", exc_info=True)
