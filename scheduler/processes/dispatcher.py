"""The dispatcher loop: dispatch due slots, sweep periodically, sleep until the next due time."""

from __future__ import annotations

import logging
import signal
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from time import monotonic

from django.conf import settings
from django.db import close_old_connections, connection

from scheduler.engine.clocks import StepWatch
from scheduler.models import Process
from scheduler.processes.waiting import Waiter
from scheduler.queues import subscribe_to_plans
from scheduler.queues.bells import Listener
from scheduler.runner import Spool
from scheduler.services import (
    claims,
    clock,
    dispatch,
    folders,
    heartbeats,
    pruning,
    recovery,
    rescheduling,
    totals,
)
from scheduler.signals import dispatcher_swept
from scheduler.wording.zone_tables import describe_zone_tables

logger = logging.getLogger(__name__)

LONGEST_SLEEP = 1.0  # seconds, while something waits or edits are not notified
SHORTEST_SLEEP = 0.002
LONGEST_FAILURE_SLEEP = 5.0
PRUNE_EVERY = 3600.0
PRUNE_FOR = 0.5  # seconds per sweep, so that due slots are not delayed


class Dispatcher:
    """One dispatcher process: its row, timers and loop."""

    def __init__(self) -> None:
        self.spool = Spool(settings.SCHEDULER_SPOOL_DIR)
        self.process: Process | None = None
        self._stopping: list[int] = []
        self._plans = subscribe_to_plans()
        # Monotonic times: if the wall clock were set back, nothing would be done for hours.
        self._beat_at = self._sweep_at = self._prune_at = 0.0
        self._has_followed_zones = False
        self._clock = StepWatch()
        self._step: float | None = (
            None  # not handled yet; None: the stored timestamps are still to be checked
        )
        self._heartbeat_monitor = heartbeats.HeartbeatMonitor(longest_step=2 * settings.SCHEDULER_SWEEP)

    def run(self) -> None:
        """Loop until SIGTERM or SIGINT; a failed pass is logged and retried."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda received, _frame: self._stopping.append(received))
        waiter = Waiter()
        logger.info("dispatcher started")
        failure_sleep = 0.2
        listener = None
        while not self._stopping:
            try:
                listener = self._plans.listener()  # before the pass, so that later edits are notified
                is_waiting = self._pass()
                failure_sleep = 0.2
                sleep = self._until_next_due(is_polling=is_waiting or listener is None)
            except Exception:
                logger.exception("a pass of the dispatcher failed")
                self._drop_connection()
                sleep = failure_sleep = min(2 * failure_sleep, LONGEST_FAILURE_SLEEP)
            if not self._stopping:
                self._sleep(waiter, sleep, listener)
        self._say_goodbye()
        self._plans.close()
        waiter.close()
        logger.info("dispatcher stopped")

    def _sleep(self, waiter: Waiter, seconds: float, listener: Listener | None) -> None:
        """Sleep until the time has elapsed, a signal arrives, or the plan changes."""
        if listener is None:
            waiter.wait(seconds)
        elif waiter.wait(seconds, listener.fileno()):
            try:
                listener.wait(0)
            except OSError:
                logger.warning("edits are no longer notified, the plan is polled", exc_info=True)
                self._plans.close()

    def once(self) -> dispatch.DispatchResult:
        """Run one pass with one sweep, for manual use and tests."""
        clock.look_at_start(datetime.now(UTC))
        result = dispatch.dispatch_due(datetime.now(UTC))
        self._sweep(datetime.now(UTC), monitor=None)
        return result

    def _pass(self) -> bool:
        """Do what is due; return whether executions wait for a worker."""
        close_old_connections()
        now = datetime.now(UTC)
        self._look_at_clock(now)
        if monotonic() >= self._beat_at:
            self._beat(now)
        if not self._has_followed_zones:
            rescheduling.follow_zones(now)
            folders.look_for_folders()
            self._has_followed_zones = True
        dispatch.dispatch_due(now)
        if monotonic() >= self._sweep_at:
            self._sweep_at = monotonic() + settings.SCHEDULER_SWEEP
            self._sweep(now, monitor=self._heartbeat_monitor)
        return bool(dispatch.wake_waiting(now, older_than=timedelta(seconds=1)))

    def _look_at_clock(self, now: datetime) -> None:
        """Replan if the clock was set back, and suspend retention if it was set far ahead."""
        step = self._clock.step(now, monotonic())
        if self._step is None:
            clock.look_at_start(now)
            self._step = 0.0
        self._step += step  # kept while the database is unreachable
        if self._step < 0:
            clock.put_back(now, seconds=-self._step)
            self._beat_at = 0.0
        elif self._step > 0:
            clock.put_forward(now, seconds=self._step)
        self._step = 0.0

    def _beat(self, now: datetime) -> None:
        if self.process is None:
            self.process = heartbeats.register(
                Process.Kind.DISPATCHER, host_id=self.spool.host_id, queue="", slots=0, now=now
            )
        heartbeats.beat(self.process, now=now)
        self._beat_at = monotonic() + settings.SCHEDULER_HEARTBEAT

    def _sweep(self, now: datetime, *, monitor: heartbeats.HeartbeatMonitor | None) -> None:
        """Reap, wake workers for orphans of this host, repair, prune; a failed part does not stop the others."""
        parts: list[Callable[[], object]] = [
            lambda: claims.reap(host_id=self.spool.host_id, now=now, monitor=monitor),
            lambda: recovery.wake_for_orphans(self.spool, now=now),
            lambda: rescheduling.reschedule_broken(now),
            self._look_for_zone_tables,
            totals.count_ended,
            lambda: dispatcher_swept.send_robust(Dispatcher, now=now),
        ]
        if monotonic() >= self._prune_at:
            parts.append(lambda: self._prune(now))
        for part in parts:
            try:
                part()
            except Exception:
                logger.exception("a part of the sweep failed")

    def _look_for_zone_tables(self) -> None:
        if rescheduling.look_for_zone_tables():
            logger.info("the tables of time zones are others now: %s", describe_zone_tables())
            self._has_followed_zones = False

    def _prune(self, now: datetime) -> None:
        """Prune for a limited time per sweep, until nothing is left; skipped if the clock may be wrong."""
        if clock.held_until(now) is not None:
            self._prune_at = monotonic() + PRUNE_EVERY
            return
        if pruning.prune(now, seconds=PRUNE_FOR).is_done:
            self._prune_at = monotonic() + PRUNE_EVERY

    def _until_next_due(self, *, is_polling: bool) -> float:
        """Return the seconds until a slot, retry, heartbeat or sweep is due."""
        now = datetime.now(UTC)
        due = dispatch.next_due_at(now)
        longest = min(self._beat_at, self._sweep_at) - monotonic()
        if is_polling:
            longest = min(longest, LONGEST_SLEEP)
        until_due = longest if due is None else (due - now).total_seconds()
        return max(min(until_due, longest), SHORTEST_SLEEP)

    def _drop_connection(self) -> None:
        if not connection.in_atomic_block:
            connection.close()

    def _say_goodbye(self) -> None:
        if self.process is not None:
            try:
                heartbeats.stop(self.process, now=datetime.now(UTC))
            except Exception:
                logger.warning("the end of this dispatcher could not be recorded", exc_info=True)
