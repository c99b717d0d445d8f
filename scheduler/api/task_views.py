"""The views of tasks."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from django.db import transaction
from django.http.response import HttpResponseBase
from rest_framework.request import Request
from rest_framework.response import Response

from scheduler.api.base import StrictViewSet, next_slots, now, numbered_page, user_of
from scheduler.api.execution_views import log_response
from scheduler.api.operations import operation
from scheduler.api.pagination import ExecutionPage
from scheduler.api.parameters import EXECUTION_FILTERS, boolean, choices, filter_executions, integer, single
from scheduler.api.permissions import RUN_TASK, VIEW_EXECUTION, VIEW_TASK
from scheduler.api.problems import NotFoundError
from scheduler.api.serializers.bodies import without_read_only
from scheduler.api.serializers.executions import (
    ExecuteAnswerSerializer,
    ExecuteRequestSerializer,
    ExecutionPageSerializer,
    LogPartSerializer,
)
from scheduler.api.serializers.graphs import GraphSerializer
from scheduler.api.serializers.schedules import NextRunsSerializer
from scheduler.api.serializers.tasks import (
    ExplanationSerializer,
    KnownTask,
    TaskPageSerializer,
    TaskSerializer,
    ToggleRequestSerializer,
)
from scheduler.choices import Status, Trigger
from scheduler.config_file import validate_task
from scheduler.config_file.kept_secrets import with_kept_values
from scheduler.engine.reasons import Code, Reason
from scheduler.exceptions import ConflictError
from scheduler.models import Execution, Task, TaskDependency
from scheduler.selectors.executions import latest_executions
from scheduler.selectors.graphs import dependency_graph
from scheduler.selectors.tasks import find_tasks, task_ids
from scheduler.services import runs, tasks
from scheduler.services.limits import Scope
from scheduler.services.locks import lock_graph
from scheduler.task_mapping import task_to_spec
from scheduler.wording.explanations import explain


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
    limits_by_action = {"execute": Scope.RUN}

    @operation(
        "list_tasks", answer=TaskPageSerializer, takes=("enabled", "tag", "q", "status", "page", "page_size")
    )
    def list(self, request: Request) -> Response:
        """Return tasks by id; `status` is that of the latest outcome. A page has 100 when nothing is said."""
        rows = find_tasks(
            is_enabled=boolean(request, "enabled"),
            tag=single(request, "tag"),
            text=single(request, "q"),
            statuses=choices(request, "status", Status.values),
        )
        page = numbered_page(request, rows.order_by("task_id"))
        page = dataclasses.replace(page, rows=_known(page.rows, request))
        return Response(TaskPageSerializer(page).data)

    @operation("create_task", answer=TaskSerializer, status=201, request=TaskSerializer)
    def create(self, request: Request) -> Response:
        """Create a task."""
        spec = validate_task(_body_of_task(request, None), known=task_ids())
        task = tasks.save_task(spec, task=None, user=user_of(request), now=now())
        return Response(_shown(task, request), status=201)

    @operation("read_task", answer=TaskSerializer, of="task_id")
    def retrieve(self, request: Request, task_id: str) -> Response:
        """Return one task."""
        return Response(_shown(_task(task_id), request))

    @operation("replace_task", answer=TaskSerializer, request=TaskSerializer, of="task_id")
    def update(self, request: Request, task_id: str) -> Response:
        """Replace a task; fields that are absent get their defaults. The id may change."""
        task = _task(task_id)
        spec = validate_task(_body_of_task(request, task), known=task_ids())
        task = tasks.save_task(spec, task=task, user=user_of(request), now=now())
        return Response(_shown(task, request))

    @operation("change_task", answer=TaskSerializer, request=TaskSerializer, of="task_id")
    def partial_update(self, request: Request, task_id: str) -> Response:
        """Change the fields that are given."""
        changes = _body_of_task(request, _task(task_id))
        # What is refused is refused before anything is locked.
        validate_task({**task_to_spec(_task(task_id)), **changes}, known=task_ids())
        with transaction.atomic():
            # Two changes of different fields at once must not undo each other.
            lock_graph()
            task = _task(task_id)
            spec = validate_task({**task_to_spec(task), **changes}, known=task_ids())
            task = tasks.save_task(spec, task=task, user=user_of(request), now=now())
        return Response(_shown(task, request))

    @operation("delete_task", answer=None, status=204, of="task_id", takes=("confirm",), conflicts=True)
    def destroy(self, request: Request, task_id: str) -> Response:
        """Delete a task; its history stays. With `confirm` also one that others depend on: those edges go."""
        task = _task(task_id)
        names = list(task.downstreams.order_by("task_id").values_list("task_id", flat=True))
        if names and not boolean(request, "confirm"):
            raise ConflictError(Reason(Code.TASKS_DEPEND, {"task": task_id, "tasks": names}))
        tasks.delete_task(task, user=user_of(request), now=now())
        return Response(status=204)

    @operation("list_history", answer=ExecutionPageSerializer, of="task_id", takes=EXECUTION_FILTERS)
    def history(self, request: Request, task_id: str) -> Response:
        """Return the executions of a task, newest first, by cursor. A page has 50 when nothing is said."""
        task = _task(task_id)
        rows = filter_executions(request, task.executions.all())
        page = ExecutionPage(request, rows.prefetch_related("upstream_executions"))
        return Response(ExecutionPageSerializer(page).data)

    @operation(
        "read_latest_log", answer=LogPartSerializer, of="task_id", takes=("offset", "tail"), is_text=True
    )
    def logs(self, request: Request, task_id: str) -> HttpResponseBase:
        """Return the log of the latest execution that began."""
        begun = Execution.objects.filter(task=_task(task_id), started_at__isnull=False)
        latest = begun.newest_first().first()
        if latest is None:
            raise NotFoundError(f"Task “{task_id}” has no started execution yet.")
        return log_response(request, latest)

    @operation("list_next_runs", answer=NextRunsSerializer, of="task_id", takes=("count",))
    def next_runs(self, request: Request, task_id: str) -> Response:
        """Return the next slots; none when the task is disabled or has no schedule."""
        task = _task(task_id)
        count = integer(request, "count", 5, minimum=1, maximum=50)
        is_due = task.enabled and task.schedule and not task.schedule_error
        slots = next_slots(task.schedule, task.zone, count) if is_due else []
        answer = {"task_id": task.task_id, "timezone": task.zone, "next_runs": slots}
        return Response(NextRunsSerializer(answer).data)

    @operation("read_task_graph", answer=GraphSerializer, of="task_id")
    def graph(self, request: Request, task_id: str) -> Response:
        """Return the task with all that is upstream and downstream of it."""
        return Response(GraphSerializer(dependency_graph(around=_task(task_id))).data)

    @operation("explain_task", answer=ExplanationSerializer, of="task_id")
    def explain(self, request: Request, task_id: str) -> Response:
        """Tell in sentences why the task ran, why it does not run, and what it waits for."""
        return Response(ExplanationSerializer(explain(_task(task_id), now=now())).data)

    @operation(
        "execute_task",
        answer=ExecuteAnswerSerializer,
        status=202,
        request=ExecuteRequestSerializer,
        of="task_id",
        conflicts=True,
    )
    def execute(self, request: Request, task_id: str) -> Response:
        """Run a task now."""
        body = ExecuteRequestSerializer.read(request)
        trigger = Trigger.API if request.auth else Trigger.MANUAL
        execution = runs.request_run(
            _task(task_id), trigger=trigger, user=user_of(request), downstream=body["downstream"], now=now()
        )
        return Response(ExecuteAnswerSerializer(execution).data, status=202)

    @operation("toggle_task", answer=TaskSerializer, request=ToggleRequestSerializer, of="task_id")
    def toggle(self, request: Request, task_id: str) -> Response:
        """Switch the schedule of a task on or off, or over when nothing is said."""
        task = _task(task_id)
        is_enabled = ToggleRequestSerializer.read(request).get("enabled", not task.enabled)
        task = tasks.set_enabled(task, is_enabled, user=user_of(request), now=now())
        return Response(_shown(task, request))


def _task(task_id: str) -> Task:
    task: Task | None = Task.objects.filter(task_id=task_id).first()
    if task is None:
        raise NotFoundError(f"There is no task “{task_id}”.")
    return task


def _shown(task: Task, request: Request) -> dict[str, Any]:
    return TaskSerializer(*_known([task], request)).data


def _known(rows: Sequence[Task], request: Request) -> list[KnownTask]:
    """Return what answers about tasks take from other rows; two queries."""
    pks = [row.pk for row in rows]
    latest = latest_executions(pks)
    upstreams: dict[int, list[str]] = {}
    edges = TaskDependency.objects.filter(downstream__in=pks).order_by("upstream__task_id")
    for downstream, upstream in edges.values_list("downstream_id", "upstream__task_id"):
        upstreams.setdefault(downstream, []).append(upstream)
    for row in rows:
        if row.pk in latest:
            latest[row.pk].task = row
    shows_env = request.user.has_perm("scheduler.change_task")
    return [KnownTask(row, upstreams.get(row.pk, []), latest.get(row.pk), shows_env) for row in rows]


def _body_of_task(request: Request, task: Task | None) -> dict[str, Any]:
    """Return the body; a mask of a secret that is sent back means what is stored."""
    body = without_read_only(request.data, TaskSerializer.read_only_fields())
    return with_kept_values(body, None if task is None else task_to_spec(task))
