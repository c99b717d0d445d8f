"""A run as a picture: its tasks, what became of each, and the dependencies between them."""

from __future__ import annotations

from dataclasses import dataclass

from scheduler.models import Execution, Run, Task
from scheduler.services.downstream import undecided
from scheduler.services.graphs import load_graph


@dataclass(frozen=True)
class Place:
    """A task in a run: its latest attempt, or, while it has none, what it waits for."""

    task: Task
    execution: Execution | None
    waits: str


@dataclass(frozen=True)
class RunPicture:
    """The tasks of a run by id, and its edges as (upstream, downstream) by task id.

    Upstreams outside of the run have no place, and no edge.
    """

    places: list[Place]
    edges: list[tuple[str, str]]


def run_graph(run: Run) -> RunPicture:
    """Return what `run` consists of; a task of its graph that was never decided upon says what it waits for."""
    graph = None if run.graph_id is None else load_graph(run.graph_id)
    members = {run.first_task_id, *(graph.upstreams if graph else ())}
    tasks = Task.all_objects.in_bulk(members)
    rows = Execution.objects.filter(run=run).prefetch_related("upstream_executions").order_by("attempt")
    latest = {row.task_id: row for row in rows}
    waits = undecided(run, members - latest.keys()) if graph and members - latest.keys() else {}
    places = [
        Place(task, latest.get(pk), waits[pk].reason if pk in waits else "") for pk, task in tasks.items()
    ]
    names = {pk: task.task_id for pk, task in tasks.items()}
    edges = [
        (names[upstream], names[downstream])
        for downstream, above in (graph.upstreams.items() if graph else ())
        for upstream in above
        if upstream in names
    ]
    return RunPicture(sorted(places, key=lambda place: place.task.task_id), sorted(edges))
