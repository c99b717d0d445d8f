"""Process rows of dispatchers and workers, and their heartbeats."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable
from datetime import datetime

from django.conf import settings

from scheduler.models import Process
from scheduler.runner.process_table import started_ticks


def register(kind: Process.Kind, *, host_id: str, queue: str, slots: int, now: datetime) -> Process:
    """Insert the row of this process, or update and return the existing one."""
    pid = os.getpid()
    process, _ = Process.objects.update_or_create(
        kind=kind,
        host_id=host_id,
        pid=pid,
        start_ticks=started_ticks(pid) or 0,
        defaults={
            "host": socket.gethostname(),
            "queue": queue,
            "slots": slots,
            "heartbeat_at": now,
            "stopped_at": None,
        },
        create_defaults={
            "host": socket.gethostname(),
            "queue": queue,
            "slots": slots,
            "started_at": now,
            "heartbeat_at": now,
        },
    )
    return process


def beat(process: Process, *, now: datetime) -> None:
    """Record a heartbeat of `process`; insert its row again if it was pruned while the process was idle."""
    process.heartbeat_at, process.stopped_at = now, None
    if not Process.objects.filter(pk=process.pk).update(heartbeat_at=now, stopped_at=None):
        process.save(force_insert=True)


def seconds_until_due(process: Process, *, now: datetime) -> float:
    """Return the seconds until the next heartbeat of `process`."""
    return min(
        max(settings.SCHEDULER_HEARTBEAT - (now - process.heartbeat_at).total_seconds(), 0.0),
        settings.SCHEDULER_HEARTBEAT,
    )


def stop(process: Process, *, now: datetime) -> None:
    """Record that `process` stopped."""
    Process.objects.filter(pk=process.pk).update(stopped_at=now)


class HeartbeatMonitor:
    """Measures how long processes of other hosts have sent no heartbeat.

    Heartbeats are compared with each other and never with a clock: clocks of hosts differ and jump. Time between
    checks counts up to `longest_step` seconds only, as the database may have been unreachable for all processes.
    """

    def __init__(self, *, longest_step: float) -> None:
        self._longest_step = longest_step
        self._seen: dict[int, tuple[datetime, float]] = {}
        self._looked_at: float | None = None

    def silent_for(self, seconds: float, beats: Iterable[tuple[int, datetime]], *, at: float) -> set[int]:
        """Return the processes whose heartbeat has not changed for `seconds`.

        Args:
            beats: primary key and heartbeat of the monitored processes; others are forgotten.
            at: current time of the monotonic clock.
        """
        step = 0.0 if self._looked_at is None else min(at - self._looked_at, self._longest_step)
        self._looked_at = at
        seen = {}
        for pk, beat_at in beats:
            last, silent = self._seen.get(pk, (beat_at, -step))
            seen[pk] = (beat_at, silent + step if last == beat_at else 0.0)
        self._seen = seen
        return {pk for pk, (_, silent) in seen.items() if silent >= seconds}


def is_gone(process: Process, *, host_id: str, lease_expired: bool) -> bool:
    """Return whether `process` is dead: checked in /proc on its own host, by its lease from another host."""
    if process.host_id != host_id:
        return lease_expired
    return started_ticks(process.pid) != process.start_ticks
