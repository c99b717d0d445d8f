"""What happens when a task is due while an execution of it is active."""

from __future__ import annotations

import pytest

from scheduler.choices import Concurrency
from scheduler.engine.concurrency import OverlapDecision, decide_overlap, parallel_limit


@pytest.mark.parametrize("policy", list(Concurrency))
@pytest.mark.parametrize("max_parallel", [None, 1, 3])
def test_task_without_active_execution_starts(policy: Concurrency, max_parallel: int | None) -> None:
    decision = decide_overlap(policy, active_count=0, max_parallel=max_parallel)

    assert decision is OverlapDecision.START


@pytest.mark.parametrize(
    ("policy", "active_count", "max_parallel", "decision"),
    [
        (Concurrency.SKIP, 1, None, OverlapDecision.SKIP),
        (Concurrency.SKIP, 1, 5, OverlapDecision.SKIP),
        (Concurrency.QUEUE, 7, None, OverlapDecision.QUEUE),
        (Concurrency.REPLACE, 1, None, OverlapDecision.REPLACE),
        (Concurrency.ALLOW, 100, None, OverlapDecision.START),
        (Concurrency.ALLOW, 2, 3, OverlapDecision.START),
        (Concurrency.ALLOW, 3, 3, OverlapDecision.QUEUE),
    ],
)
def test_policy_decides_on_overlap(
    policy: Concurrency, active_count: int, max_parallel: int | None, decision: OverlapDecision
) -> None:
    assert decide_overlap(policy, active_count=active_count, max_parallel=max_parallel) is decision


def test_slots_that_are_caught_up_with_do_not_skip_each_other() -> None:
    decisions = [
        decide_overlap(Concurrency.SKIP, active_count=active, max_parallel=None, caught_up_count=caught_up)
        for active, caught_up in ((2, 2), (3, 2), (1, 0))
    ]

    assert decisions == [OverlapDecision.QUEUE, OverlapDecision.SKIP, OverlapDecision.SKIP]


@pytest.mark.parametrize("policy", sorted(set(Concurrency) - {Concurrency.ALLOW}))
def test_one_at_a_time_unless_allowed(policy: Concurrency) -> None:
    assert parallel_limit(policy, 5) == 1


def test_allow_is_bounded_by_max_parallel_only() -> None:
    assert parallel_limit(Concurrency.ALLOW, 5) == 5
    assert parallel_limit(Concurrency.ALLOW, None) is None
