"""The views of the API: parse, call one service or selector, answer."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from itertools import islice
from typing import Any

from django.conf import settings
from django.db import transaction
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils.translation import get_language
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_safe
from rest_framework.permissions import AllowAny
from rest_framework.renderers import BaseRenderer, BrowsableAPIRenderer, JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from scheduler import selectors
from scheduler.api import documents as docs
from scheduler.api.base import (
    StrictViewSet,
    now,
    numbered_page,
    read_body,
    task_named,
    user_of,
    without_read_only,
)
from scheduler.api.documents import operation
from scheduler.api.pagination import ExecutionPage
from scheduler.api.parameters import (
    EXECUTION_FILTERS,
    boolean,
    choices,
    filter_executions,
    integer,
    single,
)
from scheduler.api.problems import NotFoundError
from scheduler.api.wire import execution_json, explanation_json, graph_json, instant, task_json
from scheduler.choices import Status, Trigger
from scheduler.config_file import load_schema, validate_task
from scheduler.config_file.secrets import with_kept_values
from scheduler.descriptions import describe_schedule
from scheduler.engine.schedules import iterate_slots, parse_schedule
from scheduler.exceptions import ConflictError, InvalidScheduleError
from scheduler.models import Execution, Task, TaskDependency
from scheduler.services import runs, tasks
from scheduler.services.explanations import explain
from scheduler.specs import task_to_spec

JSON_LOG_PART = 1_000_000  # bytes
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


class TaskViewSet(StrictViewSet):
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
        "graph": VIEW_TASK,
        "explain": VIEW_EXECUTION,
        "execute": RUN_TASK,
        "toggle": RUN_TASK,
    }

    @operation(
        "list_tasks", answer=docs.TaskPage, takes=("enabled", "tag", "q", "status", "page", "page_size")
    )
    def list(self, request: Request) -> Response:
        """Return tasks by id; `status` is that of the latest outcome. A page has 100 when nothing is said."""
        rows = selectors.find_tasks(
            is_enabled=boolean(request, "enabled"),
            tag=single(request, "tag"),
            text=single(request, "q"),
            statuses=choices(request, "status", Status.values),
        )
        return numbered_page(request, rows.order_by("task_id"), lambda shown: _tasks_json(shown, request))

    @operation("create_task", answer=docs.Task, status=201, request=docs.Task)
    def create(self, request: Request) -> Response:
        """Create a task."""
        spec = validate_task(_body_of_task(request, None), known=selectors.task_ids())
        task = tasks.save_task(spec, task=None, user=user_of(request), now=now())
        return Response(_task_json(task, request), status=201)

    @operation("read_task", answer=docs.Task, of="task_id")
    def retrieve(self, request: Request, task_id: str) -> Response:
        """Return one task."""
        return Response(_task_json(_task(task_id), request))

    @operation("replace_task", answer=docs.Task, request=docs.Task, of="task_id")
    def update(self, request: Request, task_id: str) -> Response:
        """Replace a task; fields that are absent get their defaults. The id may change."""
        task = _task(task_id)
        spec = validate_task(_body_of_task(request, task), known=selectors.task_ids())
        task = tasks.save_task(spec, task=task, user=user_of(request), now=now())
        return Response(_task_json(task, request))

    @operation("change_task", answer=docs.Task, request=docs.TaskChange, of="task_id")
    def partial_update(self, request: Request, task_id: str) -> Response:
        """Change the fields that are given."""
        changes = _body_of_task(request, _task(task_id))
        # What is refused is refused before anything is locked.
        validate_task({**task_to_spec(_task(task_id)), **changes}, known=selectors.task_ids())
        with transaction.atomic():
            # Two changes of different fields at once must not undo each other.
            tasks.lock_graph()
            task = _task(task_id)
            spec = validate_task({**task_to_spec(task), **changes}, known=selectors.task_ids())
            task = tasks.save_task(spec, task=task, user=user_of(request), now=now())
        return Response(_task_json(task, request))

    @operation("delete_task", answer=None, status=204, of="task_id", takes=("confirm",), conflicts=True)
    def destroy(self, request: Request, task_id: str) -> Response:
        """Delete a task; its history stays. With `confirm` also one that others depend on: those edges go."""
        task = _task(task_id)
        names = list(task.downstreams.order_by("task_id").values_list("task_id", flat=True))
        if names and not boolean(request, "confirm"):
            raise ConflictError(
                f"Tasks depend on “{task_id}”: {', '.join(names)}. They would lose this dependency; "
                "add ?confirm=true to delete it all the same."
            )
        tasks.delete_task(task, user=user_of(request), now=now())
        return Response(status=204)

    @operation("list_history", answer=docs.ExecutionPage, of="task_id", takes=EXECUTION_FILTERS)
    def history(self, request: Request, task_id: str) -> Response:
        """Return the executions of a task, newest first, by cursor. A page has 50 when nothing is said."""
        task = _task(task_id)
        rows = filter_executions(request, Execution.objects.filter(task=task))
        page = ExecutionPage(request, rows.prefetch_related("upstream_executions"))
        return page.response([execution_json(row, task.task_id) for row in page.rows])

    @operation("read_latest_log", answer=docs.LogPart, of="task_id", takes=("offset", "tail"), is_text=True)
    def logs(self, request: Request, task_id: str) -> Response:
        """Return the log of the latest execution that began."""
        begun = Execution.objects.filter(task=_task(task_id), started_at__isnull=False)
        latest = begun.newest_first().first()
        if latest is None:
            raise NotFoundError(f"Task “{task_id}” has no execution that began yet.")
        return _log_response(request, latest)

    @operation("list_next_runs", answer=docs.NextRuns, of="task_id", takes=("count",))
    def next_runs(self, request: Request, task_id: str) -> Response:
        """Return the next slots; none when the task is disabled or has no schedule."""
        task = _task(task_id)
        count = integer(request, "count", 5, minimum=1, maximum=50)
        is_due = task.enabled and task.schedule and not task.schedule_error
        slots = _slots(task.schedule, task.zone, count) if is_due else []
        return Response({"task_id": task.task_id, "timezone": task.zone, "next_runs": slots})

    @operation("read_task_graph", answer=docs.Graph, of="task_id")
    def graph(self, request: Request, task_id: str) -> Response:
        """Return the task with all that is upstream and downstream of it."""
        return Response(graph_json(selectors.dependency_graph(around=_task(task_id))))

    @operation("explain_task", answer=docs.Explanation, of="task_id")
    def explain(self, request: Request, task_id: str) -> Response:
        """Tell in sentences why the task ran, why it does not run, and what it waits for."""
        return Response(explanation_json(task_id, explain(_task(task_id), now=now())))

    @operation(
        "execute_task",
        answer=docs.ExecuteAnswer,
        status=202,
        request=docs.ExecuteRequest,
        of="task_id",
        conflicts=True,
    )
    def execute(self, request: Request, task_id: str) -> Response:
        """Run a task now."""
        body = read_body(request, {"downstream": True})
        trigger = Trigger.API if request.auth else Trigger.MANUAL
        execution = runs.request_run(
            _task(task_id), trigger=trigger, user=user_of(request), downstream=body["downstream"], now=now()
        )
        answer = {"execution_id": execution.pk, "run_id": execution.run_id, "status": execution.status}
        return Response(answer, status=202)

    @operation("toggle_task", answer=docs.Task, request=docs.ToggleRequest, of="task_id")
    def toggle(self, request: Request, task_id: str) -> Response:
        """Switch the schedule of a task on or off, or over when nothing is said."""
        task = _task(task_id)
        body = read_body(request, {"enabled": not task.enabled})
        task = tasks.set_enabled(task, body["enabled"], user=user_of(request), now=now())
        return Response(_task_json(task, request))


class ExecutionViewSet(StrictViewSet):
    """Executions of all tasks."""

    permissions_by_action = {
        "list": VIEW_EXECUTION,
        "retrieve": VIEW_EXECUTION,
        "log": VIEW_EXECUTION,
        "cancel": RUN_TASK,
        "resume": RUN_TASK,
    }

    @operation("list_executions", answer=docs.ExecutionPage, takes=(*EXECUTION_FILTERS, "task_id"))
    def list(self, request: Request) -> Response:
        """Return executions, newest first, by cursor. A page has 50 when nothing is said."""
        rows = Execution.objects.all()
        if task_id := single(request, "task_id"):
            rows = rows.filter(task=task_named(task_id, with_deleted=True))
        rows = filter_executions(request, rows).select_related("task").prefetch_related("upstream_executions")
        page = ExecutionPage(request, rows)
        return page.response([execution_json(row, row.task.task_id) for row in page.rows])

    @operation("read_execution", answer=docs.Execution, of="execution_id")
    def retrieve(self, request: Request, execution_id: int) -> Response:
        """Return one execution."""
        execution = _execution(execution_id)
        return Response(execution_json(execution, execution.task.task_id))

    @operation("read_log", answer=docs.LogPart, of="execution_id", takes=("offset", "tail"), is_text=True)
    def log(self, request: Request, execution_id: int) -> Response:
        """Return the log from `offset` (bytes of the true stream), or its last `tail` bytes.

        As JSON in parts of about 1 MB: read on from `next_offset`. As text/plain all at once.
        """
        return _log_response(request, _execution(execution_id))

    @operation("cancel_execution", answer=docs.Execution, status=202, of="execution_id", conflicts=True)
    def cancel(self, request: Request, execution_id: int) -> Response:
        """Cancel what is queued; stop what runs."""
        read_body(request, {})
        by = request.user.get_username()
        if not runs.cancel_execution(_execution(execution_id), by=by, now=now()):
            raise ConflictError(f"Execution {execution_id} has already ended.")
        execution = _execution(execution_id)
        return Response(execution_json(execution, execution.task.task_id), status=202)

    @operation(
        "resume_execution",
        answer=docs.ExecuteAnswer,
        status=202,
        request=docs.Nothing,
        of="execution_id",
        conflicts=True,
    )
    def resume(self, request: Request, execution_id: int) -> Response:
        """Run a failed, cancelled or skipped execution again in the same run, and let the run go on."""
        read_body(request, {})
        trigger = Trigger.API if request.auth else Trigger.MANUAL
        again = runs.resume(_execution(execution_id), trigger=trigger, now=now())
        answer = {"execution_id": again.pk, "run_id": again.run_id, "status": again.status}
        return Response(answer, status=202)


class ToolViewSet(StrictViewSet):
    """What stands beside tasks and executions."""

    permissions_by_action = {"validate_cron": VIEW_TASK, "config_schema": VIEW_TASK}

    @operation("validate_cron", answer=docs.CronAnswer, request=docs.CronRequest)
    def validate_cron(self, request: Request) -> Response:
        """Tell whether an expression is valid, what it says in words, and when it fires next."""
        body = read_body(request, {"expression": "", "timezone": ""}, required=("expression",))
        expression, zone = body["expression"], body["timezone"] or settings.SCHEDULER_TIME_ZONE
        try:
            next_runs = _slots(expression, zone, 5)
        except InvalidScheduleError as error:
            return Response({"valid": False, "error": str(error)})
        words = describe_schedule(expression, get_language() or "en")
        return Response({"valid": True, "description": words, "timezone": zone, "next_runs": next_runs})

    @operation("read_config_schema", answer=docs.ConfigSchema)
    def config_schema(self, request: Request) -> Response:
        """Return the JSON Schema of config.json."""
        return Response(load_schema())


class NowhereView(APIView):
    """Paths that do not exist: a problem, not a page, and no redirect to a slash."""

    permission_classes = (AllowAny,)

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Refuse whatever the method."""
        super().initial(request, *args, **kwargs)
        raise NotFoundError("There is nothing under this path; paths have no trailing slash.")


