"""Ordering for graph layouts: layers, order within each, and positions that keep it. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

Edge = tuple[int, int]  # upstream, downstream
Links = dict[int, list[int]]


def without_cycles(units: Sequence[int], edges: Sequence[Edge]) -> list[Edge]:
    """Return the edges without the back edges of a depth-first search."""
    below: Links = defaultdict(list)
    for up, down in edges:
        below[up].append(down)
    back: set[Edge] = set()
    done: set[int] = set()
    for root in units:
        if root in done:
            continue
        on_path = {root}
        path = [(root, iter(below[root]))]
        while path:
            unit, rest = path[-1]
            for down in rest:
                if down in on_path:
                    back.add((unit, down))
                elif down not in done:
                    on_path.add(down)
                    path.append((down, iter(below[down])))
                    break
            else:
                path.pop()
                on_path.discard(unit)
                done.add(unit)
    return [edge for edge in edges if edge not in back]


def ranks_of(units: Sequence[int], edges: Sequence[Edge]) -> dict[int, int]:
    """Return the layer of each unit: after all its upstreams; units without any next to their first downstream."""
    above: Links = defaultdict(list)
    below: Links = defaultdict(list)
    for up, down in edges:
        above[down].append(up)
        below[up].append(down)
    left = {unit: len(above[unit]) for unit in units}
    rank = dict.fromkeys(units, 0)
    waiting = [unit for unit in units if not left[unit]]
    for unit in waiting:
        for down in below[unit]:
            rank[down] = max(rank[down], rank[unit] + 1)
            left[down] -= 1
            if not left[down]:
                waiting.append(down)
    for unit in units:
        if not above[unit] and below[unit]:
            rank[unit] = min(rank[down] for down in below[unit]) - 1
    return rank


def sort_by_barycentre(layer: list[int], fixed: Sequence[int], near: Links) -> None:
    """Sort a layer by the mean position of its neighbours in the fixed layer; stable."""
    place = {item: number for number, item in enumerate(fixed)}
    share = len(fixed) / max(len(layer), 1)
    keys = {}
    for number, item in enumerate(layer):
        linked = near.get(item)
        keys[item] = sum([place[other] for other in linked]) / len(linked) if linked else number * share
    layer.sort(key=keys.__getitem__)


def spread(wanted: Sequence[float], weights: Sequence[float], gaps: Sequence[float]) -> list[float]:
    """Return positions as close as possible to the wanted ones, in the given order with minimum gaps.

    Solves the least-squares problem with these constraints by pooling adjacent violators.

    Source: the pool-adjacent-violators algorithm of isotonic regression.
    """
    offsets = [0.0]
    for gap in gaps:
        offsets.append(offsets[-1] + gap)
    pools: list[tuple[float, float, int]] = []  # weighted sum, weight, count
    for at, weight, offset in zip(wanted, weights, offsets, strict=True):
        total, heavy, size = weight * (at - offset), weight, 1
        while pools and pools[-1][0] * heavy >= total * pools[-1][1]:
            before = pools.pop()
            total, heavy, size = total + before[0], heavy + before[1], size + before[2]
        pools.append((total, heavy, size))
    bases = [total / weight for total, weight, size in pools for _ in range(size)]
    return [base + offset for base, offset in zip(bases, offsets, strict=True)]
