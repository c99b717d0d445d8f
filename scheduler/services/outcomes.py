"""Recording of outcomes: status, log, retry, and end of the run. One transaction per group of executions."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from django.db import transaction
from django.db.models import F, Max, OuterRef, Q, QuerySet, Subquery
from django.utils.functional import SimpleLazyObject

from scheduler import failpoints
from scheduler.choices import RETRIED, Status, Trigger
from scheduler.config_file import TaskSpec
from scheduler.engine.exit_codes import is_final
from scheduler.engine.reasons import Code, Reason
from scheduler.engine.retry import RetryPolicy, next_attempt_at
from scheduler.models import EndedExecution, Execution, ExecutionLog, Run
from scheduler.models.querysets import Transition
from scheduler.models.reasons import cancel_columns, reason_columns
from scheduler.queues import wake_after_commit, wake_dispatchers
from scheduler.selectors.run_states import RunTask
from scheduler.services.downstream import follow, lock_downstream
from scheduler.signals import execution_finished

logger = logging.getLogger(__name__)

REPLACED = Reason(Code.REPLACED)


@dataclass(frozen=True)
class Claimed:
    """An execution owned by this process, with its task definition.

    `has_folder`: whether its task has ever had a folder of its own.
    """

    execution_id: int
    task_pk: int
    run_pk: int | None
    graph_pk: int | None
    revision_pk: int
    attempt: int
    retries_left: int
    queue: str
    priority: int
    parallel_limit: int | None
    scheduled_for: datetime | None
    has_folder: bool
    claim: str
    started_at: datetime
    spec: TaskSpec


@dataclass(frozen=True)
class LogPiece:
    """A piece of output to store; `offset` and `size` are bytes of the stream, `raw` is set if `text` is lossy."""

    execution_id: int
    claim: str
    offset: int
    size: int
    text: str
    raw: bytes | None = None


@dataclass(frozen=True)
class Report:
    """A worker's report on an ended execution.

    Attributes:
        log_size: bytes of output; None: only the stored pieces are left.
        left_out: omitted bytes between head and tail of the log.
    """

    claimed: Claimed
    status: Status
    finished_at: datetime
    exit_code: int | None = None
    reason: Reason | None = None
    log_size: int | None = 0
    pieces: Sequence[LogPiece] = field(default_factory=tuple)
    left_out: tuple[int, int] | None = None


def finish(reports: Collection[Report], *, now: datetime) -> set[str]:
    """Record ended executions with their logs and consequences; return the queues that received due work.

    A report whose claim was lost has no effect. Sends `execution_finished` for the outcomes.
    """
    retries = {r.claimed.execution_id: _retry_at(r) for r in reports}
    with transaction.atomic():
        lock_downstream(_run_tasks(r.claimed for r in reports))
        won = set(Execution.objects.all().transition(_changes(reports, retries)))
        EndedExecution.objects.all().note((pk, 1) for pk in won)
        kept = [r for r in reports if r.claimed.execution_id in won]
        retries |= dict.fromkeys(_end_for_good([pk for pk in won if retries[pk] is not None]))
        _store_pieces([piece for r in kept for piece in r.pieces])
        _drop_pieces([(r.claimed.execution_id, *r.left_out) for r in kept if r.left_out])
        _keep_stored_sizes([r.claimed.execution_id for r in kept if r.log_size is None])
        again = [_retry(r, at) for r in kept if (at := retries[r.claimed.execution_id]) is not None]
        Execution.objects.bulk_create(again)
        if again:
            wake_dispatchers()
        outcomes = [r.claimed for r in kept if retries[r.claimed.execution_id] is None]
        queues = settle(
            {c.execution_id: c.task_pk for c in outcomes},
            runs={c.run_pk for c in outcomes if c.run_pk},
            run_tasks=_run_tasks(outcomes),
            now=now,
        )
        failpoints.hit("exit.before_commit")
    failpoints.hit("exit.after_commit")
    return queues


def _run_tasks(claimed: Iterable[Claimed]) -> list[RunTask]:
    """Return run and task of the executions in runs with downstream tasks."""
    return [(c.run_pk, c.task_pk) for c in claimed if c.run_pk is not None and c.graph_pk is not None]


def settle(
    outcomes: Mapping[int, int], *, runs: Collection[int], run_tasks: Collection[RunTask], now: datetime
) -> set[str]:
    """Apply the consequences of recorded outcomes: start downstream tasks, close runs, send the signal.

    Runs in the transaction of the caller.

    Args:
        outcomes: execution to task, primary keys.
        runs: runs that may have ended.
        run_tasks: run and task of outcomes in runs with downstream tasks.

    Returns:
        the queues that received due work.
    """
    following = follow(run_tasks, now=now)
    if ended := set(runs) - {execution.run_id for execution in following.queued}:
        Run.objects.all().close(ended)
    announce({**outcomes, **{execution.pk: execution.task_id for execution in following.skipped}})
    queues = {execution.queue for execution in following.queued}
    if following.replaced:
        cancel_all(following.replaced, reason=REPLACED, now=now)
    return queues


def _changes(reports: Collection[Report], retries: dict[int, datetime | None]) -> list[Transition]:
    return [
        Transition(
            r.claimed.execution_id,
            r.status,
            claim=r.claimed.claim,
            values={
                "finished_at": r.finished_at,
                "exit_code": r.exit_code,
                **reason_columns(r.reason),
                "log_size": r.log_size or 0,
                "is_outcome": retries[r.claimed.execution_id] is None,
            },
        )
        for r in reports
    ]


def _retry_at(report: Report) -> datetime | None:
    """Return when the task is retried, or None if this attempt is its outcome."""
    claimed = report.claimed
    if claimed.retries_left <= 0 or report.status not in RETRIED:
        return None
    spec = claimed.spec
    is_failure = report.status == Status.TECHNICAL_FAILURE and report.exit_code is not None
    if is_failure and is_final(report.exit_code or 0, spec["task_exit_codes"]):
        return None
    policy = RetryPolicy(
        spec["task_retry"], float(spec["task_retry_interval"]), float(spec["task_retry_backoff"])
    )
    failures = spec["task_retry"] - claimed.retries_left + 1
    return next_attempt_at(policy, status=report.status, failures=failures, failed_at=report.finished_at)


def _keep_stored_sizes(execution_ids: Collection[int]) -> None:
    """Set `log_size` from the stored pieces where the spool file is gone."""
    if execution_ids:
        pieces = ExecutionLog.objects.filter(execution=OuterRef("pk")).order_by().values("execution")
        stored = Subquery(pieces.annotate(end=Max(F("offset") + F("size"))).values("end"))
        known = Execution.objects.filter(pk__in=execution_ids)
        known.filter(log_pieces__isnull=False).update(log_size=stored)


def _end_for_good(execution_ids: Collection[int]) -> list[int]:
    """Mark failed attempts as final if a cancel was requested or their task was deleted; return their ids."""
    if not execution_ids:
        return []
    is_over = Q(cancel_requested_at__isnull=False) | Q(task__deleted_at__isnull=False)
    found = list(Execution.objects.filter(is_over, pk__in=execution_ids).values_list("pk", flat=True))
    if found:
        Execution.objects.filter(pk__in=found).update(is_outcome=True)
    return found


def _retry(report: Report, at: datetime) -> Execution:
    claimed = report.claimed
    return Execution(
        task_id=claimed.task_pk,
        run_id=claimed.run_pk,
        revision_id=claimed.revision_pk,
        status=Status.QUEUED,
        attempt=claimed.attempt + 1,
        retries_left=claimed.retries_left - 1,
        trigger=Trigger.RETRY,
        queue=claimed.queue,
        priority=claimed.priority,
        parallel_limit=claimed.parallel_limit,
        scheduled_for=claimed.scheduled_for,
        queued_at=report.finished_at,
        not_before=at,
    )


def cancel_all(execution_ids: Sequence[int], *, reason: Reason, now: datetime) -> int:
    """Cancel queued executions and request a stop of running ones; return how many were active.

    Runs in the transaction of the caller; queues that receive work are woken after its commit.
    """
    queued = Execution.objects.filter(pk__in=execution_ids, status=Status.QUEUED)
    rows = list(queued.values_list("pk", "run_id", "task_id", "run__graph_id"))
    lock_downstream((run, task) for _, run, task, graph in rows if run and graph)
    asked = (
        Execution.objects.running()
        .filter(pk__in=execution_ids, cancel_requested_at=None)
        .update(cancel_requested_at=now, **cancel_columns(reason))
    )
    already = Execution.objects.running().filter(pk__in=execution_ids).count() - asked
    return asked + max(already, 0) + _end_queued(rows, Status.CANCELLED, reason, now)


def skip_queued(queued: QuerySet[Execution], *, reason: Reason, now: datetime) -> int:
    """Skip the queued executions unless a worker claims them first; return how many were skipped.

    Runs in the transaction of the caller, which has locked their downstream tasks.
    """
    rows = list(queued.values_list("pk", "run_id", "task_id", "run__graph_id"))
    return _end_queued(rows, Status.SKIPPED, reason, now) if rows else 0


def _end_queued(
    rows: Sequence[tuple[int, int | None, int, int | None]], status: Status, reason: Reason, now: datetime
) -> int:
    """End queued executions, given with run, task and graph; return how many were still queued."""
    values = {"finished_at": now, **reason_columns(reason), "is_outcome": True}
    won = set(
        Execution.objects.all().transition(Transition(pk, status, claim="", values=values) for pk, *_ in rows)
    )
    EndedExecution.objects.all().note((pk, 1) for pk in won)
    queues = settle(
        {pk: task for pk, _, task, _ in rows if pk in won},
        runs={run for pk, run, _, _ in rows if pk in won and run},
        run_tasks=[(run, task) for pk, run, task, graph in rows if pk in won and run and graph],
        now=now,
    )
    wake_after_commit(queues)
    return len(won)


def announce(outcomes: Mapping[int, int]) -> None:
    """Send `execution_finished` for outcomes, inside the transaction that recorded them.

    Args:
        outcomes: execution to task, primary keys.
    """
    if outcomes and execution_finished.has_listeners(Execution):
        ids = list(outcomes)
        # Lazy: a receiver may decide from the tasks alone that it does not need the rows.
        executions = SimpleLazyObject(
            lambda: list(Execution.objects.filter(pk__in=ids).select_related("task").order_by("pk"))
        )
        execution_finished.send(
            Execution, execution_ids=ids, task_pks=set(outcomes.values()), executions=executions
        )


def append_log(pieces: Sequence[LogPiece], *, left_out: Sequence[tuple[int, int, int]] = ()) -> None:
    """Store output of executions that still run under the claim that wrote it.

    Args:
        left_out: (execution id, from, to): pieces within these bytes are no longer part of the kept tail.
    """
    with transaction.atomic():
        held = set(
            Execution.objects.running()
            .filter(pk__in={p.execution_id for p in pieces})
            .values_list("pk", "claim")
        )
        _store_pieces([p for p in pieces if (p.execution_id, p.claim) in held])
        _drop_pieces(left_out)


def _drop_pieces(left_out: Sequence[tuple[int, int, int]]) -> None:
    """Delete the pieces between head and tail; a piece that reaches into the tail is kept."""
    for execution_id, start, end in left_out:
        pieces = ExecutionLog.objects.filter(execution=execution_id, offset__gte=start, offset__lt=end)
        pieces.filter(offset__lte=end - F("size")).delete()


def _store_pieces(pieces: Sequence[LogPiece]) -> None:
    ExecutionLog.objects.bulk_create(
        [
            ExecutionLog(execution_id=p.execution_id, offset=p.offset, size=p.size, text=p.text, raw=p.raw)
            for p in pieces
        ],
        ignore_conflicts=True,
    )
