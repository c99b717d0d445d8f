"""Reads of executions: latest, running, and counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from datetime import datetime
from itertools import pairwise

from django.db import connection
from django.db.models import OuterRef, Q, Subquery

from scheduler.choices import ACTIVE, TERMINAL, UNINDEXED_STATUSES, Status
from scheduler.engine.reasons import Reason
from scheduler.models import Execution, Process, Task
from scheduler.models.querysets import ExecutionQuerySet
from scheduler.models.reasons import CANCEL_COLUMNS, read_reason
from scheduler.selectors.tasks import FOREVER

_ACTIVE, _COMMON, _RARE = (
    ", ".join(f"'{status.value}'" for status in group)
    for group in (sorted(ACTIVE), UNINDEXED_STATUSES, sorted(TERMINAL - {Status.SUCCESS}))
)


# SQLite uses a partial index only if the query repeats its condition literally. The expression around the instant keeps
# SQLite from searching active executions through the index on the instant.
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
    """Return the newest execution of each task, by task; one query. Tasks without executions are omitted."""
    newest = Execution.objects.filter(task=OuterRef("pk")).newest_first().values("pk")[:1]
    pks = Task.all_objects.filter(pk__in=task_pks).annotate(newest=Subquery(newest)).values("newest")
    rows = Execution.objects.filter(pk__in=pks).prefetch_related("upstream_executions")
    return {row.task_id: row for row in rows}


def recent_executions(task_pks: Collection[int], count: int = 30) -> dict[int, list[Execution]]:
    """Return the newest `count` executions of each task, oldest first, in two queries.

    The first finds the oldest row of each list, so that the second reads only the returned rows of a long history.
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


def running_now(limit: int = 20) -> ExecutionQuerySet:
    """Return the running executions, longest running first."""
    # Two steps: in one query with the join, SQLite scans all tasks.
    pks = list(Execution.objects.running().order_by("started_at", "pk").values_list("pk", flat=True)[:limit])
    return Execution.objects.filter(pk__in=pks).select_related("task").order_by("started_at", "pk")


def orders_for(owner: Process) -> dict[int, tuple[str, Reason | None]]:
    """Return the claim of each running execution of `owner`, and the reason if a cancel was requested."""
    rows = Execution.objects.running().filter(owner=owner)
    columns = rows.values_list("pk", "claim", "cancel_requested_at", *CANCEL_COLUMNS)
    return {
        pk: (claim, read_reason(*reason) if asked_at else None) for pk, claim, asked_at, *reason in columns
    }


def span_counts(instants: Sequence[datetime]) -> list[Counter[tuple[str, bool]]]:
    """Return how many executions were queued from each instant up to the next, by status and `is_outcome`; one query.

    Nearly all are successes, and each success is an outcome: they are computed as the difference from the total, which
    an index counts without reading rows. Rare and active statuses have their own indexes.
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
