"""What happens when a task is due while an execution of it is active."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from scheduler.choices import Concurrency, Status
from scheduler.engine.concurrency import (
    ActiveExecution,
    ActiveExecutions,
    OverlapDecision,
    OverlapPolicy,
    decide_overlap,
    has_same_cause,
    overlap_reason,
    parallel_limit,
)
from scheduler.engine.reasons import Code, Reason
from tests.support.cases import each_case

NOW = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)


def active(count: int, waiting: int = 0, unsaved: int = 0) -> ActiveExecutions:
    """Return so many executions, the last of them queued, the others running, and so many more of the same pass."""
    statuses = [Status.RUNNING] * (count - waiting) + [Status.QUEUED] * waiting
    stored = [ActiveExecution(number + 1, status) for number, status in enumerate(statuses)]
    return ActiveExecutions(stored, unsaved)


@each_case("policy", list(Concurrency))
@each_case("max_parallel", [None, 1, 3])
def test_task_without_active_execution_starts(policy: Concurrency, max_parallel: int | None) -> None:
    decision = decide_overlap(OverlapPolicy(policy, max_parallel), active(0))

    assert decision is OverlapDecision.START


@each_case(
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
    assert decide_overlap(OverlapPolicy(policy, max_parallel), active(active_count)) is decision


def test_slots_that_are_caught_up_with_do_not_skip_each_other() -> None:
    decisions = [
        decide_overlap(
            OverlapPolicy(Concurrency.SKIP, catches_up=catches_up), active(stored, unsaved=unsaved)
        )
        for catches_up, stored, unsaved in ((True, 0, 2), (True, 1, 2), (True, 1, 0), (False, 0, 2))
    ]

    assert decisions == [OverlapDecision.QUEUE, *[OverlapDecision.SKIP] * 3]


@each_case("policy", sorted(set(Concurrency) - {Concurrency.ALLOW}))
def test_one_at_a_time_unless_allowed(policy: Concurrency) -> None:
    assert parallel_limit(policy, 5) == 1


def test_allow_is_bounded_by_max_parallel_only() -> None:
    assert parallel_limit(Concurrency.ALLOW, 5) == 5
    assert parallel_limit(Concurrency.ALLOW, None) is None


@each_case(
    ("policy", "max_parallel", "waiting", "decision"),
    [
        (Concurrency.QUEUE, None, 1, OverlapDecision.QUEUE),
        (Concurrency.QUEUE, None, 2, OverlapDecision.FULL),
        (Concurrency.ALLOW, 1, 1, OverlapDecision.QUEUE),
        (Concurrency.ALLOW, 1, 2, OverlapDecision.FULL),
        (Concurrency.ALLOW, 9, 2, OverlapDecision.START),
        (Concurrency.REPLACE, None, 2, OverlapDecision.REPLACE),
    ],
)
def test_no_more_wait_than_may_wait(
    policy: Concurrency, max_parallel: int | None, waiting: int, decision: OverlapDecision
) -> None:
    bounded = OverlapPolicy(policy, max_parallel, max_waiting=2)

    assert decide_overlap(bounded, active(1 + waiting, waiting=waiting)) is decision
    assert decide_overlap(bounded, active(1, unsaved=waiting)) is decision


@each_case(
    ("row", "reason"),
    [
        (
            ActiveExecution(12, Status.QUEUED, 2, NOW + timedelta(minutes=65)),
            "execution 12 is a waiting retry: attempt 2 waits until 2026-06-01 15:05:00 CEST "
            "(overlap: skip the new one)",
        ),
        (
            ActiveExecution(12, Status.QUEUED, 2, NOW),
            "execution 12 is still queued (overlap: skip the new one)",
        ),
        (
            ActiveExecution(12, Status.RUNNING, 2, NOW - timedelta(minutes=5)),
            "execution 12 is still running (overlap: skip the new one)",
        ),
    ],
)
def test_what_is_in_the_way_is_called_what_it_is(row: ActiveExecution, reason: str) -> None:
    policy = OverlapPolicy(Concurrency.SKIP, zone="Europe/Berlin")

    assert str(overlap_reason(OverlapDecision.SKIP, policy, ActiveExecutions([row]), now=NOW)) == reason


def test_a_full_queue_says_its_limit() -> None:
    policy = OverlapPolicy(Concurrency.QUEUE, max_waiting=2)

    reason = overlap_reason(OverlapDecision.FULL, policy, active(3, waiting=2), now=NOW)

    assert str(reason) == "the maximum number of executions is waiting already (at most waiting: 2)"


RUNNING = Reason(Code.EXECUTION_ACTIVE, {"execution": 12, "status": "running"})
QUEUED = Reason(Code.EXECUTION_ACTIVE, {"execution": 12, "status": "queued"})
WAITING = Reason(
    Code.RETRY_WAITING, {"execution": 12, "attempt": 2, "until": "2026-06-01T13:05:00Z", "zone": "UTC"}
)


@each_case(
    ("reason", "earlier", "is_same"),
    [
        (RUNNING, QUEUED, True),
        (RUNNING, WAITING, True),
        (RUNNING, Reason(Code.EXECUTION_ACTIVE, {"execution": 121, "status": "running"}), False),
        (RUNNING, Reason(Code.TASK_DISABLED), False),
        (RUNNING, None, False),
        (Reason(Code.WAITS_FOR_SUCCESS, {"task": "a"}), Reason(Code.WAITS_FOR_SUCCESS, {"task": "a"}), True),
        (Reason(Code.WAITS_FOR_SUCCESS, {"task": "a"}), Reason(Code.WAITS_FOR_SUCCESS, {"task": "b"}), False),
        (
            Reason(Code.UPSTREAM_ENDED, {"task": "a", "status": "timeout", "execution": 7}),
            Reason(Code.UPSTREAM_ENDED, {"task": "a", "status": "timeout", "execution": 8}),
            False,
        ),
    ],
)
def test_the_same_execution_in_the_way_is_the_same_cause(
    reason: Reason, earlier: Reason | None, is_same: bool
) -> None:
    assert has_same_cause(reason, earlier) is is_same
