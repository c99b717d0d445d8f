"""Trigger rules: decide from the states of its upstreams whether a task may start. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from scheduler.choices import FAILED, Status, TriggerRule
from scheduler.engine.reasons import Code, Params, Reason
from scheduler.engine.times import iso


class Verdict(Enum):
    """The decision on a task from the states of its upstreams."""

    START = "start"
    WAIT = "wait"
    NEVER = "never"


@dataclass(frozen=True)
class Readiness:
    """A verdict and the reason for it; None for START."""

    verdict: Verdict
    reason: Reason | None = None


@dataclass(frozen=True)
class UpstreamState:
    """The state of one upstream as seen by a downstream task.

    Attributes:
        task: its id, for the reason.
        in_run: it belongs to the same run; otherwise only its last success counts.
        status: of its last attempt in this run, None without one; outside of the run, of its latest outcome.
        is_final: `status` is an outcome; no retry follows.
        execution_id: of that attempt.
        is_fresh: outside of the run: it has succeeded since the downstream task last started.
        is_recent: outside of the run: `status` was reached after the downstream task last started.
        last_success_at: outside of the run; UTC.
        used_by: outside of the run: the execution of the downstream task that used that success.
    """

    task: str
    in_run: bool
    status: Status | None = None
    is_final: bool = False
    execution_id: int | None = None
    is_fresh: bool = False
    is_recent: bool = False
    last_success_at: datetime | None = None
    used_by: int | None = None

    @property
    def is_done(self) -> bool:
        """Return whether its outcome in this run is known."""
        return self.in_run and self.is_final and self.status is not None

    @property
    def has_failed(self) -> bool:
        """Return whether its outcome in this run is a failure."""
        return self.is_done and self.status in FAILED


def readiness(rule: TriggerRule, upstreams: Sequence[UpstreamState]) -> Readiness:
    """Decide whether a task may start, has to wait, or can no longer start in this run.

    - ``all_success``: each upstream of the run has succeeded and each outside it is fresh. Any other outcome: never.
    - ``all_done``: each upstream of the run has any outcome (skipped included), and each outside it
      is fresh.
    - ``any_failed``: starts as soon as one upstream of the run has failed; upstreams outside the run are ignored.
      Never, once all have ended and none has failed: skipped, cancelled and missed do not count as failures.

    A task without upstreams starts. The reason names the first upstream, in the given order, that decides.
    """
    if not upstreams:
        return Readiness(Verdict.START)
    if rule == TriggerRule.ANY_FAILED:
        return _after_a_failure([upstream for upstream in upstreams if upstream.in_run])
    if rule == TriggerRule.ALL_SUCCESS:
        for upstream in upstreams:
            if upstream.is_done and upstream.status != Status.SUCCESS:
                return Readiness(Verdict.NEVER, _ended(upstream))
    for upstream in upstreams:
        if not (upstream.is_done if upstream.in_run else upstream.is_fresh):
            return Readiness(Verdict.WAIT, _waits_for(upstream))
    return Readiness(Verdict.START)


def slot_readiness(rule: TriggerRule, upstreams: Sequence[UpstreamState]) -> Readiness:
    """Decide whether a task with a schedule and upstreams may start at its slot: START or NEVER.

    No upstream belongs to the new run. ``all_success`` and ``all_done`` require that each has succeeded since the
    task last started; ``any_failed`` requires that the latest outcome of one, since then, is a failure.
    """
    if rule != TriggerRule.ANY_FAILED:
        found = readiness(rule, upstreams)
        return found if found.verdict is Verdict.START else Readiness(Verdict.NEVER, found.reason)
    if not upstreams or any(upstream.is_recent and upstream.status in FAILED for upstream in upstreams):
        return Readiness(Verdict.START)
    names = [upstream.task for upstream in upstreams]
    return Readiness(Verdict.NEVER, Reason(Code.NO_UPSTREAM_FAILED_SINCE_START, {"tasks": names}))


def _after_a_failure(upstreams: Sequence[UpstreamState]) -> Readiness:
    if any(upstream.has_failed for upstream in upstreams):
        return Readiness(Verdict.START)
    for upstream in upstreams:
        if not upstream.is_done:
            return Readiness(Verdict.WAIT, _waits_for(upstream))
    if not upstreams:
        return Readiness(Verdict.NEVER, Reason(Code.NO_UPSTREAM_IN_RUN))
    names = [upstream.task for upstream in upstreams]
    return Readiness(Verdict.NEVER, Reason(Code.NO_UPSTREAM_FAILED, {"tasks": names}))


def _ended(upstream: UpstreamState) -> Reason:
    return Reason(Code.UPSTREAM_ENDED, _attempt_of(upstream))


def _waits_for(upstream: UpstreamState) -> Reason:
    task = {"task": upstream.task}
    if upstream.in_run:
        if upstream.status is None:
            return Reason(Code.WAITS_FOR_EXECUTION, task)
        return Reason(Code.WAITS_FOR_OUTCOME, _attempt_of(upstream))
    if upstream.last_success_at is None:
        return Reason(Code.WAITS_FOR_SUCCESS, task)
    success = {**task, "succeeded_at": iso(upstream.last_success_at)}
    if upstream.used_by is None:
        return Reason(Code.WAITS_FOR_NEWER_SUCCESS, success)
    return Reason(Code.WAITS_FOR_UNUSED_SUCCESS, {**success, "execution": upstream.used_by})


def _attempt_of(upstream: UpstreamState) -> Params:
    assert upstream.status is not None  # noqa: S101 - there is an attempt
    return {"task": upstream.task, "status": upstream.status.value, "execution": upstream.execution_id}
