"""Dependency graphs: stored graphs of runs, and the current graph, also for display."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import NamedTuple

from django.conf import settings
from django.db.models import Count, Exists, Max, OuterRef, Subquery

from scheduler.choices import RAN
from scheduler.engine.graphs import Graph, graph_of
from scheduler.models import Execution, RunGraph, Task, TaskDependency
from scheduler.models.querysets import TaskQuerySet


@lru_cache(maxsize=256)
def load_graph(graph_pk: int) -> Graph:
    """Return a stored graph; cached, as it never changes."""
    return graph_of(RunGraph.objects.values_list("edges", flat=True).get(pk=graph_pk))


class CurrentGraph:
    """The current dependencies, cached until they change, with the digests of the run graphs built from them."""

    def __init__(self) -> None:
        self._version: tuple[int | None, int] | None = None
        self._whole = Graph({}, {})
        self._digests: dict[int, str] = {}

    def refresh(self) -> None:
        """Reload the dependencies if they have changed."""
        # Edge ids are never reused and edges never change, so last id and count detect any change.
        found = TaskDependency.objects.aggregate(last=Max("pk"), count=Count("pk"))
        version = (found["last"], found["count"])
        if version != self._version:
            edges = TaskDependency.objects.order_by("upstream_id", "downstream_id")
            self._whole = graph_of(edges.values_list("upstream_id", "downstream_id"))
            self._digests = {}
            self._version = version

    def digests(self, tasks: Collection[int]) -> dict[int, str]:
        """Return the digest of the graph of each task; tasks without downstreams are omitted."""
        for task in tasks:
            if task in self._whole.downstreams and task not in self._digests:
                text = json.dumps(self.edges(task), separators=(",", ":"))
                self._digests[task] = hashlib.sha256(text.encode()).hexdigest()
        return {task: self._digests[task] for task in tasks if task in self._digests}

    def edges(self, task: int) -> list[tuple[int, int]]:
        """Return the edges of a run that begins with `task`."""
        members = self._whole.below([task])
        return sorted((up, down) for down in members for up in self._whole.upstreams[down])

    def whole(self) -> Graph:
        """Return all dependencies."""
        return self._whole

    def forget(self) -> None:
        """Clear the cache."""
        self._version = None


_current = CurrentGraph()


def current_graph() -> Graph:
    """Return the current dependencies; one query unless they have changed."""
    return refreshed_graph().whole()


def refreshed_graph() -> CurrentGraph:
    """Return the cached graph of this process, reloaded if the dependencies have changed."""
    _current.refresh()
    return _current


def forget() -> None:
    """Clear the caches, for tests that switch databases."""
    load_graph.cache_clear()
    _current.forget()


@dataclass(frozen=True)
class GraphNode:
    """A task in a displayed graph with its latest outcome, None if it never ran."""

    pk: int
    task_id: str
    name: str
    enabled: bool
    schedule: str
    zone: str
    status: str | None
    execution_id: int | None
    finished_at: datetime | None


class TaskEdge(NamedTuple):
    """A dependency, by task id."""

    upstream: str
    downstream: str


@dataclass(frozen=True)
class DependencyGraph:
    """Nodes by task id, and the dependencies between them."""

    nodes: list[GraphNode]
    edges: list[TaskEdge]


def dependency_graph(*, around: Task | None = None) -> DependencyGraph:
    """Return all tasks with dependencies, or `around` with all its upstreams and downstreams."""
    graph = current_graph()
    pks = {pk for edge in graph.edges() for pk in edge} if around is None else graph.around(around.pk)
    nodes = graph_nodes(pks)
    names = {node.pk: node.task_id for node in nodes}
    shown = [TaskEdge(names[up], names[down]) for up, down in graph.edges() if up in names and down in names]
    return DependencyGraph(nodes, sorted(shown))


def graph_nodes(pks: Collection[int]) -> list[GraphNode]:
    """Return tasks by primary key with their latest outcomes, ordered by id; two queries per thousand tasks."""
    ran = Execution.objects.outcomes().filter(task=OuterRef("pk"), status__in=sorted(RAN))
    tasks = Task.objects.order_by("task_id").annotate(latest=Subquery(ran.values("pk")[:1]))
    if len(pks) <= 1000:
        tasks = tasks.filter(pk__in=pks)
    values = tasks.values_list("pk", "task_id", "name", "enabled", "schedule", "timezone", "latest")
    found = [row for row in values if row[0] in pks]
    latest = {row[-1] for row in found if row[-1] is not None}
    ends: dict[int, tuple[str, datetime | None]] = {}
    numbers = sorted(latest)
    for start in range(0, len(numbers), 1000):
        part = Execution.objects.filter(pk__in=numbers[start : start + 1000])
        ends |= {pk: (status, at) for pk, status, at in part.values_list("pk", "status", "finished_at")}
    return [
        GraphNode(
            pk, task_id, name, enabled, schedule, zone or settings.SCHEDULER_TIME_ZONE, status, last, at
        )
        for pk, task_id, name, enabled, schedule, zone, last in found
        for status, at in [ends.get(last or 0, (None, None))]
    ]


def unconnected_tasks() -> TaskQuerySet:
    """Return the tasks without upstreams and downstreams."""
    edges = TaskDependency.objects.all()
    above, below = edges.filter(downstream=OuterRef("pk")), edges.filter(upstream=OuterRef("pk"))
    rows: TaskQuerySet = Task.objects.filter(~Exists(above), ~Exists(below)).order_by("task_id")
    return rows
