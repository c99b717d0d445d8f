"""Starting runs by hand or from outside, going on with them, and stopping them."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

from django.db import transaction
from django.utils.translation import gettext as _

from scheduler.choices import ACTIVE, Concurrency, Status, Trigger
from scheduler.engine.concurrency import OverlapDecision, decide_overlap
from scheduler.exceptions import ConflictError
from scheduler.models import Execution, Run, Task
from scheduler.queues import wake_after_commit
from scheduler.services.downstream import lock_downstream
from scheduler.services.graphs import graphs_of, load_graph
from scheduler.services.outcomes import REPLACED, announce, cancel_all
from scheduler.services.rows import new_run, overlap_reason, queued_row, skipped_row

if TYPE_CHECKING:
    from datetime import datetime

    from django.contrib.auth.models import AbstractBaseUser


class OverlapError(ConflictError):
    """The overlap policy of the task kept a requested run from starting.

    Attributes:
        execution: the skipped row that says so.
    """

    def __init__(self, execution: Execution) -> None:
        super().__init__(execution.reason)
        self.execution = execution


def request_run(
    task: Task,
    *,
    trigger: Trigger,
    user: AbstractBaseUser | None,
    downstream: bool = True,
    now: datetime,
) -> Execution:
    """Queue an execution of `task` in a run of its own and wake its queue; its upstreams are not asked.

    Args:
        downstream: whether what follows downstream starts as well.

    Raises:
        OverlapError: the policy is ``skip`` and an execution is active; a skipped row says so.
        ConflictError: the task was deleted meanwhile.
    """
    with transaction.atomic():
        locked = _lock(task)
        in_the_way = _active(locked)
        decision = _overlap(locked, in_the_way)
        if decision is OverlapDecision.SKIP:
            execution = skipped_row(locked, trigger=trigger, reason=overlap_reason(in_the_way), now=now)
            execution.save()
            announce([execution.pk])
        else:
            if decision is OverlapDecision.REPLACE:
                cancel_all([pk for pk, _status in in_the_way], reason=REPLACED, now=now)
            graph_pk = graphs_of([locked.pk]).get(locked.pk) if downstream else None
            run = new_run(locked, trigger=trigger, user=user, now=now, graph_pk=graph_pk)
            run.save()
            execution = queued_row(locked, run=run, now=now)
            execution.save()
            wake_after_commit([execution.queue])
    if execution.status == Status.SKIPPED:
        raise OverlapError(execution)
    return execution


@dataclass(frozen=True)
class ResumePlan:
    """What resuming would do, as latest attempts of the tasks in the run, in the order in which they were queued.

    Attributes:
        again: runs again.
        decided: was skipped, and is decided upon again when `again` has ended, or what is between has.
        kept: keeps its result.
    """

    run: Run
    again: Execution
    decided: list[Execution]
    kept: list[Execution]


def plan_resume(execution: Execution) -> ResumePlan:
    """Return what `resume` would do now; nothing is written.

    Raises:
        ConflictError: as `resume`.
    """
    run = _run_of(execution)
    rows = Execution.objects.filter(run=run).select_related("task").order_by("attempt")
    by_task = {row.task_id: row for row in rows}
    latest = sorted(by_task.values(), key=lambda row: (row.queued_at, row.pk))
    task = by_task[execution.task_id].task
    if task.deleted_at is not None:
        raise ConflictError(_("Task %(task)s was deleted.") % {"task": task.task_id})
    _check_resumable(execution, by_task[execution.task_id])
    _check_overlap(task)
    open_again = set(_skipped_below(run, task.pk))
    decided = [row for row in latest if row.pk in open_again]
    kept = [row for row in latest if row.pk not in open_again and row.task_id != task.pk]
    return ResumePlan(run, by_task[execution.task_id], decided, kept)


def resume(execution: Execution, *, trigger: Trigger, now: datetime) -> Execution:
    """Run the task of `execution` again in the same run, and let the run go on from there.

    What was skipped below it, because it did not succeed, is decided upon again; nothing else runs twice. The
    definitions are those of now.

    Raises:
        ConflictError: it did not fail, was not cancelled and not skipped; it belongs to no run; a later attempt
            exists; the task was deleted; an active execution is in the way.
    """
    run = _run_of(execution)
    with transaction.atomic():
        task = _lock(execution.task, run=run)
        run = Run.objects.select_for_update(of=("self",), no_key=True).get(pk=run.pk)
        latest = Execution.objects.filter(run=run, task=task).order_by("-attempt")[0]
        _check_resumable(execution, latest)
        replaced = _check_overlap(task)
        if replaced:
            cancel_all(replaced, reason=REPLACED, now=now)
        Execution.objects.filter(pk__in=[latest.pk, *_skipped_below(run, task.pk)]).update(is_outcome=False)
        Run.objects.filter(pk=run.pk).update(finished_at=None, cancelled_at=None, cancel_reason="")
        again = queued_row(task, run=run, now=now, trigger=trigger, attempt=latest.attempt + 1)
        again.scheduled_for = latest.scheduled_for
        again.save()
        again.upstream_executions.set(latest.upstream_executions.all())
        wake_after_commit([again.queue])
    return again


def _run_of(execution: Execution) -> Run:
    if execution.run is None:
        message = _("Execution %(pk)s belongs to no run that could go on; run the task again instead.")
        raise ConflictError(message % {"pk": execution.pk})
    return execution.run


def _check_overlap(task: Task) -> list[int]:
    """Refuse when an active execution is in the way; return the executions that the new one replaces."""
    in_the_way = _active(task)
    decision = _overlap(task, in_the_way)
    if decision is OverlapDecision.SKIP:
        raise ConflictError(overlap_reason(in_the_way))
    return [pk for pk, _status in in_the_way] if decision is OverlapDecision.REPLACE else []


def _check_resumable(execution: Execution, latest: Execution) -> None:
    values = {"pk": execution.pk, "latest": latest.pk, "status": Status(latest.status).label}
    if latest.status in ACTIVE:
        raise ConflictError(
            _("Execution %(latest)s of the same run is “%(status)s”; wait for its end.") % values
        )
    if latest.pk != execution.pk:
        message = _(
            "Execution %(pk)s was followed by execution %(latest)s in the same run; resume from that one."
        )
        raise ConflictError(message % values)
    if latest.status == Status.SUCCESS:
        message = _(
            "Execution %(pk)s ended as success; only what failed, was cancelled or skipped can be resumed."
        )
        raise ConflictError(message % values)


def _skipped_below(run: Run, task_pk: int) -> list[int]:
    """Return the skipped outcomes that are connected with a task through skipped ones only."""
    if run.graph_id is None:
        return []
    graph = load_graph(run.graph_id)
    rows = Execution.objects.filter(run=run, status=Status.SKIPPED, is_outcome=True)
    skipped: dict[int, int] = dict(rows.values_list("task_id", "pk"))
    found: list[int] = []
    waiting = [task_pk]
    while waiting:
        for task in graph.downstreams.get(waiting.pop(), ()):
            if task in skipped:
                found.append(skipped.pop(task))
                waiting.append(task)
    return found


def _lock(task: Task, *, run: Run | None = None) -> Task:
    """Return the row of `task`, locked until the end of the transaction, with all that starting it may concern.

    Args:
        run: the run that goes on with it.
    """
    replaced = Execution.objects.filter(
        task=task, task__concurrency=Concurrency.REPLACE, status=Status.QUEUED, run__isnull=False
    ).values_list("run_id", "task_id")
    lock_downstream(chain(replaced, [(run.pk, task.pk)] if run else []), tasks=[task.pk])
    locked: Task | None = Task.objects.filter(pk=task.pk).first()
    if locked is None:
        raise ConflictError(_("Task %(task)s was deleted.") % {"task": task.task_id})
    return locked


def _active(task: Task) -> list[tuple[int, str]]:
    return list(Execution.objects.active().filter(task=task).oldest_first().values_list("pk", "status"))


def _overlap(task: Task, in_the_way: list[tuple[int, str]]) -> OverlapDecision:
    policy = Concurrency(task.concurrency)
    return decide_overlap(policy, active_count=len(in_the_way), max_parallel=task.max_parallel)


def cancel_execution(execution: Execution, *, by: str, now: datetime) -> bool:
    """Cancel a queued execution at once; ask the worker of a running one to stop it.

    Args:
        by: who asked, for the reason that is kept.

    Returns:
        False when it had already ended.
    """
    with transaction.atomic():
        return bool(cancel_all([execution.pk], reason=f"cancelled by {by}", now=now))


def cancel_run(run: Run, *, by: str, now: datetime) -> bool:
    """Cancel all that is queued or running in `run`; what would follow is skipped.

    Returns:
        False when the run had already ended.
    """
    reason = f"run cancelled by {by}"
    active = Execution.objects.active().filter(run=run).order_by("pk")
    with transaction.atomic():
        lock_downstream((run.pk, task) for task in active.values_list("task_id", flat=True))
        # A worker that records the end of one comes first or last; what it queues meanwhile is seen below.
        list(active.select_for_update(of=("self",), no_key=True).values_list("pk"))
        if not Run.objects.open().filter(pk=run.pk).update(cancelled_at=now, cancel_reason=reason):
            return False
        cancel_all(list(active.values_list("pk", flat=True)), reason=reason, now=now)
    return True
