"""Whether a run can be resumed from an execution that did not succeed. Pure."""

from __future__ import annotations

from scheduler.choices import ACTIVE, Status
from scheduler.engine.reasons import Code, Reason


def refusal_to_resume(
    execution: int, *, latest: int, latest_status: str, has_run: bool, task: str, is_task_deleted: bool
) -> Reason | None:
    """Return why a run cannot be resumed from an execution, or None if it can.

    Args:
        execution: its id.
        latest: id of the latest attempt of the same task in the same run; `latest_status` is its status.
        has_run: False for a skipped or missed slot.
    """
    if not has_run:
        return Reason(Code.EXECUTION_WITHOUT_RUN, {"execution": execution})
    if is_task_deleted:
        return Reason(Code.TASK_GONE, {"task": task})
    if latest_status in ACTIVE:
        return Reason(Code.LATEST_IS_ACTIVE, {"latest": latest, "outcome": latest_status})
    if latest != execution:
        return Reason(Code.LATER_EXECUTION, {"execution": execution, "latest": latest})
    if latest_status == Status.SUCCESS:
        return Reason(Code.EXECUTION_SUCCEEDED, {"execution": execution})
    return None
