"""Reactions to clock steps: replan the tasks, correct timestamps, and suspend retention."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import F, Max, Q
from django.db.models.functions import Least

from scheduler.choices import ACTIVE
from scheduler.engine.clocks import FUTURE, Instants, brought_back, hold_until
from scheduler.engine.misfire import due_slots
from scheduler.engine.reasons import Code, Reason
from scheduler.engine.schedules import MOMENT, count_slots, parse_schedule
from scheduler.engine.times import iso
from scheduler.models import ClockStep, Execution, Process, Run, Task
from scheduler.models.reasons import REASON_COLUMNS
from scheduler.selectors.health import seconds_ahead
from scheduler.services.rescheduling import first_slot
from scheduler.signals import clock_put_back

logger = logging.getLogger(__name__)

CHUNK = 500


def look_at_start(now: datetime) -> None:
    """Compare `now` with the stored timestamps when a dispatcher starts: replan, or suspend retention."""
    ahead = seconds_ahead(now, beat=Process.objects.aggregate(at=Max("heartbeat_at"))["at"])
    if ahead:
        put_back(now, seconds=ahead)
    else:
        put_forward(now, seconds=_gap(now).total_seconds())


def _gap(now: datetime) -> timedelta:
    """Return the time since the last heartbeat of any dispatcher, 0 if none ever ran."""
    beats = Process.objects.filter(kind=Process.Kind.DISPATCHER)
    newest = beats.aggregate(at=Max("heartbeat_at"))["at"]
    return timedelta() if newest is None else now - newest


def put_forward(now: datetime, *, seconds: float) -> None:
    """Record that the clock jumped forward by `seconds`; suspend retention if that is more than a day."""
    until = hold_until(now, timedelta(seconds=seconds))
    if until is None:
        return
    logger.warning(
        "the clock is %.0f s beyond the last sign of life; retention deletes nothing before %s",
        seconds,
        until,
    )
    ClockStep.objects.create(at=now, seconds=seconds, hold_until=until)


def held_until(now: datetime) -> datetime | None:
    """Return until when retention is suspended, or None; considers a gap that no dispatcher has recorded yet."""
    holding = ClockStep.objects.filter(at__lte=now, hold_until__gt=now)
    noted: datetime | None = holding.aggregate(at=Max("hold_until"))["at"]
    return noted or hold_until(now, _gap(now))


def put_back(now: datetime, *, seconds: float) -> None:
    """Replan after the clock was set back by `seconds`, and record the step.

    Afterwards no timestamp except those of waiting retries lies after `now`. Slots after `now` lose their records:
    executions that ran for them stay in the history with a reason. Sends `clock_put_back`.
    """
    with transaction.atomic():
        tasks = _plan_tasks(now)
        _bring_runs_and_processes_back(now)
        executions = _bring_executions_back(now)
        ClockStep.objects.filter(at__gt=now).update(at=now, hold_until=None)
        clock_put_back.send(ClockStep, now=now)
        if tasks or executions or not _was_noted(now):
            ClockStep.objects.create(at=now, seconds=-seconds, tasks=tasks, executions=executions)
    logger.warning(
        "the clock was put back by %.0f s: %d tasks have other next slots now, %d executions other times",
        seconds,
        tasks,
        executions,
    )


def _was_noted(now: datetime) -> bool:
    """Return whether another dispatcher has just replanned."""
    return ClockStep.objects.filter(seconds__lt=0, at__gt=now - FUTURE, at__lte=now).exists()


def _bring_executions_back(now: datetime) -> int:
    beyond = Q(queued_at__gt=now) | Q(started_at__gt=now) | Q(finished_at__gt=now)
    slots = Q(scheduled_for__gt=now) | Q(covers_until__gt=now)
    pks = list(Execution.objects.filter(beyond | slots).order_by("pk").values_list("pk", flat=True))
    for start in range(0, len(pks), CHUNK):
        chunk = Execution.objects.filter(pk__in=pks[start : start + CHUNK]).order_by("pk")
        rows = chunk.select_related("task", "revision")
        _write(list(rows.select_for_update(of=("self",), no_key=True)), now)
    return len(pks)


def _write(rows: Sequence[Execution], now: datetime) -> None:
    for row in rows:
        was = Instants(row.queued_at, row.not_before, row.started_at, row.finished_at)
        for name, at in asdict(brought_back(was, now)).items():
            setattr(row, name, at)
        if row.scheduled_for is not None and row.scheduled_for > now:
            _release_slot(row)
        elif row.covers_until is not None and row.covers_until > now:
            _shorten(row, now)
    fields = ["queued_at", "not_before", "started_at", "finished_at", "scheduled_for", "covers_until"]
    Execution.objects.bulk_update(rows, [*fields, "slot_count", *REASON_COLUMNS])


def _release_slot(row: Execution) -> None:
    """Detach a record from its future slot, and say so in its reason."""
    assert row.scheduled_for is not None  # noqa: S101 - it is still to come
    slot = {"slot": iso(row.scheduled_for)}
    row.scheduled_for, row.covers_until, row.slot_count = None, None, 1
    if row.status not in ACTIVE:  # the reason written at its end would overwrite this one
        before = row.why
        if before is None:
            row.set_reason(Reason(Code.SLOT_NOT_COME, slot))
        else:
            row.set_reason(Reason(Code.SLOT_NOT_COME_AFTER, {"what": before, **slot}))


def _shorten(row: Execution, now: datetime) -> None:
    """Truncate a series of slots before the first future one."""
    assert row.scheduled_for is not None  # noqa: S101 - of a series
    spec: Any = row.revision.spec if row.revision else {}
    zone = spec.get("task_timezone") or settings.SCHEDULER_TIME_ZONE
    schedule = parse_schedule(spec.get("task_schedule") or row.task.schedule, zone)
    row.slot_count = max(count_slots(schedule, row.scheduled_for - MOMENT, now), 1)
    newest = due_slots(schedule, row.scheduled_for, now, cap=1).newest
    row.covers_until = newest[-1] if newest else row.scheduled_for


def _bring_runs_and_processes_back(now: datetime) -> None:
    for name in ("created_at", "finished_at", "cancelled_at"):
        Run.objects.filter(**{f"{name}__gt": now}).update(**{name: now})
    # Live processes send their next heartbeat soon; dead ones must not look alive.
    silent = now - timedelta(seconds=settings.SCHEDULER_LEASE + 1)
    beyond = Process.objects.filter(heartbeat_at__gt=now)
    beyond.update(heartbeat_at=silent, started_at=Least(F("started_at"), silent))
    Process.objects.filter(stopped_at__gt=now).update(stopped_at=now)


def _plan_tasks(now: datetime) -> int:
    """Set the next slot of each task to its first after `now`; return how many had a later one."""
    moved = []
    for task in _planned_beyond(now):
        try:
            slot = first_slot(task, now)
        except ValueError:  # the dispatcher will mark it
            continue
        if slot != task.next_run_at:
            task.next_run_at = slot
            moved.append(task)
    Task.objects.bulk_update(moved, ["next_run_at"], batch_size=200)
    return len(moved)


def _planned_beyond(now: datetime) -> Sequence[Task]:
    planned = Task.objects.filter(enabled=True, next_run_at__gt=now).exclude(schedule="").order_by("pk")
    return list(planned.select_for_update(of=("self",), no_key=True))
