"""The dependencies that a run follows, taken when it begins, so that later edits do not change its course."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection
from dataclasses import dataclass
from functools import lru_cache

from django.db.models import Count, Max

from scheduler.engine.dependencies import reachable
from scheduler.models import RunGraph, TaskDependency

Edges = dict[int, tuple[int, ...]]


@dataclass(frozen=True)
class Graph:
    """Edges by task, by primary key: who is upstream and who is downstream of it.

    The tasks with upstreams, and the first task, belong to the run; other upstreams are outside of it.
    """

    upstreams: Edges
    downstreams: Edges

    def below(self, tasks: Collection[int]) -> set[int]:
        """Return all that is downstream of any of `tasks`."""
        return set().union(*(reachable(self.downstreams, task) for task in tasks))

    def around(self, task: int, *, up: int | None = None, down: int | None = None) -> set[int]:
        """Return a task with what is upstream and downstream of it, at most so many steps away; None: all."""
        return (
            {task} | reachable(self.upstreams, task, steps=up) | reachable(self.downstreams, task, steps=down)
        )

    def edges(self) -> list[tuple[int, int]]:
        """Return all edges as (upstream, downstream)."""
        return [(up, down) for down, above in self.upstreams.items() for up in above]


@lru_cache(maxsize=256)
def load_graph(graph_pk: int) -> Graph:
    """Return a stored graph; it never changes, so it is kept."""
    return _graph(RunGraph.objects.values_list("edges", flat=True).get(pk=graph_pk))


def _graph(edges: Collection[Collection[int]]) -> Graph:
    upstreams: dict[int, list[int]] = {}
    downstreams: dict[int, list[int]] = {}
    for upstream, downstream in edges:
        upstreams.setdefault(downstream, []).append(upstream)
        downstreams.setdefault(upstream, []).append(downstream)
    return Graph(
        {task: tuple(above) for task, above in upstreams.items()},
        {task: tuple(below) for task, below in downstreams.items()},
    )


class _Present:
    """The dependencies as they are, kept while they do not change, with the digests of the graphs made of them."""

    def __init__(self) -> None:
        self._version: tuple[int | None, int] | None = None
        self._whole = Graph({}, {})
        self._digests: dict[int, str] = {}

    def refresh(self) -> None:
        """Read the dependencies again when they have changed."""
        # Ids of edges are never given twice and edges never change, so these two tell any change.
        found = TaskDependency.objects.aggregate(last=Max("pk"), count=Count("pk"))
        version = (found["last"], found["count"])
        if version != self._version:
            edges = TaskDependency.objects.order_by("upstream_id", "downstream_id")
            self._whole = _graph(edges.values_list("upstream_id", "downstream_id"))
            self._digests = {}
            self._version = version

    def digests(self, tasks: Collection[int]) -> dict[int, str]:
        """Return the digest of the graph of each task; nothing for tasks without downstreams."""
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
        """Read again at the next question."""
        self._version = None


_present = _Present()


def present_graph() -> Graph:
    """Return all dependencies as they are now; one query while they do not change."""
    _present.refresh()
    return _present.whole()


def graphs_of(tasks: Collection[int]) -> dict[int, int]:
    """Return the primary key of the graph for a run that begins with each of `tasks`, storing what is new.

    Tasks with nothing downstream have none.
    """
    _present.refresh()
    digests = _present.digests(tasks)
    if not digests:
        return {}
    stored = _stored(digests.values())
    new = {digest: task for task, digest in digests.items() if digest not in stored}
    if new:
        rows = [RunGraph(digest=digest, edges=_present.edges(task)) for digest, task in new.items()]
        RunGraph.objects.bulk_create(rows, ignore_conflicts=True)
        stored = _stored(digests.values())
    return {task: stored[digest] for task, digest in digests.items()}


def _stored(digests: Collection[str]) -> dict[str, int]:
    return dict(RunGraph.objects.filter(digest__in=set(digests)).values_list("digest", "pk"))


def forget() -> None:
    """Forget what is kept of the database, for tests that change to another one."""
    load_graph.cache_clear()
    _present.forget()
