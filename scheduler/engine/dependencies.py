"""Decisions on the dependency graph."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable, Mapping
from typing import Any, TypeVar

T = TypeVar("T", bound=Hashable)


def find_cycle(upstreams: Mapping[T, Collection[T]], *, start: Iterable[T] | None = None) -> list[T] | None:
    """Return a cycle as a path in the direction upstream → downstream, first and last the same, or None.

    Args:
        upstreams: for each node those it depends on; nodes without an entry depend on nothing.
        start: look only for cycles that can be reached from these nodes; default all.
    """
    done: set[T] = set()
    for root in upstreams if start is None else start:
        if root in done:
            continue
        path: list[T] = [root]
        on_path: dict[T, int] = {root: 0}
        stack = [iter(_ordered(upstreams.get(root, ())))]
        while stack:
            node = next(stack[-1], None)
            if node is None:
                stack.pop()
                left = path.pop()
                del on_path[left]
                done.add(left)
            elif node in on_path:
                cycle = path[on_path[node] :]
                return [node, *reversed(cycle)]
            elif node not in done:
                on_path[node] = len(path)
                path.append(node)
                stack.append(iter(_ordered(upstreams.get(node, ()))))
    return None


def _ordered(nodes: Collection[T]) -> list[T]:
    """Return the nodes in an order that does not change from run to run."""
    as_any: Any = nodes
    try:
        return sorted(as_any)
    except TypeError:
        return list(nodes)


def reachable(downstreams: Mapping[T, Collection[T]], start: T) -> set[T]:
    """Return everything downstream of `start`, without `start` itself."""
    found: set[T] = set()
    waiting = list(downstreams.get(start, ()))
    while waiting:
        node = waiting.pop()
        if node not in found:
            found.add(node)
            waiting.extend(downstreams.get(node, ()))
    return found
