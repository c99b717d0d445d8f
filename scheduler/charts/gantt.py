"""Gantt chart of a run: a lane per task, with queueing time and attempts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from scheduler.charts.lanes import BAR, HEAD, LANE, NARROWEST, lane_row, lanes_frame, width
from scheduler.charts.scales import across, ticks
from scheduler.wording.times import axis_duration


@dataclass(frozen=True)
class Attempt:
    """One attempt, in seconds since the start of the run; without `start` it waited or never ran.

    Attributes:
        ready: start of the queueing time; `end`: the present for an active attempt.
    """

    ready: float
    start: float | None
    end: float
    status: str
    title: str
    href: str


@dataclass(frozen=True)
class GanttLane:
    """A task in the run; `note` is shown after its last attempt."""

    name: str
    href: str
    attempts: Sequence[Attempt]
    note: str = ""


def gantt_chart(lanes: Sequence[GanttLane], *, length: float, now_at: float | None, label: str) -> SafeString:
    """Return the lanes below an axis of elapsed time.

    Args:
        length: minimum length of the axis in seconds.
        now_at: the present in seconds, or None if the run has ended.
    """
    span = max(length, 0.1)

    def share(seconds: float) -> float:
        return min(max(seconds / span, 0.0), 1.0)

    marks = [at for at in [0.0, *ticks(span, count=6)] if at <= span]  # the last tick may lie beyond the end
    rows = [
        lane_row(lane.name, lane.href, number, _lane(lane, HEAD + LANE * (number + 0.5), share))
        for number, lane in enumerate(lanes)
    ]
    return lanes_frame(
        rows,
        ticks=[(share(at), axis_duration(at)) for at in marks],
        now_at=None if now_at is None else share(now_at),
        label=label,
        look="s-lanes s-gantt",
    )


def _lane(lane: GanttLane, middle: float, share: Callable[[float], float]) -> SafeString:
    last = max((share(attempt.end) for attempt in lane.attempts), default=0.0)
    return format_html(
        '{}<text class="s-axis" x="{}" dx="8" y="{}">{}</text>',
        format_html_join("", "{}", ((_attempt(attempt, middle, share),) for attempt in lane.attempts)),
        across(last),
        middle + 4,
        lane.note,
    )


def _attempt(attempt: Attempt, middle: float, share: Callable[[float], float]) -> SafeString:
    begin, end = share(attempt.ready), share(attempt.end)
    shapes = []
    if attempt.start is None:
        if end - begin > NARROWEST:
            shapes.append(_wait(begin, end, middle))
        shapes.append(
            format_html(
                '<circle class="s-bar s-{}" cx="{}" cy="{}" r="5"/>', attempt.status, across(end), middle
            )
        )
    else:
        start = share(attempt.start)
        if start - begin > NARROWEST / 2:
            shapes.append(_wait(begin, start, middle))
        shapes.append(
            format_html(
                '<rect class="s-bar s-{}" x="{}" y="{}" width="{}" height="{}" rx="3"/>',
                attempt.status,
                across(start),
                middle - BAR / 2,
                width(start, end),
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
        across(begin),
        middle - 2,
        across(end - begin),
    )
