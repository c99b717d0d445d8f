"""Taking queued executions, giving back, and taking over from workers that died."""

from __future__ import annotations

import secrets
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from time import monotonic
from typing import cast

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Count, QuerySet

from scheduler import crashpoints
from scheduler.choices import Status
from scheduler.config_file import TaskSpec
from scheduler.models import Execution, Process, Task, TaskRevision
from scheduler.querysets import Transition
from scheduler.services.outcomes import Claimed, Report, finish
from scheduler.services.processes import Silence, is_gone

WORKER_LOST = "worker lost"


@lru_cache(maxsize=2048)
def _spec(revision_pk: int) -> TaskSpec:
    """Return the spec of a revision; revisions never change, so it is kept."""
    return cast(TaskSpec, TaskRevision.objects.values_list("spec", flat=True).get(pk=revision_pk))


def claim(*, owner: Process, queue: str, limit: int, now: datetime) -> list[Claimed]:
    """Take up to `limit` due executions of `queue` for `owner`, most urgent first."""
    token = secrets.token_hex(8)
    won: list[int] = []
    with transaction.atomic():
        while len(won) < limit:
            wanted = limit - len(won)
            candidates = list(
                Execution.objects.claimable(queue, now)
                .select_for_update(skip_locked=True, of=("self",))
                .values_list("pk", "task_id", "parallel_limit")[:wanted]
            )
            taken = Execution.objects.all().claim(
                ids=_within_limits(candidates), owner=owner, claim=token, now=now
            )
            won += taken
            # Many of one task with a limit may have filled the list; those behind them are to be seen as well.
            if not taken or len(taken) == len(candidates) or len(candidates) < wanted:
                break
        if not won:
            return []
        claimed = _claimed(Execution.objects.filter(pk__in=won).order_by("-priority", "pk"))
    crashpoints.passed("claim.after_commit")
    return claimed


def _within_limits(candidates: Sequence[tuple[int, int, int | None]]) -> list[int]:
    """Leave out candidates that would exceed the parallel limit of their task together with what runs."""
    limited = {task for _, task, limit in candidates if limit is not None}
    if connection.features.has_select_for_update and limited:
        # Two workers may look at different rows of one task at once: the row of the task decides who goes first.
        locked = set(
            Task.all_objects.filter(pk__in=limited)
            .select_for_update(skip_locked=True, no_key=True)
            .values_list("pk", flat=True)
        )
    else:
        locked = limited
    counts = (
        Execution.objects.running().filter(task__in=limited).values("task_id").annotate(count=Count("pk"))
    )
    running: dict[int, int] = {row["task_id"]: row["count"] for row in counts}
    chosen = []
    for pk, task, limit in candidates:
        if limit is not None:
            if task not in locked or running.get(task, 0) >= limit:
                continue
            running[task] = running.get(task, 0) + 1
        chosen.append(pk)
    return chosen


def _claimed(rows: QuerySet[Execution]) -> list[Claimed]:
    """Read what is running; columns instead of models, as this is done for every execution."""
    columns = rows.values_list(
        *("pk", "claim", "task_id", "run_id", "run__graph_id", "revision_id", "attempt", "retries_left"),
        *("queue", "priority", "parallel_limit", "scheduled_for", "started_at"),
    )
    return [Claimed(*row, spec=_spec(row[5])) for row in columns]  # type: ignore[misc]


def orphans(*, host_id: str, now: datetime) -> list[Claimed]:
    """Return the running executions whose worker on this host is gone."""
    oldest = now - timedelta(seconds=settings.SCHEDULER_LEASE)
    running = Execution.objects.running().filter(owner__host_id=host_id)
    gone = [
        owner
        for owner in Process.objects.filter(pk__in=running.order_by().values("owner"))
        if is_gone(owner, host_id=host_id, lease_expired=owner.heartbeat_at < oldest)
    ]
    return _claimed(running.filter(owner__in=gone)) if gone else []


def forgotten(*, owner: Process, known: Collection[int]) -> list[Claimed]:
    """Return what runs in the name of `owner` beside what it knows of: the answer to its claim got lost."""
    return [
        c for c in _claimed(Execution.objects.running().filter(owner=owner)) if c.execution_id not in known
    ]


def take_over(claimed: Sequence[Claimed], *, owner: Process) -> list[Claimed]:
    """Make `owner` the owner of orphans; return those that no other worker took first.

    The claim stays: it names the spool files and the process of the command.
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
    """Queue again what was claimed and never started."""
    return Execution.objects.all().transition(
        Transition(
            c.execution_id,
            Status.QUEUED,
            claim=c.claim,
            values={"owner_id": None, "worker": "", "claim": "", "started_at": None},
        )
        for c in claimed
    )


def reap(*, host_id: str, now: datetime, silence: Silence | None = None) -> set[str]:
    """End what runs on other hosts under an expired lease; return the queues that got work by retries.

    What belongs to this host is looked at instead, by `scheduler.services.recovery`.

    Args:
        silence: what the caller saw of the heartbeats before; without it, they are compared with `now`.
    """
    abroad = Execution.objects.running().filter(owner__isnull=False).exclude(owner__host_id=host_id)
    if silence is None:
        oldest = now - timedelta(seconds=settings.SCHEDULER_LEASE)
        lost = abroad.filter(owner__heartbeat_at__lt=oldest)
    else:
        beats = dict(abroad.order_by().values_list("owner", "owner__heartbeat_at").distinct())
        gone = silence.longer_than(settings.SCHEDULER_LEASE, beats.items(), at=monotonic())
        lost = abroad.filter(owner__in=gone)
    ownerless = Execution.objects.running().filter(owner=None)
    reports = [
        Report(claimed, Status.TECHNICAL_FAILURE, now, reason=WORKER_LOST, log_size=None)
        for claimed in (*_claimed(lost), *_claimed(ownerless))
    ]
    return finish(reports, now=now) if reports else set()
