"""Retention: delete old executions in small steps that never lock the database for long."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from time import monotonic

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Exists, OuterRef, QuerySet, Subquery

from scheduler.choices import RAN, Status
from scheduler.models import Execution, ExecutionLog, Process, Run, RunGraph, Task
from scheduler.services import audit, limits, sessions, totals
from scheduler.signals import history_pruned

STEP = 1000
STEP_BYTES = 32 << 20  # of logs


@dataclass(frozen=True)
class Pruned:
    """The number of deleted executions, and whether no expired ones are left."""

    executions: int
    is_done: bool


def prune(now: datetime, *, days: int | None = None, seconds: float = float("inf")) -> Pruned:
    """Delete executions past their retention, with their logs and empty runs.

    The latest execution, success and outcome of each task are kept: dependencies, deadlines and failure streaks are
    computed from them.

    Sends `history_pruned` when all expired executions are deleted.

    Args:
        days: retention of tasks without their own; default from the settings.
        seconds: stop after about this time; call again to continue.
    """
    end = monotonic() + seconds
    totals.count_ended()
    general = settings.SCHEDULER_HISTORY_DAYS if days is None else days
    rows = Task.all_objects.exclude(history_days=None).values_list("pk", "history_days")
    own = {pk: own_days for pk, own_days in rows if own_days is not None}
    total, kept = 0, _decisive()
    for old in _old(now, general, own):
        while step := _step(old, kept):
            total += _delete(step)
            if monotonic() >= end:
                return Pruned(total, is_done=False)
    RunGraph.objects.exclude(Exists(Run.objects.filter(graph=OuterRef("pk")))).delete()
    Process.objects.filter(heartbeat_at__lt=now - timedelta(days=1), executions=None).delete()
    for prune_access in (audit.prune, limits.prune, sessions.prune):
        prune_access(now)
    history_pruned.send(Execution, older_than=now - timedelta(days=general))
    return Pruned(total, is_done=True)


def _decisive() -> set[int]:
    """Return the executions that later decisions depend on (at most three per task), by index lookups."""
    own = Execution.objects.filter(task=OuterRef("pk"))
    newest = own.newest_first().values("pk")[:1]
    success = own.filter(status=Status.SUCCESS).newest_first().values("pk")[:1]
    outcome = own.outcomes().filter(status__in=sorted(RAN)).values("pk")[:1]
    rows = Task.objects.values_list(Subquery(newest), Subquery(success), Subquery(outcome))
    return {pk for row in rows.order_by() for pk in row if pk is not None}


def _step(old: QuerySet[Execution], kept: Collection[int]) -> list[int]:
    """Return the next executions to delete in one transaction: STEP of them, fewer if their logs are large."""
    pks: list[int] = []
    size = 0
    for pk, log_size in old.values_list("pk", "log_size")[: STEP + len(kept)].iterator():
        if pk in kept:
            continue
        if len(pks) == STEP:
            break
        pks.append(pk)
        size += min(log_size, settings.SCHEDULER_LOG_LIMIT)
        if size >= STEP_BYTES:
            break
    return pks


def _old(now: datetime, general: int, own: dict[int, int]) -> Iterator[QuerySet[Execution]]:
    # Decisions in an open run depend on its executions: keep them until it ends.
    going_on = Execution.objects.active().filter(run__isnull=False).values("run")
    terminal = Execution.objects.terminal().exclude(run__in=going_on).order_by("queued_at")
    limit = now - timedelta(days=general)
    # The condition on queued_at uses its index; an execution queued long ago may have ended just now.
    yield terminal.filter(queued_at__lt=limit, finished_at__lt=limit).exclude(task__in=own)
    for task, days in own.items():
        limit = now - timedelta(days=days)
        yield terminal.filter(task=task, queued_at__lt=limit, finished_at__lt=limit)


def _delete(pks: list[int]) -> int:
    with transaction.atomic():
        runs = set(Execution.objects.filter(pk__in=pks, run__isnull=False).values_list("run_id", flat=True))
        ExecutionLog.objects.filter(execution__in=pks)._raw_delete(connection.alias)
        Execution.objects.filter(pk__in=pks).delete()
        Run.objects.filter(pk__in=runs).exclude(Exists(Execution.objects.filter(run=OuterRef("pk")))).delete()
    return len(pks)
