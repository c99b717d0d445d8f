"""A lane for each task along a span of time: what ran, and what is planned."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

LANE, BAR, HEAD, NAMES, WIDTH = 30, 16, 26, 210, 1200
NARROWEST = 3.0


@dataclass(frozen=True)
class Mark:
    """An execution or a slot to come, from `begin` to `end` as shares of the span; `status` is "planned" for a slot."""

    begin: float
    end: float
    status: str
    title: str
    href: str = ""


@dataclass(frozen=True)
class Lane:
    """A task with its marks."""

    name: str
    href: str
    marks: Sequence[Mark]


def lanes_chart(
    lanes: Sequence[Lane], *, ticks: Sequence[tuple[float, str]], now_at: float | None, label: str
) -> SafeString:
    """Return the lanes below an axis.

    Args:
        ticks: places from 0 to 1 and what to write there.
        now_at: where the present is, or None when it lies outside.
    """
    across = WIDTH - NAMES - 10
    height = HEAD + LANE * len(lanes) + 4

    def x(share: float) -> float:
        return round(NAMES + across * min(max(share, 0.0), 1.0), 1)

    axis = format_html_join(
        "",
        '<line class="s-grid" x1="{}" x2="{}" y1="{}" y2="{}"/><text class="s-axis" x="{}" y="14" '
        'text-anchor="middle">{}</text>',
        ((x(at), x(at), HEAD - 6, height, x(at), text) for at, text in ticks),
    )
    rows = format_html_join(
        "", "{}", ((_lane(lane, HEAD + LANE * index, x),) for index, lane in enumerate(lanes))
    )
    return lanes_frame(axis, rows, height=height, label=label, now_x=None if now_at is None else x(now_at))


def lanes_frame(
    axis: SafeString, rows: SafeString, *, height: float, label: str, now_x: float | None
) -> SafeString:
    """Return a chart of lanes around its axis and rows, with a line at the present when it is shown."""
    now = ""
    if now_x is not None:
        now = format_html(
            '<line class="s-now" x1="{}" x2="{}" y1="{}" y2="{}"/>', now_x, now_x, HEAD - 6, height
        )
    return format_html(
        '<svg class="s-chart s-lanes" viewBox="0 0 {} {}" role="group" aria-label="{}">{}{}{}</svg>',
        WIDTH,
        height,
        label,
        axis,
        rows,
        now,
    )


def _lane(lane: Lane, top: float, x: Callable[[float], float]) -> SafeString:
    middle = top + LANE / 2
    name = format_html(
        '<a href="{}"><text class="s-lane-name" x="4" y="{}">{}</text><title>{}</title></a>'
        '<line class="s-grid" x1="0" x2="{}" y1="{}" y2="{}"/>',
        lane.href,
        middle + 4,
        lane.name if len(lane.name) <= 28 else lane.name[:27] + "…",
        lane.name,
        WIDTH,
        top + LANE,
        top + LANE,
    )
    shapes = []
    for mark in lane.marks:
        begin = x(mark.begin)
        width = round(max(x(mark.end) - begin, NARROWEST), 1)
        shape = format_html(
            '<rect class="s-bar s-{}" x="{}" y="{}" width="{}" height="{}" rx="2"><title>{}</title></rect>',
            mark.status,
            begin,
            middle - BAR / 2,
            width,
            BAR,
            mark.title,
        )
        if mark.href:
            shape = format_html('<a href="{}" tabindex="-1">{}</a>', mark.href, shape)
        shapes.append(shape)
    return format_html("<g>{}{}</g>", name, format_html_join("", "{}", ((shape,) for shape in shapes)))
