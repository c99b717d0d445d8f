"""The admission of executions: the decision of `engine/admission.py` on a task, and the resulting rows.

Shared by slots (`dispatch`), downstream tasks (`downstream`) and requests (`runs`). The caller holds the locks, gets
the decision, writes the row, and cancels the executions that it replaces.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import TYPE_CHECKING

from scheduler.choices import Concurrency, MisfirePolicy, Status, Trigger
from scheduler.engine.admission import ASKS_NO_UPSTREAM, Admission, decide_admission
from scheduler.engine.concurrency import OverlapPolicy, parallel_limit
from scheduler.engine.dependencies import Verdict
from scheduler.engine.reasons import Reason
from scheduler.models import Execution, Run, Task
from scheduler.models.reasons import reason_columns
from scheduler.queues import DEFAULT_QUEUE

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser


def overlap_policy(task: Task, *, is_slot: bool = False) -> OverlapPolicy:
    """Return the overlap policy of a task.

    Args:
        is_slot: the new execution is for a slot; only slots can be caught up with.
    """
    return OverlapPolicy(
        Concurrency(task.concurrency),
        max_parallel=task.max_parallel,
        max_waiting=task.max_waiting,
        catches_up=is_slot and task.misfire_policy == MisfirePolicy.RUN_ALL,
        zone=task.zone,
    )


def admit_request(task: Task, *, now: datetime) -> Admission:
    """Decide on a manually requested execution; its upstreams are not checked. One query."""
    active = Execution.objects.in_the_way([task.pk])[task.pk]
    return decide_admission(ASKS_NO_UPSTREAM, overlap_policy(task), active, now=now)


def admitted_row(
    admission: Admission,
    task: Task,
    *,
    trigger: Trigger,
    run: Run | None,
    scheduled_for: datetime | None = None,
    attempt: int = 1,
) -> Execution:
    """Return the unsaved execution for an admission: queued in `run`, or skipped with the reason.

    Args:
        run: None for executions skipped outside of a run.
    """
    at, reason = admission.queued_at, admission.reason
    if admission.verdict is Verdict.NEVER:
        return skipped_row(
            task,
            trigger=trigger,
            reason=reason,
            now=at,
            scheduled_for=scheduled_for,
            run=run,
            attempt=attempt,
        )
    assert run is not None  # noqa: S101 - what is queued belongs to a run
    return queued_row(task, run=run, now=at, scheduled_for=scheduled_for, trigger=trigger, attempt=attempt)


def new_run(
    task: Task, *, trigger: Trigger, user: AbstractBaseUser | None, now: datetime, graph_pk: int | None
) -> Run:
    """Return an unsaved run that begins with `task`.

    Args:
        graph_pk: the graph of its dependencies; None: no downstream tasks.
    """
    return Run(trigger=trigger, first_task=task, graph_id=graph_pk, created_by=user, created_at=now)  # type: ignore[misc]  # the stubs know no abstract user


def queued_row(
    task: Task,
    *,
    run: Run,
    now: datetime,
    scheduled_for: datetime | None = None,
    trigger: Trigger | None = None,
    attempt: int = 1,
) -> Execution:
    """Return an unsaved attempt at `task` in `run`, with its full number of retries.

    Args:
        trigger: default: the trigger of the run.
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
    reason: Reason | None,
    now: datetime,
    scheduled_for: datetime | None = None,
    run: Run | None = None,
    attempt: int = 1,
) -> Execution:
    """Return an unsaved record of a slot, a request or a task of a run that was deliberately not run."""
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
        **reason_columns(reason),
    )


def link_upstreams(links: Collection[tuple[Execution, Collection[int]]]) -> None:
    """Record the upstream executions that led to each stored execution."""
    through = Execution.upstream_executions.through
    through.objects.bulk_create(
        [
            through(from_execution_id=execution.pk, to_execution_id=upstream)
            for execution, upstreams in links
            for upstream in upstreams
        ],
        batch_size=1000,
    )
