"""What becomes of a new execution: first its upstreams are asked, then what is active of its task."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from scheduler.choices import Concurrency, Status, TriggerRule
from scheduler.engine.admission import ASKS_NO_UPSTREAM, decide_admission
from scheduler.engine.concurrency import ActiveExecution, ActiveExecutions, OverlapPolicy
from scheduler.engine.dependencies import UpstreamState, Verdict, readiness
from scheduler.engine.reasons import Code
from tests.support.cases import each_case

NOW = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)
RUNNING = ActiveExecution(7, Status.RUNNING)
QUEUED = ActiveExecution(8, Status.QUEUED)


def in_run(task: str, status: Status, execution: int) -> UpstreamState:
    """Return an upstream of the same run that ended."""
    return UpstreamState(task, in_run=True, status=status, is_final=True, execution_id=execution)


def outside(task: str, execution: int, *, is_fresh: bool, at: datetime = NOW) -> UpstreamState:
    """Return an upstream outside of the run whose last success is `execution`."""
    return UpstreamState(
        task, in_run=False, is_fresh=is_fresh, execution_id=execution, last_success_at=at, is_final=True
    )


@each_case("concurrency", list(Concurrency))
def test_an_execution_that_waits_or_can_never_start_replaces_nothing(concurrency: Concurrency) -> None:
    active, policy = ActiveExecutions([RUNNING]), OverlapPolicy(concurrency)
    waits = [UpstreamState("a", in_run=True)]
    never = [in_run("a", Status.TIMEOUT, 3)]

    found = [
        decide_admission(
            readiness(TriggerRule.ALL_SUCCESS, upstreams), policy, active, upstreams=upstreams, now=NOW
        )
        for upstreams in (waits, never)
    ]

    assert [admission.verdict for admission in found] == [Verdict.WAIT, Verdict.NEVER]
    reasons = [admission.reason and admission.reason.code for admission in found]
    assert reasons == [Code.WAITS_FOR_EXECUTION, Code.UPSTREAM_ENDED]
    assert [admission.followed for admission in found] == [(), (3,)]
    assert not any(admission.is_replacing or admission.replaced for admission in found)


@each_case(
    ("concurrency", "active", "verdict", "replaced"),
    [
        (Concurrency.SKIP, ActiveExecutions(), Verdict.START, ()),
        (Concurrency.SKIP, ActiveExecutions([RUNNING]), Verdict.NEVER, ()),
        (Concurrency.QUEUE, ActiveExecutions([RUNNING]), Verdict.START, ()),
        (Concurrency.QUEUE, ActiveExecutions([RUNNING, QUEUED]), Verdict.NEVER, ()),
        (Concurrency.QUEUE, ActiveExecutions([RUNNING], unsaved=1), Verdict.NEVER, ()),
        (Concurrency.REPLACE, ActiveExecutions([RUNNING, QUEUED], unsaved=1), Verdict.START, (7, 8)),
        (Concurrency.ALLOW, ActiveExecutions([RUNNING, QUEUED]), Verdict.START, ()),
    ],
)
def test_what_is_active_decides_once_the_upstreams_allow_it(
    concurrency: Concurrency, active: ActiveExecutions, verdict: Verdict, replaced: tuple[int, ...]
) -> None:
    policy = OverlapPolicy(concurrency, max_waiting=1)

    admission = decide_admission(ASKS_NO_UPSTREAM, policy, active, now=NOW)

    assert (admission.verdict, admission.replaced) == (verdict, replaced)
    assert admission.is_replacing is (concurrency is Concurrency.REPLACE)
    assert (admission.reason is None) is (verdict is Verdict.START)


def test_it_follows_the_executions_that_ended_in_its_run_and_the_fresh_ones_outside() -> None:
    upstreams = [
        in_run("a", Status.SUCCESS, 3),
        UpstreamState("b", in_run=True, status=Status.RUNNING, execution_id=4),
        outside("c", 5, is_fresh=True),
        outside("d", 6, is_fresh=False),
    ]

    admission = decide_admission(
        ASKS_NO_UPSTREAM,
        OverlapPolicy(Concurrency.SKIP),
        ActiveExecutions(),
        upstreams=upstreams,
        now=NOW,
    )

    assert admission.followed == (3, 5)


def test_a_success_that_a_clock_ahead_recorded_is_not_fresh_once_it_is_used() -> None:
    ahead = NOW + timedelta(seconds=3)
    policy, nothing = OverlapPolicy(Concurrency.SKIP), ActiveExecutions()

    used = decide_admission(
        ASKS_NO_UPSTREAM, policy, nothing, upstreams=[outside("a", 1, is_fresh=True, at=ahead)], now=NOW
    )
    unused = decide_admission(
        ASKS_NO_UPSTREAM, policy, nothing, upstreams=[outside("a", 1, is_fresh=False, at=ahead)], now=NOW
    )

    assert (used.queued_at, unused.queued_at) == (ahead, NOW)
