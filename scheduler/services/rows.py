"""The rows of runs and executions before they are written."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from scheduler.choices import Concurrency, Status, Trigger
from scheduler.engine.concurrency import parallel_limit
from scheduler.models import Execution, Run, Task
from scheduler.queues import DEFAULT_QUEUE

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser


def new_run(
    task: Task, *, trigger: Trigger, user: AbstractBaseUser | None, now: datetime, graph_pk: int | None
) -> Run:
    """Return an unsaved run that begins with `task`.

    Args:
        graph_pk: the dependencies that it follows; None: nothing follows.
    """
    return Run(trigger=trigger, first_task=task, graph_id=graph_pk, created_by=user, created_at=now)  # type: ignore[misc]


def queued_row(
    task: Task,
    *,
    run: Run,
    now: datetime,
    scheduled_for: datetime | None = None,
    trigger: Trigger | None = None,
    attempt: int = 1,
) -> Execution:
    """Return an unsaved attempt at `task` in `run`, with all its retries before it.

    Args:
        trigger: default that of the run.
    """
    return Execution(
        task=task,
        run=run,
        revision_id=task.revision_id,
        status=Status.QUEUED,
        trigger=trigger or run.trigger,
        attempt=attempt,
        retries_left=task.retry,
        queue=task.queue or DEFAULT_QUEUE,
        priority=task.priority,
        parallel_limit=parallel_limit(Concurrency(task.concurrency), task.max_parallel),
        scheduled_for=scheduled_for,
        queued_at=now,
    )


def skipped_row(
    task: Task,
    *,
    trigger: Trigger,
    reason: str,
    now: datetime,
    scheduled_for: datetime | None = None,
    run: Run | None = None,
    attempt: int = 1,
) -> Execution:
    """Return an unsaved record of a slot, a request or a place in a run that was deliberately not run."""
    return Execution(
        task=task,
        run=run,
        revision_id=task.revision_id,
        status=Status.SKIPPED,
        is_outcome=True,
        trigger=trigger,
        attempt=attempt,
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


def link_upstreams(links: Collection[tuple[Execution, Collection[int]]]) -> None:
    """Record for each stored execution which upstream executions it followed."""
    through = Execution.upstream_executions.through
    through.objects.bulk_create(
        [
            through(from_execution_id=execution.pk, to_execution_id=upstream)
            for execution, upstreams in links
            for upstream in upstreams
        ],
        batch_size=1000,
    )
