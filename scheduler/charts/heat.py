"""Heat map of outcomes: a square per hour of each weekday."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from scheduler.charts.scales import across

SIZE, GAP, TOP = 24, 3, 18
FILLED = 0.89  # share of the width of an hour


@dataclass(frozen=True)
class Cell:
    """Outcomes in one hour of one weekday."""

    count: int
    failed: int
    title: str

    @property
    def level(self) -> str:
        """The CSS class of the failure rate."""
        if not self.count:
            return "none"
        share = self.failed / self.count
        return "good" if not self.failed else "some" if share < 0.1 else "many" if share < 0.5 else "most"


def heat_map(cells: Mapping[tuple[int, int], Cell], *, days: Sequence[str], label: str) -> SafeString:
    """Return the map.

    Args:
        cells: by (weekday from 0, hour); hours without executions may be absent.
        days: names of the seven days.
    """
    step = SIZE + GAP
    hours = format_html_join(
        "",
        '<text class="s-axis" x="{}" y="12" text-anchor="middle">{}</text>',
        ((across((hour + FILLED / 2) / 24), f"{hour:02d}") for hour in range(0, 24, 2)),
    )
    names = format_html_join(
        "",
        '<text class="s-axis" x="-6" y="{}" text-anchor="end">{}</text>',
        ((TOP + day * step + SIZE / 2 + 4, name) for day, name in enumerate(days)),
    )
    none = Cell(0, 0, "")
    squares = format_html_join(
        "",
        '<rect class="s-heat s-heat-{}" x="{}" y="{}" width="{}" height="{}" rx="3"><title>{}</title></rect>',
        (
            (cell.level, across(hour / 24), TOP + day * step, across(FILLED / 24), SIZE, cell.title)
            for day in range(7)
            for hour in range(24)
            for cell in [cells.get((day, hour), none)]
        ),
    )
    return format_html(
        '<svg class="s-chart s-heat-map" height="{}" role="img" aria-label="{}">{}{}{}</svg>',
        TOP + 7 * step,
        label,
        hours,
        names,
        squares,
    )
