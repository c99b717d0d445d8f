"""Rules of the demonstration, and the messages they would have sent about its history."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

from django.db.models import Q

from notifications.channels.registry import get_channel
from notifications.choices import Event, Scope, State
from notifications.engine.reasons import Code
from notifications.models import Delivery, NotificationRule, RuleChannel
from notifications.services.definitions import save_rule, validate_rule
from notifications.services.facts import facts_of
from notifications.services.firing import is_about
from notifications.services.rehearsal import RehearsedMessage, rehearse
from notifications.services.rule_sync import rule_spec
from scheduler.engine.reasons import Reason, as_reason
from scheduler.models import Execution, Task

WRITTEN_AFTER, SENT_AFTER = timedelta(seconds=0.2), timedelta(seconds=1.4)
EACH_RETRIED = 4  # of this many messages of a channel, one was sent at the second attempt
GONE_HOOK = "https://chat.shop.example/hooks/orders"
GONE_SAID = Reason(Code.HTTP_ANSWER, {"status_code": 404, "answer": "no_such_hook"})
#: Rules of a tag or all tasks: scope, tag, and the rule in `task_notify` format; task rules are defined with the tasks.
RULES: tuple[tuple[Scope, str, dict[str, Any]], ...] = tuple(
    (Scope(one["scope"]), one["tag"], one["rule"])
    for one in json.loads(Path(__file__).with_name("rules.json").read_text(encoding="utf-8"))
)


def write_deliveries(tasks: Sequence[Task], *, days: int, now: datetime) -> int:
    """Write the rules, and a delivery for each message that rehearsing them over the last `days` finds.

    Returns:
        the number of deliveries.
    """
    for scope, tag, data in RULES:
        if not NotificationRule.objects.filter(scope=scope, tag=tag, name=data["name"]).exists():
            save_rule(validate_rule(data), scope=scope, tag=tag, user=None, now=now)
    shared = Q(scope__in=[scope for scope, _tag, _data in RULES], name__in=[d["name"] for _, _, d in RULES])
    rules = NotificationRule.objects.filter(shared | Q(task__in=tasks), enabled=True)
    rows = [row for rule in rules.prefetch_related("channels") for row in _of_rule(rule, tasks, days, now)]
    rows.sort(key=lambda row: row.created_at)
    Delivery.objects.filter(task__in=tasks).delete()
    Delivery.objects.bulk_create(rows, batch_size=500)
    return len(rows)


def _of_rule(rule: NotificationRule, tasks: Sequence[Task], days: int, now: datetime) -> Iterator[Delivery]:
    about = {task.task_id: task for task in tasks if is_about(rule, task)}
    messages = rehearse(rule_spec(rule), list(about.values()), days=days, now=now).messages[::-1]
    executions = Execution.objects.in_bulk([m.execution_id for m in messages if m.execution_id is not None])
    for channel in rule.channels.all():
        places = count(1)
        series: dict[str, Delivery] = {}
        for message in messages:
            task = about[message.task_id]
            row = _row(rule, channel, task, executions.get(message.execution_id or 0), message)
            if not message.held_back:
                series.pop(message.task_id, None)
                yield _sent(row, channel, next(places))
            elif message.task_id not in series:
                row.state = State.SUPPRESSED
                row.set_reason(message.held_back)
                series[message.task_id] = row
                yield row
            else:
                series[message.task_id].count += 1


def _row(
    rule: NotificationRule,
    channel: RuleChannel,
    task: Task,
    execution: Execution | None,
    message: RehearsedMessage,
) -> Delivery:
    deadline = f"deadline:{task.pk}:{message.at.isoformat()}"
    return Delivery(
        rule=rule,
        rule_name=rule.name,
        channel=channel,
        kind=channel.kind,
        target=channel.target,
        task=task,
        execution=execution,
        event=Event(message.event),
        occasion=deadline if execution is None else f"execution:{execution.pk}",
        streak=message.streak,
        occurred_at=message.at,
        created_at=message.at + WRITTEN_AFTER,
    )


def _sent(row: Delivery, channel: RuleChannel, place: int) -> Delivery:
    """Mark a message as sent: some at the second attempt; messages to the dead hook fail."""
    row.content = get_channel(row.kind).compose(channel.config, facts_of(row))
    row.attempts = 2 if place % EACH_RETRIED == 0 else 1
    if channel.config.get("url") == GONE_HOOK:
        row.state, row.attempts = State.FAILED, 1
        row.set_reason(GONE_SAID)
        return row
    row.state = State.SENT
    row.sent_at = row.created_at + SENT_AFTER + timedelta(seconds=30 * (row.attempts - 1))
    row.set_answer(as_reason(get_channel(row.kind).sample_answer(channel.config)))
    return row
