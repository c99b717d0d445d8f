"""Statistics of the history: duration percentiles, daily load, recurring failures, lateness, sizes."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path

from django.conf import settings
from django.db import connection
from django.db.models import Count, Max, Min, OuterRef, Q, Subquery
from django.db.models.functions import Coalesce

from scheduler.choices import FAILED, RAN, Status, Trigger
from scheduler.engine.log_text import shown_text
from scheduler.engine.percentiles import percentile
from scheduler.engine.schedules import count_slots, parse_schedule, slots_between
from scheduler.engine.zones import display_zone
from scheduler.exceptions import InvalidScheduleError
from scheduler.models import Execution, ExecutionLog, Process, Task
from scheduler.models.querysets import ExecutionQuerySet
from scheduler.selectors.executions import span_counts

SAMPLE = 1000
EARLIER_FAILURES = 50
LAST_LINES = 3
MOST_SCHEDULES = 1000
MOST_SLOTS = 200
LATENESS_SAMPLE = 300


@dataclass(frozen=True)
class DurationPercentiles:
    """Percentiles of the durations of successful executions, in seconds."""

    p50: float
    p95: float


def typical(executions: Iterable[Execution]) -> DurationPercentiles | None:
    """Return the duration percentiles of the successes among `executions`; None without any."""
    seconds = [
        row.duration for row in executions if row.status == Status.SUCCESS and row.duration is not None
    ]
    p50, p95 = percentile(seconds, 0.5), percentile(seconds, 0.95)
    return None if p50 is None or p95 is None else DurationPercentiles(p50, p95)


@dataclass(frozen=True)
class RunSample:
    """The columns of a finished execution that statistics need."""

    execution_id: int
    status: Status
    at: datetime
    seconds: float


@dataclass
class TaskStatistics:
    """The latest finished executions of a task, newest first, with percentiles and counts by status."""

    rows: list[RunSample]
    p50: float | None = None
    p95: float | None = None
    counts: Counter[Status] = field(default_factory=Counter)


def task_statistics(task: Task) -> TaskStatistics:
    """Return the statistics of the latest thousand executions of `task`; one query."""
    rows = (
        Execution.objects.filter(task=task, status__in=sorted(RAN), started_at__isnull=False)
        .newest_first()
        .values_list("pk", "status", "queued_at", "started_at", "finished_at")[:SAMPLE]
    )
    found = TaskStatistics(
        [
            RunSample(pk, Status(status), queued, (end - start).total_seconds())
            for pk, status, queued, start, end in rows
            if start is not None and end is not None
        ]
    )
    seconds = [row.seconds for row in found.rows if row.status == Status.SUCCESS]
    found.p50, found.p95 = percentile(seconds, 0.5), percentile(seconds, 0.95)
    found.counts.update(row.status for row in found.rows)
    return found


def by_hour_of_week(rows: Iterable[RunSample], zone: str) -> dict[tuple[int, int], list[RunSample]]:
    """Group executions by (weekday from Monday, hour) in `zone`."""
    place = display_zone(zone)
    found: dict[tuple[int, int], list[RunSample]] = defaultdict(list)
    for row in rows:
        local = row.at.astimezone(place)
        found[local.weekday(), local.hour].append(row)
    return found


def fingerprint(text: str) -> str:
    """Return the last lines of a log with numbers and hexadecimal ids replaced, for comparison between executions."""
    plain = re.sub(r"\x1b\[[0-9;?]*[ -/]*[@-~]", "", text)
    lines = [line.strip() for line in plain.splitlines() if line.strip()]
    return "\n".join(
        re.sub(r"[0-9a-f]{8,}", "#", re.sub(r"\d+", "#", line.lower())) for line in lines[-LAST_LINES:]
    )


def same_failures(execution: Execution) -> tuple[list[Execution], int]:
    """Return earlier failures of the task with the same cause, newest first, and the number of failures compared.

    The cause is the same if status, exit code and the `fingerprint` of the log are equal. Three queries.
    """
    if execution.status not in FAILED:
        return [], 0
    before = Execution.objects.filter(
        Q(queued_at__lt=execution.queued_at) | Q(pk__lt=execution.pk),
        task=execution.task_id,
        status=execution.status,
        queued_at__lte=execution.queued_at,
    )
    earlier = list(before.newest_first()[:EARLIER_FAILURES])
    ends = _last_pieces([execution.pk, *(row.pk for row in earlier)])
    own = fingerprint(ends.get(execution.pk, ""))
    same = [
        row
        for row in earlier
        if row.exit_code == execution.exit_code and fingerprint(ends.get(row.pk, "")) == own
    ]
    return same, len(earlier)


def last_lines(execution_pks: Collection[int], count: int = 6) -> dict[int, str]:
    """Return the last `count` lines of output of each execution, as its page shows them, with colours."""
    return {
        pk: "\n".join(shown_text(text, keeps_colours=True).rstrip().split("\n")[-count:])
        for pk, text in _last_pieces(execution_pks).items()
    }


def _last_pieces(execution_pks: Collection[int]) -> dict[int, str]:
    last = ExecutionLog.objects.filter(execution=OuterRef("execution")).order_by("-offset").values("pk")[:1]
    rows = ExecutionLog.objects.filter(execution__in=execution_pks, pk=Subquery(last))
    return {pk: text[-4000:] for pk, text in rows.values_list("execution_id", "text")}


@dataclass
class BucketLoad:
    """The load of one time bucket: past executions by kind, planned slots, and the slot with the most tasks."""

    succeeded: int = 0
    failed: int = 0
    other: int = 0
    planned: int = 0
    fullest_at: datetime | None = None
    fullest: int = 0


def day_load(begin: datetime, now: datetime, end: datetime, width: timedelta) -> list[BucketLoad]:
    """Return the load of each bucket of `width` from `begin` to `end`: executions up to `now`, planned slots after it.

    Only the thousand most used schedules are planned.
    """
    loads = [BucketLoad() for _ in range(-((begin - end) // width))]
    counts = span_counts([begin + number * width for number in range((now - begin) // width + 2)])
    for load, kinds in zip(loads, counts, strict=False):
        for (status, is_outcome), count in kinds.items():
            if status == Status.SUCCESS:
                load.succeeded += count
            elif is_outcome and status in FAILED:
                load.failed += count
            elif is_outcome:
                load.other += count
    _add_planned(loads, begin, now, end, width)
    return loads


def _add_planned(
    loads: list[BucketLoad], begin: datetime, now: datetime, end: datetime, width: timedelta
) -> None:
    instants: Counter[datetime] = Counter()
    schedules = (
        Task.objects.filter(enabled=True, next_run_at__isnull=False, schedule_error="")
        .order_by()
        .values_list("schedule", "timezone")
        .annotate(count=Count("pk"))
        .order_by("-count")[:MOST_SCHEDULES]
    )
    for expression, zone, count in schedules:
        try:
            schedule = parse_schedule(expression, zone or settings.SCHEDULER_TIME_ZONE)
        except InvalidScheduleError:  # the dispatcher will mark its tasks
            continue
        slots = slots_between(schedule, now, end, limit=MOST_SLOTS)
        if len(slots) < MOST_SLOTS:
            for slot in slots:
                instants[slot] += count
            continue
        # Too frequent to list: spread their number evenly over the buckets.
        first = (now - begin) // width
        share = count_slots(schedule, now, end) // max(len(loads) - first, 1)
        for load in loads[first:]:
            load.planned += share * count
    for slot, count in instants.items():
        load = loads[min((slot - begin) // width, len(loads) - 1)]
        load.planned += count
        if count > load.fullest:
            load.fullest_at, load.fullest = slot, count


@dataclass(frozen=True)
class Queue:
    """The state of a queue: number of waiting and running executions, and since when the oldest waits."""

    name: str
    waiting: int
    running: int
    oldest_at: datetime | None


def queues(now: datetime) -> list[Queue]:
    """Return the queues with work or a live cluster, ordered by name; three queries, each on one partial index."""
    waiting = Execution.objects.filter(status=Status.QUEUED).exclude(not_before__gt=now)
    found = {name: Queue(name, count, 0, at) for name, count, at in _by_queue(waiting)}
    for name, count, _at in _by_queue(Execution.objects.running()):
        known = found.get(name, Queue(name, 0, 0, None))
        found[name] = replace(known, running=count)
    clusters = Process.objects.alive(now).filter(kind=Process.Kind.CLUSTER)
    for name in clusters.values_list("queue", flat=True):
        found.setdefault(name, Queue(name, 0, 0, None))
    return [found[name] for name in sorted(found)]


def _by_queue(rows: ExecutionQuerySet) -> Iterable[tuple[str, int, datetime]]:
    # The expression keeps SQLite from scanning the whole history through the index on the instant.
    grouped = rows.order_by().values("queue").annotate(count=Count("pk"), oldest=Min(unindexed("queued_at")))
    return list(grouped.values_list("queue", "count", "oldest"))


def unindexed(name: str) -> Coalesce:
    """Return the value of a column as an expression that no index matches."""
    return Coalesce(name, name)


@dataclass(frozen=True)
class Lateness:
    """Delay between slot and start of the latest scheduled executions, in seconds."""

    p50: float
    p95: float
    worst: float
    count: int


def lateness() -> Lateness | None:
    """Return the lateness of the latest scheduled first attempts; None without any."""
    rows = (
        Execution.objects.filter(trigger=Trigger.SCHEDULE, started_at__isnull=False)
        .newest_first()
        .values_list("scheduled_for", "started_at")[:LATENESS_SAMPLE]
    )
    late = [
        max((started - slot).total_seconds(), 0.0)
        for slot, started in rows
        if slot is not None and started is not None
    ]
    p50, p95 = percentile(late, 0.5), percentile(late, 0.95)
    return None if p50 is None or p95 is None else Lateness(p50, p95, max(late), len(late))


def database_size() -> int | None:
    """Return the size of the database in bytes, or None if it is unknown."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_database_size(current_database())")
            return int(cursor.fetchone()[0])
    name = str(connection.settings_dict["NAME"])
    sizes = [path.stat().st_size for path in (Path(name), Path(f"{name}-wal")) if path.exists()]
    return sum(sizes) if sizes else None


def largest_ids() -> dict[str, int]:
    """Return the approximate number of rows ever created: an exact count of millions would be too slow."""
    models = {"executions": Execution, "log_pieces": ExecutionLog}
    return {
        name: model._default_manager.aggregate(last=Max("pk"))["last"] or 0 for name, model in models.items()
    }
