"""Admission of new executions: check the upstreams of the task first, then its active executions. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from scheduler.engine.concurrency import (
    ActiveExecutions,
    OverlapDecision,
    OverlapPolicy,
    decide_overlap,
    overlap_reason,
)
from scheduler.engine.dependencies import Readiness, UpstreamState, Verdict
from scheduler.engine.reasons import Reason

ASKS_NO_UPSTREAM = Readiness(Verdict.START)


@dataclass(frozen=True)
class Admission:
    """The decision on a new execution.

    Attributes:
        verdict: START: it is queued. NEVER: it is recorded as skipped. WAIT: nothing is recorded yet.
        reason: set for WAIT and NEVER.
        queued_at: the `queued_at` of its row; UTC.
        followed: primary keys of the upstream executions that led to the verdict.
        is_replacing: it replaces the active executions of the task.
        replaced: primary keys of the stored executions to cancel in favour of it.
    """

    verdict: Verdict
    reason: Reason | None
    queued_at: datetime
    followed: tuple[int, ...] = ()
    is_replacing: bool = False
    replaced: tuple[int, ...] = ()


def decide_admission(
    ready: Readiness,
    policy: OverlapPolicy,
    active: ActiveExecutions,
    *,
    upstreams: Sequence[UpstreamState] = (),
    now: datetime,
) -> Admission:
    """Decide whether to start, skip or postpone a new execution.

    Args:
        ready: the verdict of the upstreams.
        active: the queued and running executions of the task.
        upstreams: the states that `ready` was computed from.
    """
    followed = tuple(
        up.execution_id for up in upstreams if up.execution_id is not None and (up.is_done or up.is_fresh)
    )
    if ready.verdict is not Verdict.START:
        return Admission(ready.verdict, ready.reason, now, followed)
    decision = decide_overlap(policy, active)
    if decision in (OverlapDecision.SKIP, OverlapDecision.FULL):
        reason = overlap_reason(decision, policy, active, now=now)
        return Admission(Verdict.NEVER, reason, now, followed)
    is_replacing = decision is OverlapDecision.REPLACE
    replaced = tuple(row.pk for row in active.stored) if is_replacing else ()
    return Admission(Verdict.START, None, _queued_at(upstreams, now), followed, is_replacing, replaced)


def _queued_at(upstreams: Sequence[UpstreamState], now: datetime) -> datetime:
    """Return `now`, or the time of the latest upstream success used if that is later.

    Otherwise that success would look fresh again: the clock of the host that recorded it may be ahead of ours.
    """
    return max([now, *(up.last_success_at for up in upstreams if up.is_fresh and up.last_success_at)])
