"""How waits grow with wrong guesses, and how rates let through what they say."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.engine.limits import GuessLimit, RateLimit, count_left
from tests.support.cases import each_case

GUESSES = GuessLimit(free=5, first_wait=5, longest_wait=900, forgiven_every=900)


@each_case(
    ("count", "wait"),
    [(1, 0), (4, 0), (4.2, 5), (5, 5), (6, 10), (7, 20), (12, 640), (13, 900), (10_000, 900)],
)
def test_wait_doubles_from_the_last_free_guess_on_to_the_longest(count: float, wait: float) -> None:
    assert GUESSES.wait_after(count) == wait


def test_attempts_are_forgiven_one_by_one() -> None:
    assert count_left(5, seconds=900, limit=GUESSES) == 4
    assert count_left(5, seconds=90_000, limit=GUESSES) == 0


def test_a_clock_that_was_set_back_forgives_nothing() -> None:
    assert count_left(5, seconds=-3600, limit=GUESSES) == 5


@given(st.integers(1, 50), st.integers(1, 400))
def test_guesses_of_a_day_are_few_whatever_is_tried(free: int, tries: int) -> None:
    limit = GuessLimit(free, 5, 900, 900)
    count = clock = last = 0.0

    for _ in range(tries):
        count, last = count_left(count, seconds=clock - last, limit=limit) + 1, clock
        clock += limit.wait_after(count)

    assert tries <= free + 10 + clock / 300


@given(st.integers(1, 100), st.floats(1, 3600), st.integers(1, 300))
def test_a_rate_lets_through_a_burst_and_then_its_pace(most: int, period: float, tries: int) -> None:
    limit = RateLimit(most, period)
    count = clock = last = 0.0

    for _ in range(tries):
        count, last = count_left(count, seconds=clock - last, limit=limit) + 1, clock
        clock += limit.wait_after(count)

    assert clock == pytest.approx(max(0, tries - most + 1) * period / most, abs=1e-6 * period + 1e-9)
