"""Overlap policy: decide on a new execution while earlier ones of the same task are active."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import NamedTuple

from scheduler.choices import Concurrency, Status
from scheduler.engine.reasons import Code, Reason
from scheduler.engine.times import iso
from scheduler.engine.zones import display_zone

#: Reasons that name the blocking execution.
_IN_THE_WAY = frozenset({Code.EXECUTION_ACTIVE, Code.RETRY_WAITING})


class OverlapDecision(Enum):
    """The decision on the new execution."""

    START = "start"
    SKIP = "skip"
    QUEUE = "queue"
    REPLACE = "replace"
    FULL = "full"


class OverlapPolicy(NamedTuple):
    """The overlap settings of a task.

    Attributes:
        max_parallel: maximum number of executions that run at the same time under ``allow``; None: unlimited.
        max_waiting: maximum number of queued executions; None: unlimited.
        catches_up: slots that one pass catches up with under ``run_all`` run one after the other; they never skip
            each other, whatever the policy.
        zone: time zone of the schedule, used for instants in reasons.
    """

    concurrency: Concurrency
    max_parallel: int | None = None
    max_waiting: int | None = None
    catches_up: bool = False
    zone: str = "UTC"


class ActiveExecution(NamedTuple):
    """A stored execution that is queued or running."""

    pk: int
    status: str
    attempt: int = 1
    not_before: datetime | None = None


@dataclass
class ActiveExecutions:
    """The active executions of a task.

    Attributes:
        stored: oldest first.
        unsaved: number of further executions queued in the same pass and not stored yet.
    """

    stored: list[ActiveExecution] = field(default_factory=list)
    unsaved: int = 0

    def __len__(self) -> int:
        return len(self.stored) + self.unsaved

    @property
    def waiting(self) -> int:
        """Number of queued executions."""
        return self.unsaved + sum(row.status == Status.QUEUED for row in self.stored)


def decide_overlap(policy: OverlapPolicy, active: ActiveExecutions) -> OverlapDecision:
    """Decide on a new execution while `active` executions of the same task are queued or running.

    QUEUE writes the same row as START: the parallel limit keeps it waiting. FULL: it would have to wait, but
    `max_waiting` is reached.
    """
    if not active:
        return OverlapDecision.START
    if policy.concurrency == Concurrency.SKIP:
        is_caught_up = policy.catches_up and not active.stored
        return OverlapDecision.QUEUE if is_caught_up else OverlapDecision.SKIP
    if policy.concurrency == Concurrency.REPLACE:
        return OverlapDecision.REPLACE
    is_allowed = policy.concurrency == Concurrency.ALLOW
    if is_allowed and (policy.max_parallel is None or len(active) < policy.max_parallel):
        return OverlapDecision.START
    if policy.max_waiting is not None and active.waiting >= policy.max_waiting:
        return OverlapDecision.FULL
    return OverlapDecision.QUEUE


def overlap_reason(
    decision: OverlapDecision, policy: OverlapPolicy, active: ActiveExecutions, *, now: datetime
) -> Reason:
    """Return why an execution was not started, for the decisions SKIP and FULL."""
    if decision is OverlapDecision.FULL:
        return Reason(Code.TOO_MANY_WAITING, {"limit": policy.max_waiting})
    if not active.stored:
        return Reason(Code.ANOTHER_QUEUED)
    first = active.stored[0]
    if first.status == Status.QUEUED and first.not_before is not None and first.not_before > now:
        until = {"until": iso(first.not_before), "zone": display_zone(policy.zone).key}
        return Reason(Code.RETRY_WAITING, {"execution": first.pk, "attempt": first.attempt, **until})
    return Reason(Code.EXECUTION_ACTIVE, {"execution": first.pk, "status": Status(first.status).value})


def has_same_cause(reason: Reason | None, earlier: Reason | None) -> bool:
    """Return whether two reasons for skipping name the same cause.

    The same blocking execution is the same cause, whether it was queued or running.
    """
    if reason is None or earlier is None:
        return reason is earlier
    if reason.code in _IN_THE_WAY and earlier.code in _IN_THE_WAY:
        return bool(reason.params["execution"] == earlier.params["execution"])
    return reason == earlier


def parallel_limit(policy: Concurrency, max_parallel: int | None) -> int | None:
    """Return how many executions of a task may run in parallel; None: unlimited."""
    return max_parallel if policy == Concurrency.ALLOW else 1
