"""What ran when in a run: a lane for each task, with the time that it waited for a worker and each of its attempts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from scheduler.charts.graph import clip
from scheduler.charts.lanes import BAR, HEAD, LANE, NAMES, WIDTH, lanes_frame
from scheduler.charts.scales import short_duration, ticks

NOTES = 80
NARROWEST = 3.0
LETTERS = 28


@dataclass(frozen=True)
class Attempt:
    """One attempt in seconds after the begin of the run; without a start it only waited, or never ran.

    Attributes:
        ready: from when on it waited; `end`: where it is now, when it goes on.
    """

    ready: float
    start: float | None
    end: float
    status: str
    title: str
    href: str


@dataclass(frozen=True)
class GanttLane:
    """A task in the run; `note` stands behind its last attempt."""

    name: str
    href: str
    attempts: Sequence[Attempt]
    note: str = ""


def gantt_chart(lanes: Sequence[GanttLane], *, length: float, now_at: float | None, label: str) -> SafeString:
    """Return the lanes below an axis of elapsed time.

    Args:
        length: seconds that the axis has to reach.
        now_at: where the present is, in seconds, or None when the run has ended.
    """
    marks = ticks(max(length, 0.1), count=6)
    span = max(length, 0.1)
    across = WIDTH - NAMES - NOTES
    height = HEAD + LANE * len(lanes) + 4

    def x(seconds: float) -> float:
        return round(NAMES + across * min(max(seconds / span, 0.0), 1.0), 1)

    axis = format_html_join(
        "",
        '<line class="s-grid" x1="{}" x2="{}" y1="{}" y2="{}"/><text class="s-axis" x="{}" y="14" '
        'text-anchor="middle">{}</text>',
        (
            (x(at), x(at), HEAD - 6, height, x(at), short_duration(at))
            for at in [0.0, *marks]
            if at <= span  # the last one may lie beyond the end
        ),
    )
    rows = []
    for number, lane in enumerate(lanes):
        top = HEAD + LANE * number
        middle = top + LANE / 2
        bars = [_attempt(attempt, middle, x) for attempt in lane.attempts]
        last = max((x(attempt.end) for attempt in lane.attempts), default=NAMES)
        rows.append(
            format_html(
                '<g><a href="{}"><text class="s-lane-name" x="4" y="{}">{}</text><title>{}</title></a>'
                '<line class="s-grid" x1="0" x2="{}" y1="{}" y2="{}"/>{}'
                '<text class="s-axis" x="{}" y="{}">{}</text></g>',
                lane.href,
                middle + 4,
                clip(lane.name, LETTERS),
                lane.name,
                WIDTH,
                top + LANE,
                top + LANE,
                format_html_join("", "{}", ((bar,) for bar in bars)),
                round(last + 8, 1),
                middle + 4,
                lane.note,
            )
        )
    return lanes_frame(
        axis,
        format_html_join("", "{}", ((row,) for row in rows)),
        height=height,
        label=label,
        now_x=None if now_at is None else x(now_at),
    )


def _attempt(attempt: Attempt, middle: float, x: Callable[[float], float]) -> SafeString:
    begin, end = x(attempt.ready), x(attempt.end)
    shapes = []
    if attempt.start is None:
        if end - begin > NARROWEST:
            shapes.append(_wait(begin, end, middle))
        shapes.append(
            format_html('<circle class="s-bar s-{}" cx="{}" cy="{}" r="5"/>', attempt.status, end, middle)
        )
    else:
        start = x(attempt.start)
        if start - begin >= 1:
            shapes.append(_wait(begin, start, middle))
        shapes.append(
            format_html(
                '<rect class="s-bar s-{}" x="{}" y="{}" width="{}" height="{}" rx="3"/>',
                attempt.status,
                start,
                middle - BAR / 2,
                round(max(end - start, NARROWEST), 1),
                BAR,
            )
        )
    return format_html(
        '<a href="{}" tabindex="-1"><title>{}</title>{}</a>',
        attempt.href,
        attempt.title,
        format_html_join("", "{}", ((shape,) for shape in shapes)),
    )


def _wait(begin: float, end: float, middle: float) -> SafeString:
    return format_html(
        '<rect class="g-wait" x="{}" y="{}" width="{}" height="4" rx="2"/>',
        begin,
        middle - 2,
        round(end - begin, 1),
    )
