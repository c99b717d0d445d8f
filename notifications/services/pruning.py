"""Retention of deliveries."""

from __future__ import annotations

from datetime import datetime

from notifications.choices import OPEN
from notifications.models import Delivery

STEP = 1000


def prune_deliveries(older_than: datetime) -> int:
    """Delete digests, tests and missed deadlines written before `older_than`, in batches; return the number.

    Deliveries of executions are deleted with these. Unsent messages are kept.
    """
    old = Delivery.objects.filter(created_at__lt=older_than, execution=None).exclude(state__in=OPEN)
    old = old.order_by("created_at")
    total = 0
    while step := list(old.values_list("pk", flat=True)[:STEP]):
        total += Delivery.objects.filter(pk__in=step).delete()[0]
    return total
