"""A django-q2 cluster that fails fast.

Stock django-q2 hangs forever after the death of a worker that held the lock of the shared queue, and leaves orphans
that keep working when its sentinel dies. Here the unexpected death of any process ends all of them at once, and
`manage.py worker` restarts them; commands keep running and are adopted.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from multiprocessing import connection
from typing import Any

from django import db
from django.conf import settings
from django_q import cluster as stock
from django_q.monitor import monitor
from django_q.pusher import pusher
from django_q.signals import post_spawn

from scheduler import queues
from scheduler.models import Process
from scheduler.processes.brokers import DatabaseWakeBroker
from scheduler.processes.forks import EXIT_FAILED, die_with
from scheduler.processes.waiting import Waiter
from scheduler.runner import Spool, hand_ends_to, is_keeper_there
from scheduler.services import heartbeats, recovery

logger = logging.getLogger(__name__)

TIDY_EVERY = 3600.0

WORK, OTHER = "work", "other"
WAIT_FOR_PERMIT = 0.2  # seconds; an ending supervisor may have looked for work just before a wake-up was sent


class _Shared:
    """What the processes of a cluster share; created before the first of them is forked.

    Attributes:
        is_stopping: set when the cluster is asked to stop; read by the loops of the workers. A plain byte without a
            lock, because a process killed while it holds a lock would stop the others.
        stop_signal: reading and writing end of a pipe; a byte in it wakes the sentinel when the cluster stops.
        permits: a cluster has one process more than `SCHEDULER_WORKERS`. Executions may occupy all but one process for
            as long as work is queued, other jobs (sending notifications) only one, so that neither blocks the other.
            The death of any process ends them all, so that no permit is lost.
    """

    def __init__(self) -> None:
        context = multiprocessing.get_context("fork")
        self.is_stopping = multiprocessing.RawValue("b", 0)
        self.stop_signal = os.pipe()
        self.permits = {WORK: context.Semaphore(settings.SCHEDULER_WORKERS), OTHER: context.Semaphore(1)}


_shared: _Shared | None = None  # outside of a cluster, as in tests, nothing is shared


def is_stopping() -> bool:
    """Return whether the cluster of this process was asked to stop."""
    return _shared is not None and bool(_shared.is_stopping.value)


@contextmanager
def job_permit(kind: str) -> Iterator[bool]:
    """Acquire a permit of this cluster for a job and yield True; or yield False if all are taken.

    A job without a permit has nothing to do: the jobs with a permit process all pending work.
    """
    if _shared is None:
        yield True
        return
    is_free = _shared.permits[kind].acquire(timeout=WAIT_FOR_PERMIT)
    try:
        yield is_free
    finally:
        if is_free:
            _shared.permits[kind].release()


def die_with_parent(*_args: Any, **_kwargs: Any) -> None:
    """End this process with its parent: no orphans that keep pulling work."""
    forked_by = multiprocessing.parent_process()  # it may have died before this process first ran
    die_with((forked_by and forked_by.pid) or os.getppid())


def _attached(target: Callable[..., None], *args: Any) -> None:
    die_with_parent()
    target(*args)


class _NoStatus(stock.Stat):
    """The cluster status for django-q2's monitor, which is not used here: it is not saved."""

    def save(self) -> None:
        """Do nothing."""


