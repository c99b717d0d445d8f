"""The views of runs and of the whole graph."""

from __future__ import annotations

from typing import Any

from rest_framework.request import Request
from rest_framework.response import Response

from scheduler.api.base import StrictViewSet, now, task_named
from scheduler.api.operations import operation
from scheduler.api.pagination import RunPage
from scheduler.api.parameters import choices, instant, single
from scheduler.api.permissions import RUN_TASK, VIEW_EXECUTION, VIEW_TASK
from scheduler.api.problems import NotFoundError
from scheduler.api.serializers.bodies import NothingSerializer
from scheduler.api.serializers.graphs import GraphSerializer
from scheduler.api.serializers.runs import RunPageSerializer, RunWithGraphSerializer
from scheduler.choices import RunStatus, Trigger
from scheduler.engine.reasons import Code, Reason
from scheduler.exceptions import ConflictError
from scheduler.models import Run
from scheduler.selectors.graphs import dependency_graph
from scheduler.selectors.run_graphs import run_graph
from scheduler.services import runs

FILTERS = ("run_status", "trigger", "task_id", "since", "until", "page_size", "cursor")


class RunViewSet(StrictViewSet):
    """Runs: what one trigger set in motion."""

    permissions_by_action = {
        "list": VIEW_EXECUTION,
        "retrieve": VIEW_EXECUTION,
        "cancel": RUN_TASK,
        "graph": VIEW_TASK,
    }

    @operation("list_runs", answer=RunPageSerializer, takes=FILTERS)
    def list(self, request: Request) -> Response:
        """Return runs, newest first, by cursor; `task_id` is the task that a run began with."""
        # Not joined: SQLite would begin with the tasks, and sort all runs.
        rows: Any = Run.objects.with_status().prefetch_related("first_task", "created_by")
        if task_id := single(request, "task_id"):
            rows = rows.filter(first_task=task_named(task_id, with_deleted=True))
        if statuses := choices(request, "run_status", RunStatus.values):
            rows = rows.filter(status__in=statuses)
        if triggers := choices(request, "trigger", Trigger.values):
            rows = rows.filter(trigger__in=triggers)
        if since := instant(request, "since"):
            rows = rows.filter(created_at__gte=since)
        if until := instant(request, "until"):
            rows = rows.filter(created_at__lt=until)
        return Response(RunPageSerializer(RunPage(request, rows)).data)

    @operation("read_run", answer=RunWithGraphSerializer, of="run_id")
    def retrieve(self, request: Request, run_id: int) -> Response:
        """Return one run with its tasks, their latest attempts in it and the dependencies that it follows."""
        return Response(_run_with_graph(_run(run_id)))

    @operation(
        "cancel_run",
        answer=RunWithGraphSerializer,
        status=202,
        request=NothingSerializer,
        of="run_id",
        conflicts=True,
    )
    def cancel(self, request: Request, run_id: int) -> Response:
        """Cancel all that is queued or running in a run; what would follow is skipped."""
        NothingSerializer.read(request)
        if not runs.cancel_run(_run(run_id), by=request.user.get_username(), now=now()):
            raise ConflictError(Reason(Code.RUN_HAS_ENDED, {"run": int(run_id)}))
        return Response(_run_with_graph(_run(run_id)), status=202)

    @operation("read_graph", answer=GraphSerializer)
    def graph(self, request: Request) -> Response:
        """Return all tasks that have dependencies, with their latest outcomes, and all dependencies."""
        return Response(GraphSerializer(dependency_graph()).data)


def _run(run_id: int) -> Run:
    run = Run.objects.with_status().select_related("first_task", "created_by").filter(pk=run_id).first()
    if run is None:
        raise NotFoundError(f"There is no run {run_id}.")
    return run


def _run_with_graph(run: Any) -> dict[str, Any]:
    run.picture = run_graph(run)
    return RunWithGraphSerializer(run).data
