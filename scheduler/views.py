"""What the first page of the site adds to the admin."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django.http import HttpRequest
from django.utils import timezone

from scheduler import selectors
from scheduler.choices import Status
from scheduler.models import Task


def overview(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Add the overview to the context of the admin index."""
    now = datetime.now(UTC)
    midnight = timezone.localtime(now).replace(hour=0, minute=0, second=0, microsecond=0)
    found = selectors.counts_since(midnight)
    return {
        **context,
        "health": selectors.health(now),
        "failing": list(selectors.failing_tasks()),
        "broken": list(Task.objects.exclude(schedule_error="")[:10]),
        "running": list(selectors.running_now()),
        "upcoming": list(selectors.next_up()),
        "counts": [(s.value, s.label, found[s.value]) for s in Status if s.value in found],
        "has_tasks": Task.objects.exists(),
    }
