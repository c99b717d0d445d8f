"""Whether and when a failed attempt is followed by another."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from scheduler.choices import RETRIED, Status


@dataclass(frozen=True)
class RetryPolicy:
    """Number of retries and their delays.

    Attributes:
        retry: maximum number of retries.
        interval: seconds before the first retry.
        backoff: factor between consecutive waits.
        maximum: longest wait in seconds.
    """

    retry: int
    interval: float
    backoff: float = 1.0
    maximum: float = 86_400.0


def next_attempt_at(
    policy: RetryPolicy, *, status: Status, failures: int, failed_at: datetime
) -> datetime | None:
    """Return when the next attempt may start, or None if no attempt follows.

    The wait is ``min(interval * backoff ** (failures - 1), maximum)`` seconds: with 60 and 2.0 it is
    60, 120, 240 … Only technical failures and timeouts are retried.

    Args:
        failures: failed attempts in this series, the last included, from 1.
        failed_at: aware.

    Raises:
        ValueError: `failures` is below 1, or `failed_at` is naive.

    Source: exponential backoff with a cap, as in Temporal's retry policy.
    """
    if failures < 1:
        raise ValueError(f"failures is {failures}; it counts from 1")
    if failed_at.tzinfo is None:
        raise ValueError("failed_at is naive; an aware instant is needed")
    if status not in RETRIED or failures > policy.retry:
        return None
    return failed_at + timedelta(seconds=wait_seconds(policy, failures))


def wait_seconds(policy: RetryPolicy, failures: int) -> float:
    """Return the wait after the given number of failures, in seconds, from 0 to the maximum."""
    if policy.interval <= 0:
        return 0.0
    try:
        wait = policy.interval * policy.backoff ** (failures - 1)
    except OverflowError:
        return policy.maximum
    return max(0.0, min(wait, policy.maximum))
