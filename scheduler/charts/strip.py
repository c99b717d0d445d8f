"""The strip of the latest executions of a task: height is duration, colour is outcome, each a link."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.utils.html import escape, format_html
from django.utils.safestring import SafeString

from scheduler.charts.scales import bar_height, percentile

BAR, GAP, HEIGHT, LEAST = 6, 2, 28, 5


@dataclass(frozen=True)
class Bar:
    """One execution; `seconds` is None when it did not run or has not ended."""

    href: str
    title: str
    status: str
    seconds: float | None


def outcome_strip(bars: Sequence[Bar], *, slots: int, label: str) -> SafeString:
    """Return the bars at the right end of a row of `slots` places, the oldest first."""
    seconds = [bar.seconds for bar in bars if bar.seconds]
    longest, usual = max(seconds, default=0.0), percentile(seconds, 0.5) or 0.0
    step = BAR + GAP
    offset = max(slots - len(bars), 0)
    # Escaped by hand, text alone: a list of tasks has hundreds of bars, and `format_html` escapes each number as well.
    empty = "".join(
        f'<rect class="s-nobar" x="{index * step}" y="{HEIGHT - 2}" width="{BAR}" height="2"/>'
        for index in range(offset)
    )
    marks = "".join(
        f'<a href="{escape(bar.href)}" tabindex="-1"><title>{escape(bar.title)}</title>'
        f'<rect class="s-hit" x="{x}" width="{step}" height="{HEIGHT}"/>'
        f'<rect class="s-bar s-{escape(bar.status)}" x="{x}" y="{HEIGHT - height}" width="{BAR}" height="{height}" '
        'rx="1"/></a>'
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
