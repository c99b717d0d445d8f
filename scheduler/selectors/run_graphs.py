"""The graph of a run for display: its tasks with their states, and the dependencies between them."""

from __future__ import annotations

from dataclasses import dataclass

from scheduler.engine.reasons import Reason
from scheduler.models import Execution, Run, Task
from scheduler.selectors.graphs import TaskEdge, load_graph
from scheduler.selectors.run_states import undecided


@dataclass(frozen=True)
class Place:
    """A task in a run: its latest attempt, or without one, its readiness."""

    task: Task
    execution: Execution | None
    waits: Reason | None


@dataclass(frozen=True)
class RunPicture:
    """The tasks of a run by id, and its dependencies.

    Upstreams outside of the run and their edges are omitted.
    """

    places: list[Place]
    edges: list[TaskEdge]


def run_graph(run: Run) -> RunPicture:
    """Return the tasks and edges of `run`; undecided tasks have the reason for which they wait."""
    graph = None if run.graph_id is None else load_graph(run.graph_id)
    members = {run.first_task_id, *(graph.upstreams if graph else ())}
    tasks = Task.all_objects.in_bulk(members)
    rows = Execution.objects.filter(run=run).prefetch_related("upstream_executions").order_by("attempt")
    latest = {row.task_id: row for row in rows}
    for pk, row in latest.items():
        if pk in tasks:
            row.task = tasks[pk]
    waits = undecided(run, members - latest.keys()) if graph and members - latest.keys() else {}
    places = [
        Place(task, latest.get(pk), waits[pk].reason if pk in waits else None) for pk, task in tasks.items()
    ]
    names = {pk: task.task_id for pk, task in tasks.items()}
    edges = [
        TaskEdge(names[upstream], names[downstream])
        for downstream, above in (graph.upstreams.items() if graph else ())
        for upstream in above
        if upstream in names
    ]
    return RunPicture(sorted(places, key=lambda place: place.task.task_id), sorted(edges))
