"""Durations of the latest executions as points, with lines for the median and the 95th percentile."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from scheduler.charts.scales import across, anchor, ticks
from scheduler.wording.times import axis_duration

HEIGHT, TOP, BOTTOM = 200, 10, 24  # horizontal margins are in the style sheet


@dataclass(frozen=True)
class Point:
    """A finished execution."""

    href: str
    title: str
    status: str
    seconds: float
    label: str


def duration_chart(
    points: Sequence[Point], *, p50: float | None, p95: float | None, label: str
) -> SafeString:
    """Return a chart of `points`, oldest first; `label` is its accessible name."""
    # A single outlier would flatten all other points; it is drawn at the top instead.
    largest = max((point.seconds for point in points), default=1.0) or 1.0
    if p95:
        largest = min(largest, p95 * 4)
    marks = ticks(largest)
    top = max(marks[-1], largest)
    down = HEIGHT - TOP - BOTTOM

    def y(seconds: float) -> float:
        return round(TOP + down * (1 - min(seconds, top) / top), 1)

    grid = format_html_join(
        "",
        '<line class="s-grid" x1="0" x2="100%" y1="{}" y2="{}"/><text class="s-axis" x="-6" y="{}" '
        'text-anchor="end">{}</text>',
        ((y(value), y(value), y(value) + 4, axis_duration(value)) for value in [0.0, *marks]),
    )
    lines = format_html_join(
        "",
        '<line class="s-level s-level-{}" x1="0" x2="100%" y1="{}" y2="{}"/>'
        '<text class="s-axis" x="100%" dx="4" y="{}">{} {}</text>',
        (
            (name, y(value), y(value), place, name, axis_duration(_round(value)))
            for name, value, place in _levels(p50, p95, y)
        ),
    )
    return format_html(
        '<svg class="s-chart s-durations" height="{}" role="group" aria-label="{}">{}{}{}{}</svg>',
        HEIGHT,
        label,
        grid,
        lines,
        _dots(points, y),
        _dates(points),
    )


def _share(index: int, points: Sequence[Point]) -> float:
    """Return the position of a point as a share of the width."""
    return (index + 0.5) / max(len(points), 1)


def _dots(points: Sequence[Point], y: Callable[[float], float]) -> SafeString:
    radius = 4 if len(points) <= 100 else 2.5
    return format_html_join(
        "",
        '<a href="{}" tabindex="-1"><title>{}</title><circle class="s-dot s-{}" cx="{}" cy="{}" r="{}"/></a>',
        (
            (point.href, point.title, point.status, across(_share(index, points)), y(point.seconds), radius)
            for index, point in enumerate(points)
        ),
    )


def _dates(points: Sequence[Point]) -> SafeString:
    step = max(len(points) // 6, 1)
    return format_html_join(
        "",
        '<text class="s-axis" x="{}" y="{}" text-anchor="{}">{}</text>',
        (
            (across(place), HEIGHT - 6, anchor(place), points[index].label)
            for index in range(step // 2, len(points), step)
            for place in [_share(index, points)]
        ),
    )


def _round(seconds: float) -> float:
    """Return seconds with two decimals below one second, otherwise in display precision."""
    return round(seconds, 2) if seconds < 1 else round(seconds) if seconds < 60 else round(seconds / 6) * 6


def _levels(
    p50: float | None, p95: float | None, y: Callable[[float], float]
) -> list[tuple[str, float, float]]:
    """Return the lines with label positions that do not overlap."""
    levels = [(name, value) for name, value in (("p95", p95), ("p50", p50)) if value is not None]
    placed: list[tuple[str, float, float]] = []
    for name, value in levels:
        place = y(value) + 4
        if placed and place - placed[-1][2] < 13:
            place = placed[-1][2] + 13
        placed.append((name, value, place))
    return placed
