"""Counts of sent, failed and suppressed messages; see `notifications.models.DeliveryCount`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from django.db import transaction

from notifications.models import DeliveryCount

Key = tuple[str, str]  # kind of channel, state
MERGED_ABOVE = 100  # rows
STEP = 5000


def add(numbers: Mapping[Key, int]) -> None:
    """Count messages, in the transaction of the caller; nothing happens without any."""
    if numbers:
        rows = [
            DeliveryCount(kind=kind, state=state, number=number) for (kind, state), number in numbers.items()
        ]
        DeliveryCount.objects.bulk_create(rows)


def merge() -> None:
    """Replace the rows by their sums if there are many; concurrent callers merge different rows."""
    if DeliveryCount.objects.count() <= MERGED_ABOVE:
        return
    with transaction.atomic():
        rows = list(DeliveryCount.objects.order_by("pk").select_for_update(skip_locked=True)[:STEP])
        sums: Counter[Key] = Counter()
        for row in rows:
            sums[row.kind, row.state] += row.number
        DeliveryCount.objects.filter(pk__in=[row.pk for row in rows]).delete()
        add(sums)
