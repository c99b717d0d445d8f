"""What a message tells: a value for each name that a template may use."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import Sum
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext, override

from notifications import selectors
from notifications.channels.base import Facts
from notifications.choices import Event, State
from notifications.models import Delivery
from notifications.rules import BrokenRuleError, is_settled, replay
from scheduler.config_file.notify_rules import TEMPLATE_NAMES
from scheduler.engine.zones import shown_zone
from scheduler.models import Execution, Task
from scheduler.selectors import read_log

TAIL_LINES, TAIL_BYTES = 50, 4096
TASKS_NAMED = 20
STREAK_STEPS = (64, 1024, 20_000)  # outcomes that are read to tell a streak which the decision did not need

Value = str | int | float | None


def facts_of(delivery: Delivery) -> Facts:
    """Return the facts of a delivery as they stand now; its execution is over, so they hardly change."""
    with override(settings.SCHEDULER_NOTIFY_LANGUAGE):
        values: dict[str, Value] = dict.fromkeys(TEMPLATE_NAMES)
        values["rule_name"] = delivery.rule_name
        if delivery.task is not None:
            values |= _of_task(delivery.task)
        if delivery.execution is not None and delivery.task is not None:
            values |= _of_execution(delivery.execution, delivery.task)
        values |= _of_event(delivery)
    return Facts(values=values, event=delivery.event, language=settings.SCHEDULER_NOTIFY_LANGUAGE)


def _of_task(task: Task) -> dict[str, Value]:
    return {"task_id": task.task_id, "task_name": task.name, "execution_url": _url("task", task.pk)}


def _of_execution(execution: Execution, task: Task) -> dict[str, Value]:
    duration = execution.duration
    return {
        "execution_id": execution.pk,
        "execution_url": _url("execution", execution.pk),
        "execution_status": execution.status,
        "execution_start_time": _local(execution.started_at, task.zone),
        "execution_end_time": _local(execution.finished_at, task.zone),
        "execution_duration": None if duration is None else round(duration, 3),
        "execution_log_tail": log_tail(execution),
        "exit_code": execution.exit_code,
        "attempt": execution.attempt,
        "reason": execution.reason,
        "scheduled_for": _local(execution.scheduled_for, task.zone),
        "run_id": execution.run_id,
    }


def _of_event(delivery: Delivery) -> dict[str, Value]:
    if delivery.event == Event.DIGEST:
        return _of_digest(delivery)
    if delivery.event == Event.OVERDUE and delivery.task is not None:
        at = _local(delivery.occurred_at, delivery.task.zone)
        said = _("It has not succeeded by its deadline %(at)s.") % {"at": at}
        return {"threshold_count": 1, "reason": said, "scheduled_for": at}
    count = delivery.streak or _streak_of(delivery)
    if delivery.event == Event.RECOVERED:
        said = ngettext("After %(count)s failure.", "After %(count)s failures in a row.", count)
        return {"threshold_count": count, "reason": said % {"count": count}}
    return {"threshold_count": count}


def _streak_of(delivery: Delivery) -> int:
    """Return the streak that the delivery ends, for rules that fire without knowing it; at least 1."""
    if delivery.rule is None or delivery.execution is None or delivery.task_id is None:
        return 1
    try:
        rule = delivery.rule.policy()
    except BrokenRuleError:
        return 1
    streak = 1
    for size in STREAK_STEPS:
        outcomes = selectors.latest_outcomes({delivery.task_id: size})[delivery.task_id]
        place = next((i for i, outcome in enumerate(outcomes) if outcome.id == delivery.execution_id), None)
        if place is None:
            return 1
        streak = replay(rule, outcomes[: place + 1])[-1].streak
        if len(outcomes) < size or is_settled(rule, (o.status for o in outcomes[:place])):
            break
    return max(streak, 1)


def _of_digest(delivery: Delivery) -> dict[str, Value]:
    hour = delivery.occurred_at
    rows = Delivery.objects.filter(
        target=delivery.target,
        created_at__gte=hour,
        created_at__lt=hour + timedelta(hours=1),
        state=State.SUPPRESSED,
        occasion__startswith="limit:",
    )
    counts = rows.order_by().values_list("task__task_id").annotate(messages=Sum("count"))
    tasks = sorted(counts, key=lambda row: (-row[1], row[0] or ""))
    total = sum(row[1] for row in tasks)
    named = [f"{name} ({count})" for name, count in tasks[:TASKS_NAMED]]
    if len(tasks) > TASKS_NAMED:
        named.append(_("and %(count)s more tasks") % {"count": len(tasks) - TASKS_NAMED})
    said = _("Held back in the hour from %(hour)s, beyond %(limit)s messages: %(tasks)s.")
    return {
        "threshold_count": total,
        "reason": said
        % {
            "hour": _local(hour, settings.SCHEDULER_TIME_ZONE),
            "limit": settings.SCHEDULER_NOTIFY_HOURLY_LIMIT,
            "tasks": ", ".join(named),
        },
        "execution_url": f"{settings.SITE_URL}{reverse('admin:index')}",
    }


def sample_facts(rule_name: str, task: Task | None, now: datetime) -> Facts:
    """Return facts for a test message: every name has a value, where possible that of the task's latest execution."""
    with override(settings.SCHEDULER_NOTIFY_LANGUAGE):
        zone = settings.SCHEDULER_TIME_ZONE if task is None else task.zone
        values: dict[str, Value] = {
            "task_id": "sample",
            "task_name": _("Sample task"),
            "execution_status": "technical_failure",
            "execution_start_time": _local(now - timedelta(seconds=42), zone),
            "execution_end_time": _local(now, zone),
            "execution_duration": 42,
            "threshold_count": 3,
            "execution_log_tail": _("The last lines of the log stand here."),
            "execution_id": 0,
            "execution_url": f"{settings.SITE_URL}{reverse('admin:index')}",
            "exit_code": 2,
            "attempt": 1,
            "reason": _("This is a test."),
            "scheduled_for": _local(now - timedelta(seconds=42), zone),
            "run_id": 0,
            "rule_name": rule_name,
        }
        if task is not None:
            values |= _of_task(task)
            latest = Execution.objects.outcomes().filter(task=task).first()
            if latest is not None:
                known = _of_execution(latest, task).items()
                values |= {name: value for name, value in known if value not in (None, "")}
    return Facts(values=values, event=Event.TEST.value, language=settings.SCHEDULER_NOTIFY_LANGUAGE)


def log_tail(execution: Execution) -> str:
    """Return the end of the log: at most 50 lines and 4 KB."""
    text = read_log(execution, tail=TAIL_BYTES, limit=TAIL_BYTES).text
    text = text.encode()[-TAIL_BYTES:].decode("utf-8", "ignore")
    return "\n".join(text.rstrip("\n").split("\n")[-TAIL_LINES:])


def _local(at: datetime | None, zone: str) -> str | None:
    """Return an instant as people of the zone read it, with the offset."""
    if at is None:
        return None
    local = at.astimezone(shown_zone(zone))
    offset = f"{local:%z}"
    return f"{local:%Y-%m-%d %H:%M:%S} {offset[:3]}:{offset[3:]}"


def _url(model: str, pk: int) -> str:
    return f"{settings.SITE_URL}{reverse(f'admin:scheduler_{model}_change', args=[pk])}"
