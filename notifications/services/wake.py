"""Waking the sender: a job of its own in a cluster that is alive."""

from __future__ import annotations

import time
from datetime import UTC, datetime

from django.conf import settings
from django.db import transaction

from scheduler.models import Process
from scheduler.queues import DEFAULT_QUEUE, wake_job

SEND = "notifications.jobs.send_deliveries"
#: Seconds in which one wake-up of this process is enough: a sender looks again for longer than this before it ends.
ENOUGH = 0.5

_woken_at = float("-inf")


def wake_sender_after_commit() -> None:
    """Wake the sender once the present transaction is committed."""
    transaction.on_commit(wake_sender)


def wake_sender() -> None:
    """Ask a cluster to send what is due; the one of this process's queue when it is alive, else any."""
    global _woken_at
    if time.monotonic() - _woken_at < ENOUGH:
        return
    _woken_at = time.monotonic()
    alive = Process.objects.alive(datetime.now(UTC)).filter(kind=Process.Kind.CLUSTER)
    queues = set(alive.values_list("queue", flat=True))
    own = settings.SCHEDULER_QUEUE
    wake_job(SEND, queue=own if own in queues else min(queues, default=DEFAULT_QUEUE))
