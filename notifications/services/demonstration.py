"""Rules for the demonstration, and the messages that they would have sent about its history."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from itertools import count
from typing import Any

from django.db.models import Q

from notifications.channels import get_channel
from notifications.choices import Event, Scope, State
from notifications.models import Delivery, NotificationRule, RuleChannel
from notifications.services.definitions import save_rule, validate_rule
from notifications.services.facts import facts_of
from notifications.services.outbox import is_about
from notifications.services.projection import rule_spec
from notifications.services.trials import RehearsedMessage, rehearse
from scheduler.models import Execution, Task

WRITTEN_AFTER, SENT_AFTER = timedelta(seconds=0.2), timedelta(seconds=1.4)
EACH_RETRIED = 4  # of so many messages of a channel one was sent at the second attempt
GONE_HOOK = "https://chat.shop.example/hooks/orders"
GONE_SAID = "HTTP 404: no_such_hook"
SAID = {
    "email": "accepted for {recipients} of {recipients} recipients",
    "webhook": "HTTP 200: ok",
    "apprise": "sent to ntfy",
}
#: Rules of no single task, in the words of task_notify; those of tasks stand in the configuration.
RULES: tuple[tuple[Scope, str, dict[str, Any]], ...] = (
    (
        Scope.TAG,
        "monitoring",
        {
            "name": "Shop unreachable",
            "triggers": ["technical_failure", "timeout", "recovered"],
            "threshold": 3,
            "cooldown": 3600,
            "channels": [
                {"type": "email", "recipients": ["on-call@shop.example"]},
                {"type": "webhook", "url": "https://pager.shop.example/events", "secret": "made-up"},
            ],
        },
    ),
    (
        Scope.TAG,
        "pipeline",
        {
            "name": "Warehouse",
            "triggers": ["technical_failure", "timeout", "business_failure"],
            "channels": [{"type": "email", "recipients": ["data@shop.example"]}],
        },
    ),
    (
        Scope.ALL,
        "",
        {
            "name": "Missed while the scheduler was down",
            "triggers": ["missed"],
            "channels": [{"type": "apprise", "urls": ["ntfy://schedsite-demo"]}],
        },
    ),
)


def write_demonstration(tasks: Sequence[Task], *, days: int, now: datetime) -> int:
    """Write the rules, and a delivery for each message of the last `days` that a rehearsal of each finds.

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
                row.state, row.reason = State.SUPPRESSED, message.held_back
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
    """Let a message have been sent: some at the second attempt, those to a hook that is gone not at all."""
    row.content = get_channel(row.kind).compose(channel.config, facts_of(row))
    row.attempts = 2 if place % EACH_RETRIED == 0 else 1
    if channel.config.get("url") == GONE_HOOK:
        row.state, row.attempts, row.reason = State.FAILED, 1, GONE_SAID
        return row
    row.state = State.SENT
    row.sent_at = row.created_at + SENT_AFTER + timedelta(seconds=30 * (row.attempts - 1))
    row.response = SAID[row.kind].format(recipients=len(channel.config.get("recipients", ())))
    return row
