"""Runs: the list, and the page of one run with its graph, lanes, and tasks."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Count, Max, Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from scheduler.charts import Attempt, GanttLane, Node, gantt_chart, graph_chart
from scheduler.charts.scales import ticks
from scheduler.choices import ACTIVE, RunStatus, Status, Trigger
from scheduler.engine.graphs import bounded
from scheduler.models import Execution, Run
from scheduler.selectors.keyset import BadCursorError, KeysetPage
from scheduler.selectors.run_graphs import Place, run_graph
from scheduler.selectors.tasks import find_tasks
from scheduler.services.runs import is_resumable
from scheduler.views.frame import choice, live_part, now, page, query, require, text_of
from scheduler.views.graph import MOST_TASKS
from scheduler.wording.reasons import told
from scheduler.wording.times import exact_instant, list_duration

PAGE = 30
TRIGGERS = (Trigger.SCHEDULE, Trigger.MANUAL, Trigger.API)  # triggers that start a run
ROWS, LANES = 80, 60
LOOKED_THROUGH = 100_000
STEPS = 80  # resolution of a growing bar along the axis


# --- the list -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class RunRow:
    """A run with the number of its tasks by status of their latest attempt, and its duration in seconds."""

    run: Any
    counts: list[tuple[Status, int]]
    seconds: float | None


def run_list(request: HttpRequest) -> HttpResponse:
    """Show runs, newest first."""
    require(request, "view_run", "view_execution")
    status = choice(request, "status", RunStatus.values)
    trigger = choice(request, "trigger", [str(value) for value in TRIGGERS])
    text = text_of(request, "q", 100)
    asked = {"status": status, "trigger": trigger, "q": text}
    part, digest = _list_part(request, asked)
    if request.GET.get("seen") is not None:
        return HttpResponse(status=204) if request.GET["seen"] == digest else HttpResponse(part)
    context = {
        **asked,
        "title": _("Runs"),
        "frame": part,
        "statuses": [
            (label, query(**{**asked, "status": value}), value == status)
            for value, label in [("", _("All")), *RunStatus.choices]
        ],
        "triggers": [
            (value.label, query(**{**asked, "trigger": "" if value == trigger else value}), value == trigger)
            for value in TRIGGERS
        ],
    }
    return page(request, "scheduler/runs.html", context)


def _list_part(request: HttpRequest, asked: dict[str, str]) -> tuple[str, str]:
    # No join: SQLite would start with the tasks and sort all runs.
    rows: Any = Run.objects.with_status().prefetch_related("first_task", "created_by")
    if asked["q"]:
        tasks = find_tasks(is_enabled=None, tag=None, text=asked["q"], statuses=())
        rows = rows.filter(first_task__in=tasks.order_by().values("pk"))
    if asked["trigger"]:
        rows = rows.of_trigger(asked["trigger"])
    is_bounded = False
    if asked["status"] == RunStatus.RUNNING:
        rows = rows.open()  # uses its own index
    elif asked["status"]:
        # The status is derived from executions: searching for a rare one would scan the whole history.
        newest = Run.objects.aggregate(pk=Max("pk"))["pk"] or 0
        is_bounded = newest > LOOKED_THROUGH
        rows = rows.filter(status=asked["status"], pk__gt=newest - LOOKED_THROUGH)
    cursor = request.GET.get("cursor", "")
    try:
        found: KeysetPage[Run] = KeysetPage(rows, size=PAGE, cursor=cursor, instant=None)
    except BadCursorError:
        cursor = ""
        found = KeysetPage(rows, size=PAGE, instant=None)
    context = {
        "rows": _rows(found.rows),
        "newer": query(**asked, cursor=found.newer) if found.newer else "",
        "older": query(**asked, cursor=found.older) if found.older else "",
        "is_filtered": any(asked.values()),
        "looked_through": LOOKED_THROUGH if is_bounded else 0,
    }
    body, digest = live_part(request, "scheduler/_run_list.html", context)
    url = reverse("admin:scheduler_run_changelist") + query(**asked, cursor=cursor, seen=digest)
    frame = {"id": "runs", "url": url, "body": body, "every": 5}
    return render_to_string("scheduler/_live.html", frame), digest


def _rows(runs: Sequence[Run]) -> list[RunRow]:
    counts: dict[int, dict[str, int]] = defaultdict(dict)
    latest = Execution.objects.filter(Q(is_outcome=True) | Q(status__in=sorted(ACTIVE)))
    in_page = latest.filter(run__in=[run.pk for run in runs]).order_by().values("run_id", "status")
    for found in in_page.annotate(count=Count("pk")):
        counts[found["run_id"]][found["status"]] = found["count"]
    return [RunRow(run, _in_order(counts[run.pk]), _seconds(run)) for run in runs]


def _in_order(counts: dict[str, int]) -> list[tuple[Status, int]]:
    return [(status, counts[status]) for status in Status if status in counts]


def _seconds(run: Run) -> float | None:
    return None if run.finished_at is None else (run.finished_at - run.created_at).total_seconds()


# --- one run --------------------------------------------------------------------------------------


def run_page(request: HttpRequest, pk: int) -> HttpResponse:
    """Show one run, updated live."""
    require(request, "view_run", "view_task", "view_execution")
    rows: Any = Run.objects.with_status().select_related("first_task", "created_by")
    run = get_object_or_404(rows, pk=pk)
    is_lanes = request.GET.get("part") == "lanes"
    seen = request.GET.get("seen")
    part, digest = _lanes_part(request, run) if is_lanes else _run_part(request, run)
    if seen is not None:
        return HttpResponse(status=204) if seen == digest else HttpResponse(part)
    lanes, _digest = _lanes_part(request, run)
    context = {"title": _("Run %(number)d") % {"number": run.pk}, "run": run, "part": part, "lanes": lanes}
    return page(request, "scheduler/run.html", context)


def _run_part(request: HttpRequest, run: Any) -> tuple[str, str]:
    """Return facts, graph and table."""
    picture = run_graph(run)
    may_run = request.user.has_perm("scheduler.run_task")
    counts: dict[str, int] = defaultdict(int)
    for place in picture.places:
        if place.execution is not None:
            counts[place.execution.status] += 1
    rows = _table(picture.places, may_run)
    context: dict[str, Any] = {
        "run": run,
        "status": run.status,
        "seconds": _seconds(run),
        "counts": _in_order(counts),
        "waiting": sum(1 for place in picture.places if place.waits),
        "may_cancel": may_run and run.finished_at is None and run.cancelled_at is None,
        "question": _question(counts),
        "chart": _chart(picture.places, picture.edges, run),
        "task_count": len(picture.places),
        "is_cut": len(picture.places) > MOST_TASKS,
        "most": MOST_TASKS,
        "rows": rows[:ROWS],
        "more": len(rows) - ROWS if len(rows) > ROWS else 0,
    }
    body, digest = live_part(request, "scheduler/_run.html", context)
    url = reverse("admin:scheduler_run_change", args=[run.pk]) + query(seen=digest)
    frame = {"id": "run", "url": url if run.finished_at is None else "", "body": body, "every": 2}
    return render_to_string("scheduler/_live.html", frame), digest


def _question(counts: dict[str, int]) -> str:
    """Return the confirmation question for cancelling the run."""
    parts = []
    if running := counts[Status.RUNNING]:
        words = ngettext(
            "%(count)d running command is stopped, with its child processes.",
            "%(count)d running commands are stopped, with their child processes.",
            running,
        )
        parts.append(words % {"count": running})
    if queued := counts[Status.QUEUED]:
        words = ngettext(
            "%(count)d queued execution will not run.", "%(count)d queued executions will not run.", queued
        )
        parts.append(words % {"count": queued})
    return " ".join([*parts, _("Tasks that have not started in this run are skipped.")])


def _table(places: Sequence[Place], may_run: bool) -> list[dict[str, Any]]:
    """Return a row per task in queueing order; in long tables unsuccessful tasks come first."""
    rows = [
        {
            "task": place.task,
            "execution": place.execution,
            "reason": place.waits or (place.execution.why if place.execution else None),
            "may_resume": may_run
            and place.execution is not None
            and is_resumable(place.execution, place.task),
        }
        for place in places
    ]

    def order(row: dict[str, Any]) -> tuple[Any, ...]:
        execution: Execution | None = row["execution"]
        is_calm = len(rows) > ROWS and execution is not None and execution.status == Status.SUCCESS
        if execution is None:
            return (is_calm, True, 0.0, 0)
        return (is_calm, False, execution.queued_at.timestamp(), execution.pk)

    return sorted(rows, key=order)


def _chart(places: Sequence[Place], edges: Sequence[tuple[str, str]], run: Run) -> SafeString | str:
    if len(places) < 2:
        return ""
    number = {place.task.task_id: place.task.pk for place in places}
    pairs = [(number[up], number[down]) for up, down in edges]
    shown = bounded(set(number.values()), pairs, MOST_TASKS, first=run.first_task_id)
    nodes = [_node(place) for place in places if place.task.pk in shown]
    return graph_chart(nodes, pairs, label=_("Tasks of the run and their dependencies"))


def _node(place: Place) -> Node:
    execution, task = place.execution, place.task
    if execution is None:
        word = _("Waits") if place.waits else _("Not decided yet")
        href = reverse("admin:scheduler_task_page", args=[task.pk])
        title = " · ".join([task.name, told(place.waits) or word])
        return Node(task.pk, task.name, "none", word, title, href, ("off",))
    status = Status(execution.status)
    note = [str(status.label)]
    if execution.duration is not None:
        note.append(list_duration(execution.duration))
    if execution.attempt > 1:
        note.append(_("attempt %(number)d") % {"number": execution.attempt})
    title = " · ".join([task.name, *note, *([told(execution.why)] if execution.reason else [])])
    href = reverse("admin:scheduler_execution_change", args=[execution.pk])
    traits = ("running",) if status == Status.RUNNING else ("off",) if status == Status.SKIPPED else ()
    return Node(task.pk, task.name, status.value, " · ".join(note), title, href, traits)


# --- lanes ----------------------------------------------------------------------------------------


def _lanes_part(request: HttpRequest, run: Any) -> tuple[str, str]:
    """Return the lanes as a separate part, because they change with time and not only with events."""
    rows = Execution.objects.filter(run=run).select_related("task").order_by("queued_at", "pk")
    by_task: dict[int, list[Execution]] = defaultdict(list)
    for row in rows[: LANES * 10]:
        by_task[row.task_id].append(row)
    present = now()
    end = run.finished_at or present
    length = max((end - run.created_at).total_seconds(), 0.1)
    if run.finished_at is None:
        # The axis and growing bars move in steps, so that visually identical updates are not sent.
        length = ticks(length)[-1]
        step = length / STEPS
        reached = step * (-(-(present - run.created_at).total_seconds() // step))
    else:
        reached = length
    lanes = [_lane(attempts, run, reached) for attempts in list(by_task.values())[:LANES]]
    chart = gantt_chart(
        lanes,
        length=length,
        now_at=reached if run.finished_at is None else None,
        label=_("When each task of the run waited and ran"),
    )
    more = len(by_task) - LANES if len(by_task) > LANES else 0
    context = {"chart": chart, "has_lanes": bool(lanes), "more": more}
    body, digest = live_part(request, "scheduler/_run_lanes.html", context)
    url = reverse("admin:scheduler_run_change", args=[run.pk]) + query(part="lanes", seen=digest)
    frame = {"id": "lanes", "url": url if run.finished_at is None else "", "body": body, "every": 2}
    return render_to_string("scheduler/_live.html", frame), digest


def _lane(attempts: Sequence[Execution], run: Any, reached: float) -> GanttLane:
    def seconds(at: datetime | None) -> float:
        return reached if at is None else max((at - run.created_at).total_seconds(), 0.0)

    task = attempts[0].task
    marks = []
    for row in attempts:
        words = [task.name, str(Status(row.status).label)]
        if row.started_at is not None:
            words.append(exact_instant(row.started_at, run.first_task.zone))
        if row.duration is not None:
            words.append(list_duration(row.duration))
        if row.reason:
            words.append(told(row.why))
        start = None if row.started_at is None else seconds(row.started_at)
        href = reverse("admin:scheduler_execution_change", args=[row.pk])
        ended = seconds(row.finished_at)
        marks.append(Attempt(seconds(row.queued_at), start, ended, row.status, " · ".join(words), href))
    last = attempts[-1]
    note = str(Status(last.status).label) if last.duration is None else list_duration(last.duration)
    href = reverse("admin:scheduler_execution_change", args=[last.pk])
    return GanttLane(task.name, href, marks, note)
