"""The page of one task: state, history, definition, and changes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, cast

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils.text import capfirst
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from scheduler.charts import Cell, Point, duration_chart, heat_map
from scheduler.choices import FAILED, WEEKDAYS, Status
from scheduler.config_file import FieldChange, TaskSpec, diff_spec
from scheduler.config_file.masking import masked_spec
from scheduler.engine.graphs import bounded
from scheduler.engine.percentiles import percentile
from scheduler.forms.changes import ShownChange, shown_change
from scheduler.models import Task, TaskRevision
from scheduler.selectors.graphs import current_graph
from scheduler.selectors.statistics import RunSample, TaskStatistics, by_hour_of_week, task_statistics
from scheduler.services.configuration import upcoming
from scheduler.task_mapping import task_to_spec
from scheduler.views.extension_points import collect, task_page_cards
from scheduler.views.frame import now, page, require
from scheduler.views.graph import task_graph
from scheduler.views.tasks import task_cards
from scheduler.wording.changed_days import days_of
from scheduler.wording.explanations import explain
from scheduler.wording.times import axis_day, exact_instant, list_duration, sentence_duration

BARS = 90
CHART_POINTS = 120
GRAPH_TASKS = 60
REVISIONS = 30


def task_page(request: HttpRequest, pk: int) -> HttpResponse:
    """Show one task."""
    require(request, "view_task", "view_execution")
    task = get_object_or_404(Task, pk=pk)
    present = now()
    statistics = task_statistics(task)
    upstreams = list(task.upstreams.order_by("task_id"))
    downstreams = list(task.downstreams.filter(deleted_at=None).order_by("task_id"))
    shows_env = request.user.has_perm("scheduler.change_task")
    spec = masked_spec(task_to_spec(task, [upstream.task_id for upstream in upstreams]), shows_env=shows_env)
    context = {
        "title": task.name,
        "task": task,
        "card": task_cards([task], present, bars=BARS)[0],
        "statistics": statistics,
        "shares": _shares(statistics),
        "chart": _chart(task, statistics),
        "heat": _heat(task, statistics),
        "upstreams": upstreams,
        "downstreams": downstreams,
        "downstream_names": ", ".join(other.task_id for other in downstreams[:8]),
        "told": explain(task, now=present),
        "graph": _graph(task, present),
        "slots": [] if task.schedule_error else upcoming(spec, present, count=5),
        "command": task.command,
        "folder": _folder(task),
        "facts": _facts(task),
        "variables": sorted(spec["task_env"]),
        "configuration": json.dumps(spec, ensure_ascii=False, indent=2),
        "changes": _changes(task, shows_env),
        "cards": list(collect(task_page_cards, request, task=task)),
        "changed_days": days_of(task, present),
        "may_run": request.user.has_perm("scheduler.run_task"),
        "may_change": shows_env,
        "may_delete": request.user.has_perm("scheduler.delete_task"),
    }
    return page(request, "scheduler/task.html", context)


def _folder(task: Task) -> dict[str, Any]:
    """Return the working directory of the command on a worker with the same scripts as this process."""
    scripts = settings.SCHEDULER_TASKS_DIR
    own = scripts / task.task_id
    return {"path": own, "is_own": True} if own.is_dir() else {"path": scripts.parent, "is_own": False}


def _facts(task: Task) -> list[tuple[str, str]]:
    """Return the definition of the task, except command and schedule, as (name, value)."""
    values = {
        "timezone": task.timezone or _("Server default (%(zone)s)") % {"zone": task.zone},
        "timeout": _("none") if task.timeout is None else sentence_duration(task.timeout),
        "retry": _retries(task),
        "concurrency": _overlap(task),
        "misfire_policy": task.get_misfire_policy_display(),
        "deadline": _deadline(task.deadline),
        "queue": task.queue or settings.SCHEDULER_QUEUE,
        "priority": str(task.priority),
    }
    model: Any = Task._meta
    # Only non-default settings of the command are shown.
    values |= {
        name: value
        for name in ("shell", "python", "encoding")
        if (value := getattr(task, name)) != model.get_field(name).default
    }
    return [(capfirst(str(model.get_field(name).verbose_name)), value) for name, value in values.items()]


def _retries(task: Task) -> str:
    if not task.retry:
        return _("none")
    values = {
        "count": task.retry,
        "wait": sentence_duration(task.retry_interval),
        "factor": f"{task.retry_backoff:g}",
    }
    if task.retry_backoff == 1:
        return _("%(count)d, after %(wait)s each") % values
    return _("%(count)d, after %(wait)s, each further wait × %(factor)s") % values


def _overlap(task: Task) -> str:
    said = str(task.get_concurrency_display())
    if task.max_parallel is None:
        return said
    return _("%(policy)s, at most %(count)d") % {"policy": said, "count": task.max_parallel}


def _deadline(deadline: Any) -> str:
    if deadline is None:
        return _("none")
    if isinstance(deadline, str):
        return deadline
    return _("%(duration)s without a success") % {"duration": sentence_duration(deadline)}


def _graph(task: Task, present: datetime) -> dict[str, Any] | None:
    """Return the nearest upstreams and downstreams as a graph; None if there are none."""
    graph = current_graph()
    around = graph.around(task.pk)
    if len(around) < 2:
        return None
    near = [edge for edge in graph.edges() if edge[0] in around and edge[1] in around]
    shown = bounded(around, near, GRAPH_TASKS, first=task.pk)
    chart = task_graph(shown, near, present, current=task.pk)
    return {"chart": chart, "total": len(around), "shown": len(shown)}


def _shares(statistics: TaskStatistics) -> list[tuple[str, Any, int, int]]:
    """Return (status, label, count, percent) of the executions."""
    total = len(statistics.rows)
    return [
        (status.value, status.label, count, round(100 * count / total))
        for status, count in statistics.counts.most_common()
    ]


def _chart(task: Task, statistics: TaskStatistics) -> Any:
    rows = statistics.rows[:CHART_POINTS][::-1]
    points = [
        Point(
            reverse("admin:scheduler_execution_change", args=[row.execution_id]),
            _point_title(row, task.zone),
            row.status,
            row.seconds,
            axis_day(row.at, task.zone),
        )
        for row in rows
    ]
    label = _("Durations of the latest executions")
    return duration_chart(points, p50=statistics.p50, p95=statistics.p95, label=label) if points else ""


def _point_title(row: RunSample, zone: str) -> str:
    when, length = exact_instant(row.at, zone), list_duration(row.seconds)
    return f"#{row.execution_id} · {row.status.label} · {when} · {length}"


def _heat(task: Task, statistics: TaskStatistics) -> Any:
    days = list(map(str, WEEKDAYS))
    cells = {
        (day, hour): _cell(f"{days[day]} {hour:02d}:00", rows)
        for (day, hour), rows in by_hour_of_week(statistics.rows, task.zone).items()
    }
    return heat_map(cells, days=days, label=_("Executions by hour and weekday")) if cells else ""


def _cell(when: str, rows: Sequence[RunSample]) -> Cell:
    failed = sum(row.status in FAILED for row in rows)
    usual = percentile([row.seconds for row in rows if row.status == Status.SUCCESS], 0.5)
    words = ngettext("%(count)d execution", "%(count)d executions", len(rows)) % {"count": len(rows)}
    if failed:
        words += _(", %(count)d failed") % {"count": failed}
    if usual is not None:
        words += _(", typically %(duration)s") % {"duration": list_duration(usual)}
    return Cell(len(rows), failed, f"{when}: {words}")


def _changes(task: Task, shows_env: bool) -> list[dict[str, Any]]:
    """Return the latest revisions with the changed fields, newest first; the first one is marked as the creation."""
    revisions = list(
        TaskRevision.objects.filter(task=task)
        .select_related("created_by")
        .order_by("-number")[: REVISIONS + 1]
    )
    found = []
    for index, revision in enumerate(revisions[:REVISIONS]):
        before = revisions[index + 1] if index + 1 < len(revisions) else None
        fields = [] if before is None else _differences(before.spec, revision.spec, shows_env)
        if before is None or fields:
            found.append({"revision": revision, "fields": fields, "is_first": revision.number == 1})
    return found


def _differences(old: Mapping[str, Any], new: Mapping[str, Any], shows_env: bool) -> list[ShownChange]:
    """Return the changes between stored values, masked as the reader's permissions require."""
    before, after = (cast("TaskSpec", spec) for spec in (old, new))
    shown = [cast("dict[str, Any]", masked_spec(spec, shows_env=shows_env)) for spec in (before, after)]
    changes = [FieldChange(c.field, *(spec[c.field] for spec in shown)) for c in diff_spec(before, after)]
    return list(map(shown_change, changes))
