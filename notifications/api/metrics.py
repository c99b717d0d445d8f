"""The metrics of messages."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from prometheus_client import Metric

from notifications import selectors
from notifications.channels.registry import REGISTRY
from notifications.choices import State
from scheduler.api.metrics.catalogue import describe, source

ENDED = describe(
    "schedsite_deliveries_total", "counter", "Messages that were sent, finally failed, or were suppressed.",
    "channel", "state",
)  # fmt: skip
WAITING = describe(
    "schedsite_deliveries_waiting", "gauge", "Messages that are to be sent, now or again later.", "channel"
)
OLDEST = describe(
    "schedsite_deliveries_oldest_waiting_seconds", "gauge", "Time since the oldest unsent message was created.",
    "channel",
)  # fmt: skip


@source
def deliveries(now: datetime) -> Iterator[Metric]:
    """Messages by kind of channel."""
    ended, waiting = selectors.delivery_counts(), selectors.waiting_deliveries()
    kinds = sorted({*REGISTRY, *waiting, *(kind for kind, _ in ended)})
    states = (State.SENT.value, State.FAILED.value, State.SUPPRESSED.value)
    yield ENDED.of({(kind, state): ended.get((kind, state), 0) for kind in kinds for state in states})
    yield WAITING.of({(kind,): waiting[kind][0] if kind in waiting else 0 for kind in kinds})
    ages = {kind: max((now - oldest).total_seconds(), 0.0) for kind, (_, oldest) in waiting.items()}
    yield OLDEST.of({(kind,): ages.get(kind, 0.0) for kind in kinds})
