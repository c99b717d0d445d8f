"""Runs: start them manually or through the API, resume them, and cancel them."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

from django.db import transaction

from scheduler.choices import Concurrency, Status, Trigger
from scheduler.engine.dependencies import Verdict
from scheduler.engine.reasons import Code, Reason
from scheduler.engine.resuming import refusal_to_resume
from scheduler.exceptions import ConflictError
from scheduler.models import EndedExecution, Execution, Run, Task
from scheduler.models.reasons import cancel_columns
from scheduler.queues import wake_after_commit
from scheduler.selectors.graphs import load_graph
from scheduler.services.admission import admit_request, admitted_row, new_run, queued_row
from scheduler.services.downstream import lock_downstream
from scheduler.services.graphs import graphs_of
from scheduler.services.outcomes import REPLACED, announce, cancel_all

if TYPE_CHECKING:
    from datetime import datetime

    from django.contrib.auth.models import AbstractBaseUser

    from scheduler.engine.admission import Admission


class OverlapError(ConflictError):
    """The overlap policy of the task prevented a requested run.

    Attributes:
        execution: the skipped row with the reason.
    """

    def __init__(self, execution: Execution) -> None:
        super().__init__(execution.why)
        self.execution = execution


def request_run(
    task: Task,
    *,
    trigger: Trigger,
    user: AbstractBaseUser | None,
    downstream: bool = True,
    now: datetime,
) -> Execution:
    """Queue an execution of `task` in a new run and wake its queue; upstreams are not checked.

    Args:
        downstream: whether downstream tasks run afterwards.

    Raises:
        OverlapError: the policy is ``skip`` and an execution is active; a skipped row is recorded.
        ConflictError: the task was deleted concurrently.
    """
    with transaction.atomic():
        locked = _lock(task)
        admission, run = admit_request(locked, now=now), None
        if admission.replaced:
            cancel_all(admission.replaced, reason=REPLACED, now=now)
        if admission.verdict is Verdict.START:
            graph_pk = graphs_of([locked.pk]).get(locked.pk) if downstream else None
            run = new_run(locked, trigger=trigger, user=user, now=now, graph_pk=graph_pk)
            run.save()
        execution = admitted_row(admission, locked, trigger=trigger, run=run)
        execution.save()
        if run is None:
            EndedExecution.objects.all().note([(execution.pk, 1)])
            announce({execution.pk: locked.pk})
        else:
            wake_after_commit([execution.queue])
    if execution.status == Status.SKIPPED:
        raise OverlapError(execution)
    return execution


@dataclass(frozen=True)
class ResumePlan:
    """The effects of a resume on the latest attempts of the tasks in the run, in queueing order.

    Attributes:
        again: the attempt that runs again.
        decided: skipped attempts that are decided again once their upstreams have ended.
        kept: attempts that keep their result.
    """

    run: Run
    again: Execution
    decided: list[Execution]
    kept: list[Execution]


def plan_resume(execution: Execution, *, now: datetime) -> ResumePlan:
    """Return what `resume` would do now, without writing.

    Raises:
        ConflictError: as in `resume`.
    """
    run = _run_of(execution)
    rows = Execution.objects.filter(run=run).select_related("task").order_by("attempt")
    by_task = {row.task_id: row for row in rows}
    latest = sorted(by_task.values(), key=lambda row: (row.queued_at, row.pk))
    task = by_task[execution.task_id].task
    _check_resumable(execution, by_task[execution.task_id], task)
    _admit(task, now)
    open_again = set(_skipped_below(run, task.pk))
    decided = [row for row in latest if row.pk in open_again]
    kept = [row for row in latest if row.pk not in open_again and row.task_id != task.pk]
    return ResumePlan(run, by_task[execution.task_id], decided, kept)


def resume(execution: Execution, *, trigger: Trigger, now: datetime) -> Execution:
    """Run the task of `execution` again in the same run, and continue the run from there.

    Downstream tasks that were skipped because it did not succeed are decided again; nothing else runs twice. The
    current definitions are used.

    Raises:
        ConflictError: it is not failed, cancelled or skipped; it has no run; a later attempt exists; the task was
            deleted; another execution is active.
    """
    run = _run_of(execution)
    with transaction.atomic():
        task = _lock(execution.task, run=run)
        run = Run.objects.select_for_update(of=("self",), no_key=True).get(pk=run.pk)
        latest = Execution.objects.filter(run=run, task=task).order_by("-attempt")[0]
        _check_resumable(execution, latest, task)
        admission = _admit(task, now)
        if admission.replaced:
            cancel_all(admission.replaced, reason=REPLACED, now=now)
        Execution.objects.filter(pk__in=[latest.pk, *_skipped_below(run, task.pk)]).update(is_outcome=False)
        Run.objects.filter(pk=run.pk).update(finished_at=None, cancelled_at=None, **cancel_columns(None))
        again = queued_row(task, run=run, now=now, trigger=trigger, attempt=latest.attempt + 1)
        again.scheduled_for = latest.scheduled_for
        again.save()
        again.upstream_executions.set(latest.upstream_executions.all())
        wake_after_commit([again.queue])
    return again


def is_resumable(execution: Execution, task: Task) -> bool:
    """Return whether a run can be resumed from an execution, without a query.

    An attempt that is not an outcome was followed by another, or the run was resumed upstream of it.
    """
    return execution.is_outcome and _refusal(execution, execution, task) is None


def _refusal(execution: Execution, latest: Execution, task: Task) -> Reason | None:
    return refusal_to_resume(
        execution.pk,
        latest=latest.pk,
        latest_status=latest.status,
        has_run=execution.run_id is not None,
        task=task.task_id,
        is_task_deleted=task.deleted_at is not None,
    )


def _run_of(execution: Execution) -> Run:
    if execution.run is None:
        raise ConflictError(Reason(Code.EXECUTION_WITHOUT_RUN, {"execution": execution.pk}))
    return execution.run


def _admit(task: Task, now: datetime) -> Admission:
    """Return the admission of another attempt; refuse if another execution is active."""
    admission = admit_request(task, now=now)
    if admission.reason is not None:
        raise ConflictError(admission.reason)
    return admission


def _check_resumable(execution: Execution, latest: Execution, task: Task) -> None:
    refused = _refusal(execution, latest, task)
    if refused is not None:
        raise ConflictError(refused)


def _skipped_below(run: Run, task_pk: int) -> list[int]:
    """Return the skipped outcomes reachable downstream of a task through skipped tasks only."""
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
    """Lock `task` and all rows that starting it may affect until the transaction ends; return its row.

    Args:
        run: the run to resume.
    """
    replaced = Execution.objects.filter(
        task=task, task__concurrency=Concurrency.REPLACE, status=Status.QUEUED, run__isnull=False
    ).values_list("run_id", "task_id")
    lock_downstream(chain(replaced, [(run.pk, task.pk)] if run else []), tasks=[task.pk])
    locked: Task | None = Task.objects.filter(pk=task.pk).first()
    if locked is None:
        raise ConflictError(Reason(Code.TASK_GONE, {"task": task.task_id}))
    return locked


def cancel_execution(execution: Execution, *, by: str, now: datetime) -> bool:
    """Cancel a queued execution at once; request the worker of a running one to stop it.

    Args:
        by: name of the requester, for the stored reason.

    Returns:
        False if it had already ended.
    """
    with transaction.atomic():
        return bool(cancel_all([execution.pk], reason=Reason(Code.CANCELLED, {"user": by}), now=now))


def cancel_run(run: Run, *, by: str, now: datetime) -> bool:
    """Cancel all queued and running executions of `run`; downstream tasks are skipped.

    Returns:
        False if the run had already ended.
    """
    reason = Reason(Code.RUN_CANCELLED, {"user": by})
    active = Execution.objects.active().filter(run=run).order_by("pk")
    with transaction.atomic():
        lock_downstream((run.pk, task) for task in active.values_list("task_id", flat=True))
        # Serialise with workers that record an end: executions they have queued until now are seen below.
        list(active.select_for_update(of=("self",), no_key=True).values_list("pk"))
        if not Run.objects.open().filter(pk=run.pk).update(cancelled_at=now, **cancel_columns(reason)):
            return False
        cancel_all(list(active.values_list("pk", flat=True)), reason=reason, now=now)
    return True
