"""Dispatch of due slots: one pass over the due tasks, in transactions of a few hundred tasks."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from django.db import IntegrityError, InterfaceError, OperationalError, transaction
from django.db.models import Min, Q

from scheduler import failpoints
from scheduler.choices import MisfirePolicy, Status, Trigger, TriggerRule
from scheduler.engine.admission import decide_admission
from scheduler.engine.concurrency import ActiveExecutions
from scheduler.engine.dependencies import UpstreamState, Verdict, slot_readiness
from scheduler.engine.misfire import MissedSpan, due_slots, grace_of, plan_slots
from scheduler.engine.reasons import Code, Reason
from scheduler.engine.schedules import MOMENT, next_slot, parse_schedule
from scheduler.models import EndedExecution, Execution, Run, Task, TaskDependency
from scheduler.queues import wake, wake_after_commit
from scheduler.selectors.upstreams import outside_states
from scheduler.services.admission import (
    admitted_row,
    link_upstreams,
    new_run,
    overlap_policy,
    skipped_row,
)
from scheduler.services.graphs import graphs_of
from scheduler.services.outcomes import REPLACED, announce, cancel_all
from scheduler.services.slot_records import join_skipped, latest_slots, record_missed

logger = logging.getLogger(__name__)

BATCH = 500
STOPPING = ("disabled", "deleted")  # changes after which a task has no slots
BEFORE = {
    "changed": Code.SLOTS_BEFORE_CHANGE,
    "disabled": Code.SLOTS_BEFORE_DISABLING,
    "deleted": Code.SLOTS_BEFORE_DELETION,
}


@dataclass
class DispatchResult:
    """The result of one pass."""

    queued: int = 0
    recorded: int = 0
    broken: int = 0
    woken: dict[str, int] = field(default_factory=lambda: defaultdict(int))


@dataclass
class _Draft:
    """The rows of one batch, written together."""

    executions: list[Execution] = field(default_factory=list)
    missed: list[tuple[Task, MissedSpan, Reason]] = field(default_factory=list)
    replaced: list[int] = field(default_factory=list)
    moved: list[Task] = field(default_factory=list)
    graphs: dict[int, int] = field(default_factory=dict)
    upstreams: dict[int, list[UpstreamState]] = field(default_factory=dict)
    links: list[tuple[Execution, Sequence[int]]] = field(default_factory=list)
    change: str = ""  # the pending change of the tasks; "" in a regular pass

    @property
    def not_run(self) -> set[int]:
        """Return the tasks with slots that do not run."""
        skipped = {row.task_id for row in self.executions if row.status == Status.SKIPPED}
        return skipped | {task.pk for task, _, _ in self.missed}


def dispatch_due(now: datetime) -> DispatchResult:
    """Record every slot up to `now`, advance `next_run_at`, and wake the affected queues.

    Rows and the new `next_run_at` are committed together, before any worker is woken. A task that cannot be
    planned is marked and set aside; it never stops the others.
    """
    result = DispatchResult()
    while _dispatch_batch(now, result):
        pass
    for queue, count in result.woken.items():
        failpoints.hit("run.before_enqueue")
        wake(queue, count=count)
        failpoints.hit("run.after_enqueue")
    return result


def _dispatch_batch(now: datetime, result: DispatchResult) -> bool:
    """Dispatch up to BATCH due tasks; return whether there may be more."""
    try:
        with transaction.atomic():
            tasks = list(
                Task.objects.due(now).select_for_update(skip_locked=True, of=("self",), no_key=True)[:BATCH]
            )
            _dispatch_tasks(tasks, now, result)
            failpoints.hit("slot.after_insert")
    except (OperationalError, InterfaceError):
        raise  # the database is busy, full or unreachable, not caused by a task; the next pass retries
    except Exception:
        logger.exception("a batch of due tasks could not be dispatched; trying them one by one")
        return _dispatch_singly(now, result)
    return len(tasks) == BATCH


def _dispatch_singly(now: datetime, result: DispatchResult) -> bool:
    pks = list(Task.objects.due(now).values_list("pk", flat=True)[:BATCH])
    done = 0
    for pk in pks:
        try:
            with transaction.atomic():
                tasks = list(
                    Task.objects.due(now)
                    .select_for_update(skip_locked=True, of=("self",), no_key=True)
                    .filter(pk=pk)
                )
                _dispatch_tasks(tasks, now, result)
            done += 1
        except (OperationalError, InterfaceError):
            raise  # a deadlock or a lost connection is not caused by the task; the next pass retries
        except Exception as error:
            if isinstance(error, IntegrityError) and _skip_recorded_slots(pk, now):
                done += 1
                continue
            logger.exception("task %s could not be dispatched; it is set aside", pk)
            _set_aside(pk, f"{type(error).__name__}: {error}")
            result.broken += 1
    return len(pks) == BATCH and done > 0


def _skip_recorded_slots(task_pk: int, now: datetime) -> bool:
    """Advance a task past the slots that are already recorded; return whether any were.

    Happens after an edit on a host whose clock is behind that of the dispatcher, or after a clock was set back.
    """
    task = Task.objects.filter(pk=task_pk, next_run_at__lte=now).first()
    if task is None or task.next_run_at is None:
        return False
    recorded = Execution.objects.slots().filter(
        task=task, scheduled_for__gte=task.next_run_at, scheduled_for__lte=now
    )
    last = recorded.order_by("-scheduled_for").first()
    if last is None or last.scheduled_for is None:
        return False
    until = min(last.covers_until or last.scheduled_for, now)
    following = next_slot(parse_schedule(task.schedule, task.zone), until)
    logger.warning("task %s: its slots up to %s have their records already", task.task_id, until)
    Task.objects.filter(pk=task_pk, next_run_at=task.next_run_at).update(next_run_at=following)
    return True


def _set_aside(task_pk: int, message: str) -> None:
    """Mark a task as broken; it keeps its slot, and `rescheduling.reschedule_broken` retries it."""
    Task.objects.filter(pk=task_pk).update(schedule_error=message)


def record_before_change(tasks: Sequence[Task], now: datetime, *, change: str) -> None:
    """Record the due slots of `tasks` before their definitions change, in the transaction of the caller.

    An on-time slot runs as usual. A late slot is recorded as missed, whatever the policy: editing a task should not
    trigger a catch-up. If `change` stops the task, all due slots are missed.

    Args:
        tasks: as stored, locked.
        change: "changed"; "disabled" and "deleted" stop a task.
    """
    due = [task for task in tasks if task.enabled and task.deleted_at is None and _is_due(task, now)]
    result = DispatchResult()
    for start in range(0, len(due), BATCH):
        part = due[start : start + BATCH]
        try:
            with transaction.atomic():
                _dispatch_tasks(part, now, result, change=change)
        except (OperationalError, InterfaceError):
            raise
        except Exception:  # a task that was set aside must stay editable, so that it can be repaired
            logger.exception("the slots that were due of %s could not be recorded", [t.task_id for t in part])
    wake_after_commit(result.woken)


def _is_due(task: Task, now: datetime) -> bool:
    return task.next_run_at is not None and task.next_run_at <= now


def _dispatch_tasks(
    tasks: Sequence[Task], now: datetime, result: DispatchResult, *, change: str = ""
) -> None:
    if not tasks:
        return
    pks = [task.pk for task in tasks]
    active = Execution.objects.in_the_way(pks)
    draft = _Draft(graphs=graphs_of(pks), upstreams=_upstreams(pks), change=change)
    for task in tasks:
        try:
            _plan(task, active[task.pk], now, draft)
        except Exception as error:  # one broken schedule never stops the others
            logger.exception("task %s: its slots cannot be computed; it is set aside", task.task_id)
            task.next_run_at = None
            task.schedule_error = f"{type(error).__name__}: {error}"
            result.broken += 1
        draft.moved.append(task)
    _write(draft, now, result)


def _plan(task: Task, active: ActiveExecutions, now: datetime, draft: _Draft) -> None:
    """Add the rows for the due slots of one task to `draft` and set its next slot."""
    schedule = parse_schedule(task.schedule, task.zone)
    assert task.next_run_at is not None  # noqa: S101 - due() filters
    grace = grace_of(task.misfire_grace)
    policy = MisfirePolicy.SKIP if draft.change else MisfirePolicy(task.misfire_policy)
    if draft.change in STOPPING or (draft.change and task.schedule_error):
        grace = -MOMENT  # even a slot at `now` is late
    due = due_slots(schedule, since=task.next_run_at, now=now, grace=grace)
    plan = plan_slots(due, now=now, grace=grace, policy=policy)
    if plan.missed is not None:
        reason = _missed_reason(task, plan.missed, now, draft.change)
        draft.missed.append((task, plan.missed, reason))
    for slot in plan.run:
        _plan_slot(task, slot, active, now, draft)
    task.next_run_at = next_slot(schedule, now)
    task.schedule_error = ""


def _plan_slot(task: Task, slot: datetime, active: ActiveExecutions, now: datetime, draft: _Draft) -> None:
    upstreams = draft.upstreams.get(task.pk, [])
    ready = slot_readiness(TriggerRule(task.trigger_rule), upstreams)
    admission = decide_admission(
        ready, overlap_policy(task, is_slot=True), active, upstreams=upstreams, now=now
    )
    is_admitted = admission.verdict is Verdict.START
    if admission.is_replacing:
        draft.replaced += admission.replaced
        _replace_drafts(task, now, draft)
    graph = draft.graphs.get(task.pk)
    run = new_run(task, trigger=Trigger.SCHEDULE, user=None, now=now, graph_pk=graph) if is_admitted else None
    execution = admitted_row(admission, task, trigger=Trigger.SCHEDULE, run=run, scheduled_for=slot)
    draft.executions.append(execution)
    if is_admitted:
        draft.links.append((execution, admission.followed))
        draft.upstreams[task.pk] = [replace(up, is_fresh=False, is_recent=False) for up in upstreams]
        active.unsaved += 1


def _replace_drafts(task: Task, now: datetime, draft: _Draft) -> None:
    """Replace the unsaved executions of earlier slots in the same pass."""
    for place, earlier in enumerate(draft.executions):
        if earlier.task_id == task.pk and earlier.status == Status.QUEUED:
            draft.links = [link for link in draft.links if link[0] is not earlier]
            draft.executions[place] = skipped_row(
                task,
                trigger=Trigger.SCHEDULE,
                reason=REPLACED,
                now=now,
                scheduled_for=earlier.scheduled_for,
            )


def _upstreams(task_pks: Sequence[int]) -> dict[int, list[UpstreamState]]:
    """Return the upstream states of each task with upstreams, ordered by name."""
    rows = TaskDependency.objects.filter(downstream__in=task_pks).order_by("upstream__task_id")
    edges = list(rows.values_list("downstream_id", "upstream_id", "upstream__task_id"))
    states = outside_states([(down, up) for down, up, _ in edges], {up: name for _, up, name in edges})
    found: dict[int, list[UpstreamState]] = defaultdict(list)
    for down, up, _ in edges:
        found[down].append(states[(down, up)])
    return found


def _missed_reason(task: Task, missed: MissedSpan, now: datetime, change: str) -> Reason:
    if change:
        return Reason(BEFORE[change], {"number": missed.count})
    late = int((now - missed.last).total_seconds())
    values = {
        "number": missed.count,
        "late": late,
        "grace": task.misfire_grace,
        "policy": task.misfire_policy,
    }
    return Reason(Code.SLOTS_LATE, values)


def _write(draft: _Draft, now: datetime, result: DispatchResult) -> None:
    failpoints.hit("slot.before_insert")
    latest = latest_slots(draft.not_run)
    record_missed(draft.missed, latest, now)
    executions = join_skipped(draft.executions, latest, now)
    cancel_all(draft.replaced, reason=REPLACED, now=now)
    runs = [e.run for e in executions if e.run is not None]
    Run.objects.bulk_create(runs)
    for execution in executions:
        if execution.run is not None:
            execution.run_id = execution.run.pk
    Execution.objects.bulk_create(executions)
    link_upstreams(draft.links)
    skipped = [e for e in executions if e.status == Status.SKIPPED]
    EndedExecution.objects.all().note((e.pk, e.slot_count) for e in skipped)
    announce({e.pk: e.task_id for e in skipped})
    Task.objects.bulk_update(draft.moved, ["next_run_at", "schedule_error"], batch_size=200)
    for execution in draft.executions:
        if execution.status == Status.QUEUED:
            result.queued += 1
            result.woken[execution.queue] += 1
    result.recorded += len(draft.executions) + len(draft.missed)


def next_due_at(now: datetime) -> datetime | None:
    """Return the next due time after `now`: of a slot, or of a waiting retry."""
    planned = Task.objects.filter(enabled=True, next_run_at__isnull=False, schedule_error="")
    slot = planned.aggregate(at=Min("next_run_at"))["at"]
    retry = Execution.objects.filter(status=Status.QUEUED, not_before__gt=now).aggregate(at=Min("not_before"))
    instants = [at for at in (slot, retry["at"]) if at is not None]
    return min(instants, default=None)


def wake_waiting(now: datetime, *, older_than: timedelta) -> set[str]:
    """Wake and return each queue with due executions that have been unclaimed for `older_than`."""
    waiting = Execution.objects.filter(status=Status.QUEUED)
    # Executions queued before a clock was set back, or by a clock that is ahead, have a `queued_at` in the future.
    is_fresh = Q(queued_at__gt=now - older_than, queued_at__lte=now)
    due = waiting.filter((Q(not_before=None) & ~is_fresh) | Q(not_before__lte=now))
    queues = set(due.values_list("queue", flat=True).distinct())
    for queue in queues:
        wake(queue)
    return queues
