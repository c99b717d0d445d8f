"""Claims on executions: claim, release, take over from dead workers of this host, and end those of lost hosts."""

from __future__ import annotations

import secrets
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from time import monotonic

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Count, QuerySet

from scheduler import failpoints
from scheduler.choices import Status
from scheduler.config_file import TaskSpec, complete_spec
from scheduler.engine.reasons import Code, Reason
from scheduler.models import Execution, Process, Task, TaskRevision
from scheduler.models.querysets import Transition
from scheduler.services.heartbeats import HeartbeatMonitor, is_gone
from scheduler.services.outcomes import Claimed, Report, finish

WORKER_LOST = Reason(Code.WORKER_LOST)


@lru_cache(maxsize=2048)
def spec_of(revision_pk: int) -> TaskSpec:
    """Return the spec of a revision; cached, as revisions never change."""
    return complete_spec(TaskRevision.objects.values_list("spec", flat=True).get(pk=revision_pk))


def claim(*, owner: Process, queue: str, limit: int, now: datetime) -> list[Claimed]:
    """Claim up to `limit` due executions of `queue` for `owner`, most urgent first."""
    token = secrets.token_hex(8)
    claimed: list[Claimed] = []
    with transaction.atomic():
        while len(claimed) < limit:
            wanted = limit - len(claimed)
            rows = Execution.objects.claimable(queue, now).select_for_update(skip_locked=True, of=("self",))
            candidates = _claimed(rows[:wanted], claim=token, started_at=now)
            chosen = _within_limits(candidates)
            won = set(
                Execution.objects.all().claim(
                    ids=[c.execution_id for c in chosen], owner=owner, claim=token, now=now
                )
            )
            claimed += [c for c in chosen if c.execution_id in won]
            # Executions of one limited task may have filled the list; look at those behind them as well.
            if not won or len(won) == len(candidates) or len(candidates) < wanted:
                break
    if claimed:
        failpoints.hit("claim.after_commit")
    return claimed


def _within_limits(candidates: Sequence[Claimed]) -> list[Claimed]:
    """Drop candidates that would exceed the parallel limit of their task, counting running executions."""
    limited = {c.task_pk for c in candidates if c.parallel_limit is not None}
    if not limited:
        return list(candidates)
    locked = limited
    if connection.features.has_select_for_update:
        # Two workers may claim different rows of one task at once: serialise them on the row of the task.
        locked = set(
            Task.all_objects.filter(pk__in=limited)
            .select_for_update(skip_locked=True, no_key=True)
            .values_list("pk", flat=True)
        )
    counts = (
        Execution.objects.running().filter(task__in=limited).values("task_id").annotate(count=Count("pk"))
    )
    running: dict[int, int] = {row["task_id"]: row["count"] for row in counts}
    chosen = []
    for candidate in candidates:
        task, limit = candidate.task_pk, candidate.parallel_limit
        if limit is not None:
            if task not in locked or running.get(task, 0) >= limit:
                continue
            running[task] = running.get(task, 0) + 1
        chosen.append(candidate)
    return chosen


def _claimed(
    rows: QuerySet[Execution], *, claim: str = "", started_at: datetime | None = None
) -> list[Claimed]:
    """Read executions as columns instead of models, because this runs for every execution.

    Args:
        claim, started_at: the values about to be written to queued rows.
    """
    columns = rows.values_list(
        *("pk", "task_id", "run_id", "run__graph_id", "revision_id", "attempt", "retries_left", "queue"),
        *("priority", "parallel_limit", "scheduled_for", "task__has_folder", "claim", "started_at"),
    )
    return [
        Claimed(*row[:-2], claim or row[-2], started_at or row[-1], spec_of(row[4]))  # type: ignore[call-arg]  # a row of these columns
        for row in columns
    ]


def orphans(*, host_id: str, now: datetime) -> list[Claimed]:
    """Return the running executions whose worker on this host is dead."""
    oldest = now - timedelta(seconds=settings.SCHEDULER_LEASE)
    running = Execution.objects.running().filter(owner__host_id=host_id)
    gone = [
        owner
        for owner in Process.objects.filter(pk__in=running.order_by().values("owner"))
        if is_gone(owner, host_id=host_id, lease_expired=owner.heartbeat_at < oldest)
    ]
    return _claimed(running.filter(owner__in=gone)) if gone else []


def forgotten(*, owner: Process, known: Collection[int]) -> list[Claimed]:
    """Return running executions of `owner` missing from `known`: the response to its claim was lost."""
    return [
        c for c in _claimed(Execution.objects.running().filter(owner=owner)) if c.execution_id not in known
    ]


def take_over(claimed: Sequence[Claimed], *, owner: Process) -> list[Claimed]:
    """Make `owner` the owner of orphans; return those that no other worker took first.

    The claim is kept: it identifies the spool files and the process of the command.
    """
    won = []
    for orphan in claimed:
        with transaction.atomic():
            row = (
                Execution.objects.running()
                .filter(pk=orphan.execution_id, claim=orphan.claim)
                .select_for_update(of=("self",))
                .select_related("owner")
                .first()
            )
            if row is None or row.owner is None or row.owner.pk == owner.pk:
                continue
            if not is_gone(row.owner, host_id=owner.host_id, lease_expired=False):
                continue
            Execution.objects.filter(pk=row.pk).update(owner=owner, worker=str(owner))
            won.append(orphan)
    return won


def hand_back(claimed: Iterable[Claimed]) -> list[int]:
    """Requeue claimed executions that were never started; return their ids."""
    return Execution.objects.all().transition(
        Transition(
            c.execution_id,
            Status.QUEUED,
            claim=c.claim,
            values={"owner_id": None, "worker": "", "claim": "", "started_at": None},
        )
        for c in claimed
    )


def reap(*, host_id: str, now: datetime, monitor: HeartbeatMonitor | None = None) -> set[str]:
    """End executions of other hosts whose lease expired; return the queues that received retries.

    Executions of this host are handled by `scheduler.services.recovery`, which can inspect their processes.

    Args:
        monitor: heartbeats observed by the caller so far; without it, heartbeats are compared with `now`.
    """
    abroad = Execution.objects.running().filter(owner__isnull=False).exclude(owner__host_id=host_id)
    if monitor is None:
        oldest = now - timedelta(seconds=settings.SCHEDULER_LEASE)
        lost = abroad.filter(owner__heartbeat_at__lt=oldest)
    else:
        beats = dict(abroad.order_by().values_list("owner", "owner__heartbeat_at").distinct())
        gone = monitor.silent_for(settings.SCHEDULER_LEASE, beats.items(), at=monotonic())
        lost = abroad.filter(owner__in=gone)
    ownerless = Execution.objects.running().filter(owner=None)
    reports = [
        Report(claimed, Status.TECHNICAL_FAILURE, now, reason=WORKER_LOST, log_size=None)
        for claimed in (*_claimed(lost), *_claimed(ownerless))
    ]
    return finish(reports, now=now) if reports else set()
