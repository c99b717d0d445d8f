"""The latest executions of a task as bars: height is duration, colour is outcome, each a link."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.utils.html import escape, format_html
from django.utils.safestring import SafeString

from scheduler.charts.scales import bar_height
from scheduler.engine.percentiles import percentile

BAR, GAP, HEIGHT, LEAST = 6, 2, 28, 5


@dataclass(frozen=True)
class Bar:
    """One execution; `seconds` is None if it did not run or has not finished."""

    href: str
    title: str
    status: str
    seconds: float | None


def outcome_strip(bars: Sequence[Bar], *, slots: int, label: str) -> SafeString:
    """Return the bars, oldest first, aligned right in a row of `slots` positions."""
    seconds = [bar.seconds for bar in bars if bar.seconds]
    longest, usual = max(seconds, default=0.0), percentile(seconds, 0.5) or 0.0
    step = BAR + GAP
    offset = max(slots - len(bars), 0)
    # Text is escaped manually: a list of tasks has hundreds of bars, and `format_html` also escapes every number.
    empty = "".join(
        f'<rect class="s-nobar" x="{index * step}" y="{HEIGHT - 2}" width="{BAR}" height="2"/>'
        for index in range(offset)
    )
    marks = "".join(
        f'<a href="{escape(bar.href)}" tabindex="-1"><title>{escape(bar.title)}</title>'
        f'<rect class="s-hit" x="{x}" width="{step}" height="{HEIGHT}"/>'
        f'<rect class="s-bar s-{escape(bar.status)}" x="{x}" y="{HEIGHT - height}" width="{BAR}" height="{height}"/>'
        "</a>"
        for x, height, bar in (
            ((offset + i) * step, bar_height(bar.seconds, longest, usual, least=LEAST, most=HEIGHT), bar)
            for i, bar in enumerate(bars)
        )
    )
    width = max(slots, len(bars)) * step - GAP
    return format_html(
        '<svg class="s-strip" viewBox="0 0 {} {}" width="{}" height="{}" preserveAspectRatio="none" role="group" '
        'aria-label="{}">{}{}</svg>',
        width,
        HEIGHT,
        width,
        HEIGHT,
        label,
        SafeString(empty),
        SafeString(marks),
    )
