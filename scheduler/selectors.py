"""Reads that span models."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.conf import settings
from django.db import DatabaseError
from django.db.models import Count, Max, OuterRef, Subquery

from scheduler.choices import FAILED, RAN, Status
from scheduler.models import Execution, ExecutionLog, Process, Task

BACKLOG_LATE = timedelta(minutes=5)


def latest_executions(task_pks: Collection[int]) -> dict[int, Execution]:
    """Return the newest execution of each task that has one, by task; one query."""
    newest = Execution.objects.filter(task=OuterRef("pk")).newest_first().values("pk")[:1]
    pks = Task.all_objects.filter(pk__in=task_pks).annotate(newest=Subquery(newest)).values("newest")
    rows = Execution.objects.filter(pk__in=pks).prefetch_related("upstream_executions")
    return {row.task_id: row for row in rows}


@dataclass(frozen=True)
class LogPart:
    """A part of a log.

    Attributes:
        offset, next_offset: bytes of the true stream that it begins at and that the next read begins at.
        size: bytes of output so far.
        omitted: bytes between `offset` and `next_offset` that were not kept.
    """

    offset: int
    next_offset: int
    text: str
    size: int
    omitted: int
    is_finished: bool


def read_log(
    execution: Execution, *, offset: int = 0, tail: int | None = None, limit: int = 1_000_000
) -> LogPart:
    """Return stored output from `offset` on, at most about `limit` bytes; left-out output is stated in a line.

    Args:
        tail: begin so many bytes before the end instead.
    """
    pieces = ExecutionLog.objects.filter(execution=execution.pk)
    if tail is not None:
        last = pieces.order_by("-offset").first()
        end = 0 if last is None else last.offset + last.size
        offset = max(end - tail, 0)
    text, omitted, taken = "", 0, 0
    at = offset
    for piece in pieces.filter(offset__gt=offset - 65_536).order_by("offset").iterator():
        if piece.offset + piece.size <= offset:
            continue
        if piece.offset > at:
            gap = piece.offset - at
            omitted += gap
            text += f"\n[… {gap} bytes left out …]\n"
        begin = max(at - piece.offset, 0)
        text += piece.text if begin == 0 else piece.text.encode()[begin:].decode("utf-8", "ignore")
        at = piece.offset + piece.size
        taken += piece.size
        if taken >= limit:
            break
    is_finished = execution.finished_at is not None
    return LogPart(offset, at, text, max(execution.log_size, at), omitted, is_finished)


@dataclass
class Health:
    """What the health check says; healthy when there are no reasons against it."""

    reasons: list[str] = field(default_factory=list)
    database: bool = True
    dispatchers: int = 0
    workers: int = 0
    backlog: int = 0
    dispatcher_heartbeat_at: datetime | None = None

    @property
    def is_healthy(self) -> bool:
        """Whether nothing speaks against it."""
        return not self.reasons


def health(now: datetime) -> Health:
    """Return whether database, dispatcher and workers do their work, with the reasons when not."""
    found = Health()
    try:
        alive = Process.objects.alive(now)
        found.dispatchers = alive.filter(kind=Process.Kind.DISPATCHER).count()
        found.workers = alive.filter(kind=Process.Kind.CLUSTER).count()
        beats = Process.objects.filter(kind=Process.Kind.DISPATCHER).aggregate(at=Max("heartbeat_at"))
        found.dispatcher_heartbeat_at = beats["at"]
        due = Execution.objects.filter(status=Status.QUEUED).exclude(not_before__gt=now)
        found.backlog = due.count()
        is_late = due.filter(queued_at__lt=now - BACKLOG_LATE, not_before=None).exists()
    except DatabaseError:
        found.database = False
        found.reasons.append("the database does not answer")
        return found
    if not found.dispatchers:
        found.reasons.append(f"no dispatcher gave a heartbeat in the last {settings.SCHEDULER_LEASE:g} s")
    if not found.workers:
        found.reasons.append(f"no worker gave a heartbeat in the last {settings.SCHEDULER_LEASE:g} s")
    elif is_late:
        found.reasons.append(f"{found.backlog} executions are queued, some for more than five minutes")
    return found


@dataclass(frozen=True)
class Overview:
    """What the first page shows.

    Attributes:
        failing: latest outcomes that are failures, newest first.
        counts: status -> executions that ended since midnight in the site's zone.
    """

    health: Health
    failing: list[Execution]
    running: list[Execution]
    upcoming: list[Task]
    broken: list[Task]
    counts: dict[str, int]
    has_tasks: bool


def overview(now: datetime, *, midnight: datetime) -> Overview:
    """Return what needs attention, what goes on, and what is next; a fixed number of queries."""
    newest = Execution.objects.outcomes().filter(task=OuterRef("pk"), status__in=RAN).values("pk")[:1]
    latest = Task.objects.annotate(newest=Subquery(newest)).values("newest")
    failing = Execution.objects.filter(pk__in=latest, status__in=FAILED).select_related("task")
    today = Execution.objects.filter(queued_at__gte=midnight).values("status").annotate(count=Count("pk"))
    return Overview(
        health=health(now),
        failing=list(failing.order_by("-finished_at")[:10]),
        running=list(Execution.objects.running().select_related("task").order_by("started_at")[:20]),
        upcoming=list(Task.objects.exclude(next_run_at=None).order_by("next_run_at")[:10]),
        broken=list(Task.objects.exclude(schedule_error="")[:10]),
        counts={row["status"]: row["count"] for row in today.order_by("status")},
        has_tasks=Task.objects.exists(),
    )