@csrf_exempt
@require_safe
def healthz(request: HttpRequest) -> HttpResponse:
    """Answer 200 when everything works, else 503 with the reasons. Open to anybody: it names no version or path."""
    found = selectors.health(now())
    body = {
        "status": "ok" if found.is_healthy else "unhealthy",
        "reasons": found.reasons,
        "database": found.database,
        "dispatchers": found.dispatchers,
        "workers": found.workers,
        "backlog": found.backlog,
        "dispatcher_heartbeat_at": instant(found.dispatcher_heartbeat_at),
    }
    response = JsonResponse(body, status=200 if found.is_healthy else 503)
    response["Cache-Control"] = "no-store"
    return response


def _task(task_id: str) -> Task:
    task: Task | None = Task.objects.filter(task_id=task_id).first()
    if task is None:
        raise NotFoundError(f"There is no task “{task_id}”.")
    return task


def _execution(execution_id: int) -> Execution:
    rows = Execution.objects.select_related("task", "run").prefetch_related("upstream_executions")
    execution = rows.filter(pk=execution_id).first()
    if execution is None:
        raise NotFoundError(f"There is no execution {execution_id}.")
    return execution


def _slots(expression: str, zone: str, count: int) -> list[str | None]:
    slots = iterate_slots(parse_schedule(expression, zone), now())
    return [instant(slot) for slot in islice(slots, count)]


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


def _body_of_task(request: Request, task: Task | None) -> dict[str, Any]:
    """Return the body; a mask of a secret that is sent back means what is stored."""
    body = without_read_only(request.data, docs.READ_ONLY)
    return with_kept_values(body, None if task is None else task_to_spec(task))


def _log_response(request: Request, execution: Execution) -> Response:
    largest = 2**53
    offset = integer(request, "offset", 0, minimum=0, maximum=largest)
    tail = integer(request, "tail", largest, minimum=1, maximum=largest)
    is_whole = request.accepted_renderer.format == PlainTextRenderer.format
    limit = 2 * settings.SCHEDULER_LOG_LIMIT if is_whole else JSON_LOG_PART
    part = selectors.read_log(execution, offset=offset, tail=None if tail == largest else tail, limit=limit)
    response = Response({"execution_id": execution.pk, **dataclasses.asdict(part)})
    response["X-Content-Type-Options"] = "nosniff"
    return response


LOG_RENDERERS = (JSONRenderer, PlainTextRenderer, BrowsableAPIRenderer)
