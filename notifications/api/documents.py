"""What OpenAPI says of rules and deliveries."""

from __future__ import annotations

from functools import partial
from typing import Any

from drf_spectacular.utils import OpenApiParameter

from notifications.channels import REGISTRY
from notifications.choices import Event, Scope, State
from scheduler.api import documents as docs
from scheduler.api.documents import (
    BOOLEAN,
    COUNT,
    INSTANT,
    INSTANT_OR_NULL,
    LINK,
    TEXT,
    Document,
    Schema,
    a_list,
    an_object,
    component,
    from_json_schema,
)
from scheduler.config_file import load_schema

ID: Schema = {"type": "integer", "minimum": 1, "maximum": 10**18 - 1}
NUMBER_OR_NULL: Schema = {"type": "integer", "nullable": True}
TASK_ID: Schema = {
    "type": "string",
    "pattern": "^[A-Za-z0-9_-]{1,64}$",
    "nullable": True,
    "description": "With the scope task.",
}
TAG: Schema = {
    "type": "string",
    "pattern": r"^[^\s,]{0,50}$",
    "description": "With the scope tag.",
    "default": "",
}
SCOPE: Schema = {"type": "string", "enum": Scope.values}
DAYS: Schema = {"type": "integer", "minimum": 1, "maximum": 366, "default": 30}
RULE = from_json_schema(load_schema()["$defs"]["rule"])
READ_ONLY: dict[str, Schema] = {
    "rule_id": {**ID, "readOnly": True},
    "problem": {**TEXT, "readOnly": True, "description": "Why the rule cannot be evaluated."},
}
OWN: dict[str, Schema] = {"scope": SCOPE, "task_id": TASK_ID, "tag": TAG}
PROPERTIES: dict[str, Schema] = {**READ_ONLY, **OWN, **RULE["properties"]}


class NotificationRule(Document):
    """A rule of a task, of the tasks with a tag, or of all tasks. Secrets come masked; a mask sent back keeps them."""

    shape = an_object(PROPERTIES, required=["scope", *RULE["required"]])


class NotificationRuleChange(Document):
    """Some fields of a rule; its scope and its task stay."""

    shape = an_object(PROPERTIES, required=())


class NotificationRulePage(Document):
    """Some rules of a list."""

    shape = an_object(
        {
            "count": COUNT,
            "page": COUNT,
            "next": LINK,
            "previous": LINK,
            "results": a_list(component("NotificationRule")),
        }
    )


class Delivery(Document):
    """One message to one channel, and what became of it."""

    shape = an_object(
        {
            "delivery_id": ID,
            "rule_id": NUMBER_OR_NULL,
            "rule_name": TEXT,
            "task_id": {**TEXT, "nullable": True},
            "execution_id": NUMBER_OR_NULL,
            "channel": {**TEXT, "description": "Kind of the channel."},
            "event": {"type": "string", "enum": Event.values},
            "state": {"type": "string", "enum": State.values},
            "count": {**COUNT, "description": "Messages that a suppressed one stands for."},
            "streak": NUMBER_OR_NULL,
            "attempts": COUNT,
            "reason": {**TEXT, "description": "Why it failed, waits or was suppressed."},
            "occurred_at": INSTANT,
            "created_at": INSTANT,
            "next_attempt_at": INSTANT_OR_NULL,
            "sent_at": INSTANT_OR_NULL,
            "content": {"type": "object", "nullable": True, "additionalProperties": True},
            "response": TEXT,
        }
    )


class DeliveryPage(Document):
    """Some deliveries, newest first."""

    shape = an_object({"next": LINK, "previous": LINK, "results": a_list(component("Delivery"))})


class TestAnswer(Document):
    """The test messages, one for each channel; sent, or failed with the reason."""

    __test__ = False  # no test class
    shape = an_object({"results": a_list(component("Delivery"))})


class RehearseRequest(Document):
    """A rule that is not stored, and how many days of history it is tried on."""

    shape = an_object({**PROPERTIES, "days": DAYS}, required=["scope", *RULE["required"]])


class RehearseStoredRequest(Document):
    """How many days of history a rule is tried on."""

    shape = an_object({"days": DAYS}, required=())


class Rehearsal(Document):
    """What a rule would have sent."""

    shape = an_object(
        {
            "since": INSTANT,
            "sent": COUNT,
            "suppressed": COUNT,
            "outcomes": {**COUNT, "description": "Outcomes that were looked at."},
            "is_complete": {**BOOLEAN, "description": "Whether all outcomes of the time were."},
            "messages": a_list(
                an_object(
                    {
                        "at": INSTANT,
                        "task_id": TEXT,
                        "execution_id": NUMBER_OR_NULL,
                        "event": {"type": "string", "enum": Event.values},
                        "streak": COUNT,
                        "reason": TEXT,
                        "held_back": {
                            **TEXT,
                            "description": "Why it would not have been sent; empty: it would.",
                        },
                    }
                )
            ),
        }
    )


def _words(values: Any) -> Schema:
    return {"type": "array", "items": {"type": "string", "enum": list(values)}}


QUERY = {
    **docs.PARAMETERS,
    "scope": (SCOPE, "For which tasks."),
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

operation = partial(docs.operation, query=QUERY, paths=PATHS)
