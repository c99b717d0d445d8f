"""The parameters of rules and deliveries in OpenAPI, and the decorator of their operations."""

from __future__ import annotations

from functools import partial
from typing import Any

from drf_spectacular.utils import OpenApiParameter

from notifications.api.serializers.deliveries import LARGEST_ID
from notifications.channels.registry import REGISTRY
from notifications.choices import Event, Scope, State
from scheduler.api import operations
from scheduler.api.schemas import BOOLEAN, TEXT, Schema

ID: Schema = {"type": "integer", "minimum": 1, "maximum": LARGEST_ID}


def _words(values: Any) -> Schema:
    return {"type": "array", "items": {"type": "string", "enum": list(values)}}


QUERY = {
    **operations.PARAMETERS,
    "scope": ({"type": "string", "enum": Scope.values}, "For which tasks."),
    "task_id": (TEXT, "Those of this task."),
    "tag": (TEXT, "Those of this tag."),
    "enabled": (BOOLEAN, "Whether the rule counts."),
    "state": (_words(State.values), "States; repeated or separated by commas."),
    "event": (_words(Event.values), "Events; repeated or separated by commas."),
    "channel": (_words(sorted(REGISTRY)), "Kinds of channels; repeated or separated by commas."),
    "rule": (ID, "Those of this rule."),
    "since": ({"type": "string", "format": "date-time"}, "Written at or after this instant."),
    "until": ({"type": "string", "format": "date-time"}, "Written before this instant."),
}
PATHS = {name: OpenApiParameter(name, ID, OpenApiParameter.PATH) for name in ("rule_id", "delivery_id")}

operation = partial(operations.operation, query=QUERY, paths=PATHS)
