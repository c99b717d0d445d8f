"""Corrects deliveries after a clock that was ahead is set back."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.conf import settings

from notifications.choices import State
from notifications.models import Delivery
from notifications.services.send_threads import LEASE_MARGIN


def reset_future_deliveries(now: datetime) -> None:
    """Make deliveries due now that wait for an instant beyond `now` only because the clock was ahead.

    Their planned retry time is unknown; sending them now is early at worst.
    """
    lease = now + timedelta(seconds=settings.SCHEDULER_NOTIFY_DEADLINE + LEASE_MARGIN)
    later = Delivery.objects.filter(next_attempt_at__gt=now)
    later.filter(state=State.PENDING).update(next_attempt_at=now)
    later.filter(state=State.SENDING, next_attempt_at__gt=lease).update(next_attempt_at=lease)
    for name in ("created_at", "occurred_at", "sent_at"):
        Delivery.objects.filter(**{f"{name}__gt": now}).update(**{name: now})
