"""What the first page of the site adds to the admin."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django.http import HttpRequest
from django.utils import timezone

from scheduler import selectors
from scheduler.choices import Status


def overview(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Add the overview to the context of the admin index."""
    now = datetime.now(UTC)
    midnight = timezone.localtime(now).replace(hour=0, minute=0, second=0, microsecond=0)
    found = selectors.overview(now, midnight=midnight)
    counts = [(status.value, status.label, found.counts.get(status.value, 0)) for status in Status]
    return {**context, "overview": found, "counts": [row for row in counts if row[2]], "now": now}
