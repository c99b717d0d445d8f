"""What follows from the end of a command: outcome, log, retry, end of the run. One transaction a group."""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import Exists, OuterRef

from scheduler import crashpoints
from scheduler.choices import RETRIED, Status, Trigger
from scheduler.config_file import TaskSpec
from scheduler.engine.retry import RetryPolicy, next_attempt_at
from scheduler.models import Execution, ExecutionLog, Run
from scheduler.querysets import Transition
from scheduler.signals import execution_finished

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Claimed:
    """An execution that this process owns, with the definition that it uses."""

    execution_id: int
    claim: str
    task_pk: int
    run_pk: int | None
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
    """What a worker knows when an execution has ended."""

    claimed: Claimed
    status: Status
    finished_at: datetime
    exit_code: int | None = None
    reason: str = ""
    log_size: int = 0
    pieces: Sequence[LogPiece] = field(default_factory=tuple)


def finish(reports: Collection[Report]) -> set[str]:
    """Record how executions ended, with their logs and what follows; return the queues that got work.

    A report whose claim was lost changes nothing. Sends `execution_finished` for the outcomes.
    """
    retries = {r.claimed.execution_id: _retry_at(r) for r in reports}
    with transaction.atomic():
        won = set(Execution.objects.all().transition(_changes(reports, retries)))
        kept = [r for r in reports if r.claimed.execution_id in won]
        _store_pieces([piece for r in kept for piece in r.pieces])
        again = [_retry(r, at) for r in kept if (at := retries[r.claimed.execution_id]) is not None]
        Execution.objects.bulk_create(again)
        outcomes = [r for r in kept if retries[r.claimed.execution_id] is None]
        close_runs({r.claimed.run_pk for r in outcomes if r.claimed.run_pk})
        announce([r.claimed.execution_id for r in outcomes])
        crashpoints.passed("exit.before_commit")
    crashpoints.passed("exit.after_commit")
    return {execution.queue for execution in again}


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
                "log_size": r.log_size,
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


def announce(execution_ids: Collection[int]) -> None:
    """Send `execution_finished` for outcomes, inside the transaction that recorded them."""
    if execution_ids and execution_finished.has_listeners(Execution):
        executions = list(
            Execution.objects.filter(pk__in=execution_ids).select_related("task").order_by("pk")
        )
        execution_finished.send(Execution, executions=executions)


def append_log(pieces: Sequence[LogPiece], *, dropped: Sequence[tuple[int, int, int]] = ()) -> None:
    """Store output of executions that still run under the claims that wrote it.

    Args:
        dropped: (execution id, from, to): pieces that lie within these bytes fell out of the kept tail.
    """
    with transaction.atomic():
        held = set(
            Execution.objects.running()
            .filter(pk__in={p.execution_id for p in pieces})
            .values_list("pk", "claim")
        )
        _store_pieces([p for p in pieces if (p.execution_id, p.claim) in held])
        for execution_id, start, end in dropped:
            ExecutionLog.objects.filter(execution=execution_id, offset__gte=start, offset__lt=end).delete()


def _store_pieces(pieces: Sequence[LogPiece]) -> None:
    ExecutionLog.objects.bulk_create(
        [
            ExecutionLog(execution_id=p.execution_id, offset=p.offset, size=p.size, text=p.text)
            for p in pieces
        ],
        ignore_conflicts=True,
    )
