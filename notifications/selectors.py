"""Reads that span models."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime

from django.db import connection
from django.db.models import Max, Q

from notifications.models import Delivery
from notifications.rules import OVERDUE, RECOVERED, Outcome
from scheduler.models import Execution

TASKS_AT_ONCE = 200  # SQLite joins at most 500 queries in one

_LATEST = (
    "SELECT * FROM (SELECT task_id, id, status, finished_at FROM scheduler_execution"
    " WHERE is_outcome AND task_id = %s AND finished_at IS NOT NULL"
    " ORDER BY finished_at DESC, id DESC LIMIT %s) AS latest"
)


def latest_outcomes(sizes: Mapping[int, int]) -> dict[int, list[Outcome]]:
    """Return the latest outcomes of each task in their order, at most as many as `sizes` says.

    One query for 200 tasks.
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
        outcomes.reverse()  # each part of the query comes in its own order, latest first
    return found


def outcomes_since(task_pks: Collection[int], since: datetime, *, limit: int) -> dict[int, list[Outcome]]:
    """Return the outcomes of tasks from `since` on in their order; of all tasks together the latest `limit`."""
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
    """Return what a cursor gives for an instant; SQLite gives it without its zone, which is UTC."""
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def told_at(conditions: Iterable[Q]) -> dict[tuple[int, int, bool], datetime]:
    """Return when what was last told of happened, by rule, task, and whether it is about a recovery; one query."""
    wanted = Q()
    for condition in conditions:
        wanted |= condition
    if not wanted:
        return {}
    rows = Delivery.objects.told().filter(wanted).order_by()
    grouped = rows.values_list("rule_id", "task_id", "event").annotate(last=Max("occurred_at"))
    found: dict[tuple[int, int, bool], datetime] = {}
    for rule, task, event, last in grouped:
        if rule is not None and task is not None:
            key = (rule, task, event == RECOVERED)
            found[key] = max(last, found.get(key, last))
    return found


def last_overdue(rule_pks: Collection[int], task_pks: Collection[int]) -> dict[tuple[int, int], datetime]:
    """Return the latest missed deadline that each rule has told of, by rule and task; one query."""
    rows = Delivery.objects.filter(rule__in=rule_pks, task__in=task_pks, event=OVERDUE).order_by()
    grouped = rows.values_list("rule_id", "task_id").annotate(last=Max("occurred_at"))
    return {(rule, task): last for rule, task, last in grouped if rule is not None and task is not None}
