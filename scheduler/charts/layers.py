"""Layered graph layout from left to right, with few crossings and no overlaps.

Longest-path layers, barycentre ordering within each, and positions that keep edges straight. The node numbers break
ties, so the layout is deterministic. Pure; positions are independent of statuses, so that a refreshed graph does not
move.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections import defaultdict
from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import pairwise

from scheduler.charts.geometry import ROW, Box, Layout, Part, Route, packed, places_in, size_of
from scheduler.charts.ordering import Edge, Links, ranks_of, sort_by_barycentre, spread, without_cycles

COLUMN = 60  # gap between layers
WIRE = 8  # height of an edge that passes through a layer
LIKE = 6  # minimum number of nodes with the same neighbours that form a block with one edge in and one out
SWEEPS, PASSES = 6, 6  # both even: forward and backward alternate
MOST_WIRES = 4000


@lru_cache(maxsize=64)
def lay_out(count: int, edges: frozenset[Edge], *, shape: float = 1.7) -> Layout:
    """Return the layout of nodes from 0 up to `count`.

    Edges that close a cycle are drawn but ignored for the layers. The result is cached: do not modify it.

    Args:
        shape: aspect ratio (width to height) for arranging unconnected parts.
    """
    known = sorted((up, down) for up, down in edges if up != down and 0 <= up < count and 0 <= down < count)
    members = _units(count, known)
    unit_of = {node: unit for unit, nodes in members.items() for node in nodes}
    joined = sorted({(unit_of[up], unit_of[down]) for up, down in known})
    parts = [_Component(part, joined, members).part() for part in _components(joined)]
    alone = [node for node in range(count) if node not in unit_of]
    unit_of |= {node: node for node in alone}
    return packed(parts, alone, unit_of, shape)


def _units(count: int, edges: Sequence[Edge]) -> dict[int, list[int]]:
    """Return the nodes with edges by unit, named by its first node."""
    above: Links = defaultdict(list)
    below: Links = defaultdict(list)
    for up, down in edges:
        above[down].append(up)
        below[up].append(down)
    like: dict[tuple[tuple[int, ...], tuple[int, ...]], list[int]] = defaultdict(list)
    for node in range(count):
        if node in above or node in below:
            like[tuple(above.get(node, ())), tuple(below.get(node, ()))].append(node)
    units: dict[int, list[int]] = {}
    for nodes in like.values():
        together = [nodes] if len(nodes) >= LIKE else [[node] for node in nodes]
        units |= {unit[0]: unit for unit in together}
    return dict(sorted(units.items()))


def _components(edges: Iterable[Edge]) -> list[list[int]]:
    """Return the units in connected parts."""
    near: Links = defaultdict(list)
    for up, down in edges:
        near[up].append(down)
        near[down].append(up)
    seen: set[int] = set()
    found = []
    for start in sorted(near):
        if start in seen:
            continue
        part, waiting = [], [start]
        seen.add(start)
        while waiting:
            unit = waiting.pop()
            part.append(unit)
            fresh = set(near[unit]) - seen  # a set: units that depend on each other are near twice
            seen |= fresh
            waiting += fresh
        found.append(sorted(part))
    return found


class _Component:
    """Arranges one connected part.

    Its items are the units and the wires: positions at which edges pass through layers, numbered after the units. The
    long edges that leave one unit share their wires, which reduces clutter and bounds their number.
    """

    def __init__(self, units: Sequence[int], edges: Sequence[Edge], members: dict[int, list[int]]) -> None:
        inside = set(units)
        self.units, self.members = units, members
        self.edges = [edge for edge in edges if edge[0] in inside]
        self.forward = without_cycles(units, self.edges)
        self.rank = ranks_of(units, self.forward)
        self.sizes = {unit: size_of(len(members[unit])) for unit in units}
        self.wires: dict[int, list[int]] = {}
        self.above: Links = defaultdict(list)
        self.below: Links = defaultdict(list)
        self._lay_wires()
        self.layers = self._ordered()
        self.middle = self._settled()

    def part(self) -> Part:
        """Return the part with its positions."""
        lefts, rights = self._columns()
        top = min(self.middle[unit] - self.sizes[unit][1] / 2 for unit in self.units)
        top = min([top, *(self.middle[wire] - WIRE / 2 for wire in self._all_wires())])
        middle = {item: round(at - top) for item, at in self.middle.items()}
        found = Part(width=rights[-1])
        for unit in self.units:
            width, height = self.sizes[unit]
            frame = Box(lefts[self.rank[unit]], middle[unit] - height // 2, width, height)
            found.height = max(found.height, frame.y + frame.height)
            found.boxes |= places_in(self.members[unit], frame)
            if len(self.members[unit]) > 1:
                found.blocks[unit] = frame
        found.height = max([found.height, *(middle[wire] + WIRE for wire in self._all_wires())])
        found.routes = [self._route(up, down, lefts, rights, middle) for up, down in self.edges]
        return found

    def _lay_wires(self) -> None:
        """Link items in adjacent layers, with wires for longer edges."""
        below: Links = defaultdict(list)
        for up, down in self.forward:
            below[up].append(down)
        number = max(self.units) + 1
        laid = 0
        for unit in self.units:
            last = max((self.rank[down] for down in below[unit]), default=0)
            length = max(last - self.rank[unit] - 1, 0)
            if laid + length > MOST_WIRES:
                length = 0  # its long edges pass behind obstacles
            chain = list(range(number, number + length))
            number, laid = number + length, laid + length
            self.wires[unit] = chain
            for place, wire in enumerate(chain):
                self.rank[wire] = self.rank[unit] + 1 + place
                self.sizes[wire] = (0, WIRE)
                self._link(chain[place - 1] if place else unit, wire)
            for down in below[unit]:
                behind = self.rank[down] - self.rank[unit] - 2
                if behind < len(chain):
                    self._link(unit if behind < 0 else chain[behind], down)

    def _link(self, up: int, down: int) -> None:
        self.above[down].append(up)
        self.below[up].append(down)

    def _all_wires(self) -> list[int]:
        return [wire for chain in self.wires.values() for wire in chain]

    def _ordered(self) -> list[list[int]]:
        """Return the layers in the order with the fewest crossings found by barycentre sweeps."""
        layers = self._first_order()
        best, fewest = [list(layer) for layer in layers], self._crossings(layers)
        for sweep in range(SWEEPS):
            is_down = sweep % 2 == 0
            near = self.above if is_down else self.below
            fixed = layers[0] if is_down else layers[-1]
            for layer in layers[1:] if is_down else layers[-2::-1]:
                sort_by_barycentre(layer, fixed, near)
                fixed = layer
            if is_down:
                continue
            crossings = self._crossings(layers)
            if crossings < fewest:
                best, fewest = [list(layer) for layer in layers], crossings
            if fewest == 0:
                break
        return best

    def _first_order(self) -> list[list[int]]:
        """Return the layers in depth-first order, which draws trees without crossings."""
        layers: list[list[int]] = [[] for _ in range(max(self.rank.values()) + 1)]
        seen: set[int] = set()
        for root in sorted(self.units, key=lambda unit: (self.rank[unit], unit)):
            waiting = [root]
            while waiting:
                item = waiting.pop()
                if item not in seen:
                    seen.add(item)
                    layers[self.rank[item]].append(item)
                    waiting += sorted(self.below.get(item, ()), reverse=True)
        return layers

    def _crossings(self, layers: Sequence[Sequence[int]]) -> int:
        found = 0
        for layer, following in pairwise(layers):
            place = {item: number for number, item in enumerate(following)}
            passed: list[int] = []
            for item in layer:
                ends = [place[down] for down in self.below.get(item, ())]
                for end in ends:
                    found += len(passed) - bisect_right(passed, end)
                for end in ends:
                    insort(passed, end)
        return found

    def _settled(self) -> dict[int, float]:
        """Return the vertical centre of each item: close to its neighbours, in order."""
        middle: dict[int, float] = {}
        gaps = []
        for layer in self.layers:
            between = [self._apart(one, other) for one, other in pairwise(layer)]
            gaps.append(between)
            at = 0.0
            for item, gap in zip(layer, [0.0, *between], strict=True):
                at += gap
                middle[item] = at
        numbers = range(len(self.layers))
        for turn in range(PASSES):
            sides = (self.above,) if turn % 2 == 0 else (self.below,)
            if turn >= PASSES - 2:
                sides = (self.above, self.below)  # type: ignore[assignment]  # two kinds of pairs
            for number in numbers if turn % 2 == 0 else reversed(numbers):
                self._settle_layer(self.layers[number], gaps[number], sides, middle)
        return middle

    def _settle_layer(
        self, layer: Sequence[int], gaps: Sequence[float], sides: Sequence[Links], middle: dict[int, float]
    ) -> None:
        wanted, weights = [], []
        for item in layer:
            total = weight = 0.0
            is_wire = not self.sizes[item][0]
            for side in sides:
                for other in side.get(item, ()):
                    # Edge segments between two wires take precedence in being straight.
                    pull = 8.0 if is_wire and not self.sizes[other][0] else 1.0
                    total += pull * middle[other]
                    weight += pull
            wanted.append(total / weight if weight else middle[item])
            weights.append(weight or 0.1)
        middle.update(zip(layer, spread(wanted, weights, gaps), strict=True))

    def _apart(self, one: int, other: int) -> float:
        (width, height), (other_width, other_height) = self.sizes[one], self.sizes[other]
        gap = ROW if width or other_width else WIRE // 2
        return (height + other_height) / 2 + gap

    def _columns(self) -> tuple[list[int], list[int]]:
        """Return the start and end of each layer; steep edges get a wider gap."""
        lefts, rights = [0], []
        for number, layer in enumerate(self.layers):
            rights.append(lefts[-1] + max(self.sizes[item][0] for item in layer))
            steep = [abs(self.middle[i] - self.middle[d]) for i in layer for d in self.below.get(i, ())]
            if number + 1 < len(self.layers):
                lefts.append(rights[-1] + min(max(COLUMN, round(max(steep, default=0) * 0.18)), 3 * COLUMN))
        return lefts, rights

    def _route(
        self, up: int, down: int, lefts: Sequence[int], rights: Sequence[int], middle: dict[int, int]
    ) -> Route:
        begin, end = self.rank[up], self.rank[down]
        points = [(lefts[begin] + self.sizes[up][0], middle[up])]
        if end > begin:
            points.append((rights[begin], middle[up]))
            level = middle[up]
            for wire in self.wires[up][: end - begin - 1]:
                if abs(middle[wire] - level) > WIRE // 2:  # smaller steps are invisible
                    level = middle[wire]
                points += [(lefts[self.rank[wire]], level), (rights[self.rank[wire]], level)]
        else:
            points += points
        points.append((lefts[end], middle[down]))
        return Route(up, down, tuple(points))
