"""Buckets of the histograms of durations and delays; pure."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from math import inf

#: Upper bounds in seconds. Totals are stored under their bounds: a changed list keeps what was counted before.
DURATION_BOUNDS = (0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 14_400.0, 43_200.0, inf)
LATENESS_BOUNDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 3600.0, inf)


def bound_of(value: float, bounds: Sequence[float]) -> float:
    """Return the upper bound of the bucket that holds `value`; a bound belongs to its own bucket.

    Args:
        bounds: ascending, the last one infinite.
    """
    return bounds[bisect_left(bounds, value)]
