"""The views of runs and of the whole graph."""

from __future__ import annotations

from typing import Any

from rest_framework.request import Request
from rest_framework.response import Response

from scheduler import selectors
from scheduler.api import documents as docs
from scheduler.api.base import StrictViewSet, now, read_body, task_named
from scheduler.api.documents import operation
from scheduler.api.pagination import RunPage
from scheduler.api.parameters import choices, instant, single
from scheduler.api.problems import NotFoundError
from scheduler.api.views import RUN_TASK, VIEW_EXECUTION, VIEW_TASK
from scheduler.api.wire import execution_json, graph_json, run_json
from scheduler.choices import RunStatus, Trigger
from scheduler.exceptions import ConflictError
from scheduler.models import Run
from scheduler.services import runs
from scheduler.services.run_graphs import run_graph

FILTERS = ("run_status", "trigger", "task_id", "since", "until", "page_size", "cursor")


class RunViewSet(StrictViewSet):
    """Runs: what one trigger set in motion."""

    permissions_by_action = {
        "list": VIEW_EXECUTION,
        "retrieve": VIEW_EXECUTION,
        "cancel": RUN_TASK,
        "graph": VIEW_TASK,
    }

    @operation("list_runs", answer=docs.RunPage, takes=FILTERS)
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
        page = RunPage(request, rows)
        return page.response([run_json(run) for run in page.rows])

    @operation("read_run", answer=docs.RunWithGraph, of="run_id")
    def retrieve(self, request: Request, run_id: int) -> Response:
        """Return one run with its tasks, their latest attempts in it and the dependencies that it follows."""
        return Response(_run_with_graph(_run(run_id)))

    @operation(
        "cancel_run",
        answer=docs.RunWithGraph,
        status=202,
        request=docs.Nothing,
        of="run_id",
        conflicts=True,
    )
    def cancel(self, request: Request, run_id: int) -> Response:
        """Cancel all that is queued or running in a run; what would follow is skipped."""
        read_body(request, {})
        if not runs.cancel_run(_run(run_id), by=request.user.get_username(), now=now()):
            raise ConflictError(f"Run {run_id} has already ended.")
        return Response(_run_with_graph(_run(run_id)), status=202)

    @operation("read_graph", answer=docs.Graph)
    def graph(self, request: Request) -> Response:
        """Return all tasks that have dependencies, with their latest outcomes, and all dependencies."""
        return Response(graph_json(selectors.dependency_graph()))


def _run(run_id: int) -> Run:
    run = Run.objects.with_status().select_related("first_task", "created_by").filter(pk=run_id).first()
    if run is None:
        raise NotFoundError(f"There is no run {run_id}.")
    return run


def _run_with_graph(run: Run) -> dict[str, object]:
    graph = run_graph(run)
    nodes = [
        {
            "task_id": place.task.task_id,
            "execution": None
            if place.execution is None
            else execution_json(place.execution, place.task.task_id),
            "reason": place.waits,
        }
        for place in graph.places
    ]
    edges = [{"upstream": upstream, "downstream": downstream} for upstream, downstream in graph.edges]
    return {**run_json(run), "nodes": nodes, "edges": edges}
