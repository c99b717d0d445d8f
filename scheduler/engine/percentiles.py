"""Percentiles of a handful of values."""

from __future__ import annotations

import math
from collections.abc import Sequence


def percentile(values: Sequence[float], share: float) -> float | None:
    """Return the nearest-rank percentile of `values` at `share` (0 to 1); None for an empty sequence."""
    if not values:
        return None
    ordered = sorted(values)
    return ordered[min(math.ceil(share * len(ordered)) - 1, len(ordered) - 1)] if share > 0 else ordered[0]
