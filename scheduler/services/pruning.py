"""Retention: old executions go, in small steps that never hold the database for long."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Exists, OuterRef, QuerySet

from scheduler.models import Execution, ExecutionLog, Process, Run, RunGraph, Task
from scheduler.signals import history_pruned

STEP = 1000


def prune(now: datetime, *, days: int | None = None) -> int:
    """Delete ended executions older than their retention, with their logs and empty runs; return how many.

    Sends `history_pruned`.

    Args:
        days: the retention of tasks that have none of their own; default from the settings.
    """
    general = settings.SCHEDULER_HISTORY_DAYS if days is None else days
    rows = Task.all_objects.exclude(history_days=None).values_list("pk", "history_days")
    own = {pk: own_days for pk, own_days in rows if own_days is not None}
    total = 0
    for old in _old(now, general, own):
        while step := list(old.values_list("pk", flat=True)[:STEP]):
            total += _delete(step)
    RunGraph.objects.exclude(Exists(Run.objects.filter(graph=OuterRef("pk")))).delete()
    Process.objects.filter(heartbeat_at__lt=now - timedelta(days=1), executions=None).delete()
    history_pruned.send(Execution, older_than=now - timedelta(days=general))
    return total


def _old(now: datetime, general: int, own: dict[int, int]) -> Iterator[QuerySet[Execution]]:
    # What a run that goes on is decided by stays until its end.
    going_on = Execution.objects.active().filter(run__isnull=False).values("run")
    terminal = Execution.objects.terminal().exclude(run__in=going_on).order_by("queued_at")
    yield terminal.filter(queued_at__lt=now - timedelta(days=general)).exclude(task__in=own)
    for task, days in own.items():
        yield terminal.filter(task=task, queued_at__lt=now - timedelta(days=days))


def _delete(pks: list[int]) -> int:
    with transaction.atomic():
        runs = set(Execution.objects.filter(pk__in=pks, run__isnull=False).values_list("run_id", flat=True))
        ExecutionLog.objects.filter(execution__in=pks)._raw_delete(connection.alias)
        Execution.objects.filter(pk__in=pks).delete()
        Run.objects.filter(pk__in=runs).exclude(Exists(Execution.objects.filter(run=OuterRef("pk")))).delete()
    return len(pks)
