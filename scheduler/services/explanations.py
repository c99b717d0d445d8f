"""Why a task ran, why it does not, and what it waits for, in sentences for people."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from django.utils.translation import gettext as _

from scheduler.choices import RAN, Status, Trigger, TriggerRule
from scheduler.engine.dependencies import UpstreamState, slot_readiness
from scheduler.engine.zones import shown_zone
from scheduler.models import Execution, Task, TaskDependency, TaskRevision
from scheduler.phrases import retold
from scheduler.services.downstream import waiting_in_runs
from scheduler.upstreams import outside_states

SHOWN_RUNS = 20


@dataclass(frozen=True)
class Waiting:
    """An upstream as the task sees it from outside of a run; `reason` says what is missing, "" when nothing is."""

    task_id: str
    is_fresh: bool
    last_success_at: datetime | None
    execution_id: int | None
    used_by: int | None
    reason: str


@dataclass
class Explanation:
    """Sentences, and the facts behind what they say of upstreams.

    Attributes:
        last: what happened last, and why.
        now: what goes on, and what keeps the task from running.
        upcoming: what will make it run.
    """

    last: list[str] = field(default_factory=list)
    now: list[str] = field(default_factory=list)
    upcoming: list[str] = field(default_factory=list)
    upstreams: list[Waiting] = field(default_factory=list)

    @property
    def sentences(self) -> list[str]:
        """All of it, in the order in which one would tell it."""
        return [*self.last, *self.now, *self.upcoming]


def explain(task: Task, *, now: datetime) -> Explanation:
    """Explain `task` as it stands at `now`; nothing is written. Times are told in the zone of the task."""
    zone = shown_zone(task.zone)
    told = Explanation()
    rows = Execution.objects.filter(task=task).select_related("run__created_by")
    latest = rows.newest_first().first()
    told.last = [_("It has never run.")] if latest is None else _last(latest, zone)
    if latest is not None and latest.status not in RAN:
        ran = rows.filter(started_at__isnull=False).exclude(pk=latest.pk).newest_first().first()
        if ran is not None:
            told.last += _last(ran, zone)
    told.now = [*_state(task), *_active(task, zone, now)]
    told.upstreams = _upstreams(task)
    told.now += _waits(task, told.upstreams, zone)
    told.now += _removed(task, zone)
    told.upcoming = _upcoming(task, bool(told.upstreams), zone)
    return told


def _time(at: datetime, zone: ZoneInfo) -> str:
    return f"{at.astimezone(zone):%Y-%m-%d %H:%M:%S} {zone.key}"


# --- what happened last ---------------------------------------------------------------------------


def _last(execution: Execution, zone: ZoneInfo) -> list[str]:
    values: dict[str, Any] = {
        "pk": execution.pk,
        "attempt": execution.attempt,
        "status": Status(execution.status).label,
        "at": _time(execution.finished_at or execution.started_at or execution.queued_at, zone),
        "reason": retold(execution.reason),
    }
    if execution.status == Status.QUEUED:
        said = _("Execution %(pk)s has been queued since %(at)s.") % values
    elif execution.status == Status.RUNNING:
        said = _("Execution %(pk)s (attempt %(attempt)s) has been running since %(at)s.") % values
    elif execution.status == Status.SKIPPED:
        return [_("It was skipped at %(at)s (execution %(pk)s): %(reason)s.") % values]
    elif execution.status == Status.MISSED:
        return [_("It missed its slot (execution %(pk)s): %(reason)s.") % values]
    else:
        said = _("Execution %(pk)s (attempt %(attempt)s) ended as “%(status)s” at %(at)s.") % values
        if execution.reason:
            said += " " + _("Reason: %(reason)s.") % values
    return [said, _why(execution, zone)]


def _why(execution: Execution, zone: ZoneInfo) -> str:
    run = execution.run
    values: dict[str, Any] = {
        "who": str(run.created_by) if run is not None and run.created_by else _("somebody"),
        "slot": _time(execution.scheduled_for, zone) if execution.scheduled_for else "",
        "run": execution.run_id,
        "upstreams": ", ".join(
            _("%(task)s (execution %(pk)s)") % {"task": upstream.task.task_id, "pk": upstream.pk}
            for upstream in execution.upstream_executions.select_related("task").order_by("task__task_id")
        ),
    }
    if execution.trigger == Trigger.SCHEDULE and values["upstreams"]:
        return _("It ran for its slot %(slot)s, after %(upstreams)s.") % values
    if execution.trigger == Trigger.SCHEDULE:
        return _("It ran for its slot %(slot)s.") % values
    if execution.trigger == Trigger.DEPENDENCY:
        return _("It ran in run %(run)s because of its upstreams: %(upstreams)s.") % values
    if execution.trigger == Trigger.RETRY:
        return _("It was another attempt after a failure in run %(run)s.") % values
    if execution.trigger == Trigger.API:
        return _("It ran because %(who)s asked for it by the API.") % values
    return _("It ran because %(who)s started it by hand.") % values


# --- now ------------------------------------------------------------------------------------------


def _state(task: Task) -> list[str]:
    if task.deleted_at is not None:
        return [_("It was deleted.")]
    said = []
    if not task.enabled:
        said.append(_("It is disabled: its schedule does not count, and runs that reach it skip it."))
    if task.schedule_error:
        said.append(_("Its schedule cannot be followed: %(error)s.") % {"error": retold(task.schedule_error)})
    return said


def _active(task: Task, zone: ZoneInfo, now: datetime) -> list[str]:
    said = []
    for execution in Execution.objects.active().filter(task=task).oldest_first()[:SHOWN_RUNS]:
        values: dict[str, Any] = {
            "pk": execution.pk,
            "run": execution.run_id,
            "attempt": execution.attempt,
        }
        if execution.status == Status.RUNNING:
            said.append(_("Execution %(pk)s is running in run %(run)s.") % values)
        elif execution.not_before is not None and execution.not_before > now:
            values["at"] = _time(execution.not_before, zone)
            said.append(_("Attempt %(attempt)s in run %(run)s waits until %(at)s.") % values)
        else:
            said.append(_("Execution %(pk)s waits for a free worker.") % values)
    for run, readiness in waiting_in_runs(task, limit=SHOWN_RUNS):
        said.append(_("In run %(run)s it %(reason)s.") % {"run": run.pk, "reason": retold(readiness.reason)})
    return said


def _upstreams(task: Task) -> list[Waiting]:
    rows = TaskDependency.objects.filter(downstream=task).order_by("upstream__task_id")
    names = dict(rows.values_list("upstream_id", "upstream__task_id"))
    states = outside_states([(task.pk, upstream) for upstream in names], names)
    return [_waiting(state) for state in states.values()]


def _waiting(state: UpstreamState) -> Waiting:
    reason = "" if state.is_fresh else slot_readiness(TriggerRule.ALL_SUCCESS, [state]).reason
    return Waiting(
        state.task, state.is_fresh, state.last_success_at, state.execution_id, state.used_by, reason
    )


def _waits(task: Task, upstreams: list[Waiting], zone: ZoneInfo) -> list[str]:
    names = {"tasks": ", ".join(upstream.task_id for upstream in upstreams)}
    if upstreams and task.trigger_rule == TriggerRule.ANY_FAILED:
        return [_("It starts in a run as soon as one of its upstreams fails: %(tasks)s.") % names]
    if upstreams and task.trigger_rule == TriggerRule.ALL_DONE:
        return [
            _("It starts in a run once its upstreams have ended, whatever came of them: %(tasks)s.") % names,
            _("Those outside of the run must have succeeded since this task last started."),
        ]
    said = []
    for upstream in upstreams:
        values: dict[str, Any] = {
            "task": upstream.task_id,
            "user": upstream.used_by,
            "pk": upstream.execution_id,
        }
        if upstream.last_success_at is not None:
            values["at"] = _time(upstream.last_success_at, zone)
        if upstream.last_success_at is None:
            said.append(_("It waits for %(task)s: no success yet.") % values)
        elif upstream.is_fresh:
            said.append(_("%(task)s succeeded at %(at)s (execution %(pk)s), not used yet.") % values)
        elif upstream.used_by is not None:
            said.append(
                _("It waits for %(task)s: last success %(at)s, already used by execution %(user)s.") % values
            )
        else:
            said.append(
                _("It waits for %(task)s: last success %(at)s, before this task last started.") % values
            )
    return said


def _removed(task: Task, zone: ZoneInfo) -> list[str]:
    """Say which upstreams went because they were deleted, by the last two revisions."""
    specs = list(
        TaskRevision.objects.filter(task=task).order_by("-number").values_list("spec", flat=True)[:2]
    )
    if len(specs) < 2:
        return []
    gone = set(specs[1]["task_dependencies"]) - set(specs[0]["task_dependencies"])
    rows = Task.all_objects.filter(task_id__in=gone, deleted_at__isnull=False).order_by("task_id")
    return [
        _("It no longer depends on %(task)s, which was deleted at %(at)s.")
        % {"task": row.task_id, "at": _time(row.deleted_at, zone)}
        for row in rows
        if row.deleted_at is not None
    ]


def _upcoming(task: Task, has_upstreams: bool, zone: ZoneInfo) -> list[str]:
    if task.deleted_at is not None:
        return []
    if task.next_run_at is not None:
        slot = {"at": _time(task.next_run_at, zone)}
        if has_upstreams:
            return [_("Its next slot is %(at)s; it runs then if its upstreams allow it.") % slot]
        return [_("Its next slot is %(at)s.") % slot]
    if has_upstreams and task.enabled:
        return [_("It starts when its upstreams allow it, by hand or by the API.")]
    return [_("Nothing starts it but a person or the API.")]
