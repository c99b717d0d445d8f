"""The memory image that processes share: what they all need is loaded once, and they are forked from it."""

from __future__ import annotations

import gc
from contextlib import suppress
from datetime import UTC, datetime
from importlib import import_module

from django.db import Error, connections

#: What at least two kinds of process import.
SHARED = (
    "scheduler.processes.cluster",
    "scheduler.processes.dispatcher",
    "scheduler.processes.supervisor",
)


def load() -> None:
    """Load what forked processes share; afterwards no connection is open and nothing is left to collect."""
    for module in SHARED:
        import_module(module)
    with suppress(Error):  # the processes report it
        _use_models()
    connections.close_all()
    gc.collect()
    gc.freeze()  # the collector would write to pages that are shared


def _use_models() -> None:
    """Read and write nothing, so that what the models compute at their first use is computed once."""
    from scheduler.models import Process
    from scheduler.services.dispatch import next_due_at

    now = datetime.now(UTC)
    next_due_at(now)
    Process.objects.filter(pk=0).update(heartbeat_at=now)
