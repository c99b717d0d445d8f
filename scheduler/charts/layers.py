"""Where the nodes of a graph stand: in layers from left to right, with few crossings and nothing on top of another.

Longest-path layers, an order within each by barycentres, and places that keep edges straight. Nodes are numbers in
the order that decides between equals, so that the same graph always looks the same. Pure; positions never depend on
what became of a task, so that a picture that refreshes itself keeps still.
"""

from __future__ import annotations

import math
from bisect import bisect_right, insort
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise

NODE_WIDTH, NODE_HEIGHT = 188, 42
ROW, COLUMN = 14, 60  # gaps between nodes above each other, and between layers
WIRE = 8  # height that an edge takes which passes a layer
LIKE = 6  # so many nodes with the same neighbours stand in a block with one edge in and one out
PAD = 10  # around the nodes of a block
APART = 36  # between parts that are not connected
SWEEPS, PASSES = 6, 6  # both even: one downwards, one upwards
MOST_WIRES = 4000

Edge = tuple[int, int]  # upstream, downstream
Point = tuple[int, int]
Links = dict[int, list[int]]


@dataclass(frozen=True)
class Box:
    """A place in the picture."""

    x: int
    y: int
    width: int = NODE_WIDTH
    height: int = NODE_HEIGHT

    def moved(self, x: int, y: int) -> Box:
        """Return it further to the right and down."""
        return Box(self.x + x, self.y + y, self.width, self.height)


@dataclass(frozen=True)
class Route:
    """An edge between units: straight through layers, from each even point to the next, and curved between them."""

    upstream: int
    downstream: int
    points: tuple[Point, ...]

    def moved(self, x: int, y: int) -> Route:
        """Return it further to the right and down."""
        return Route(self.upstream, self.downstream, tuple((px + x, py + y) for px, py in self.points))


@dataclass(frozen=True)
class Layout:
    """A picture, from (0, 0) to (`width`, `height`).

    Attributes:
        boxes: place of each node.
        units: number of the unit of each node: a node alone, or a block.
        blocks: frame of each block, by unit.
    """

    boxes: dict[int, Box]
    units: dict[int, int]
    blocks: dict[int, Box]
    routes: list[Route]
    width: int
    height: int


@dataclass
class _Part:
    """A connected part of the picture, or the nodes without any edge."""

    boxes: dict[int, Box] = field(default_factory=dict)
    blocks: dict[int, Box] = field(default_factory=dict)
    routes: list[Route] = field(default_factory=list)
    width: int = 0
    height: int = 0


@lru_cache(maxsize=64)
def lay_out(count: int, edges: frozenset[Edge], *, shape: float = 1.7) -> Layout:
    """Return the picture of nodes from 0 up to `count`.

    Edges that close a cycle are drawn, and do not count for the layers. The answer is kept: do not change it.

    Args:
        shape: width to height that parts which are not connected are arranged for.
    """
    known = sorted((up, down) for up, down in edges if up != down and 0 <= up < count and 0 <= down < count)
    members = _units(count, known)
    unit_of = {node: unit for unit, nodes in members.items() for node in nodes}
    joined = sorted({(unit_of[up], unit_of[down]) for up, down in known})
    parts = [_Component(part, joined, members).part() for part in _components(joined)]
    alone = [node for node in range(count) if node not in unit_of]
    unit_of |= {node: node for node in alone}
    return _packed(parts, alone, unit_of, shape)


def _units(count: int, edges: Sequence[Edge]) -> dict[int, list[int]]:
    """Return the nodes that have edges by unit, which is named by the first of its nodes."""
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
            fresh = [other for other in near[unit] if other not in seen]
            seen.update(fresh)
            waiting += fresh
        found.append(sorted(part))
    return found


