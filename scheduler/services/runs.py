"""Starting runs by hand or from outside, and stopping executions."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from django.db import transaction
from django.utils.translation import gettext as _

from scheduler.choices import Concurrency, Status, Trigger
from scheduler.engine.concurrency import OverlapDecision, decide_overlap, parallel_limit
from scheduler.exceptions import ConflictError
from scheduler.models import Execution, Run, Task
from scheduler.querysets import Transition
from scheduler.queues import DEFAULT_QUEUE, wake_after_commit
from scheduler.services.outcomes import announce, close_runs

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser

REPLACED = "replaced by a newer execution"


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
    """Queue an execution of `task` in a run of its own and wake its queue.

    Args:
        downstream: whether what follows downstream starts as well.

    Raises:
        OverlapError: the policy is ``skip`` and an execution is active; a skipped row says so.
        ConflictError: the task was deleted meanwhile.
    """
    with transaction.atomic():
        locked = Task.objects.select_for_update(of=("self",)).filter(pk=task.pk).first()
        if locked is None:
            raise ConflictError(_("Task %(task)s was deleted.") % {"task": task.task_id})
        in_the_way = list(
            Execution.objects.active().filter(task=locked).order_by("pk").values_list("pk", "status")
        )
        decision = decide_overlap(
            Concurrency(locked.concurrency), active_count=len(in_the_way), max_parallel=locked.max_parallel
        )
        if decision is OverlapDecision.SKIP:
            execution = skipped_row(locked, trigger=trigger, reason=overlap_reason(in_the_way), now=now)
            execution.save()
            announce([execution.pk])
        else:
            if decision is OverlapDecision.REPLACE:
                cancel_all([pk for pk, _status in in_the_way], reason=REPLACED, now=now)
            execution = queued_row(locked, run=new_run(locked, trigger=trigger, user=user, now=now), now=now)
            assert execution.run is not None  # noqa: S101 - just made
            execution.run.save()
            execution.run_id = execution.run.pk
            execution.save()
            wake_after_commit([execution.queue])
    if execution.status == Status.SKIPPED:
        raise OverlapError(execution)
    return execution


def new_run(task: Task, *, trigger: Trigger, user: AbstractBaseUser | None, now: datetime) -> Run:
    """Return an unsaved run that begins with `task`."""
    return Run(trigger=trigger, first_task=task, created_by=user, created_at=now)  # type: ignore[misc]


def queued_row(task: Task, *, run: Run, now: datetime, scheduled_for: datetime | None = None) -> Execution:
    """Return an unsaved first attempt at `task` in `run`."""
    return Execution(
        task=task,
        run=run,
        revision_id=task.revision_id,
        status=Status.QUEUED,
        trigger=run.trigger,
        retries_left=task.retry,
        queue=task.queue or DEFAULT_QUEUE,
        priority=task.priority,
        parallel_limit=parallel_limit(Concurrency(task.concurrency), task.max_parallel),
        scheduled_for=scheduled_for,
        queued_at=now,
    )


def skipped_row(
    task: Task, *, trigger: Trigger, reason: str, now: datetime, scheduled_for: datetime | None = None
) -> Execution:
    """Return an unsaved record of a slot or request that was deliberately not run."""
    return Execution(
        task=task,
        revision_id=task.revision_id,
        status=Status.SKIPPED,
        is_outcome=True,
        trigger=trigger,
        queue=task.queue or DEFAULT_QUEUE,
        scheduled_for=scheduled_for,
        queued_at=now,
        finished_at=now,
        reason=reason,
    )


def overlap_reason(in_the_way: Sequence[tuple[int, str]]) -> str:
    """Say in one sentence which execution kept another from starting."""
    if not in_the_way:
        return (
            "an execution of the same task, queued in the same pass, is in the way (task_concurrency is skip)"
        )
    pk, status = in_the_way[0]
    return f"execution {pk} is still {Status(status).value} (task_concurrency is skip)"


def cancel_execution(execution: Execution, *, by: str, now: datetime) -> bool:
    """Cancel a queued execution at once; ask the worker of a running one to stop it.

    Args:
        by: who asked, for the reason that is kept.

    Returns:
        False when it had already ended.
    """
    with transaction.atomic():
        return bool(cancel_all([execution.pk], reason=f"cancelled by {by}", now=now))


def cancel_all(execution_ids: Sequence[int], *, reason: str, now: datetime) -> int:
    """Cancel or ask to stop each of the executions; return how many were still active."""
    asked = (
        Execution.objects.running()
        .filter(pk__in=execution_ids, cancel_requested_at=None)
        .update(cancel_requested_at=now, cancel_reason=reason)
    )
    already = Execution.objects.running().filter(pk__in=execution_ids).count() - asked
    waiting = list(
        Execution.objects.filter(pk__in=execution_ids, status=Status.QUEUED).values_list("pk", flat=True)
    )
    won = Execution.objects.all().transition(
        Transition(
            pk, Status.CANCELLED, claim="", values={"finished_at": now, "reason": reason, "is_outcome": True}
        )
        for pk in waiting
    )
    runs = Execution.objects.filter(pk__in=won, run__isnull=False).values_list("run_id", flat=True)
    close_runs({pk for pk in runs if pk is not None})
    announce(won)
    return asked + max(already, 0) + len(won)
