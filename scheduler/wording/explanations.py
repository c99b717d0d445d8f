"""Why a task ran, why it does not, and what it waits for: sentences for people, as codes with values."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from zoneinfo import ZoneInfo

from scheduler.choices import RAN, Status, Trigger, TriggerRule
from scheduler.engine.dependencies import UpstreamState, slot_readiness
from scheduler.engine.explanations import Code as Said
from scheduler.engine.reasons import Params, Reason
from scheduler.engine.times import iso
from scheduler.engine.zones import display_zone
from scheduler.models import Execution, Task, TaskDependency, TaskRevision
from scheduler.selectors.run_states import waiting_in_runs
from scheduler.selectors.upstreams import outside_states
from scheduler.services.folders import folder_error
from scheduler.wording.changed_days import days_of, days_reason
from scheduler.wording.task_status import schedule_reason

SHOWN_RUNS = 20


@dataclass(frozen=True)
class Waiting:
    """An upstream as the task sees it from outside of a run; `reason` says what is missing, None when nothing is."""

    task_id: str
    is_fresh: bool
    last_success_at: datetime | None
    execution_id: int | None
    used_by: int | None
    reason: Reason | None


@dataclass
class Explanation:
    """Sentences, and the facts behind what they say of upstreams.

    Attributes:
        last: what happened last, and why.
        now: current activity, and what prevents the task from running.
        upcoming: what will make it run.
    """

    task_id: str
    last: list[Reason] = field(default_factory=list)
    now: list[Reason] = field(default_factory=list)
    upcoming: list[Reason] = field(default_factory=list)
    upstreams: list[Waiting] = field(default_factory=list)

    @property
    def sentences(self) -> list[Reason]:
        """All of it, in the order in which one would tell it."""
        return [*self.last, *self.now, *self.upcoming]


def explain(task: Task, *, now: datetime) -> Explanation:
    """Explain `task` as it stands at `now`; nothing is written. Instants belong to the zone of the task."""
    zone = display_zone(task.zone)
    told = Explanation(task.task_id)
    rows = Execution.objects.filter(task=task).select_related("run__created_by")
    latest = rows.newest_first().first()
    told.last = [Reason(Said.NEVER_RAN)] if latest is None else _last(latest, zone)
    if latest is not None and latest.status not in RAN:
        ran = rows.filter(started_at__isnull=False).exclude(pk=latest.pk).newest_first().first()
        if ran is not None:
            told.last += _last(ran, zone)
    told.now = [*_state(task), *_changed_days(task, now), *_active(task, zone, now)]
    told.upstreams = _upstreams(task)
    told.now += _waits(task, told.upstreams, zone)
    told.now += _removed(task, zone)
    told.upcoming = _upcoming(task, zone, has_upstreams=bool(told.upstreams))
    return told


def _at(at: datetime, zone: ZoneInfo) -> Params:
    return {"at": iso(at), "zone": zone.key}


# --- what happened last ---------------------------------------------------------------------------


def _last(execution: Execution, zone: ZoneInfo) -> list[Reason]:
    numbers = {"execution": execution.pk, "attempt": execution.attempt}
    at = _at(execution.finished_at or execution.started_at or execution.queued_at, zone)
    why = {"why": execution.why or ""}
    if execution.status == Status.SKIPPED:
        return [Reason(Said.LAST_SKIPPED, {"execution": execution.pk, **at, **why})]
    if execution.status == Status.MISSED:
        return [Reason(Said.LAST_MISSED, {"execution": execution.pk, **why})]
    if execution.status == Status.QUEUED:
        said = Reason(Said.LAST_QUEUED, {"execution": execution.pk, **at})
    elif execution.status == Status.RUNNING:
        said = Reason(Said.LAST_RUNNING, {**numbers, **at})
    else:
        ended = {**numbers, "outcome": execution.status, **at}
        said = Reason(Said.LAST_ENDED, ended)
        if execution.why is not None:
            said = Reason(Said.LAST_ENDED_BECAUSE, {**ended, **why})
    return [said, _why(execution, zone)]


def _why(execution: Execution, zone: ZoneInfo) -> Reason:
    run = execution.run
    who = {"who": str(run.created_by) if run is not None and run.created_by else Reason(Said.SOMEBODY)}
    slot = _at(execution.scheduled_for, zone) if execution.scheduled_for else {"at": ""}
    upstreams = [
        Reason(Said.EXECUTION_OF_TASK, {"task": upstream.task.task_id, "execution": upstream.pk})
        for upstream in execution.upstream_executions.select_related("task").order_by("task__task_id")
    ]
    if execution.trigger == Trigger.SCHEDULE and upstreams:
        return Reason(Said.RAN_FOR_SLOT_AFTER, {**slot, "upstreams": upstreams})
    if execution.trigger == Trigger.SCHEDULE:
        return Reason(Said.RAN_FOR_SLOT, slot)
    if execution.trigger == Trigger.DEPENDENCY:
        return Reason(Said.RAN_AFTER_UPSTREAMS, {"run": execution.run_id, "upstreams": upstreams})
    if execution.trigger == Trigger.RETRY:
        return Reason(Said.RAN_AS_RETRY, {"run": execution.run_id})
    return Reason(Said.RAN_BY_API if execution.trigger == Trigger.API else Said.RAN_BY_HAND, who)


# --- now ------------------------------------------------------------------------------------------


def _state(task: Task) -> list[Reason]:
    if task.deleted_at is not None:
        return [Reason(Said.IS_DELETED)]
    said = []
    if not task.enabled:
        said.append(Reason(Said.IS_DISABLED))
    if task.schedule_error:
        said.append(Reason(Said.SCHEDULE_BROKEN, {"why": schedule_reason(task)}))
    missing = folder_error(task)
    if missing:
        said.append(Reason(Said.WOULD_NOT_START, {"why": missing}))
    return said


def _changed_days(task: Task, now: datetime) -> list[Reason]:
    found = days_of(task, now)
    return [] if found is None else [days_reason(found)]


def _active(task: Task, zone: ZoneInfo, now: datetime) -> list[Reason]:
    said = []
    for execution in Execution.objects.active().filter(task=task).oldest_first()[:SHOWN_RUNS]:
        pk, run = {"execution": execution.pk}, {"run": execution.run_id}
        if execution.status == Status.RUNNING:
            said.append(Reason(Said.IS_RUNNING, {**pk, **run}))
        elif execution.not_before is not None and execution.not_before > now:
            attempt = {"attempt": execution.attempt, **run}
            said.append(Reason(Said.RETRY_WAITS, {**attempt, **_at(execution.not_before, zone)}))
        else:
            said.append(Reason(Said.WAITS_FOR_WORKER, pk))
    for open_run, readiness in waiting_in_runs(task, limit=SHOWN_RUNS):
        said.append(Reason(Said.IN_RUN, {"run": open_run.pk, "why": readiness.reason or ""}))
    return said


def _upstreams(task: Task) -> list[Waiting]:
    rows = TaskDependency.objects.filter(downstream=task).order_by("upstream__task_id")
    names = dict(rows.values_list("upstream_id", "upstream__task_id"))
    states = outside_states([(task.pk, upstream) for upstream in names], names)
    return [_waiting(state) for state in states.values()]


def _waiting(state: UpstreamState) -> Waiting:
    reason = None if state.is_fresh else slot_readiness(TriggerRule.ALL_SUCCESS, [state]).reason
    return Waiting(
        state.task, state.is_fresh, state.last_success_at, state.execution_id, state.used_by, reason
    )


def _waits(task: Task, upstreams: list[Waiting], zone: ZoneInfo) -> list[Reason]:
    names = {"tasks": [upstream.task_id for upstream in upstreams]}
    if upstreams and task.trigger_rule == TriggerRule.ANY_FAILED:
        return [Reason(Said.STARTS_AFTER_FAILURE, names)]
    if upstreams and task.trigger_rule == TriggerRule.ALL_DONE:
        return [Reason(Said.STARTS_AFTER_ENDS, names), Reason(Said.OUTSIDE_MUST_SUCCEED)]
    return [_waits_for(upstream, zone) for upstream in upstreams]


def _waits_for(upstream: Waiting, zone: ZoneInfo) -> Reason:
    task = {"task": upstream.task_id}
    if upstream.last_success_at is None:
        return Reason(Said.WAITS_FOR_FIRST_SUCCESS, task)
    success = {**task, **_at(upstream.last_success_at, zone)}
    if upstream.is_fresh:
        return Reason(Said.SUCCESS_NOT_USED, {**success, "execution": upstream.execution_id})
    if upstream.used_by is not None:
        return Reason(Said.WAITS_AFTER_USED, {**success, "execution": upstream.used_by})
    return Reason(Said.WAITS_AFTER_OLD, success)


def _removed(task: Task, zone: ZoneInfo) -> list[Reason]:
    """Say which upstreams went because they were deleted, by the last two revisions."""
    specs = list(
        TaskRevision.objects.filter(task=task).order_by("-number").values_list("spec", flat=True)[:2]
    )
    if len(specs) < 2:
        return []
    gone = set(specs[1]["task_dependencies"]) - set(specs[0]["task_dependencies"])
    rows = Task.all_objects.filter(task_id__in=gone, deleted_at__isnull=False).order_by("task_id")
    return [
        Reason(Said.UPSTREAM_DELETED, {"task": row.task_id, **_at(row.deleted_at, zone)})
        for row in rows
        if row.deleted_at is not None
    ]


def _upcoming(task: Task, zone: ZoneInfo, *, has_upstreams: bool) -> list[Reason]:
    if task.deleted_at is not None:
        return []
    if task.next_run_at is not None:
        code = Said.NEXT_SLOT_IF_ALLOWED if has_upstreams else Said.NEXT_SLOT
        return [Reason(code, _at(task.next_run_at, zone))]
    return [Reason(Said.NEXT_BY_UPSTREAMS if has_upstreams and task.enabled else Said.NEXT_BY_PEOPLE)]
