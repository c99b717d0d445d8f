"""Rescheduling: the next slot of tasks after a change of schedule, zone or `enabled`, and the slots left behind."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

from django.db.models import F, Q, QuerySet

from schedsite import zone_data
from scheduler.choices import Concurrency, Status, Trigger
from scheduler.config_file import TaskSpec
from scheduler.engine.reasons import Code, Reason
from scheduler.engine.schedules import next_slot, parse_schedule
from scheduler.engine.zones import forget_zones
from scheduler.models import Execution, Task
from scheduler.services.dispatch import BATCH, record_before_change
from scheduler.services.downstream import lock_downstream
from scheduler.services.outcomes import skip_queued
from scheduler.services.slot_records import latest_slots

DISABLED = Reason(Code.TASK_WAS_DISABLED)


def has_new_slots(task: Task, spec: TaskSpec) -> bool:
    """Return whether `spec` changes the slots of `task`, or its schedule was broken."""
    return (
        task.schedule != spec["task_schedule"]
        or task.timezone != spec["task_timezone"]
        or task.enabled != spec["task_enabled"]
        or bool(task.schedule_error)
    )


def lock_for_change(task_pks: Collection[int]) -> None:
    """Lock tasks about to be written, with all rows that leaving their schedules may affect."""
    replaced = Q(task__concurrency=Concurrency.REPLACE)
    queued = Execution.objects.filter(_OF_SCHEDULE | replaced, task__in=task_pks, status=Status.QUEUED)
    run_tasks = queued.filter(run__isnull=False).values_list("run_id", "task_id")
    lock_downstream([(run, task) for run, task in run_tasks if run is not None], tasks=task_pks)


def leave_schedules(changes: Sequence[tuple[Task, TaskSpec]], now: datetime) -> dict[int, datetime]:
    """Close the old schedules of tasks whose slots change: record each due slot.

    Executions queued by the schedule of a task being disabled are skipped. Those queued by users, the API or an
    upstream, and retries of started executions, continue.

    Args:
        changes: stored, locked tasks, each with its new definition.

    Returns:
        the instant up to which slots are recorded, by task.
    """
    leaving = [(task, spec) for task, spec in changes if has_new_slots(task, spec)]
    if not leaving:
        return {}
    stopped = [task for task, spec in leaving if not spec["task_enabled"]]
    record_before_change([task for task, spec in leaving if spec["task_enabled"]], now, change="changed")
    record_before_change(stopped, now, change="disabled")
    skip_queued(_queued_by_schedule([task.pk for task in stopped]), reason=DISABLED, now=now)
    return recorded_until([task for task, _spec in leaving])


def recorded_until(tasks: Collection[Task]) -> dict[int, datetime]:
    """Return the instant up to which slots are recorded, by task; it may lie in the future.

    That happens after an edit on a host whose clock is behind that of the dispatcher: no slot may run twice.
    """
    pks = [task.pk for task in tasks]
    found: dict[int, datetime] = {}
    for start in range(0, len(pks), BATCH):
        for pk, row in latest_slots(pks[start : start + BATCH]).items():
            until = row.covers_until or row.scheduled_for
            if until is not None:
                found[pk] = until
    return found


_OF_SCHEDULE = Q(trigger=Trigger.SCHEDULE, attempt=1)


def _queued_by_schedule(task_pks: Collection[int]) -> QuerySet[Execution]:
    return Execution.objects.filter(_OF_SCHEDULE, task__in=task_pks, status=Status.QUEUED)


def first_slot(task: Task, now: datetime) -> datetime | None:
    """Return the first slot of `task` after `now`, or None if it is disabled or has no schedule."""
    if not task.enabled or not task.schedule:
        return None
    return next_slot(parse_schedule(task.schedule, task.zone), now)


def accept_changed_days(task: Task) -> None:
    """Stop naming the days of `task` that an upgrade changed."""
    Task.objects.filter(pk=task.pk).update(days_changed_at=None)


def look_for_zone_tables() -> bool:
    """Use newer tables of time zones if there are any now; return whether plans may have changed."""
    if not zone_data.refresh():
        return False
    forget_zones()
    return True


def follow_zones(now: datetime) -> int:
    """Recompute the next slots of tasks after a possible zone change; return how many moved.

    SCHEDULER_TIME_ZONE or the zone database may have changed since their slots were computed.
    """
    moved = 0
    for task in Task.objects.filter(enabled=True, schedule_error="", next_run_at__gt=now).exclude(
        schedule=""
    ):
        try:
            slot = first_slot(task, now)
        except ValueError:  # reported when it is due
            continue
        if slot is None or slot == task.next_run_at:
            continue
        recorded = Execution.objects.slots().filter(Q(scheduled_for__gte=slot) | Q(covers_until__gte=slot))
        if not recorded.filter(task=task).exists():  # already recorded if the clock was set back
            unchanged = Task.objects.filter(
                pk=task.pk, next_run_at=task.next_run_at, revision=task.revision_id
            )
            moved += unchanged.update(next_run_at=slot)
    return moved


def reschedule_broken(now: datetime) -> None:
    """Retry tasks that were set aside, and plan tasks with a schedule but no next slot.

    A write may have failed for a temporary reason: the slots are kept and get recorded. Rows without a slot come from
    a restored backup or another tool, or had an unreadable schedule; they continue once it can be read.
    """
    enabled = Task.objects.filter(enabled=True)
    is_set_aside = ~Q(schedule_error="") & Q(next_run_at__isnull=False)
    if not enabled.filter(is_set_aside | (Q(next_run_at=None) & ~Q(schedule=""))).exists():
        return
    enabled.filter(is_set_aside).update(schedule_error="")
    for task in enabled.filter(next_run_at=None).exclude(schedule="")[:1000]:
        try:
            slot, error = first_slot(task, now), ""
        except ValueError as bad:
            slot, error = None, str(bad)
        if (slot, error) != (None, task.schedule_error):
            unchanged = Task.objects.filter(pk=task.pk, next_run_at=None, revision=F("revision"))
            unchanged.update(next_run_at=slot, schedule_error=error)
