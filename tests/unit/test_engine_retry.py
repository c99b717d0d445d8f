"""Whether and when a failed attempt is followed by another."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.choices import RETRIED, Status
from scheduler.engine.retry import RetryPolicy, next_attempt_at
from tests.support.cases import each_case

FAILED_AT = datetime(2026, 3, 10, 12, tzinfo=UTC)


def wait(policy: RetryPolicy, failures: int, status: Status = Status.TECHNICAL_FAILURE) -> float | None:
    at = next_attempt_at(policy, status=status, failures=failures, failed_at=FAILED_AT)
    return None if at is None else (at - FAILED_AT).total_seconds()


@each_case(
    ("policy", "waits"),
    [
        (RetryPolicy(0, 60, 1.0), [None]),
        (RetryPolicy(2, 60, 1.0), [60, 60, None]),
        (RetryPolicy(4, 60, 2.0), [60, 120, 240, 480, None]),
        (RetryPolicy(3, 100, 0.5), [100, 50, 25, None]),
        (RetryPolicy(3, 60, 10.0, maximum=600), [60, 600, 600, None]),
        (RetryPolicy(2, 0, 2.0), [0, 0, None]),
    ],
)
def test_waits_grow_by_the_backoff_until_used_up(policy: RetryPolicy, waits: list[float | None]) -> None:
    assert [wait(policy, n) for n in range(1, len(waits) + 1)] == waits


@each_case("status", sorted(set(Status) - RETRIED))
def test_only_technical_failures_and_timeouts_are_tried_again(status: Status) -> None:
    assert wait(RetryPolicy(5, 60, 1.0), 1, status) is None


def test_timeout_is_tried_again() -> None:
    assert wait(RetryPolicy(5, 60, 1.0), 1, Status.TIMEOUT) == 60


@given(st.integers(1, 10**9), st.floats(0, 1e9), st.floats(0, 1e9))
def test_wait_never_overflows_and_never_exceeds_the_maximum(
    failures: int, interval: float, backoff: float
) -> None:
    found = wait(RetryPolicy(10**9, interval, backoff), failures)

    assert found is not None
    assert 0 <= found <= 86_400


def test_wrong_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match="failures is 0; it counts from 1"):
        wait(RetryPolicy(1, 60, 1.0), 0)
    with pytest.raises(ValueError, match="failed_at is naive"):
        next_attempt_at(
            RetryPolicy(1, 60, 1.0),
            status=Status.TIMEOUT,
            failures=1,
            failed_at=FAILED_AT.replace(tzinfo=None),
        )
