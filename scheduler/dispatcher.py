"""The loop of a dispatcher: dispatch what is due, sweep now and then, sleep to the next due instant."""

from __future__ import annotations

import logging
import signal
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from queue import Empty, SimpleQueue
from time import monotonic

from django.conf import settings
from django.db import close_old_connections, connection

from scheduler.models import Process
from scheduler.runner import Spool
from scheduler.services import claims, dispatch, processes, pruning, recovery, tasks
from scheduler.signals import dispatcher_swept

logger = logging.getLogger(__name__)

LONGEST_SLEEP = 1.0  # so that an edit of a schedule is seen
SHORTEST_SLEEP = 0.002
LONGEST_FAILURE_SLEEP = 5.0
PRUNE_EVERY = 3600.0
PRUNE_FOR = 0.5  # seconds of a sweep: slots are due meanwhile


class Dispatcher:
    """Owns the row and the timers of one dispatcher process."""

    def __init__(self) -> None:
        self.spool = Spool(settings.SCHEDULER_SPOOL_DIR)
        self.process: Process | None = None
        # Unlike an event, it may be told by a signal that interrupts the very call which waits for it.
        self._told_to_stop: SimpleQueue[int] = SimpleQueue()
        # On the monotonic clock: that of the wall may be set, and then nothing would be done for hours.
        self._beat_at = self._sweep_at = self._prune_at = 0.0
        self._has_followed_zones = False
        self._silence = processes.Silence(longest_step=2 * settings.SCHEDULER_SWEEP)

    def run(self) -> None:
        """Loop until SIGTERM or SIGINT; a pass that fails is logged and tried again."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda received, _frame: self._told_to_stop.put(received))
        logger.info("dispatcher started")
        failure_sleep = 0.2
        while True:
            try:
                self._pass()
                failure_sleep = 0.2
                sleep = self._until_next_due()
            except Exception:
                logger.exception("a pass of the dispatcher failed")
                self._drop_connection()
                sleep = failure_sleep = min(2 * failure_sleep, LONGEST_FAILURE_SLEEP)
            if self._is_stopped_within(sleep):
                break
        self._say_goodbye()
        logger.info("dispatcher stopped")

    def _is_stopped_within(self, seconds: float) -> bool:
        try:
            self._told_to_stop.get(timeout=seconds)
        except Empty:
            return False
        return True

    def once(self) -> dispatch.DispatchResult:
        """Do one pass with one sweep, for people and tests."""
        result = dispatch.dispatch_due(datetime.now(UTC))
        self._sweep(datetime.now(UTC), silence=None)
        return result

    def _pass(self) -> None:
        close_old_connections()
        now = datetime.now(UTC)
        if monotonic() >= self._beat_at:
            self._beat(now)
        if not self._has_followed_zones:
            tasks.follow_zones(now)
            self._has_followed_zones = True
        dispatch.dispatch_due(now)
        if monotonic() >= self._sweep_at:
            self._sweep_at = monotonic() + settings.SCHEDULER_SWEEP
            self._sweep(now, silence=self._silence)
        dispatch.wake_waiting(now, older_than=timedelta(seconds=1))

    def _beat(self, now: datetime) -> None:
        if self.process is None:
            self.process = processes.register(
                Process.Kind.DISPATCHER, host_id=self.spool.host_id, queue="", slots=0, now=now
            )
        processes.beat(self.process, now=now)
        self._beat_at = monotonic() + settings.SCHEDULER_HEARTBEAT

    def _sweep(self, now: datetime, *, silence: processes.Silence | None) -> None:
        """Reap, look after this host's orphans, repair, prune; one part that fails does not stop the others."""
        parts: list[Callable[[], object]] = [
            lambda: claims.reap(host_id=self.spool.host_id, now=now, silence=silence),
            lambda: recovery.tend_orphans(self.spool, now=now),
            lambda: tasks.reschedule_broken(now),
            lambda: dispatcher_swept.send_robust(Dispatcher, now=now),
        ]
        if monotonic() >= self._prune_at:
            parts.append(lambda: self._prune(now))
        for part in parts:
            try:
                part()
            except Exception:
                logger.exception("a part of the sweep failed")

    def _prune(self, now: datetime) -> None:
        """Prune for a moment; with the next sweep again, until nothing is left."""
        if pruning.prune(now, seconds=PRUNE_FOR).is_done:
            self._prune_at = monotonic() + PRUNE_EVERY

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
