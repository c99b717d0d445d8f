"""A lane per task along a span of time: executions and planned slots."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from scheduler.charts.graph import clip
from scheduler.charts.scales import EDGE, across, anchor

LANE, BAR, HEAD = 30, 16, 26
NARROWEST = 0.002  # share of the span
LETTERS, LETTERS_OF_A_PHONE = 28, 15
LABELS_OF_A_PHONE = 4


@dataclass(frozen=True)
class Mark:
    """An execution or a future slot, from `begin` to `end` as shares of the span; `status` is "planned" for a slot.

    Attributes:
        is_many: represents many marks that are too close to draw separately.
    """

    begin: float
    end: float
    status: str
    title: str
    href: str = ""
    is_many: bool = False


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
        ticks: positions from 0 to 1 with their labels.
        now_at: the present, or None if it is outside the span.
    """
    rows = [lane_row(lane.name, lane.href, index, _marks(lane, index)) for index, lane in enumerate(lanes)]
    return lanes_frame(rows, ticks=ticks, now_at=now_at, label=label)


def lanes_frame(
    rows: Sequence[SafeString],
    *,
    ticks: Sequence[tuple[float, str]],
    now_at: float | None,
    label: str,
    look: str = "s-lanes",
) -> SafeString:
    """Return a chart of lanes below its axis, with a line at the present if it is visible."""
    height = HEAD + LANE * len(rows) + 4
    each = -(-len(ticks) // LABELS_OF_A_PHONE)
    axis = format_html_join(
        "",
        '<line class="s-grid" x1="{}" x2="{}" y1="{}" y2="{}"/><text class="{}" x="{}" y="14" '
        'text-anchor="{}">{}</text>',
        (
            (
                across(at),
                across(at),
                HEAD - 6,
                height,
                "s-axis s-wide" if number % each else "s-axis",
                across(at),
                anchor(max(at, EDGE)),  # the left margin has room for names
                text,
            )
            for number, (at, text) in enumerate(ticks)
        ),
    )
    now = SafeString("")
    if now_at is not None:
        x = across(now_at)
        now = format_html('<line class="s-now" x1="{}" x2="{}" y1="{}" y2="{}"/>', x, x, HEAD - 6, height)
    return format_html(
        '<svg class="s-chart {}" height="{}" role="group" aria-label="{}">{}{}{}</svg>',
        look,
        height,
        label,
        axis,
        format_html_join("", "{}", ((row,) for row in rows)),
        now,
    )


def lane_row(name: str, href: str, index: int, shapes: SafeString) -> SafeString:
    """Return a lane: its name, shortened on phones, and its shapes."""
    top = HEAD + LANE * index
    long, short = clip(name, LETTERS), clip(name, LETTERS_OF_A_PHONE)
    words = format_html('<text class="s-lane-name" y="{}">{}</text>', top + LANE / 2 + 4, long)
    if short != long:
        words = format_html(
            '<text class="s-lane-name s-wide" y="{0}">{1}</text>'
            '<text class="s-lane-name s-narrow" y="{0}">{2}</text>',
            top + LANE / 2 + 4,
            long,
            short,
        )
    return format_html(
        '<g><a href="{}">{}<title>{}</title></a><rect class="s-rule" y="{}" height="1"/>{}</g>',
        href,
        words,
        name,
        top + LANE,
        shapes,
    )


def width(begin: float, end: float) -> str:
    """Return the width of a bar from `begin` to `end` (shares of the span), with a visible minimum."""
    begin, end = (min(max(share, 0.0), 1.0) for share in (begin, end))
    return across(max(end - begin, NARROWEST))


def _marks(lane: Lane, index: int) -> SafeString:
    top = HEAD + LANE * index + (LANE - BAR) / 2
    shapes = []
    for mark in lane.marks:
        if mark.is_many:
            shapes.append(_many(mark, top + BAR / 2))
            continue
        shape = format_html(
            '<rect class="s-bar s-{}" x="{}" y="{}" width="{}" height="{}" rx="2"><title>{}</title></rect>',
            mark.status,
            across(mark.begin),
            top,
            width(mark.begin, mark.end),
            BAR,
            mark.title,
        )
        if mark.href:
            shape = format_html('<a href="{}" tabindex="-1">{}</a>', mark.href, shape)
        shapes.append(shape)
    return format_html_join("", "{}", ((shape,) for shape in shapes))


def _many(mark: Mark, middle: float) -> SafeString:
    """Return a row of dashes, distinguishable from one long run."""
    return format_html(
        '<line class="s-many s-{}" x1="{}" x2="{}" y1="{}" y2="{}"><title>{}</title></line>',
        mark.status,
        across(mark.begin),
        across(mark.end),
        middle,
        middle,
        mark.title,
    )
