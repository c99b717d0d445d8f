"""What happens when a task is due while an execution of it is active."""

from __future__ import annotations

from enum import Enum

from scheduler.choices import Concurrency


class OverlapDecision(Enum):
    """What to do with the new one."""

    START = "start"
    SKIP = "skip"
    QUEUE = "queue"
    REPLACE = "replace"


def decide_overlap(
    policy: Concurrency, *, active_count: int, max_parallel: int | None, caught_up_count: int = 0
) -> OverlapDecision:
    """Return what to do with a new execution when `active_count` of the same task are queued or running.

    QUEUE means the same as START for the row that is written: the parallel limit keeps it waiting.

    Args:
        caught_up_count: how many of those are slots that ``run_all`` catches up with beside this one: they run one
            after the other, and skip each other under no policy.
    """
    if active_count == 0:
        return OverlapDecision.START
    if policy == Concurrency.SKIP:
        return OverlapDecision.QUEUE if active_count == caught_up_count else OverlapDecision.SKIP
    if policy == Concurrency.REPLACE:
        return OverlapDecision.REPLACE
    if policy == Concurrency.ALLOW and (max_parallel is None or active_count < max_parallel):
        return OverlapDecision.START
    return OverlapDecision.QUEUE


def parallel_limit(policy: Concurrency, max_parallel: int | None) -> int | None:
    """Return how many executions of a task may run side by side, None when there is no limit."""
    return max_parallel if policy == Concurrency.ALLOW else 1
