"""Buckets of histograms."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from scheduler.engine.histograms import DURATION_BOUNDS, LATENESS_BOUNDS, bound_of


@given(value=st.floats(0, 1e9), bounds=st.sampled_from([DURATION_BOUNDS, LATENESS_BOUNDS]))
def test_a_value_is_in_the_first_bucket_that_holds_it(value: float, bounds: tuple[float, ...]) -> None:
    assert bound_of(value, bounds) == min(bound for bound in bounds if value <= bound)


def test_bounds_ascend_and_the_last_one_is_infinite() -> None:
    for bounds in (DURATION_BOUNDS, LATENESS_BOUNDS):
        assert list(bounds) == sorted(set(bounds))
        assert bounds[-1] == math.inf
        assert [float(str(bound)) for bound in bounds] == list(bounds)  # as they are stored