class FailFastSentinel(stock.Sentinel):
    """Ends the whole cluster if one of its processes dies unexpectedly, instead of replacing that process."""

    def start(self) -> None:
        """Attach to the main process, then start the others."""
        assert _shared is not None  # noqa: S101 - `run_cluster` creates it
        self._stop_signal = _shared.stop_signal[0]
        die_with_parent()
        super().start()

    def guard(self) -> None:
        """Wait until a process ends or the cluster is asked to stop; the stock loop looks five times a second.

        No job of ours has a time limit, which it would count down.
        """
        self.start_event.set()
        while not self.stop_event.is_set():
            processes = [*self.pool, self.monitor, self.pusher]
            connection.wait([self._stop_signal, *(process.sentinel for process in processes)])
            for process in processes:
                if not process.is_alive():
                    self.reincarnate(process)
        self.stop()

    def stop(self) -> None:
        """Stop all processes; the pusher is notified, because it may be waiting for messages."""
        self.event_out.set()
        with suppress(db.Error):
            if isinstance(self.broker, DatabaseWakeBroker):
                self.broker.notify()
        super().stop()

    def spawn_pusher(self) -> Any:
        """Start the pusher, attached to the sentinel."""
        return self.spawn_process(_attached, pusher, self.task_queue, self.event_out, self.broker)

    def spawn_monitor(self) -> Any:
        """Start the monitor, attached to the sentinel."""
        return self.spawn_process(_attached, monitor, self.result_queue, self.broker)

    def reincarnate(self, process: Any) -> None:
        """Replace a worker that exceeded its time limit or was recycled; otherwise end the cluster."""
        timer = getattr(process, "timer", None)
        if timer is not None and int(timer.value) in (0, -2):
            super().reincarnate(process)
            return
        logger.critical(
            "process %s of the cluster died unexpectedly; starting the cluster again", process.pid
        )
        for other in [*self.pool, self.monitor, self.pusher]:
            if other is not None and other.is_alive():
                other.kill()
        os._exit(EXIT_FAILED)


def run_cluster(*, keeper: int = -1) -> int:
    """Run a cluster until SIGTERM, SIGINT or a failure; return the exit code.

    Args:
        keeper: descriptor of the socket to the keeper, which also holds the pipes of commands; -1: no keeper.
    """
    die_with_parent()
    if keeper >= 0:
        hand_ends_to(keeper)
        if not is_keeper_there():  # it died before die_with_parent took effect
            return EXIT_FAILED
    global _shared
    _shared = _Shared()
    stock.Sentinel, stock.Stat = FailFastSentinel, _NoStatus
    stopping: list[int] = []
    cluster = stock.Cluster()
    # The stock handler joins the sentinel inside the handler, where it can wait for itself.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda received, _frame: stopping.append(received))
    try:
        cluster.start()
    except RuntimeError:
        logger.exception("the cluster could not start")
        return EXIT_FAILED
    waiter, heartbeat = Waiter(), _Heartbeat()
    while cluster.sentinel.is_alive() and not stopping:
        waiter.wait(heartbeat.beat_when_due(), cluster.sentinel.sentinel)
    if not stopping:
        return EXIT_FAILED
    _shared.is_stopping.value = 1
    cluster.stop_event.set()
    os.write(_shared.stop_signal[1], b"\0")
    cluster.stop()
    heartbeat.stop()
    return 0


class _Heartbeat:
    """The process row of this cluster, for the health check, and its spool; survives database failures."""

    def __init__(self) -> None:
        self._row: Process | None = None
        self._due = 0.0
        self._tidy_at = 0.0

    def beat_when_due(self) -> float:
        """Send a heartbeat when it is due, and return the seconds until the next.

        The first also wakes the cluster, for queued executions and orphans.
        """
        if time.monotonic() >= self._due:
            self._beat()
        return self._due - time.monotonic()

    def _beat(self) -> None:
        self._due = time.monotonic() + settings.SCHEDULER_HEARTBEAT
        now = datetime.now(UTC)
        try:
            db.close_old_connections()
            if self._row is None:
                self._row = heartbeats.register(
                    Process.Kind.CLUSTER,
                    host_id=Spool(settings.SCHEDULER_SPOOL_DIR).host_id,
                    queue=settings.SCHEDULER_QUEUE,
                    slots=settings.SCHEDULER_WORKERS * settings.SCHEDULER_SLOTS,
                    now=now,
                )
                queues.wake(settings.SCHEDULER_QUEUE)
            heartbeats.beat(self._row, now=now)
            if time.monotonic() >= self._tidy_at:
                self._tidy_at = time.monotonic() + TIDY_EVERY
                recovery.remove_stale_files(Spool(settings.SCHEDULER_SPOOL_DIR), now=now)
        except (db.Error, OSError):
            logger.warning("the heartbeat of the cluster could not be written", exc_info=True)
            db.connections.close_all()

    def stop(self) -> None:
        """Record that the cluster stopped."""
        if self._row is not None:
            try:
                heartbeats.stop(self._row, now=datetime.now(UTC))
            except db.Error:
                logger.warning("the end of the cluster could not be recorded", exc_info=True)


post_spawn.connect(die_with_parent, dispatch_uid="scheduler.processes.cluster.die_with_parent")
