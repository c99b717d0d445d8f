"""Scales: bar heights, shares of the width, and axis ticks."""

from __future__ import annotations

import math

EDGE = 0.05  # half a label on a phone
STEPS = (
    0.1,
    0.2,
    0.5,
    1,
    2,
    5,
    10,
    20,
    30,
    60,
    120,
    300,
    600,
    1200,
    1800,
    3600,
    7200,
    14_400,
    28_800,
    86_400,
)


def bar_height(seconds: float | None, longest: float, usual: float, *, least: int, most: int) -> int:
    """Return a height from `least` to `most`.

    Linear by default; logarithmic if the longest is far beyond `usual`, so that the others stay visible.
    """
    if not seconds or longest <= 0:
        return least
    is_even = longest <= 6 * usual
    share = seconds / longest if is_even else math.log1p(seconds) / math.log1p(longest)
    return round(least + (most - least) * min(share, 1.0))


def across(share: float) -> str:
    """Return a share of the width as an SVG length, so that charts scale while text keeps its size."""
    return f"{round(100 * min(max(share, 0.0), 1.0), 2):g}%"


def anchor(share: float) -> str:
    """Return the text-anchor of an axis label; labels at the edges stay inside the chart."""
    return "start" if share < EDGE else "end" if share > 1 - EDGE else "middle"


def ticks(largest: float, *, count: int = 4) -> list[float]:
    """Return at most `count` round durations from 0 up to about `largest` seconds."""
    step = next((step for step in STEPS if step * count >= largest), None)
    if step is None:
        step = 86_400 * math.ceil(largest / 86_400 / count)
    return [step * number for number in range(1, count + 1) if step * (number - 1) < largest]
