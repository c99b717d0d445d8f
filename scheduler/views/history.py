"""The paginated history of a task: in a dialog with a log pane, and as a page."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils.translation import gettext as _

from scheduler.choices import ACTIVE, Status
from scheduler.models import Execution, Task
from scheduler.selectors.executions import recent_executions
from scheduler.selectors.keyset import BadCursorError, KeysetPage
from scheduler.selectors.logs import read_log
from scheduler.selectors.statistics import DurationPercentiles, typical
from scheduler.views.execution import left_out
from scheduler.views.frame import choice, is_htmx, page, query, require

PAGE = 20
PANE_BYTES = 32_768


def history(request: HttpRequest, pk: int) -> HttpResponse:
    """Show the executions of a task, newest first."""
    require(request, "view_execution")
    task = get_object_or_404(Task.all_objects, pk=pk)
    status = choice(request, "status", Status.values)
    rows = Execution.objects.filter(task=task)
    if status:
        rows = rows.filter(status=status)
    try:
        found: KeysetPage[Execution] = KeysetPage(rows, size=PAGE, cursor=request.GET.get("cursor", ""))
    except BadCursorError:
        found = KeysetPage(rows, size=PAGE)
    usual = typical(recent_executions([task.pk], 30)[task.pk])
    base = reverse("admin:scheduler_task_history_list", args=[task.pk])
    context: dict[str, Any] = {
        "title": _("Execution history of %(task)s") % {"task": task.name},
        "task": task,
        "rows": [(row, compared(row, usual)) for row in found.rows],
        "usual": usual,
        "base": base,
        "filters": [
            {"label": label, "href": base + query(status=value), "is_chosen": value == status}
            for value, label in [("", _("All")), *Status.choices]
        ],
        "is_filtered": bool(status),
        "newer": base + query(status=status, cursor=found.newer) if found.newer else "",
        "older": base + query(status=status, cursor=found.older) if found.older else "",
        "is_dialog": is_htmx(request),
    }
    if context["is_dialog"]:
        return render(request, "scheduler/_history.html", context)
    return page(request, "scheduler/history.html", context)


def compared(row: Execution, usual: DurationPercentiles | None) -> float | None:
    """Return the duration as a multiple of the median; None if there is nothing to compare."""
    if usual is None or row.duration is None or row.status != Status.SUCCESS or usual.p50 < 0.05:
        return None
    ratio = row.duration / usual.p50
    return round(ratio, 1) or max(round(ratio, 2), 0.01)


def log_pane(request: HttpRequest, pk: int) -> HttpResponse:
    """Return the end of an execution's log, for the pane next to the history."""
    require(request, "view_execution")
    execution = get_object_or_404(Execution.objects.select_related("task"), pk=pk)
    part = read_log(execution, tail=PANE_BYTES, left_out=left_out())
    context = {"execution": execution, "part": part, "is_active": execution.status in ACTIVE}
    return render(request, "scheduler/_log_pane.html", context)
