"""States of upstreams outside of a run: their latest outcome, and the execution that has used it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from django.db.models import OuterRef, Q, Subquery

from scheduler.choices import PREVENTED, RAN, Status, Trigger
from scheduler.engine.dependencies import UpstreamState
from scheduler.models import Execution, Task

Edge = tuple[int, int]  # downstream, upstream: primary keys


@dataclass(frozen=True)
class _Outcome:
    execution_id: int
    status: Status
    finished_at: datetime


def outside_states(edges: Collection[Edge], names: dict[int, str]) -> dict[Edge, UpstreamState]:
    """Return the state of the upstream of each edge as the downstream sees it, in four queries.

    A downstream counts as started once it is queued, so that one success never starts it twice. Retries and
    executions cancelled before they began do not count as starts.

    Args:
        names: task id of each upstream, by primary key.
    """
    if not edges:
        return {}
    upstreams = {upstream for _, upstream in edges}
    started = _last_started({downstream for downstream, _ in edges})
    successes, latest = _outcomes(upstreams, [Status.SUCCESS]), _outcomes(upstreams, sorted(RAN))
    used = _used_by({found.execution_id for found in successes.values()}, set(started))
    states = {}
    for downstream, upstream in edges:
        success, last, since = successes.get(upstream), latest.get(upstream), started[downstream]
        user = None if success is None else used.get((downstream, success.execution_id))
        states[(downstream, upstream)] = UpstreamState(
            task=names[upstream],
            in_run=False,
            status=None if last is None else last.status,
            is_final=last is not None,
            execution_id=None if success is None else success.execution_id,
            is_fresh=_is_since(success, since) and user is None,
            is_recent=_is_since(last, since),
            last_success_at=None if success is None else success.finished_at,
            used_by=user,
        )
    return states


def _is_since(outcome: _Outcome | None, since: datetime | None) -> bool:
    return outcome is not None and (since is None or outcome.finished_at > since)


def _last_started(tasks: Collection[int]) -> dict[int, datetime | None]:
    began = Q(status=Status.QUEUED) | Q(started_at__isnull=False)
    own = Execution.objects.filter(began, task=OuterRef("pk")).exclude(trigger=Trigger.RETRY)
    newest = own.newest_first().values("queued_at")[:1]
    rows = Task.all_objects.filter(pk__in=tasks).annotate(at=Subquery(newest))
    return dict(rows.values_list("pk", "at"))


def _outcomes(tasks: Collection[int], statuses: Collection[str]) -> dict[int, _Outcome]:
    newest = Execution.objects.outcomes().filter(task=OuterRef("pk"), status__in=statuses).values("pk")[:1]
    pks = Task.all_objects.filter(pk__in=tasks).annotate(newest=Subquery(newest)).values("newest")
    rows = Execution.objects.filter(pk__in=pks).values_list("task_id", "pk", "status", "finished_at")
    return {task: _Outcome(pk, Status(status), at) for task, pk, status, at in rows if at is not None}


def _used_by(successes: Collection[int], downstreams: Collection[int]) -> dict[Edge, int]:
    """Return the latest execution of a downstream that started after a success, by (downstream, success)."""
    links = Execution.upstream_executions.through.objects.filter(
        to_execution__in=successes, from_execution__task__in=downstreams
    ).exclude(Q(from_execution__status__in=sorted(PREVENTED), from_execution__started_at=None))
    rows = links.order_by("from_execution").values_list(
        "from_execution__task_id", "to_execution_id", "from_execution_id"
    )
    return {(task, success): execution for task, success, execution in rows}
