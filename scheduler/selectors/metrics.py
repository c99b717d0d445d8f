"""Reads for monitoring. None of them scans the history: a scrape costs the same whatever its length."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from django.db.models import Count, F, Max, Min, OuterRef, Q, Subquery, Sum
from django.db.models.functions import Coalesce

from scheduler.choices import Status
from scheduler.models import BucketTotal, EndedExecution, Execution, ExecutionTotal, Process, Task
from scheduler.models.querysets import ExecutionQuerySet, TaskQuerySet, alive_at
from scheduler.selectors.tasks import with_last_status


@dataclass(frozen=True)
class TaskFigures:
    """A task with its latest success and the status of its latest outcome that ran; None without any."""

    pk: int
    task_id: str
    is_enabled: bool
    succeeded_at: datetime | None
    last_status: str | None


@dataclass(frozen=True)
class QueueFigures:
    """Numbers of executions of a queue.

    Attributes:
        ready: could be claimed now.
        waiting: queued until the time of their retry, or behind another execution of their task.
        oldest_at: since when the oldest ready one could have been claimed.
    """

    ready: int = 0
    waiting: int = 0
    running: int = 0
    oldest_at: datetime | None = None


@dataclass(frozen=True)
class ProcessFigures:
    """The processes of one kind, host and queue: how many are alive, their slots, and the latest heartbeat.

    Processes that were stopped in an orderly way do not count; killed ones do until they are deleted after a day.
    """

    kind: str
    host: str
    queue: str
    alive: int
    slots: int
    heartbeat_at: datetime


def slots_by_status() -> dict[str, int]:
    """Return the number of ended executions by status, those of deleted tasks included; one query."""
    rows = ExecutionTotal.objects.order_by().values_list("status").annotate(number=Sum("slots"))
    return dict(rows)


def oldest_tasks(limit: int) -> list[TaskFigures]:
    """Return the `limit` tasks that were created first, so that the same ones are returned each time; one query."""
    success = (
        Execution.objects.filter(task=OuterRef("pk"), status=Status.SUCCESS)
        .newest_first()
        .values("finished_at")[:1]
    )
    tasks = with_last_status(cast(TaskQuerySet, Task.objects.order_by("pk")))
    rows: Any = tasks.annotate(succeeded_at=Subquery(success))
    columns = rows.values_list("pk", "task_id", "enabled", "succeeded_at", "last_status")
    return [TaskFigures(*row) for row in columns[:limit]]


def totals_up_to(task_pk: int) -> Iterable[tuple[int, str, int, int, float]]:
    """Return task, status, slots, number with a duration and its sum, of tasks up to this key; one query."""
    rows = ExecutionTotal.objects.filter(task__lte=task_pk)
    return list(rows.values_list("task_id", "status", "slots", "timed", "seconds"))


def buckets(histogram: str) -> dict[str, dict[float, tuple[int, float]]]:
    """Return number and sum by upper bound, by label; one query."""
    found: dict[str, dict[float, tuple[int, float]]] = defaultdict(dict)
    rows = BucketTotal.objects.filter(histogram=histogram)
    for label, bound, number, seconds in rows.values_list("label", "bound", "number", "seconds"):
        found[label][float(bound)] = (number, seconds)
    return found


def uncounted() -> int:
    """Return how many ended executions no total contains yet."""
    return EndedExecution.objects.count()


def task_states() -> dict[str, int]:
    """Return the number of enabled, disabled and broken tasks; broken ones are enabled, but not dispatched."""
    is_enabled, is_broken = Q(enabled=True), ~Q(schedule_error="")
    counts = Task.objects.order_by().aggregate(
        number=Count("pk"),
        planned=Count("pk", filter=is_enabled),
        set_aside=Count("pk", filter=is_enabled & is_broken),
    )
    planned, set_aside = counts["planned"], counts["set_aside"]
    return {
        "enabled": planned - set_aside,
        "disabled": counts["number"] - planned,
        "broken": set_aside,
    }


def queues(now: datetime) -> dict[str, QueueFigures]:
    """Return the queues with queued or running executions; three queries, each on one partial index."""
    queued = dict(_counts(Execution.objects.filter(status=Status.QUEUED)))
    running = dict(_counts(Execution.objects.running()))
    dated = Execution.objects.ready(now).order_by().annotate(at=Coalesce("not_before", "queued_at"))
    rows = dated.values_list("queue").annotate(number=Count("pk"), oldest=Min("at"))
    ready = {name: (number, oldest) for name, number, oldest in rows}
    found = {}
    for name in {*queued, *running}:
        number, oldest = ready.get(name, (0, None))
        waiting = max(queued.get(name, 0) - number, 0)
        found[name] = QueueFigures(number, waiting, running.get(name, 0), oldest)
    return found


def _counts(rows: ExecutionQuerySet) -> Iterable[tuple[str, int]]:
    return list(rows.order_by().values_list("queue").annotate(number=Count("pk")))


def processes(now: datetime) -> list[ProcessFigures]:
    """Return dispatchers and workers; one query."""
    kinds = (Process.Kind.DISPATCHER, Process.Kind.CLUSTER)
    alive = alive_at(now)
    rows = Process.objects.filter(kind__in=kinds, stopped_at=None).order_by("kind", "host", "queue")
    grouped = rows.values_list("kind", "host", "queue").annotate(
        alive=Count("pk", filter=alive),
        slots_alive=Coalesce(Sum("slots", filter=alive), 0),
        latest=Max("heartbeat_at"),
    )
    return [ProcessFigures(*row) for row in grouped]


def oldest_due_at(now: datetime) -> datetime | None:
    """Return the earliest slot that is due and not dispatched, or None."""
    due = Task.objects.due(now).order_by().aggregate(at=Min(F("next_run_at")))
    at: datetime | None = due["at"]
    return at
