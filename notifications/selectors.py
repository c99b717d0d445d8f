"""Reads that span models."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import connection
from django.db.models import Count, Max, Min, OuterRef, Q, Subquery, Sum

from notifications.choices import ATTEMPTED, OPEN, Scope, State
from notifications.engine.rules import OVERDUE, RECOVERED, Outcome
from notifications.models import Delivery, DeliveryCount, NotificationRule, RuleChannel
from scheduler.choices import FAILED
from scheduler.models import Execution, Task

FAILURES_READ = 200
FAILURES_WITHIN = timedelta(days=7)
TASKS_AT_ONCE = 200  # SQLite joins at most 500 SELECTs in one query

_LATEST = (
    "SELECT * FROM (SELECT task_id, id, status, finished_at FROM scheduler_execution"
    " WHERE is_outcome AND task_id = %s AND finished_at IS NOT NULL"
    " ORDER BY finished_at DESC, id DESC LIMIT %s) AS latest"
)


def latest_outcomes(sizes: Mapping[int, int]) -> dict[int, list[Outcome]]:
    """Return the latest outcomes of each task in order, at most `sizes[task]` of them.

    One query per 200 tasks.
    """
    found: dict[int, list[Outcome]] = {task: [] for task in sizes}
    tasks = list(sizes)
    for start in range(0, len(tasks), TASKS_AT_ONCE):
        part = tasks[start : start + TASKS_AT_ONCE]
        sql = " UNION ALL ".join([_LATEST] * len(part))
        with connection.cursor() as cursor:
            cursor.execute(sql, [value for task in part for value in (task, sizes[task])])
            for task, pk, status, at in cursor.fetchall():
                found[task].append(Outcome(status, _instant(at), pk))
    for outcomes in found.values():
        outcomes.reverse()  # each part of the union is ordered latest first
    return found


def outcomes_since(task_pks: Collection[int], since: datetime, *, limit: int) -> dict[int, list[Outcome]]:
    """Return the outcomes of tasks since `since` in order; at most the latest `limit` in total."""
    rows = Execution.objects.filter(is_outcome=True, task__in=task_pks, finished_at__gte=since)
    found: dict[int, list[Outcome]] = {task: [] for task in task_pks}
    latest = rows.order_by("-finished_at", "-id").values_list("task_id", "id", "status", "finished_at")[
        :limit
    ]
    for task, pk, status, at in latest:
        assert at is not None  # noqa: S101 - the filter says so
        found[task].append(Outcome(status, at, pk))
    for outcomes in found.values():
        outcomes.reverse()
    return found


def _instant(at: datetime) -> datetime:
    """Return an instant read by a cursor as aware UTC; SQLite returns it naive."""
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def last_reported_at(conditions: Iterable[Q]) -> dict[tuple[int, int, bool], datetime]:
    """Return the time of the last reported event, by rule, task, and whether it is a recovery; one query."""
    wanted = Q()
    for condition in conditions:
        wanted |= condition
    if not wanted:
        return {}
    rows = Delivery.objects.reported().filter(wanted).order_by()
    grouped = rows.values_list("rule_id", "task_id", "event").annotate(last=Max("occurred_at"))
    found: dict[tuple[int, int, bool], datetime] = {}
    for rule, task, event, last in grouped:
        if rule is not None and task is not None:
            key = (rule, task, event == RECOVERED)
            found[key] = max(last, found.get(key, last))
    return found


def last_unseen_alerts(
    rule_pks: Collection[int], task_pks: Collection[int]
) -> dict[tuple[int, int], datetime]:
    """Return the latest alert that is not derived from outcomes and has no recovery yet, by rule and task; one query.

    Such alerts are missed deadlines, and failures whose run was resumed, as these are outcomes no longer.
    """
    is_unseen = Q(event=OVERDUE) | Q(event__in=sorted(FAILED), execution__is_outcome=False)
    rows = Delivery.objects.filter(is_unseen | Q(event=RECOVERED), rule__in=rule_pks, task__in=task_pks)
    grouped = rows.order_by().values_list("rule_id", "task_id")
    found = grouped.annotate(
        alert=Max("occurred_at", filter=is_unseen), recovered=Max("occurred_at", filter=Q(event=RECOVERED))
    )
    return {
        (rule, task): alert
        for rule, task, alert, recovered in found
        if rule is not None and task is not None and alert is not None
        if recovered is None or recovered < alert
    }


def latest_deliveries(channel_pks: Collection[int]) -> dict[int, Delivery]:
    """Return the latest message that was sent or failed, per channel; two queries."""
    if not channel_pks:
        return {}
    ended = Delivery.objects.filter(channel=OuterRef("pk"), state__in=ATTEMPTED)
    newest = Subquery(ended.newest_first().values("pk")[:1])
    rows = RuleChannel.objects.filter(pk__in=channel_pks).order_by().annotate(latest=newest)
    pks = [pk for pk in rows.values_list("latest", flat=True) if pk is not None]
    found = Delivery.objects.filter(pk__in=pks).defer("content", "response")
    return {delivery.channel_id: delivery for delivery in found if delivery.channel_id is not None}


def failing_channels(now: datetime) -> list[Delivery]:
    """Return the latest message of each channel where it failed, newest first; at most three queries.

    Considers at most 200 failures of the last week.
    """
    failed = Delivery.objects.filter(
        state=State.FAILED, created_at__gte=now - FAILURES_WITHIN, channel__isnull=False
    )
    pks = set(failed.newest_first().values_list("channel_id", flat=True)[:FAILURES_READ])
    latest = latest_deliveries([pk for pk in pks if pk is not None])
    bad = [delivery for delivery in latest.values() if delivery.state == State.FAILED]
    return sorted(bad, key=lambda delivery: (delivery.created_at, delivery.pk), reverse=True)


def rules_about(task: Task) -> list[NotificationRule]:
    """Return the rules of a task in order, then those of its tags and of all tasks; two queries."""
    about = Q(task=task) | Q(scope=Scope.ALL) | Q(scope=Scope.TAG, tag__in=task.tags)
    rows = NotificationRule.objects.filter(about).prefetch_related("channels")
    order = {Scope.TASK.value: 0, Scope.TAG.value: 1, Scope.ALL.value: 2}
    return sorted(rows, key=lambda rule: (order[rule.scope], rule.tag, rule.position, rule.pk))


def delivery_counts() -> dict[tuple[str, str], int]:
    """Return how many messages ended, by kind of channel and state; one query."""
    rows = DeliveryCount.objects.order_by().values_list("kind", "state").annotate(total=Sum("number"))
    return {(kind, state): number for kind, state, number in rows}


def waiting_deliveries() -> dict[str, tuple[int, datetime]]:
    """Return number and time of creation of the oldest of the unsent messages, by kind of channel; one query."""
    # SQLite uses a partial index only if the query repeats its condition literally.
    words = ", ".join(f"'{state.value}'" for state in OPEN)
    rows: Any = Delivery.objects.order_by().extra(where=[f"state IN ({words})"])  # noqa: S610 - words of ours
    found = rows.values_list("kind").annotate(number=Count("pk"), oldest=Min("created_at"))
    return {kind: (number, oldest) for kind, number, oldest in found}
