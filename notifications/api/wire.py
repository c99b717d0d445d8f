"""What goes over the wire."""

from __future__ import annotations

from typing import Any

from notifications.models import Delivery, NotificationRule
from notifications.services.projection import rule_spec
from notifications.services.trials import Rehearsal
from scheduler.api.wire import instant
from scheduler.config_file.secrets import masked_rule


def rule_json(rule: NotificationRule, *, shows_address: bool) -> dict[str, Any]:
    """Return a rule without its secrets; `task` and `channels` should be prefetched in lists."""
    return {
        "rule_id": rule.pk,
        "scope": rule.scope,
        "task_id": None if rule.task is None else rule.task.task_id,
        "tag": rule.tag,
        **masked_rule(rule_spec(rule), shows_address=shows_address),
        "problem": rule.problem,
    }


def delivery_json(delivery: Delivery) -> dict[str, Any]:
    """Return a delivery; `task` should be joined in lists."""
    return {
        "delivery_id": delivery.pk,
        "rule_id": delivery.rule_id,
        "rule_name": delivery.rule_name,
        "task_id": None if delivery.task is None else delivery.task.task_id,
        "execution_id": delivery.execution_id,
        "channel": delivery.kind,
        "event": delivery.event,
        "state": delivery.state,
        "count": delivery.count,
        "streak": delivery.streak,
        "attempts": delivery.attempts,
        "reason": delivery.reason,
        "occurred_at": instant(delivery.occurred_at),
        "created_at": instant(delivery.created_at),
        "next_attempt_at": instant(delivery.next_attempt_at),
        "sent_at": instant(delivery.sent_at),
        "content": delivery.content,
        "response": delivery.response,
    }


def rehearsal_json(rehearsal: Rehearsal) -> dict[str, Any]:
    """Return what a rehearsal found."""
    return {
        "since": instant(rehearsal.since),
        "sent": rehearsal.sent,
        "suppressed": rehearsal.suppressed,
        "outcomes": rehearsal.outcomes,
        "is_complete": rehearsal.is_complete,
        "messages": [
            {
                "at": instant(message.at),
                "task_id": message.task_id,
                "execution_id": message.execution_id,
                "event": message.event,
                "streak": message.streak,
                "reason": message.reason,
                "held_back": message.held_back,
            }
            for message in rehearsal.messages
        ],
    }
