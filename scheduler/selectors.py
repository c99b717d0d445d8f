"""Reads that span models."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

from django.conf import settings
from django.db import Error as DatabaseError
from django.db import connection
from django.db.models import Count, Exists, Max, Min, OuterRef, Q, Subquery
from django.db.models.functions import Coalesce

from scheduler.choices import ACTIVE, COMMON, FAILED, RAN, TERMINAL, Status
from scheduler.engine.dependencies import reachable
from scheduler.models import Execution, ExecutionLog, Process, Task, TaskDependency
from scheduler.querysets import ExecutionQuerySet, TaskQuerySet

BACKLOG_LATE = timedelta(minutes=5)
LARGEST_PIECE = 65_536  # bytes; the runner splits output so
NEVER, FOREVER = datetime(1970, 1, 1, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC)
_ACTIVE, _COMMON, _RARE = (
    ", ".join(f"'{status.value}'" for status in group)
    for group in (sorted(ACTIVE), COMMON, sorted(TERMINAL - {Status.SUCCESS}))
)
# The conditions of the indexes stand in the text, word by word, as SQLite asks. An expression around the instant keeps
# it from finding what is active by the instant, among all else.
SPAN_COUNTS = f"""
WITH span(number, since, until) AS (VALUES {{spans}})
SELECT number, NULL, NULL, (
    SELECT COUNT(*) FROM {Execution._meta.db_table} WHERE queued_at >= since AND queued_at < until
) FROM span
UNION ALL
SELECT number, status, is_outcome, COUNT(*) FROM span
JOIN {Execution._meta.db_table} ON queued_at >= since AND queued_at < until
WHERE NOT (status IN ({_COMMON})) AND status IN ({_RARE}) GROUP BY 1, 2, 3
UNION ALL
SELECT number, status, is_outcome, COUNT(*) FROM span
JOIN {Execution._meta.db_table} ON COALESCE(queued_at, queued_at) >= since AND COALESCE(queued_at, queued_at) < until
WHERE status IN ({_ACTIVE}) GROUP BY 1, 2, 3
"""  # noqa: S608 - all words are ours


def latest_executions(task_pks: Collection[int]) -> dict[int, Execution]:
    """Return the newest execution of each task that has one, by task; one query."""
    newest = Execution.objects.filter(task=OuterRef("pk")).newest_first().values("pk")[:1]
    pks = Task.all_objects.filter(pk__in=task_pks).annotate(newest=Subquery(newest)).values("newest")
    rows = Execution.objects.filter(pk__in=pks).prefetch_related("upstream_executions")
    return {row.task_id: row for row in rows}


def task_ids() -> set[str]:
    """Return the ids of all tasks."""
    return set(Task.objects.values_list("task_id", flat=True))


def find_tasks(
    *, is_enabled: bool | None, tag: str | None, text: str | None, statuses: Collection[str]
) -> TaskQuerySet:
    """Return tasks that meet all that is given: tag, text in id or name, status of the latest outcome."""
    rows: TaskQuerySet = Task.objects.all()
    if is_enabled is not None:
        rows = rows.filter(enabled=is_enabled)
    if tag:
        rows = rows.tagged(tag)
    if text:
        rows = rows.filter(Q(task_id__icontains=text) | Q(name__icontains=text))
    if statuses:
        newest = Execution.objects.outcomes().filter(task=OuterRef("pk")).values("status")[:1]
        rows = rows.alias(outcome=Subquery(newest)).filter(outcome__in=statuses)
    return rows


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
    execution: Execution,
    *,
    offset: int = 0,
    tail: int | None = None,
    limit: int = 1_000_000,
    left_out: str = "[… %(count)d bytes left out …]",
) -> LogPart:
    """Return stored output from `offset` on, at most about `limit` bytes; left-out output is stated in a line.

    A part ends where a stored piece ends, so reading on from `next_offset` loses and repeats nothing. An
    offset inside a piece with replaced bytes is met approximately.

    Args:
        tail: begin so many bytes (at most `limit`) before the end instead.
        left_out: what that line says, with a place for their count; pages say it in the language of the reader.
    """
    pieces = ExecutionLog.objects.filter(execution=execution.pk)
    if tail is not None:
        last = pieces.order_by("-offset").first()
        end = 0 if last is None else last.offset + last.size
        offset = max(end - min(tail, limit), 0)
    texts: list[str] = []
    omitted, at = 0, offset
    for piece in pieces.filter(offset__gt=offset - LARGEST_PIECE).order_by("offset").iterator():
        if piece.offset + piece.size <= offset:
            continue
        if piece.offset > at:
            gap = piece.offset - at
            omitted += gap
            texts.append(f"\n{left_out % {'count': gap}}\n")
        texts.append(_text_from(piece, max(at - piece.offset, 0)))
        at = piece.offset + piece.size
        if at - offset - omitted >= limit:
            break
    is_finished = execution.finished_at is not None
    size = max(execution.log_size, at if texts else 0)
    return LogPart(offset, at, "".join(texts), size, omitted, is_finished)


def _text_from(piece: ExecutionLog, begin: int) -> str:
    """Return the text of a piece from a byte on, without the rest of a character that was cut."""
    if begin == 0:
        return piece.text
    encoded = piece.text.encode()
    if len(encoded) != piece.size:  # bytes were replaced by longer characters when it was stored
        begin = begin * len(encoded) // piece.size
    return encoded[begin:].decode("utf-8", "ignore")


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
        # The expression keeps SQLite from walking all of history by the index on the instant.
        dated = Execution.objects.ready(now).annotate(at=Coalesce("not_before", "queued_at"))
        # What waits for another execution of its task (task_concurrency is queue) is not late.
        is_late = dated.filter(at__lt=now - BACKLOG_LATE).exists()
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


def with_last_status(tasks: TaskQuerySet) -> TaskQuerySet:
    """Annotate `last_status`, the latest outcome of a task that ran; None when it never did."""
    ran = Execution.objects.outcomes().filter(task=OuterRef("pk"), status__in=sorted(RAN))
    return tasks.annotate(last_status=Subquery(ran.values("status")[:1]))


def recent_executions(task_pks: Collection[int], count: int = 30) -> dict[int, list[Execution]]:
    """Return the newest `count` executions of each task, oldest first, in two queries.

    The first finds where each list begins, so that the second reads no more of a long history than it shows.
    """
    nth = Execution.objects.filter(task=OuterRef("pk")).newest_first().values("queued_at")[count - 1 : count]
    begins = Task.all_objects.filter(pk__in=task_pks).annotate(begin=Subquery(nth)).values_list("pk", "begin")
    wanted = Q()
    for pk, begin in begins:
        wanted |= Q(task=pk) if begin is None else Q(task=pk, queued_at__gte=begin)
    found: dict[int, list[Execution]] = {pk: [] for pk in task_pks}
    if wanted:
        for row in Execution.objects.filter(wanted).order_by("queued_at", "id"):
            found[row.task_id].append(row)
    return {pk: rows[-count:] for pk, rows in found.items()}


def failing_pks() -> list[int]:
    """Return the enabled tasks whose latest outcome is a failure."""
    with_status: Any = with_last_status(Task.objects.filter(enabled=True))
    failing = with_status.filter(last_status__in=sorted(FAILED))
    return list(failing.order_by().values_list("pk", flat=True))


def failing_tasks(pks: Collection[int], limit: int = 20) -> TaskQuerySet:
    """Return those of `pks` whose latest outcome is a failure, longest failing first.

    Annotated: `last_status`, `last_failed_id`, `failing_since` (slot of the first of the streak) and `streak`.
    """
    own = Execution.objects.filter(task=OuterRef("pk"))
    success = own.filter(status=Status.SUCCESS).newest_first().values("queued_at")[:1]
    failures = own.filter(
        is_outcome=True, status__in=sorted(FAILED), queued_at__gt=OuterRef("last_success")
    ).order_by()
    streak = failures.values("task").annotate(value=Count("pk")).values("value")
    since = (
        failures.values("task").annotate(value=Min(Coalesce("scheduled_for", "queued_at"))).values("value")
    )
    latest = own.outcomes().filter(status__in=sorted(FAILED)).values("pk")[:1]
    with_status: Any = with_last_status(Task.objects.filter(pk__in=pks))
    failing = with_status.filter(last_status__in=sorted(FAILED))
    dated = failing.annotate(last_success=Coalesce(Subquery(success), NEVER))
    counted = dated.annotate(
        streak=Subquery(streak), failing_since=Subquery(since), last_failed_id=Subquery(latest)
    )
    rows: TaskQuerySet = counted.order_by("failing_since", "pk")[:limit]
    return rows


def running_now(limit: int = 20) -> ExecutionQuerySet:
    """Return what runs, the longest running first."""
    # Found first and joined then: asked for both at once, SQLite goes through all tasks.
    pks = list(Execution.objects.running().order_by("started_at", "pk").values_list("pk", flat=True)[:limit])
    return Execution.objects.filter(pk__in=pks).select_related("task").order_by("started_at", "pk")


def next_up(limit: int = 10) -> TaskQuerySet:
    """Return the enabled tasks whose slots come next."""
    tasks = Task.objects.filter(enabled=True, next_run_at__isnull=False)
    rows: TaskQuerySet = tasks.order_by("next_run_at", "pk")[:limit]
    return rows


def span_counts(instants: Sequence[datetime]) -> list[Counter[tuple[str, bool]]]:
    """Return how many executions were queued from each instant up to the next, by status and `is_outcome`; one query.

    Nearly all are successes, and each success is an outcome: they are what is left of all, which an index counts
    without reading a row; what is rare and what is active have indexes of their own.
    """
    column = Execution._meta.get_field("queued_at")
    values = [
        value
        for number, span in enumerate(pairwise(instants))
        for value in (number, *(column.get_db_prep_value(at, connection) for at in span))
    ]
    spans = ", ".join(["(%s, %s, %s)"] * (len(instants) - 1))
    found: list[Counter[tuple[str, bool]]] = [Counter() for _ in instants[1:]]
    with connection.cursor() as cursor:
        cursor.execute(SPAN_COUNTS.format(spans=spans), values)
        for number, status, is_outcome, count in cursor.fetchall():
            success = count if status is None else -count
            found[number][Status.SUCCESS, True] += success
            if status is not None:
                found[number][status, bool(is_outcome)] += count
    return found


def counts_since(begin: datetime) -> dict[str, int]:
    """Return how many executions were queued at or after `begin`, by status."""
    counts: Counter[str] = Counter()
    for (status, _is_outcome), count in span_counts([begin, FOREVER])[0].items():
        counts[status] += count
    return {status: count for status, count in counts.items() if count}


@dataclass(frozen=True)
class GraphNode:
    """A task in a picture of dependencies with its latest outcome, None when it never ran."""

    pk: int
    task_id: str
    name: str
    enabled: bool
    schedule: str
    zone: str
    status: str | None
    execution_id: int | None
    finished_at: datetime | None


@dataclass(frozen=True)
class DependencyGraph:
    """Nodes by task id, and edges as (upstream, downstream) by task id."""

    nodes: list[GraphNode]
    edges: list[tuple[str, str]]


def dependency_graph(*, around: Task | None = None) -> DependencyGraph:
    """Return all tasks that have dependencies, or `around` with all that is upstream and downstream of it."""
    rows = TaskDependency.objects.order_by("upstream__task_id", "downstream__task_id")
    edges: list[tuple[int, int]] = list(rows.values_list("upstream_id", "downstream_id"))
    if around is None:
        pks = {pk for edge in edges for pk in edge}
    else:
        above: dict[int, list[int]] = {}
        below: dict[int, list[int]] = {}
        for upstream, downstream in edges:
            above.setdefault(downstream, []).append(upstream)
            below.setdefault(upstream, []).append(downstream)
        pks = {around.pk} | reachable(above, around.pk) | reachable(below, around.pk)
    nodes = graph_nodes(pks)
    names = {node.pk: node.task_id for node in nodes}
    shown = [(names[up], names[down]) for up, down in edges if up in names and down in names]
    return DependencyGraph(nodes, shown)


def graph_nodes(pks: Collection[int]) -> list[GraphNode]:
    """Return tasks by primary key with their latest outcomes, in the order of their ids; two queries a thousand."""
    ran = Execution.objects.outcomes().filter(task=OuterRef("pk"), status__in=sorted(RAN))
    tasks = Task.objects.order_by("task_id").annotate(latest=Subquery(ran.values("pk")[:1]))
    if len(pks) <= 1000:
        tasks = tasks.filter(pk__in=pks)
    values = tasks.values_list("pk", "task_id", "name", "enabled", "schedule", "timezone", "latest")
    found = [row for row in values if row[0] in pks]
    latest = {row[-1] for row in found if row[-1] is not None}
    ends: dict[int, tuple[str, datetime | None]] = {}
    numbers = sorted(latest)
    for start in range(0, len(numbers), 1000):
        part = Execution.objects.filter(pk__in=numbers[start : start + 1000])
        ends |= {pk: (status, at) for pk, status, at in part.values_list("pk", "status", "finished_at")}
    return [
        GraphNode(
            pk, task_id, name, enabled, schedule, zone or settings.SCHEDULER_TIME_ZONE, status, last, at
        )
        for pk, task_id, name, enabled, schedule, zone, last in found
        for status, at in [ends.get(last or 0, (None, None))]
    ]


def tasks_alone() -> TaskQuerySet:
    """Return the tasks that depend on nothing and that nothing depends on."""
    edges = TaskDependency.objects.all()
    above, below = edges.filter(downstream=OuterRef("pk")), edges.filter(upstream=OuterRef("pk"))
    rows: TaskQuerySet = Task.objects.filter(~Exists(above), ~Exists(below)).order_by("task_id")
    return rows
