"""Values of a message: one for each name that a template may use."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cached_property

from django.conf import settings
from django.db.models import Sum
from django.utils.translation import gettext as _
from django.utils.translation import override

from notifications import selectors
from notifications.choices import Event, State
from notifications.engine.rules import (
    BrokenRuleError,
    Decision,
    Outcome,
    Rule,
    is_settled,
    replay,
    unsuccessful_before,
)
from notifications.messages.context import Facts
from notifications.models import Delivery
from scheduler.choices import FAILED, Status
from scheduler.config_file.notify_rules import TEMPLATE_NAMES
from scheduler.engine.log_text import shown_text
from scheduler.models import Execution, Task
from scheduler.selectors.logs import read_log
from scheduler.wording.times import offset_instant

TAIL_LINES, TAIL_BYTES = 50, 4096
READ_BYTES = 65_536  # the same as on the execution page at first; progress bars collapse to little
TASKS_NAMED = 20
# Also defined by the URLconf, but resolving it imports all views, which a worker does not need otherwise.
OVERVIEW, PAGE = "/admin/", "/admin/scheduler/{model}/{pk}/change/"
STREAK_STEPS = (64, 1024, 20_000)  # outcomes read to count a streak that the decision did not need

Value = str | int | float | None


def facts_of(delivery: Delivery) -> Facts:
    """Return the present facts of a delivery; they hardly change, because its execution has finished."""
    with override(settings.SCHEDULER_NOTIFY_LANGUAGE):
        values: dict[str, Value] = dict.fromkeys(TEMPLATE_NAMES)
        values["rule_name"] = delivery.rule_name
        if delivery.task is not None:
            values |= _of_task(delivery.task)
        if delivery.execution is not None and delivery.task is not None:
            values |= _of_execution(delivery.execution, delivery.task)
        of_event = _of_event(delivery)
        values |= of_event
        repeats = _repeats(delivery)
    execution = delivery.execution if "reason" not in of_event else None
    reason = None if execution is None else execution.coded_reason
    language = settings.SCHEDULER_NOTIFY_LANGUAGE
    return Facts(values, delivery.event, language, repeats=repeats, reason=reason)


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
    history = _History(delivery)
    count = delivery.streak or history.latest.streak
    if delivery.event == Event.RECOVERED:
        return {"threshold_count": count, "reason": _after(history.unsuccessful)}
    return {"threshold_count": count}


def _repeats(delivery: Delivery) -> int | None:
    """Return how many times in a row this event occurred; rows of older versions only have the streak."""
    if delivery.event in (Event.DIGEST, Event.OVERDUE, Event.RECOVERED):
        return None
    return delivery.repeats or _History(delivery).latest.repeats


def _after(statuses: Sequence[str]) -> str:
    """Return the statuses since the previous success, for the text of a recovery."""
    count = len(statuses)
    if not count:
        return _("The first success after an alert.")
    if all(status in FAILED for status in statuses):
        said = _("After a failure.") if count == 1 else _("After %(count)s failures in a row.")
    else:
        said = (
            _("After an outcome without success.")
            if count == 1
            else _("After %(count)s outcomes in a row without success.")
        )
    return said % {"count": count}


@dataclass(frozen=True)
class _History:
    """The outcomes up to the one of a delivery, read lazily."""

    delivery: Delivery

    @cached_property
    def rule(self) -> Rule | None:
        """The present rule, or None if it was deleted or is invalid."""
        try:
            return None if self.delivery.rule is None else self.delivery.rule.policy()
        except BrokenRuleError:
            return None

    @cached_property
    def latest(self) -> Decision:
        """The decision of the rule for the outcome, for rules that fire without counting; counts are at least 1."""
        rule, alone = self.rule, Decision(self.delivery.event, 1)
        if rule is None:
            return alone
        for outcomes, is_all in self._readings():
            if is_all or is_settled(rule, (o.status for o in outcomes[:-1])):
                decision = replay(rule, outcomes)[-1]
                return replace(decision, streak=max(decision.streak, 1))
        return alone

    @cached_property
    def unsuccessful(self) -> list[str]:
        """The statuses between the previous success and this outcome."""
        for outcomes, is_all in self._readings():
            statuses = [outcome.status for outcome in outcomes[:-1]]
            before = unsuccessful_before(self.rule, statuses if not is_all else [Status.SUCCESS, *statuses])
            if before is not None:
                return before
        return []

    def _readings(self) -> Iterator[tuple[list[Outcome], bool]]:
        """Yield growing lists of outcomes that end with the delivery's, and whether each is complete."""
        task, execution = self.delivery.task_id, self.delivery.execution_id
        if task is None or execution is None:
            return
        for size in STREAK_STEPS:
            outcomes = selectors.latest_outcomes({task: size})[task]
            place = next((i for i, outcome in enumerate(outcomes) if outcome.id == execution), None)
            is_all = len(outcomes) < size or size == STREAK_STEPS[-1]
            if place is not None:
                yield outcomes[: place + 1], is_all
            if is_all:
                return


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
    said = _("Suppressed in the hour from %(hour)s, beyond %(limit)s messages: %(tasks)s.")
    return {
        "threshold_count": total,
        "reason": said
        % {
            "hour": _local(hour, settings.SCHEDULER_TIME_ZONE),
            "limit": settings.SCHEDULER_NOTIFY_HOURLY_LIMIT,
            "tasks": ", ".join(named),
        },
        "execution_url": f"{settings.SITE_URL}{OVERVIEW}",
    }


def sample_facts(rule_name: str, task: Task | None, now: datetime) -> Facts:
    """Return facts for a test message: a value for every name, from the task's latest execution where possible."""
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
            "execution_log_tail": _("The last lines of the log appear here."),
            "execution_id": 0,
            "execution_url": f"{settings.SITE_URL}{OVERVIEW}",
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
    """Return the end of the log as its page shows it: at most 50 lines and 4 KB."""
    text = shown_text(read_log(execution, tail=READ_BYTES, limit=READ_BYTES).text)
    text = text.rstrip("\n").encode()[-TAIL_BYTES:].decode("utf-8", "ignore")
    return "\n".join(text.split("\n")[-TAIL_LINES:])


def _local(at: datetime | None, zone: str) -> str | None:
    return None if at is None else offset_instant(at, zone)


def _url(model: str, pk: int) -> str:
    return f"{settings.SITE_URL}{PAGE.format(model=model, pk=pk)}"
