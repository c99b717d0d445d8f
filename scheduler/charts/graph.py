"""Layered drawing of tasks and their dependencies, each task a link."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from scheduler.charts.geometry import Layout, Route
from scheduler.charts.layers import lay_out

NAME_LETTERS, NOTE_LETTERS = 25, 30  # in a Latin font of average width; a Chinese character counts twice
MARGIN = 12
ARROW = 5


@dataclass(frozen=True)
class Node:
    """A task in the graph.

    Attributes:
        key: unique key, also used in element ids.
        status: of its latest outcome or in a run; "none" without any.
        note: a short second line; `title`: full tooltip text.
        traits: any of ``current``, ``running``, ``off`` and ``outside``.
    """

    key: int
    name: str
    status: str
    note: str
    title: str
    href: str
    traits: tuple[str, ...] = ()


def graph_chart(nodes: Sequence[Node], edges: Iterable[tuple[int, int]], *, label: str) -> SafeString:
    """Return the graph.

    Args:
        nodes: in the order that breaks ties in the layout.
        edges: (upstream, downstream) by key; edges with an unknown end are ignored.
        label: accessible name of the graph.
    """
    number = {node.key: place for place, node in enumerate(nodes)}
    known = frozenset((number[up], number[down]) for up, down in edges if up in number and down in number)
    layout = lay_out(len(nodes), known)
    keys = {place: node.key for place, node in enumerate(nodes)}
    blocks = format_html_join(
        "",
        '<rect class="g-block" x="{}" y="{}" width="{}" height="{}" rx="10"/>',
        ((box.x, box.y, box.width, box.height) for _unit, box in sorted(layout.blocks.items())),
    )
    lines = format_html_join(
        "",
        '<path class="g-edge" data-edge="{} {}" d="{}"/>',
        ((keys[route.upstream], keys[route.downstream], _path(route)) for route in layout.routes),
    )
    width, height = layout.width + 2 * MARGIN, layout.height + 2 * MARGIN
    return format_html(
        '<svg class="g-graph" viewBox="-{} -{} {} {}" data-width="{}" data-height="{}" role="group" '
        'aria-label="{}">{}<g>{}</g>{}</svg>',
        MARGIN,
        MARGIN,
        width,
        height,
        width,
        height,
        label,
        blocks,
        lines,
        _boxes(nodes, layout, keys),
    )


def _boxes(nodes: Sequence[Node], layout: Layout, keys: Mapping[int, int]) -> SafeString:
    """Return the tasks in reading order: left to right, then down."""
    order = sorted(range(len(nodes)), key=lambda place: (layout.boxes[place].x, layout.boxes[place].y))
    return format_html_join(
        "",
        # The style sheet sets the sizes of rectangles, to keep a page of five hundred tasks small.
        '<a id="g{}" class="g-node s-{}{}" href="{}"{} transform="translate({} {})"><title>{}</title>'
        '<rect class="g-box"/><rect class="g-bar"/><text x="15" y="18">{}</text>'
        '<text class="g-note" x="15" y="33">{}</text></a>',
        (
            (
                node.key,
                node.status,
                "".join(f" g-{trait}" for trait in node.traits),
                node.href,
                _unit(place, layout.units[place], keys),
                box.x,
                box.y,
                node.title,
                clip(node.name, NAME_LETTERS),
                clip(node.note, NOTE_LETTERS),
            )
            for place in order
            for node, box in [(nodes[place], layout.boxes[place])]
        ),
    )


def _unit(place: int, unit: int, keys: Mapping[int, int]) -> SafeString:
    """Return the attribute of a task in a block that names the unit of its edges."""
    return SafeString("") if place == unit else format_html(' data-unit="{}"', keys[unit])


def clip(text: str, letters: int) -> str:
    """Return the text truncated with "…"; wide characters count twice."""
    sizes = [2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text[: letters + 1]]
    if sum(sizes) <= letters and len(text) <= letters:
        return text
    room, kept = letters - 1, 0
    for size in sizes:
        if size > room:
            break
        room, kept = room - size, kept + 1
    return text[:kept].rstrip() + "…"


def _path(route: Route) -> str:
    """Return the path of an edge with its arrowhead: horizontal in layers, curved between them."""
    (x, y), *rest = route.points
    parts = [f"M{x} {y}"]
    level = 0  # length of a straight line that may continue
    for to_x, to_y in rest:
        across, down = to_x - x, to_y - y
        if down:
            head = f"h{level}" if level else ""
            parts.append(f"{head}c{across // 2} 0 {across // 2} {down} {across} {down}")
            level = 0
        else:
            level += across
        x, y = to_x, to_y
    if level:
        parts.append(f"h{level}")
    return f"{''.join(parts)}m-{ARROW} -{ARROW - 1}l{ARROW} {ARROW - 1}l-{ARROW} {ARROW - 1}"
