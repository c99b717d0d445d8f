"""Moves ended executions into the totals; see `scheduler.models.totals`.

This is the one place that sees each ended execution exactly once, with all its columns.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import connection, models, transaction

from scheduler import failpoints
from scheduler.choices import RAN, Trigger
from scheduler.engine.histograms import DURATION_BOUNDS, LATENESS_BOUNDS, bound_of
from scheduler.models import BucketTotal, EndedExecution, Execution, ExecutionTotal

STEP = 1000  # SQLite has one writer: a step takes some milliseconds
MOST_STEPS = 50  # of one call
DURATION, LATENESS = "duration", "lateness"

_COLUMNS = ("task_id", "status", "trigger", "scheduled_for", "started_at", "finished_at")


@dataclass
class _Sums:
    """What a step adds: values of columns by the key of their row."""

    executions: dict[tuple[Any, ...], list[float]] = field(
        default_factory=lambda: defaultdict(lambda: [0, 0, 0.0])
    )
    buckets: dict[tuple[Any, ...], list[float]] = field(default_factory=lambda: defaultdict(lambda: [0, 0.0]))


def count_ended() -> int:
    """Count the executions that ended since the last call; return how many rows were counted.

    Each step is one transaction: a crash repeats or loses nothing. Concurrent callers share the rows.
    """
    total = 0
    for _ in range(MOST_STEPS):
        if not EndedExecution.objects.exists():  # an idle installation writes nothing
            break
        with transaction.atomic():
            counted = _count_step()
        total += counted
        if counted < STEP:
            break
    return total


def _count_step() -> int:
    rows = EndedExecution.objects.order_by("pk").select_for_update(skip_locked=True)[:STEP]
    ended = list(rows.values_list("pk", "execution_id", "slots"))
    executions = Execution.objects.filter(pk__in={execution for _, execution, _ in ended})
    facts = {pk: values for pk, *values in executions.values_list("pk", *_COLUMNS)}
    sums = _Sums()
    for _, execution, slots in ended:
        if execution in facts:  # else its task was deleted with its history
            _add(sums, slots, *facts[execution])
    _add_to_rows(ExecutionTotal, ("task_id", "status"), ("slots", "timed", "seconds"), sums.executions)
    _add_to_rows(BucketTotal, ("histogram", "label", "bound"), ("number", "seconds"), sums.buckets)
    EndedExecution.objects.filter(pk__in=[pk for pk, _, _ in ended]).delete()
    failpoints.hit("count.before_commit")
    return len(ended)


def _add(
    sums: _Sums,
    slots: int,
    task_pk: int,
    status: str,
    trigger: str,
    scheduled_for: datetime | None,
    started_at: datetime | None,
    finished_at: datetime | None,
) -> None:
    duration = None
    if status in RAN and started_at is not None and finished_at is not None:
        duration = max((finished_at - started_at).total_seconds(), 0.0)
        _add_to_bucket(sums, DURATION, status, duration, DURATION_BOUNDS)
        if trigger == Trigger.SCHEDULE and scheduled_for is not None:  # retries have a trigger of their own
            late = max((started_at - scheduled_for).total_seconds(), 0.0)
            _add_to_bucket(sums, LATENESS, "", late, LATENESS_BOUNDS)
    total = sums.executions[task_pk, status]
    for place, value in enumerate((slots, duration is not None, duration or 0.0)):
        total[place] += value


def _add_to_bucket(sums: _Sums, histogram: str, label: str, value: float, bounds: Sequence[float]) -> None:
    bucket = sums.buckets[histogram, label, str(bound_of(value, bounds))]
    bucket[0] += 1
    bucket[1] += value


def _add_to_rows(
    model: type[models.Model],
    keys: Sequence[str],
    columns: Sequence[str],
    sums: Mapping[tuple[Any, ...], Iterable[float]],
) -> None:
    """Add values to the rows of `model`, in the order of their keys: concurrent transactions cannot deadlock."""
    if not sums:
        return
    table = model._meta.db_table
    names = (*keys, *columns)
    row = f"({', '.join(['%s'] * len(names))})"
    sets = ", ".join(f"{name} = {table}.{name} + excluded.{name}" for name in columns)
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {table} ({', '.join(names)}) VALUES {', '.join([row] * len(sums))}"  # noqa: S608 - names of ours
            f" ON CONFLICT ({', '.join(keys)}) DO UPDATE SET {sets}",
            [value for key in sorted(sums) for value in (*key, *sums[key])],
        )
