"""What follows from the end of a command: outcome, log, retry, end of the run. One transaction a group."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import Exists, F, Max, OuterRef, Q, Subquery
from django.utils.functional import SimpleLazyObject

from scheduler import crashpoints
from scheduler.choices import RETRIED, Status, Trigger
from scheduler.config_file import TaskSpec
from scheduler.engine.retry import RetryPolicy, next_attempt_at
from scheduler.models import Execution, ExecutionLog, Run
from scheduler.querysets import Transition
from scheduler.queues import wake_after_commit
from scheduler.services.downstream import Ended, follow, lock_downstream
from scheduler.signals import execution_finished

logger = logging.getLogger(__name__)

REPLACED = "replaced by a newer execution"


@dataclass(frozen=True)
class Claimed:
    """An execution that this process owns, with the definition that it uses."""

    execution_id: int
    claim: str
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
    started_at: datetime
    spec: TaskSpec


@dataclass(frozen=True)
class LogPiece:
    """Output to be stored; `offset` and `size` are bytes of the true stream."""

    execution_id: int
    claim: str
    offset: int
    size: int
    text: str


@dataclass(frozen=True)
class Report:
    """What a worker knows when an execution has ended.

    Attributes:
        log_size: bytes of output; None: what is stored already is all that is left of it.
        left_out: bytes between head and tail of its log.
    """

    claimed: Claimed
    status: Status
    finished_at: datetime
    exit_code: int | None = None
    reason: str = ""
    log_size: int | None = 0
    pieces: Sequence[LogPiece] = field(default_factory=tuple)
    left_out: tuple[int, int] | None = None


def finish(reports: Collection[Report], *, now: datetime) -> set[str]:
    """Record how executions ended, with their logs and what follows; return the queues that got work to do now.

    A report whose claim was lost changes nothing. Sends `execution_finished` for the outcomes.
    """
    retries = {r.claimed.execution_id: _retry_at(r) for r in reports}
    with transaction.atomic():
        lock_downstream(_places(r.claimed for r in reports))
        won = set(Execution.objects.all().transition(_changes(reports, retries)))
        kept = [r for r in reports if r.claimed.execution_id in won]
        retries |= dict.fromkeys(_end_for_good([pk for pk in won if retries[pk] is not None]))
        _store_pieces([piece for r in kept for piece in r.pieces])
        _drop_pieces([(r.claimed.execution_id, *r.left_out) for r in kept if r.left_out])
        _keep_stored_sizes([r.claimed.execution_id for r in kept if r.log_size is None])
        again = [_retry(r, at) for r in kept if (at := retries[r.claimed.execution_id]) is not None]
        Execution.objects.bulk_create(again)
        outcomes = [r.claimed for r in kept if retries[r.claimed.execution_id] is None]
        queues = settle(
            [c.execution_id for c in outcomes],
            runs={c.run_pk for c in outcomes if c.run_pk},
            places=_places(outcomes),
            now=now,
        )
        crashpoints.passed("exit.before_commit")
    crashpoints.passed("exit.after_commit")
    return queues


def _places(claimed: Iterable[Claimed]) -> list[Ended]:
    """Return run and task of what something follows from."""
    return [(c.run_pk, c.task_pk) for c in claimed if c.run_pk is not None and c.graph_pk is not None]


def settle(
    execution_ids: Collection[int], *, runs: Collection[int], places: Collection[Ended], now: datetime
) -> set[str]:
    """Do what belongs to outcomes that were just recorded: what follows downstream, ended runs, the signal.

    In the transaction of the caller.

    Args:
        runs: the runs that may have ended.
        places: run and task of outcomes in runs that have something downstream.

    Returns:
        the queues that got work to do now.
    """
    following = follow(places, now=now)
    close_runs(set(runs) - {execution.run_id for execution in following.queued})
    announce([*execution_ids, *(execution.pk for execution in following.skipped)])
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
                "reason": r.reason,
                "log_size": r.log_size or 0,
                "is_outcome": retries[r.claimed.execution_id] is None,
            },
        )
        for r in reports
    ]


def _retry_at(report: Report) -> datetime | None:
    """Return when the task is tried again, or None when this attempt is its outcome."""
    claimed = report.claimed
    if claimed.retries_left <= 0 or report.status not in RETRIED:
        return None
    spec = claimed.spec
    policy = RetryPolicy(
        spec["task_retry"], float(spec["task_retry_interval"]), float(spec["task_retry_backoff"])
    )
    failures = spec["task_retry"] - claimed.retries_left + 1
    return next_attempt_at(policy, status=report.status, failures=failures, failed_at=report.finished_at)


def _keep_stored_sizes(execution_ids: Collection[int]) -> None:
    """Let executions whose log cannot be read any more have the size of what is stored of it."""
    if execution_ids:
        pieces = ExecutionLog.objects.filter(execution=OuterRef("pk")).order_by().values("execution")
        stored = Subquery(pieces.annotate(end=Max(F("offset") + F("size"))).values("end"))
        known = Execution.objects.filter(pk__in=execution_ids)
        known.filter(log_pieces__isnull=False).update(log_size=stored)


def _end_for_good(execution_ids: Collection[int]) -> list[int]:
    """Make outcomes of those of the attempts that somebody asked to stop before they failed, or whose task is deleted.

    Returns:
        them.
    """
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


def close_runs(run_pks: Collection[int]) -> None:
    """End those of the runs that have nothing queued or running any more."""
    if not run_pks:
        return
    last: dict[str, Any] = {"run": OuterRef("pk")}
    Run.objects.open().filter(pk__in=run_pks).exclude(
        Exists(Execution.objects.active().filter(**last))
    ).update(
        finished_at=Execution.objects.filter(**last, finished_at__isnull=False)
        .order_by("-finished_at")
        .values("finished_at")[:1]
    )


def cancel_all(execution_ids: Sequence[int], *, reason: str, now: datetime) -> int:
    """Cancel or ask to stop each of the executions; return how many were still active.

    In the transaction of the caller; queues that get work by it are woken after its commit.
    """
    places = list(
        Execution.objects.filter(pk__in=execution_ids, status=Status.QUEUED).values_list(
            "pk", "run_id", "task_id", "run__graph_id"
        )
    )
    lock_downstream((run, task) for _, run, task, graph in places if run and graph)
    asked = (
        Execution.objects.running()
        .filter(pk__in=execution_ids, cancel_requested_at=None)
        .update(cancel_requested_at=now, cancel_reason=reason)
    )
    already = Execution.objects.running().filter(pk__in=execution_ids).count() - asked
    values = {"finished_at": now, "reason": reason, "is_outcome": True}
    won = set(
        Execution.objects.all().transition(
            Transition(pk, Status.CANCELLED, claim="", values=values) for pk, *_ in places
        )
    )
    queues = settle(
        sorted(won),
        runs={run for pk, run, _, _ in places if pk in won and run},
        places=[(run, task) for pk, run, task, graph in places if pk in won and run and graph],
        now=now,
    )
    wake_after_commit(queues)
    return asked + max(already, 0) + len(won)


def announce(execution_ids: Collection[int]) -> None:
    """Send `execution_finished` for outcomes, inside the transaction that recorded them."""
    if execution_ids and execution_finished.has_listeners(Execution):
        rows = Execution.objects.filter(pk__in=execution_ids).select_related("task").order_by("pk")
        # Whoever listens may find by the ids alone that the rows are of no interest, and spare the reading.
        executions = SimpleLazyObject(lambda: list(rows))
        execution_finished.send(Execution, execution_ids=list(execution_ids), executions=executions)


def append_log(pieces: Sequence[LogPiece], *, left_out: Sequence[tuple[int, int, int]] = ()) -> None:
    """Store output of executions that still run under the claims that wrote it.

    Args:
        left_out: (execution id, from, to): pieces that lie within these bytes fell out of the kept tail.
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
    """Delete the pieces between head and tail; what reaches into the tail stays whole."""
    for execution_id, start, end in left_out:
        pieces = ExecutionLog.objects.filter(execution=execution_id, offset__gte=start, offset__lt=end)
        pieces.filter(offset__lte=end - F("size")).delete()


def _store_pieces(pieces: Sequence[LogPiece]) -> None:
    ExecutionLog.objects.bulk_create(
        [
            ExecutionLog(execution_id=p.execution_id, offset=p.offset, size=p.size, text=p.text)
            for p in pieces
        ],
        ignore_conflicts=True,
    )
