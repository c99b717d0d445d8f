"""The strip of the latest executions of a task: height is duration, colour is outcome, each a link."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.utils.html import format_html, format_html_join
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
    empty = format_html_join(
        "",
        '<rect class="s-nobar" x="{}" y="{}" width="{}" height="2"/>',
        ((index * step, HEIGHT - 2, BAR) for index in range(offset)),
    )
    marks = format_html_join(
        "",
        '<a href="{}" tabindex="-1"><title>{}</title><rect class="s-hit" x="{}" width="{}" height="{}"/>'
        '<rect class="s-bar s-{}" x="{}" y="{}" width="{}" height="{}" rx="1"/></a>',
        (
            (bar.href, bar.title, x, step, HEIGHT, bar.status, x, HEIGHT - height, BAR, height)
            for x, height, bar in (
                ((offset + i) * step, bar_height(bar.seconds, longest, usual, least=LEAST, most=HEIGHT), bar)
                for i, bar in enumerate(bars)
            )
        ),
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
        empty,
        marks,
    )
