"""Geometry of graph layouts: nodes, blocks, edges, and unconnected parts. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

NODE_WIDTH, NODE_HEIGHT = 188, 42
ROW = 14  # vertical gap between nodes
PAD = 10  # around the nodes of a block
APART = 36  # gap between unconnected parts

Point = tuple[int, int]


@dataclass(frozen=True)
class Box:
    """A rectangle in the layout."""

    x: int
    y: int
    width: int = NODE_WIDTH
    height: int = NODE_HEIGHT

    def moved(self, x: int, y: int) -> Box:
        """Return the rectangle translated by (x, y)."""
        return Box(self.x + x, self.y + y, self.width, self.height)


@dataclass(frozen=True)
class Route:
    """An edge between units: horizontal through layers, from each even point to the next, and curved between them."""

    upstream: int
    downstream: int
    points: tuple[Point, ...]

    def moved(self, x: int, y: int) -> Route:
        """Return the route translated by (x, y)."""
        return Route(self.upstream, self.downstream, tuple((px + x, py + y) for px, py in self.points))


@dataclass(frozen=True)
class Layout:
    """A layout, from (0, 0) to (`width`, `height`).

    Attributes:
        boxes: rectangle of each node.
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
class Part:
    """A connected part of the graph, or the nodes without edges."""

    boxes: dict[int, Box] = field(default_factory=dict)
    blocks: dict[int, Box] = field(default_factory=dict)
    routes: list[Route] = field(default_factory=list)
    width: int = 0
    height: int = 0


def size_of(count: int) -> tuple[int, int]:
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
    """Return the number of columns of a block, to make it about square."""
    return max(1, round(math.sqrt(count * (NODE_HEIGHT + ROW) / (NODE_WIDTH + ROW))))


def places_in(nodes: Sequence[int], frame: Box) -> dict[int, Box]:
    """Return the rectangles of the nodes of a unit, row by row."""
    if len(nodes) == 1:
        return {nodes[0]: frame}
    return _grid(nodes, frame.x + PAD, frame.y + PAD, _across(len(nodes)))


def _grid(nodes: Sequence[int], x: int, y: int, across: int) -> dict[int, Box]:
    return {
        node: Box(x + number % across * (NODE_WIDTH + ROW), y + number // across * (NODE_HEIGHT + ROW))
        for number, node in enumerate(nodes)
    }


def packed(parts: Sequence[Part], alone: Sequence[int], units: dict[int, int], shape: float) -> Layout:
    """Return the parts packed on shelves, the highest first, and the nodes without edges below them."""
    area = sum((part.width + APART) * (part.height + APART) for part in parts)
    area += len(alone) * (NODE_WIDTH + ROW) * (NODE_HEIGHT + ROW)
    target = max([math.sqrt(area * shape), NODE_WIDTH, *(part.width for part in parts)])
    found = Layout({}, units, {}, [], 0, 0)
    shelves: list[tuple[int, int]] = []  # top, and filled width
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
