"""Clocks that are set."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from scheduler.engine.clocks import Instants, StepWatch, brought_back, hold_until
from tests.support.cases import each_case

NOW = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)
DAY = timedelta(days=1)


def at(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


@each_case(
    ("wall", "monotonic", "step"),
    [
        (1.0, 1.0, 0),
        (8.0, 1.0, 0),
        (-9.0, 0.5, 0),
        (-10.0, 0.5, -10.5),
        (3601.0, 1.0, 3600),
        (600.0, 600.0, 0),
    ],
)
def test_a_step_is_what_the_clock_moved_beyond_the_time_that_passed(
    wall: float, monotonic: float, step: float
) -> None:
    watch = StepWatch()

    assert watch.step(NOW, 50.0) == 0
    assert watch.step(at(wall), 50.0 + monotonic) == step
    assert watch.step(at(wall + 1), 51.0 + monotonic) == 0


@each_case(
    ("row", "back"),
    [
        # nothing beyond now
        (Instants(at(-9), None, at(-8), at(-5)), Instants(at(-9), None, at(-8), at(-5))),
        # all of it: it waited 1 s and ran 3 s, and still did
        (Instants(at(100), None, at(101), at(104)), Instants(at(-4), None, at(-3), at(0))),
        # the clock was put forward while it ran, or while it waited
        (Instants(at(-9), None, at(-8), at(500)), Instants(at(-9), None, at(-8), at(0))),
        (Instants(at(-9), None, at(400), at(500)), Instants(at(-9), None, at(0), at(0))),
        # it was put back while it ran
        (Instants(at(100), None, at(101), at(-2)), Instants(at(-2), None, at(-2), at(-2))),
        # queued, running, and a retry that was to wait a minute
        (Instants(at(100)), Instants(at(0))),
        (Instants(at(100), None, at(130)), Instants(at(-30), None, at(0))),
        (Instants(at(100), at(160)), Instants(at(0), at(60))),
        # a retry of the present keeps its wait
        (Instants(at(-100), at(60)), Instants(at(-100), at(60))),
    ],
)
def test_no_instant_but_that_of_a_waiting_retry_stays_in_the_future(row: Instants, back: Instants) -> None:
    assert brought_back(row, NOW) == back


@each_case(
    ("gap", "until"),
    [(DAY, None), (2 * DAY, NOW + 2 * DAY), (400 * DAY, NOW + 7 * DAY), (-DAY, None)],
)
def test_retention_waits_as_long_as_the_gap_and_a_week_at_most(
    gap: timedelta, until: datetime | None
) -> None:
    assert hold_until(NOW, gap) == until
