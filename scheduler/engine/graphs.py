"""Task graphs: cycle detection, reachability, and selection of the displayed part of a large graph. Pure."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

T = TypeVar("T", bound=Hashable)

Edge = tuple[int, int]  # upstream, downstream: primary keys
TASK_WEIGHT = 4  # size of a rendered task relative to that of an edge
MOST_WEIGHT = 2800  # maximum weight of a truncated graph, so that a dense one stays a light page


@dataclass(frozen=True)
class Graph:
    """Upstream and downstream edges by task; tasks are primary keys.

    The first task and all tasks with upstreams belong to the run; other upstreams are outside of it.
    """

    upstreams: dict[int, tuple[int, ...]]
    downstreams: dict[int, tuple[int, ...]]

    def below(self, tasks: Collection[int]) -> set[int]:
        """Return all tasks downstream of any of `tasks`."""
        return set().union(*(reachable(self.downstreams, task) for task in tasks))

    def around(self, task: int, *, up: int | None = None, down: int | None = None) -> set[int]:
        """Return a task with its upstreams and downstreams within `up` and `down` steps; None: unlimited."""
        return (
            {task} | reachable(self.upstreams, task, steps=up) | reachable(self.downstreams, task, steps=down)
        )

    def edges(self) -> list[tuple[int, int]]:
        """Return all edges as (upstream, downstream)."""
        return [(up, down) for down, above in self.upstreams.items() for up in above]


def graph_of(edges: Iterable[Collection[int]]) -> Graph:
    """Return the graph of edges as (upstream, downstream)."""
    upstreams: dict[int, list[int]] = {}
    downstreams: dict[int, list[int]] = {}
    for upstream, downstream in edges:
        upstreams.setdefault(downstream, []).append(upstream)
        downstreams.setdefault(upstream, []).append(downstream)
    return Graph(
        {task: tuple(above) for task, above in upstreams.items()},
        {task: tuple(below) for task, below in downstreams.items()},
    )


def find_cycle(upstreams: Mapping[T, Collection[T]], *, start: Iterable[T] | None = None) -> list[T] | None:
    """Return a cycle as a path in the direction upstream → downstream, first and last the same, or None.

    The same graph gives the same path, in whatever order it was built.

    Args:
        upstreams: the dependencies of each node; nodes without an entry have none.
        start: search only these nodes and their direct and indirect dependencies; default all.
    """
    done: set[T] = set()
    for root in _ordered(upstreams if start is None else start):
        if root not in done:
            cycle = _cycle_above(upstreams, root, done)
            if cycle is not None:
                return cycle
    return None


def _cycle_above(upstreams: Mapping[T, Collection[T]], root: T, done: set[T]) -> list[T] | None:
    """Search upwards from `root`, depth first without recursion; add nodes that lead to no cycle to `done`."""
    path = [root]
    on_path = {root}
    branches: list[Iterator[T]] = [iter(_ordered(upstreams.get(root, ())))]
    while branches:
        for node in branches[-1]:
            if node in on_path:
                return [node, *reversed(path[path.index(node) :])]
            if node not in done:
                path.append(node)
                on_path.add(node)
                branches.append(iter(_ordered(upstreams.get(node, ()))))
                break
        else:
            branches.pop()
            left = path.pop()
            on_path.remove(left)
            done.add(left)
    return None


def _ordered(nodes: Iterable[T]) -> list[T]:
    """Return the nodes in a deterministic order."""
    as_any: Any = list(nodes)
    try:
        return sorted(as_any)
    except TypeError:  # mixed types
        return sorted(as_any, key=repr)


def reachable(downstreams: Mapping[T, Collection[T]], start: T, *, steps: int | None = None) -> set[T]:
    """Return all nodes downstream of `start`, without `start` itself.

    Args:
        steps: maximum distance in edges; None: unlimited.
    """
    found: set[T] = set()
    ring = [start]
    while ring and steps != 0:
        near = {below for node in ring for below in downstreams.get(node, ())}
        ring = [node for node in near if node not in found]
        found.update(ring)
        steps = None if steps is None else steps - 1
    return found - {start}


def bounded(pks: set[int], edges: Collection[Edge], most: int, *, first: int | None = None) -> set[int]:
    """Return at most `most` tasks: the nearest to `first`, or whole connected components, the largest first.

    The last component is truncated, keeping the tasks nearest to the one with the most edges. A truncated graph is
    limited by weight too: with two edges per task it keeps nearly 470 tasks.
    """
    if len(pks) <= most:
        return pks
    near: dict[int, list[int]] = {}
    for up, down in edges:
        near.setdefault(up, []).append(down)
        near.setdefault(down, []).append(up)
    starts = [first] if first is not None else sorted(near, key=lambda pk: (-len(near[pk]), pk))
    parts, seen = [], set()
    for start in starts:
        if start not in seen:
            part = _outwards(start, near)
            seen.update(part)
            parts.append(part)
    parts.sort(key=len, reverse=True)
    shown: set[int] = set()
    weight = 0
    for pk in [pk for part in parts for pk in part][:most]:
        weight += TASK_WEIGHT + sum(1 for other in near.get(pk, ()) if other in shown)
        if weight > MOST_WEIGHT:
            break
        shown.add(pk)
    return shown


def _outwards(start: int, near: dict[int, list[int]]) -> list[int]:
    """Return the connected component of a task, nearest tasks first."""
    row, seen = [start], {start}
    for pk in row:
        fresh = [other for other in near.get(pk, ()) if other not in seen]
        seen.update(fresh)
        row += fresh
    return row
