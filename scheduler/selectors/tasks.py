"""Reads of tasks: search, latest status, failing tasks."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime
from typing import Any

from django.db.models import Count, Min, OuterRef, Q, Subquery
from django.db.models.functions import Coalesce

from scheduler.choices import FAILED, RAN, Status
from scheduler.models import Execution, Task
from scheduler.models.querysets import TaskQuerySet

NEVER, FOREVER = datetime(1970, 1, 1, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC)


def task_ids() -> set[str]:
    """Return the ids of all tasks."""
    return set(Task.objects.values_list("task_id", flat=True))


def find_tasks(
    *, is_enabled: bool | None, tag: str | None, text: str | None, statuses: Collection[str]
) -> TaskQuerySet:
    """Return tasks that match all given filters: tag, text in id or name, status of the latest outcome."""
    rows: TaskQuerySet = Task.objects.all()
    if is_enabled is not None:
        rows = rows.filter(enabled=is_enabled)
    if tag:
        rows = rows.tagged(tag)
    if text:
        rows = rows.filter(Q(task_id__icontains=text) | Q(name__icontains=text))
    if statuses:
        newest = Execution.objects.outcomes().filter(task=OuterRef("pk")).values("status")[:1]
        rows = rows.alias(outcome=Subquery(newest)).filter(outcome__in=statuses)
    return rows


def with_last_status(tasks: TaskQuerySet) -> TaskQuerySet:
    """Annotate `last_status`, the latest outcome that ran; None if the task never ran."""
    ran = Execution.objects.outcomes().filter(task=OuterRef("pk"), status__in=sorted(RAN))
    return tasks.annotate(last_status=Subquery(ran.values("status")[:1]))


def failing_pks() -> list[int]:
    """Return the enabled tasks whose latest outcome is a failure."""
    with_status: Any = with_last_status(Task.objects.filter(enabled=True))
    failing = with_status.filter(last_status__in=sorted(FAILED))
    return list(failing.order_by().values_list("pk", flat=True))


def failing_tasks(pks: Collection[int], limit: int = 20) -> TaskQuerySet:
    """Return the tasks among `pks` whose latest outcome is a failure, longest failing first.

    Annotated: `last_status`, `last_failed_id`, `failing_since` (slot of the first of the streak) and `streak`.
    """
    own = Execution.objects.filter(task=OuterRef("pk"))
    success = own.filter(status=Status.SUCCESS).newest_first().values("queued_at")[:1]
    failures = own.filter(
        is_outcome=True, status__in=sorted(FAILED), queued_at__gt=OuterRef("last_success")
    ).order_by()
    streak = failures.values("task").annotate(value=Count("pk")).values("value")
    since = (
        failures.values("task").annotate(value=Min(Coalesce("scheduled_for", "queued_at"))).values("value")
    )
    latest = own.outcomes().filter(status__in=sorted(FAILED)).values("pk")[:1]
    with_status: Any = with_last_status(Task.objects.filter(pk__in=pks))
    failing = with_status.filter(last_status__in=sorted(FAILED))
    dated = failing.annotate(last_success=Coalesce(Subquery(success), NEVER))
    counted = dated.annotate(
        streak=Subquery(streak), failing_since=Subquery(since), last_failed_id=Subquery(latest)
    )
    rows: TaskQuerySet = counted.order_by("failing_since", "pk")[:limit]
    return rows


def next_up(limit: int = 10) -> TaskQuerySet:
    """Return the enabled tasks with the earliest next slots."""
    tasks = Task.objects.filter(enabled=True, next_run_at__isnull=False)
    rows: TaskQuerySet = tasks.order_by("next_run_at", "pk")[:limit]
    return rows
