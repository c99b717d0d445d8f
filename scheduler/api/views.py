"""The views of the API: parse, call one service or selector, answer."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.http import require_safe
from rest_framework import viewsets
from rest_framework.exceptions import ValidationError
from rest_framework.renderers import BaseRenderer, BrowsableAPIRenderer, JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from scheduler import selectors
from scheduler.api.pagination import ExecutionPage
from scheduler.api.parameters import EXECUTION_FILTERS, allow_only, choices, filter_executions, integer
from scheduler.api.wire import execution_json, instant, task_json
from scheduler.choices import Trigger
from scheduler.config_file import load_schema, validate_task
from scheduler.descriptions import describe_schedule
from scheduler.engine.schedules import iterate_slots, parse_schedule
from scheduler.exceptions import ConflictError, InvalidScheduleError
from scheduler.models import Execution, Task, TaskDependency
from scheduler.services import runs, tasks
from scheduler.specs import task_to_spec

VIEW_TASK, RUN_TASK = "scheduler.view_task", "scheduler.run_task"
VIEW_EXECUTION = "scheduler.view_execution"


class PlainTextRenderer(BaseRenderer):
    """A log as text."""

    media_type = "text/plain"
    format = "txt"
    charset = "utf-8"

    def render(self, data: Any, accepted_media_type: str | None = None, renderer_context: Any = None) -> Any:
        """Return the text of a log, or of an error."""
        text = data.get("text", data.get("detail", "")) if isinstance(data, dict) else str(data)
        return str(text).encode("utf-8")


class TaskViewSet(viewsets.ViewSet):
    """Tasks, in the words of config.json."""

    permissions_by_action = {
        "list": VIEW_TASK,
        "retrieve": VIEW_TASK,
        "create": "scheduler.add_task",
        "update": "scheduler.change_task",
        "partial_update": "scheduler.change_task",
        "destroy": "scheduler.delete_task",
        "history": VIEW_EXECUTION,
        "logs": VIEW_EXECUTION,
        "next_runs": VIEW_TASK,
        "execute": RUN_TASK,
        "toggle": RUN_TASK,
    }

    def list(self, request: Request) -> Response:
        """Return tasks by id: `page_size` (to 500) from `page`, filtered by `enabled`, `tag` and `q`."""
        allow_only(request, ("enabled", "tag", "q", "page", "page_size", "format"))
        rows = Task.objects.all()
        if enabled := choices(request, "enabled", ("true", "false")):
            rows = rows.filter(enabled=enabled[0] == "true")
        if tag := request.query_params.get("tag"):
            rows = rows.tagged(tag)
        if text := request.query_params.get("q", "").replace("\0", ""):
            rows = rows.filter(task_id__icontains=text) | rows.filter(name__icontains=text)
        size = integer(request, "page_size", 100, minimum=1, maximum=500)
        page = integer(request, "page", 1, minimum=1, maximum=1_000_000)
        count = rows.count()
        results = _tasks_json(list(rows.order_by("task_id")[(page - 1) * size : page * size]), request)
        return Response({"count": count, "page": page, "results": results})

    def create(self, request: Request) -> Response:
        """Create a task."""
        task = tasks.save_task(validate_task(request.data), task=None, user=_user(request), now=_now())
        return Response(_task_json(task, request), status=201)

    def retrieve(self, request: Request, task_id: str) -> Response:
        """Return one task."""
        return Response(_task_json(_task(task_id), request))

    def update(self, request: Request, task_id: str) -> Response:
        """Replace a task; fields that are absent get their defaults. The id may change."""
        task = _task(task_id)
        spec = validate_task(request.data)
        return Response(
            _task_json(tasks.save_task(spec, task=task, user=_user(request), now=_now()), request)
        )

    def partial_update(self, request: Request, task_id: str) -> Response:
        """Change the fields that are given."""
        task = _task(task_id)
        if not isinstance(request.data, dict):
            raise ValidationError("An object with the fields to change is needed.")
        spec = validate_task({**task_to_spec(task), **request.data})
        return Response(
            _task_json(tasks.save_task(spec, task=task, user=_user(request), now=_now()), request)
        )

    def destroy(self, request: Request, task_id: str) -> Response:
        """Delete a task; its history stays."""
        tasks.delete_task(_task(task_id), user=_user(request), now=_now())
        return Response(status=204)

    def history(self, request: Request, task_id: str) -> Response:
        """Return the executions of a task, newest first, by cursor."""
        allow_only(request, EXECUTION_FILTERS)
        task = _task(task_id)
        rows = filter_executions(request, Execution.objects.filter(task=task))
        page = ExecutionPage(request, rows.prefetch_related("upstream_executions"))
        return page.response([execution_json(row, task.task_id) for row in page.rows])

    def logs(self, request: Request, task_id: str) -> Response:
        """Return the log of the latest execution."""
        task = _task(task_id)
        latest = selectors.latest_executions([task.pk]).get(task.pk)
        if latest is None:
            raise Http404
        return _log_response(request, latest)

    def next_runs(self, request: Request, task_id: str) -> Response:
        """Return the next `count` (to 50) slots."""
        allow_only(request, ("count", "format"))
        task = _task(task_id)
        count = integer(request, "count", 5, minimum=1, maximum=50)
        slots = _slots(task.schedule, task.zone, count) if task.schedule and task.enabled else []
        return Response({"task_id": task.task_id, "timezone": task.zone, "next_runs": slots})

    def execute(self, request: Request, task_id: str) -> Response:
        """Run a task now."""
        body = _body(request, {"downstream": True})
        trigger = Trigger.API if request.auth else Trigger.MANUAL
        execution = runs.request_run(
            _task(task_id), trigger=trigger, user=_user(request), downstream=body["downstream"], now=_now()
        )
        answer = {"execution_id": execution.pk, "run_id": execution.run_id, "status": execution.status}
        return Response(answer, status=202)

    def toggle(self, request: Request, task_id: str) -> Response:
        """Switch the schedule of a task on or off, or over when nothing is said."""
        task = _task(task_id)
        body = _body(request, {"enabled": not task.enabled})
        task = tasks.set_enabled(task, body["enabled"], user=_user(request), now=_now())
        return Response(_task_json(task, request))


class ExecutionViewSet(viewsets.ViewSet):
    """Executions of all tasks."""

    permissions_by_action = {
        "list": VIEW_EXECUTION,
        "retrieve": VIEW_EXECUTION,
        "log": VIEW_EXECUTION,
        "cancel": "scheduler.cancel_execution",
    }

    def list(self, request: Request) -> Response:
        """Return executions, newest first, by cursor."""
        allow_only(request, (*EXECUTION_FILTERS, "task_id"))
        rows = Execution.objects.all()
        if task_id := request.query_params.get("task_id"):
            rows = rows.filter(task=_task(task_id))
        rows = filter_executions(request, rows).select_related("task").prefetch_related("upstream_executions")
        page = ExecutionPage(request, rows)
        return page.response([execution_json(row, row.task.task_id) for row in page.rows])

    def retrieve(self, request: Request, execution_id: int) -> Response:
        """Return one execution."""
        execution = _execution(execution_id)
        return Response(execution_json(execution, execution.task.task_id))

    def log(self, request: Request, execution_id: int) -> Response:
        """Return the log from `offset` (bytes of the true stream), or its last `tail` bytes."""
        return _log_response(request, _execution(execution_id))

    def cancel(self, request: Request, execution_id: int) -> Response:
        """Cancel what is queued; stop what runs."""
        _body(request, {})
        by = request.user.get_username()
        if not runs.cancel_execution(_execution(execution_id), by=by, now=_now()):
            raise ConflictError("The execution has already ended.")
        execution = _execution(execution_id)
        return Response(execution_json(execution, execution.task.task_id), status=202)


class ToolViewSet(viewsets.ViewSet):
    """What stands beside tasks and executions."""

    permissions_by_action = {"validate_cron": VIEW_TASK, "config_schema": VIEW_TASK}

    def validate_cron(self, request: Request) -> Response:
        """Tell whether an expression is valid, what it says in words, and when it fires next."""
        body = _body(request, {"expression": "", "timezone": ""})
        zone = body["timezone"] or settings.SCHEDULER_TIME_ZONE
        try:
            next_runs = _slots(body["expression"], zone, 5)
        except InvalidScheduleError as error:
            return Response({"valid": False, "error": str(error)})
        words = describe_schedule(body["expression"])
        return Response({"valid": True, "description": words, "timezone": zone, "next_runs": next_runs})

    def config_schema(self, request: Request) -> Response:
        """Return the JSON Schema of config.json."""
        return Response(load_schema())


@require_safe
def healthz(request: HttpRequest) -> HttpResponse:
    """Answer 200 when everything works, else 503 with the reasons. Open to anybody: it names no version or path."""
    found = selectors.health(_now())
    body = {
        "status": "ok" if found.is_healthy else "unhealthy",
        "reasons": found.reasons,
        "database": found.database,
        "dispatchers": found.dispatchers,
        "workers": found.workers,
        "backlog": found.backlog,
        "dispatcher_heartbeat_at": instant(found.dispatcher_heartbeat_at),
    }
    return JsonResponse(body, status=200 if found.is_healthy else 503)


def _now() -> datetime:
    return datetime.now(UTC)


def _user(request: Request) -> Any:
    return request.user if request.user.is_authenticated else None


def _task(task_id: str) -> Task:
    task: Task | None = Task.objects.filter(task_id=task_id).first()
    if task is None:
        raise Http404
    return task


def _execution(execution_id: int) -> Execution:
    if execution_id >= 2**63:
        raise Http404
    row = Execution.objects.select_related("task").prefetch_related("upstream_executions")
    execution = row.filter(pk=execution_id).first()
    if execution is None:
        raise Http404
    return execution


def _body(request: Request, defaults: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of a small body; unknown fields and wrong types are refused."""
    if not request.data:
        return defaults
    if not isinstance(request.data, dict):
        raise ValidationError("An object is needed.")
    for name, value in request.data.items():
        if name not in defaults:
            known = ", ".join(defaults) or "none"
            raise ValidationError({str(name)[:80]: f"unknown field; known are {known}"})
        if type(value) is not type(defaults[name]):
            kind = "true or false" if isinstance(defaults[name], bool) else "text"
            raise ValidationError({name: f"{value!r} was found; {kind} is allowed"})
    return {**defaults, **request.data}


