"""Records of slots that did not run: an unbroken series with the same cause is stored as one row.

`slot_count` and `covers_until` of the row state which slots it covers; counts of slots must sum `slot_count`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime

from django.db.models import OuterRef, Subquery

from scheduler.choices import Status, Trigger
from scheduler.engine.concurrency import has_same_cause
from scheduler.engine.misfire import MissedSpan
from scheduler.engine.reasons import Reason
from scheduler.engine.schedules import next_slot, parse_schedule
from scheduler.models import EndedExecution, Execution, Task
from scheduler.models.reasons import REASON_COLUMNS, reason_columns
from scheduler.queues import DEFAULT_QUEUE
from scheduler.services.outcomes import announce


def latest_slots(task_pks: Collection[int]) -> dict[int, Execution]:
    """Return the record of the latest slot of each task, by task; tasks without one are omitted."""
    latest = Execution.objects.slots().filter(task=OuterRef("pk")).order_by("-scheduled_for").values("pk")[:1]
    pks = Task.all_objects.filter(pk__in=task_pks).annotate(latest=Subquery(latest)).values("latest")
    return {row.task_id: row for row in Execution.objects.filter(pk__in=pks)} if task_pks else {}


def record_missed(
    missed: Sequence[tuple[Task, MissedSpan, Reason]], latest: dict[int, Execution], now: datetime
) -> None:
    """Write one row for each unbroken series of missed slots, or extend the row that began the series.

    Args:
        latest: the record of the latest slot of each task; updated with the rows written.
    """
    new: list[Execution] = []
    longer: list[Execution] = []
    ended: list[tuple[int, int]] = []
    for task, span, reason in missed:
        last = latest.get(task.pk)
        if last is not None and last.status == Status.MISSED and _is_next_slot(task, last, span.first):
            _extend(last, span, reason, now)
            longer.append(last)
            ended.append((last.pk, span.count))
            continue
        latest[task.pk] = _missed_row(task, span, reason, now)
        new.append(latest[task.pk])
    _save_longer(longer)
    Execution.objects.bulk_create(new)
    EndedExecution.objects.all().note([*ended, *((e.pk, e.slot_count) for e in new)])
    announce({e.pk: e.task_id for e in new})


def join_skipped(
    executions: Sequence[Execution], latest: Mapping[int, Execution], now: datetime
) -> list[Execution]:
    """Merge skipped slots into the row before them; return the unsaved executions to store, oldest slot first.

    A slot skipped for the same cause as the previous one extends the row of that one: a stored row is updated at once,
    an unsaved one covers both.
    """
    kept: list[Execution] = []
    longer: dict[int, Execution] = {}
    ended: list[tuple[int, int]] = []
    last = dict(latest)
    for row in executions:
        before = last.get(row.task_id)
        slot = row.scheduled_for
        if slot is None or before is None or not _is_continued(before, row):
            kept.append(row)
            last[row.task_id] = row
            continue
        _extend(before, MissedSpan(slot, slot, 1), row.why, now)
        if before.pk is not None:
            longer[before.pk] = before
            ended.append((before.pk, 1))
    _save_longer(longer.values())
    EndedExecution.objects.all().note(ended)
    return kept


def _is_continued(before: Execution, row: Execution) -> bool:
    return (
        row.status == before.status == Status.SKIPPED
        and row.scheduled_for is not None
        and has_same_cause(row.why, before.why)
        and _is_next_slot(row.task, before, row.scheduled_for)
    )


def _is_next_slot(task: Task, row: Execution, slot: datetime) -> bool:
    """Return whether `slot` directly follows the last slot of a row; a row covers slots of one definition."""
    if row.revision_id != task.revision_id:
        return False
    until = row.covers_until or row.scheduled_for
    return until is not None and next_slot(parse_schedule(task.schedule, task.zone), until) == slot


def _extend(row: Execution, span: MissedSpan, reason: Reason | None, now: datetime) -> None:
    row.slot_count += span.count
    row.covers_until = span.last
    row.set_reason(reason)
    row.finished_at = now


def _save_longer(rows: Iterable[Execution]) -> None:
    fields = ["slot_count", "covers_until", *REASON_COLUMNS, "finished_at"]
    Execution.objects.bulk_update(rows, fields, batch_size=200)


def _missed_row(task: Task, span: MissedSpan, reason: Reason | None, now: datetime) -> Execution:
    return Execution(
        task=task,
        revision_id=task.revision_id,
        status=Status.MISSED,
        is_outcome=True,
        trigger=Trigger.SCHEDULE,
        queue=task.queue or DEFAULT_QUEUE,
        scheduled_for=span.first,
        slot_count=span.count,
        covers_until=span.last,
        queued_at=now,
        finished_at=now,
        **reason_columns(reason),
    )
