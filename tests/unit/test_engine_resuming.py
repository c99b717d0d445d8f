"""Whether a run may go on from an execution."""

from __future__ import annotations

from scheduler.choices import ACTIVE, Status
from scheduler.engine.reasons import Code, Reason
from scheduler.engine.resuming import refusal_to_resume


def refusal(
    status: Status = Status.CANCELLED, *, latest: int = 7, has_run: bool = True, is_deleted: bool = False
) -> Reason | None:
    """Return why a run does not go on from execution 7."""
    return refusal_to_resume(
        7, latest=latest, latest_status=status, has_run=has_run, task="a", is_task_deleted=is_deleted
    )


def test_what_failed_was_cancelled_or_skipped_can_be_resumed() -> None:
    assert {status for status in Status if refusal(status) is None} == set(Status) - set(ACTIVE) - {
        Status.SUCCESS
    }


def test_the_first_that_forbids_it_is_named() -> None:
    assert refusal(Status.RUNNING, latest=8, has_run=False, is_deleted=True) == Reason(
        Code.EXECUTION_WITHOUT_RUN, {"execution": 7}
    )
    assert refusal(Status.RUNNING, latest=8, is_deleted=True) == Reason(Code.TASK_GONE, {"task": "a"})
    assert refusal(Status.RUNNING, latest=8) == Reason(
        Code.LATEST_IS_ACTIVE, {"latest": 8, "outcome": Status.RUNNING}
    )
    assert refusal(Status.SUCCESS, latest=8) == Reason(Code.LATER_EXECUTION, {"execution": 7, "latest": 8})
    assert refusal(Status.SUCCESS) == Reason(Code.EXECUTION_SUCCEEDED, {"execution": 7})