def _slots(expression: str, zone: str, count: int) -> list[str | None]:
    slots = iterate_slots(parse_schedule(expression, zone), _now())
    return [instant(slot) for slot, _ in zip(slots, range(count), strict=False)]


def _task_json(task: Task, request: Request) -> dict[str, Any]:
    return _tasks_json([task], request)[0]


def _tasks_json(rows: Sequence[Task], request: Request) -> list[dict[str, Any]]:
    pks = [row.pk for row in rows]
    latest = selectors.latest_executions(pks)
    upstreams: dict[int, list[str]] = {}
    edges = TaskDependency.objects.filter(downstream__in=pks).order_by("upstream__task_id")
    for downstream, upstream in edges.values_list("downstream_id", "upstream__task_id"):
        upstreams.setdefault(downstream, []).append(upstream)
    shows_env = request.user.has_perm("scheduler.change_task")
    return [
        task_json(row, upstream_ids=upstreams.get(row.pk, []), latest=latest.get(row.pk), shows_env=shows_env)
        for row in rows
    ]


def _log_response(request: Request, execution: Execution) -> Response:
    allow_only(request, ("offset", "tail", "format"))
    largest = 2**53
    offset = integer(request, "offset", 0, minimum=0, maximum=largest)
    tail = integer(request, "tail", 0, minimum=1, maximum=largest) if "tail" in request.query_params else None
    part = selectors.read_log(execution, offset=offset, tail=tail)
    body = {"execution_id": execution.pk, **dataclasses.asdict(part)}
    response = Response(body)
    response["X-Content-Type-Options"] = "nosniff"
    return response


LOG_RENDERERS = (JSONRenderer, PlainTextRenderer, BrowsableAPIRenderer)
