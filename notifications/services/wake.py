"""Wakes the sender: queues its job in a live cluster."""

from __future__ import annotations

import time
from datetime import UTC, datetime

from django.conf import settings
from django.db import transaction

from scheduler.models import Process
from scheduler.queues import DEFAULT_QUEUE, wake_job

SEND = "notifications.jobs.send_deliveries"
#: Minimum seconds between two wake-ups by this process; shorter than the time a sender stays idle before it ends.
MIN_WAKE_INTERVAL = 0.5

_woken_at = float("-inf")


def wake_sender_after_commit() -> None:
    """Wake the sender after the current transaction commits."""
    transaction.on_commit(wake_sender)


def wake_sender() -> None:
    """Queue a job to send due deliveries: in this process's own queue if its cluster is alive, else in any live one."""
    global _woken_at
    if time.monotonic() - _woken_at < MIN_WAKE_INTERVAL:
        return
    _woken_at = time.monotonic()
    alive = Process.objects.alive(datetime.now(UTC)).filter(kind=Process.Kind.CLUSTER)
    queues = set(alive.values_list("queue", flat=True))
    own = settings.SCHEDULER_QUEUE
    wake_job(SEND, queue=own if own in queues else min(queues, default=DEFAULT_QUEUE))