class _Component:
    """Arranges one connected part.

    Its items are the units, and wires: places in layers that edges pass, numbered from above the units. The long edges
    that leave one unit share their wires, which is calmer to look at and bounds their number.
    """

    def __init__(self, units: Sequence[int], edges: Sequence[Edge], members: dict[int, list[int]]) -> None:
        inside = set(units)
        self.units, self.members = units, members
        self.edges = [edge for edge in edges if edge[0] in inside]
        self.forward = _without_cycles(units, self.edges)
        self.rank = _ranks(units, self.forward)
        self.sizes = {unit: _size(len(members[unit])) for unit in units}
        self.wires: dict[int, list[int]] = {}
        self.above: Links = defaultdict(list)
        self.below: Links = defaultdict(list)
        self._lay_wires()
        self.layers = self._ordered()
        self.middle = self._settled()

    def part(self) -> _Part:
        """Return the places."""
        lefts, rights = self._columns()
        top = min(self.middle[unit] - self.sizes[unit][1] / 2 for unit in self.units)
        top = min([top, *(self.middle[wire] - WIRE / 2 for wire in self._all_wires())])
        middle = {item: round(at - top) for item, at in self.middle.items()}
        found = _Part(width=rights[-1])
        for unit in self.units:
            width, height = self.sizes[unit]
            frame = Box(lefts[self.rank[unit]], middle[unit] - height // 2, width, height)
            found.height = max(found.height, frame.y + frame.height)
            found.boxes |= _places(self.members[unit], frame)
            if len(self.members[unit]) > 1:
                found.blocks[unit] = frame
        found.height = max([found.height, *(middle[wire] + WIRE for wire in self._all_wires())])
        found.routes = [self._route(up, down, lefts, rights, middle) for up, down in self.edges]
        return found

    # --- layers -----------------------------------------------------------------------------------

    def _lay_wires(self) -> None:
        """Link what stands in neighbouring layers, by wires where an edge is longer."""
        below: Links = defaultdict(list)
        for up, down in self.forward:
            below[up].append(down)
        number = max(self.units) + 1
        laid = 0
        for unit in self.units:
            last = max((self.rank[down] for down in below[unit]), default=0)
            length = max(last - self.rank[unit] - 1, 0)
            if laid + length > MOST_WIRES:
                length = 0  # its long edges pass behind what is in their way
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

    # --- order ------------------------------------------------------------------------------------

    def _ordered(self) -> list[list[int]]:
        """Return the layers in the order with the fewest crossings that sweeps of barycentres find."""
        layers = self._first_order()
        best, fewest = [list(layer) for layer in layers], self._crossings(layers)
        for sweep in range(SWEEPS):
            is_down = sweep % 2 == 0
            near = self.above if is_down else self.below
            fixed = layers[0] if is_down else layers[-1]
            for layer in layers[1:] if is_down else layers[-2::-1]:
                _sort_by_barycentre(layer, fixed, near)
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
        """Return the layers as a walk in depth meets their items: trees have no crossings so."""
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

    # --- places -----------------------------------------------------------------------------------

    def _settled(self) -> dict[int, float]:
        """Return the height at which the middle of each item stands: near to what it is linked with, in order."""
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
                sides = (self.above, self.below)  # type: ignore[assignment]
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
                    # What is between two wires is to be straight before anything else.
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
        """Return where each layer begins and ends; steep edges get a wider gap."""
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
                if abs(middle[wire] - level) > WIRE // 2:  # nobody sees less, and a straight line is calmer
                    level = middle[wire]
                points += [(lefts[self.rank[wire]], level), (rights[self.rank[wire]], level)]
        else:
            points += points
        points.append((lefts[end], middle[down]))
        return Route(up, down, tuple(points))


def _without_cycles(units: Sequence[int], edges: Sequence[Edge]) -> list[Edge]:
    """Return the edges but those that lead back on a walk in depth."""
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


def _ranks(units: Sequence[int], edges: Sequence[Edge]) -> dict[int, int]:
    """Return the layer of each unit: after all its upstreams, and those without any right before what follows."""
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


def _sort_by_barycentre(layer: list[int], fixed: Sequence[int], near: Links) -> None:
    """Order a layer by the mean place of what each item is linked with in the fixed one; equals stay as they are."""
    place = {item: number for number, item in enumerate(fixed)}
    share = len(fixed) / max(len(layer), 1)
    keys = {}
    for number, item in enumerate(layer):
        linked = near.get(item)
        keys[item] = sum([place[other] for other in linked]) / len(linked) if linked else number * share
    layer.sort(key=keys.__getitem__)


def spread(wanted: Sequence[float], weights: Sequence[float], gaps: Sequence[float]) -> list[float]:
    """Return places as near to the wanted ones as can be, in the given order and at least the gaps apart.

    The least squares under these constraints, by pooling neighbours that are in each other's way.

    Source: the pool-adjacent-violators algorithm of isotonic regression.
    """
    offsets = [0.0]
    for gap in gaps:
        offsets.append(offsets[-1] + gap)
    pools: list[tuple[float, float, int]] = []  # weighted sum, weight, how many
    for at, weight, offset in zip(wanted, weights, offsets, strict=True):
        total, heavy, size = weight * (at - offset), weight, 1
        while pools and pools[-1][0] * heavy >= total * pools[-1][1]:
            before = pools.pop()
            total, heavy, size = total + before[0], heavy + before[1], size + before[2]
        pools.append((total, heavy, size))
    bases = [total / weight for total, weight, size in pools for _ in range(size)]
    return [base + offset for base, offset in zip(bases, offsets, strict=True)]


def _size(count: int) -> tuple[int, int]:
    """Return width and height of a unit of `count` nodes."""
    if count == 1:
        return NODE_WIDTH, NODE_HEIGHT
    across = _across(count)
    down = -(-count // across)
    return (
        across * NODE_WIDTH + (across - 1) * ROW + 2 * PAD,
        down * NODE_HEIGHT + (down - 1) * ROW + 2 * PAD,
    )


def _across(count: int) -> int:
    """Return how many nodes of a block stand side by side, so that it is about as wide as high."""
    return max(1, round(math.sqrt(count * (NODE_HEIGHT + ROW) / (NODE_WIDTH + ROW))))


def _places(nodes: Sequence[int], frame: Box) -> dict[int, Box]:
    """Return the places of the nodes of a unit, row by row."""
    if len(nodes) == 1:
        return {nodes[0]: frame}
    return _grid(nodes, frame.x + PAD, frame.y + PAD, _across(len(nodes)))


def _grid(nodes: Sequence[int], x: int, y: int, across: int) -> dict[int, Box]:
    return {
        node: Box(x + number % across * (NODE_WIDTH + ROW), y + number // across * (NODE_HEIGHT + ROW))
        for number, node in enumerate(nodes)
    }


def _packed(parts: Sequence[_Part], alone: Sequence[int], units: dict[int, int], shape: float) -> Layout:
    """Return the parts on shelves, the highest first, and below them the nodes without edges."""
    area = sum((part.width + APART) * (part.height + APART) for part in parts)
    area += len(alone) * (NODE_WIDTH + ROW) * (NODE_HEIGHT + ROW)
    target = max([math.sqrt(area * shape), NODE_WIDTH, *(part.width for part in parts)])
    found = Layout({}, units, {}, [], 0, 0)
    shelves: list[tuple[int, int]] = []  # top, and how far it is full
    bottom = width = 0
    for part in sorted(parts, key=lambda part: (-part.height, -part.width, min(part.boxes))):
        number = next((n for n, (_, x) in enumerate(shelves) if x + part.width <= target), len(shelves))
        if number == len(shelves):
            shelves.append((bottom, 0))
            bottom += part.height + APART
        top, x = shelves[number]
        found.boxes.update({node: box.moved(x, top) for node, box in part.boxes.items()})
        found.blocks.update({unit: box.moved(x, top) for unit, box in part.blocks.items()})
        found.routes.extend(route.moved(x, top) for route in part.routes)
        width = max(width, x + part.width)
        shelves[number] = (top, x + part.width + APART)
    across = max(1, int((target + ROW) // (NODE_WIDTH + ROW)))
    found.boxes.update(_grid(alone, 0, bottom, across))
    edge = [(box.x + box.width, box.y + box.height) for box in found.boxes.values()]
    width = max([width, *(x for x, _ in edge)])
    height = max([bottom - APART if parts else 0, *(y for _, y in edge)])
    return Layout(found.boxes, units, found.blocks, found.routes, width, height)
