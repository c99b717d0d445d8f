"""The django-q2 cluster in a shape that fails fast, and brokers that deliver a wake-up at most once.

Stock django-q2 goes on after the death of a worker that held the lock of the shared queue, and then hangs for
ever; it leaves orphans that keep working when its sentinel dies. Here the unexpected death of any process
ends all of them at once, and `manage.py worker` starts them again; commands go on meanwhile and are adopted.
"""

from __future__ import annotations

import ctypes
import logging
import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from django import db
from django.conf import settings
from django.db import transaction
from django_q import cluster as stock
from django_q.brokers.orm import ORM
from django_q.brokers.redis_broker import Redis
from django_q.conf import Conf
from django_q.models import OrmQ
from django_q.monitor import monitor
from django_q.pusher import pusher
from django_q.signals import post_spawn

from scheduler import queues
from scheduler.models import Process
from scheduler.runner import Spool
from scheduler.services import processes, recovery

logger = logging.getLogger(__name__)

EXIT_FAILED = 70  # EX_SOFTWARE of sysexits.h
PR_SET_PDEATHSIG = 1
TIDY_EVERY = 3600.0

#: Set in shared memory before the first fork; read by the loops of the workers. A plain byte without a lock,
#: because a process killed while it holds a lock would stop the others.
_is_stopping = multiprocessing.RawValue("b", 0)


def is_stopping() -> bool:
    """Tell whether the cluster of this process was asked to stop."""
    return bool(_is_stopping.value)


WORK, OTHER = "work", "other"
WAIT_FOR_SEAT = 0.2  # seconds; an ending supervisor may have looked for work just before a wake-up was sent

#: A cluster has one process more than `SCHEDULER_WORKERS`. Running executions may occupy all but that one for as
#: long as there is work, other jobs (sending notifications) only one: neither ever waits for the other. Made before
#: the first fork and shared by all processes of the cluster; the death of any of them ends them all, so that none
#: keeps a seat.
_seats = {
    WORK: multiprocessing.get_context("fork").Semaphore(settings.SCHEDULER_WORKERS),
    OTHER: multiprocessing.get_context("fork").Semaphore(1),
}


@contextmanager
def seat(kind: str) -> Iterator[bool]:
    """Take a seat of this cluster for a job and yield True; or yield False when all are taken.

    A job without a seat has nothing to do: those that have one look for whatever there is to be done.
    """
    is_free = _seats[kind].acquire(timeout=WAIT_FOR_SEAT)
    try:
        yield is_free
    finally:
        if is_free:
            _seats[kind].release()


def die_with_parent(*_args: Any, **_kwargs: Any) -> None:
    """Ask the kernel to kill this process when its parent dies (prctl(2)): no orphans that keep pulling work."""
    parent = os.getppid()
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before the request
        os._exit(EXIT_FAILED)


def _attached(target: Callable[..., None], *args: Any) -> None:
    die_with_parent()
    target(*args)


class FailFastSentinel(stock.Sentinel):  # type: ignore[misc]
    """Ends the whole cluster when a process of it dies unexpectedly, instead of replacing that process."""

    def start(self) -> None:
        """Attach to the main process, then start the others."""
        die_with_parent()
        super().start()

    def spawn_pusher(self) -> Any:
        """Start the pusher, attached to the sentinel."""
        return self.spawn_process(_attached, pusher, self.task_queue, self.event_out, self.broker)

    def spawn_monitor(self) -> Any:
        """Start the monitor, attached to the sentinel."""
        return self.spawn_process(_attached, monitor, self.result_queue, self.broker)

    def reincarnate(self, process: Any) -> None:
        """Replace a worker that ran into its time limit or was recycled; end everything otherwise."""
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


def run_cluster() -> int:
    """Run a cluster until it is told to stop (SIGTERM, SIGINT) or fails; return the exit code."""
    die_with_parent()
    stock.Sentinel = FailFastSentinel
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
    heartbeat = _Heartbeat()
    while cluster.sentinel.is_alive() and not stopping:
        heartbeat.beat_when_due()
        time.sleep(0.1)
    if not stopping:
        return EXIT_FAILED
    _is_stopping.value = 1
    cluster.stop()
    heartbeat.stop()
    return 0


class _Heartbeat:
    """The row of this cluster, for the health check, and its spool; a database that is away does not end it."""

    def __init__(self) -> None:
        self._row: Process | None = None
        self._due = 0.0
        self._tidy_at = 0.0

    def beat_when_due(self) -> None:
        """Say that the cluster is alive; at first also wake it, for what waits or was left by another."""
        if time.monotonic() < self._due:
            return
        self._due = time.monotonic() + settings.SCHEDULER_HEARTBEAT
        now = datetime.now(UTC)
        try:
            db.close_old_connections()
            if self._row is None:
                self._row = processes.register(
                    Process.Kind.CLUSTER,
                    host_id=Spool(settings.SCHEDULER_SPOOL_DIR).host_id,
                    queue=settings.SCHEDULER_QUEUE,
                    slots=settings.SCHEDULER_WORKERS * settings.SCHEDULER_SLOTS,
                    now=now,
                )
                queues.wake(settings.SCHEDULER_QUEUE)
            processes.beat(self._row, now=now)
            if time.monotonic() >= self._tidy_at:
                self._tidy_at = time.monotonic() + TIDY_EVERY
                recovery.tidy_spool(Spool(settings.SCHEDULER_SPOOL_DIR), now=now)
        except (db.Error, OSError):
            logger.warning("the heartbeat of the cluster could not be written", exc_info=True)
            db.connections.close_all()

    def stop(self) -> None:
        """Say that the cluster ended."""
        if self._row is not None:
            try:
                processes.stop(self._row, now=datetime.now(UTC))
            except db.Error:
                logger.warning("the end of the cluster could not be recorded", exc_info=True)


class DatabaseWakeBroker(ORM):  # type: ignore[misc]
    """Takes a message out of the database when it is pulled: delivered at most once, never again.

    A lost wake-up is harmless (the dispatcher sends another); one delivered again after `retry` would not be
    harmful either, but a job of hours would be called again and again.
    """

    def dequeue(self) -> list[tuple[None, str]] | None:
        """Return the oldest message, or None after a short sleep when there is none."""
        queryset = self.get_connection().filter(key=self.list_key).order_by("pk")
        oldest = queryset.values_list("pk", "payload").first()
        if oldest is None:
            time.sleep(Conf.POLL)
            return None
        pk, payload = oldest
        with transaction.atomic(using=Conf.ORM):
            taken, _ = OrmQ.objects.using(Conf.ORM).filter(pk=pk).delete()
        return [(None, payload)] if taken else None

    def queue_size(self) -> int:
        """Return how many messages wait."""
        return int(self.get_connection().filter(key=self.list_key).count())


class RedisWakeBroker(Redis):  # type: ignore[misc]
    """The stock Redis broker: a popped message is gone, which is what a wake-up may be."""


post_spawn.connect(die_with_parent, dispatch_uid="scheduler.cluster.die_with_parent")
