"""Who is alive: rows of dispatchers and workers and their heartbeats."""

from __future__ import annotations

import os
import socket
from datetime import datetime
from pathlib import Path

from scheduler.models import Process


def start_ticks(pid: int) -> int | None:
    """Return when process `pid` started, in clock ticks after boot, or None when there is none.

    A zombie counts as gone. Source: proc_pid_stat(5), fields 3 and 22.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return None
    fields = stat[stat.rfind(b")") + 2 :].split()
    return None if fields[0] in (b"Z", b"X") else int(fields[19])


def register(kind: Process.Kind, *, host_id: str, queue: str, slots: int, now: datetime) -> Process:
    """Insert the row of this process, or return it when there is one already."""
    pid = os.getpid()
    process, _ = Process.objects.update_or_create(
        kind=kind,
        host_id=host_id,
        pid=pid,
        start_ticks=start_ticks(pid) or 0,
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
    """Say that `process` is alive."""
    Process.objects.filter(pk=process.pk).update(heartbeat_at=now, stopped_at=None)


def stop(process: Process, *, now: datetime) -> None:
    """Say that `process` ends now."""
    Process.objects.filter(pk=process.pk).update(stopped_at=now)


def is_gone(process: Process, *, host_id: str, lease_expired: bool) -> bool:
    """Tell whether `process` is dead: by looking, on its own host; by its lease, from another."""
    if process.host_id != host_id:
        return lease_expired
    return start_ticks(process.pid) != process.start_ticks
