"""The page of one execution: its live log, facts, attempts, and earlier occurrences of the same error."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.translation import gettext as _

from scheduler.choices import ACTIVE, FAILED
from scheduler.models import Execution
from scheduler.selectors.executions import recent_executions
from scheduler.selectors.logs import read_log, read_log_bytes
from scheduler.selectors.statistics import last_lines, same_failures, typical
from scheduler.services.runs import is_resumable
from scheduler.views.extension_points import collect, execution_page_cards
from scheduler.views.frame import live_part, page, query, require, whole_number
from scheduler.views.hints import hints_of

FIRST_BYTES = 65_536
PART_BYTES = 262_144
ATTEMPTS = 20
IN_RUN = 60
LOG_END = 8000  # characters searched for hints


def execution_page(request: HttpRequest, pk: int) -> HttpResponse:
    """Show one execution."""
    require(request, "view_execution")
    execution = get_object_or_404(_with_names(), pk=pk)
    is_run = request.GET.get("part") == "run"
    facts, digest = _run(request, execution) if is_run else _facts(request, execution)
    if request.GET.get("seen") is not None:
        if request.GET["seen"] == digest:
            return HttpResponse(status=204)
        return HttpResponse(facts)
    same, compared = same_failures(execution)
    part = read_log(execution, tail=FIRST_BYTES, left_out=left_out())
    context = {
        "title": f"{execution.task.name} #{execution.pk}",
        "execution": execution,
        "task": execution.task,
        "facts": facts,
        "part": part,
        "hints": hints_of(request, execution, part.text[-LOG_END:]),
        "is_active": execution.status in ACTIVE,
        "attempts": _attempts(execution),
        "of_run": _run(request, execution)[0],
        "same": same[:10],
        "same_count": len(same),
        "compared_count": compared,
        "is_failed": execution.status in FAILED,
        "cards": list(collect(execution_page_cards, request, execution=execution)),
    }
    return page(request, "scheduler/execution.html", context)


def left_out() -> str:
    """Return the text that replaces dropped output in a log page; downloads use English."""
    return _("[… %(count)d bytes left out …]")


def _with_names() -> Any:
    return Execution.objects.select_related("task", "run", "run__created_by", "revision")


def _facts(request: HttpRequest, execution: Execution) -> tuple[str, str]:
    """Return the facts with the buttons; they refresh while the execution is active."""
    recent = recent_executions([execution.task_id], 30)[execution.task_id]
    usual = typical(row for row in recent if row.pk != execution.pk)
    is_active = execution.status in ACTIVE
    may_run = request.user.has_perm("scheduler.run_task")
    context: dict[str, Any] = {
        "execution": execution,
        "task": execution.task,
        "usual": usual,
        "is_active": is_active,
        "is_stopping": execution.cancel_requested_at is not None and is_active,
        "may_cancel": is_active and (may_run or request.user.has_perm("scheduler.cancel_execution")),
        "may_run": may_run and execution.task.deleted_at is None,
        "may_resume": may_run and is_resumable(execution, execution.task),
        "late": _late(execution),
    }
    body, digest = live_part(request, "scheduler/_execution_facts.html", context)
    url = reverse("admin:scheduler_execution_change", args=[execution.pk]) + query(seen=digest)
    frame = {"id": "facts", "url": url if is_active else "", "body": body, "every": 2}
    return render_to_string("scheduler/_live.html", frame), digest


def _late(execution: Execution) -> float | None:
    """Return the delay in seconds between slot and start."""
    if execution.scheduled_for is None or execution.started_at is None or execution.attempt > 1:
        return None
    return max((execution.started_at - execution.scheduled_for).total_seconds(), 0.0)


def _attempts(execution: Execution) -> list[tuple[Execution, str]]:
    """Return all attempts of the task in the run with their last lines; empty if there is only one."""
    if execution.run_id is None:
        return []
    rows = list(
        Execution.objects.filter(run=execution.run_id, task=execution.task_id).order_by("attempt")[:ATTEMPTS]
    )
    if len(rows) < 2:
        return []
    ends = last_lines([row.pk for row in rows])
    return [(row, ends.get(row.pk, "")) for row in rows]


def _run(request: HttpRequest, execution: Execution) -> tuple[str, str]:
    """Return the preceding and following executions and the others of the run; this part refreshes independently."""
    is_open = execution.run is not None and execution.run.finished_at is None
    context = {
        "execution": execution,
        "task": execution.task,
        "before": _linked(execution.upstream_executions),
        "after": _linked(execution.downstream_executions),
        "in_run": _in_run(execution),
        "may_run": request.user.has_perm("scheduler.run_task"),
    }
    body, digest = live_part(request, "scheduler/_execution_run.html", context)
    url = reverse("admin:scheduler_execution_change", args=[execution.pk]) + query(part="run", seen=digest)
    frame = {"id": "in-run", "url": url if is_open else "", "body": body, "every": 3}
    return render_to_string("scheduler/_live.html", frame), digest


def _linked(executions: Any) -> list[Execution]:
    return list(executions.select_related("task").order_by("task__task_id", "pk")[:IN_RUN])


def _in_run(execution: Execution) -> list[Execution]:
    """Return the other executions of the run, one per task, in queueing order."""
    if execution.run_id is None:
        return []
    rows = Execution.objects.filter(run=execution.run_id).select_related("task").order_by("queued_at", "pk")
    latest = {row.task_id: row for row in rows[:IN_RUN]}
    return list(latest.values()) if len(latest) > 1 else []


def log(request: HttpRequest, pk: int) -> HttpResponseBase:
    """Return the whole log as a download, or the text after an offset, streamed."""
    require(request, "view_execution")
    execution = get_object_or_404(Execution, pk=pk)
    if "offset" not in request.GET:
        encoding, written = read_log_bytes(execution)
        whole = StreamingHttpResponse(written, content_type=f"text/plain; charset={encoding}")
        whole["Content-Disposition"] = f'attachment; filename="execution-{execution.pk}.log"'
        whole["X-Content-Type-Options"] = "nosniff"
        return whole
    offset = whole_number(request, "offset", 0, least=0, most=10**11)
    part = read_log(execution, offset=offset, limit=PART_BYTES, left_out=left_out())
    response = HttpResponse(part.text, content_type="text/plain; charset=utf-8")
    response["X-Content-Type-Options"] = "nosniff"
    response["X-Next-Offset"] = str(part.next_offset)
    response["X-Is-Active"] = "1" if execution.status in ACTIVE else "0"
    response["Cache-Control"] = "no-store"
    return response
