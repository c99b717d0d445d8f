"""The state machine of executions, and the mapping from exit codes to statuses."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from types import MappingProxyType

from scheduler.choices import Status
from scheduler.engine.exit_codes import Codes, is_final, outcome_named
from scheduler.engine.reasons import Code, Reason

#: target -> allowed source states. Terminal states are reached once and never left.
SOURCES: Mapping[Status, frozenset[Status]] = MappingProxyType(
    {
        Status.QUEUED: frozenset({Status.RUNNING}),  # a claim whose command never started is released
        Status.RUNNING: frozenset({Status.QUEUED}),
        Status.SUCCESS: frozenset({Status.RUNNING}),
        Status.BUSINESS_FAILURE: frozenset({Status.RUNNING}),
        Status.TECHNICAL_FAILURE: frozenset({Status.RUNNING}),
        Status.TIMEOUT: frozenset({Status.RUNNING}),
        Status.CANCELLED: frozenset({Status.QUEUED, Status.RUNNING}),
        Status.SKIPPED: frozenset({Status.QUEUED}),
        Status.MISSED: frozenset(),
    }
)

WITHOUT_CODES: Mapping[str, Codes] = MappingProxyType({})
MEANINGS: Mapping[str, Code] = MappingProxyType(
    {
        "success": Code.EXIT_CODE_MEANS_SUCCESS,
        "business_failure": Code.EXIT_CODE_MEANS_BUSINESS_FAILURE,
        "technical_failure": Code.EXIT_CODE_MEANS_TECHNICAL_FAILURE,
    }
)
OF_SHELLS: Mapping[int, Code] = MappingProxyType(
    {126: Code.COMMAND_NOT_EXECUTABLE, 127: Code.COMMAND_NOT_FOUND}
)


def status_of_exit(
    exit_code: int | None,
    exit_codes: Mapping[str, Codes] = WITHOUT_CODES,
    *,
    timed_out: bool = False,
    cancelled: bool = False,
) -> Status:
    """Return the status that corresponds to the end of a command; defined for all inputs.

    A command stopped by its timeout or a cancel request has that status whatever its exit code, and death by a
    signal is a technical failure whatever `exit_codes` says.

    Args:
        exit_code: negative for death by a signal, None if it is unknown.
        exit_codes: the `task_exit_codes` of the task.
    """
    if cancelled:
        return Status.CANCELLED
    if timed_out:
        return Status.TIMEOUT
    if exit_code is None or exit_code < 0:
        return Status.TECHNICAL_FAILURE
    return Status(outcome_named(exit_code, exit_codes))


def reason_of_exit(exit_code: int | None, exit_codes: Mapping[str, Codes] = WITHOUT_CODES) -> Reason | None:
    """Return an explanation of an exit code, None for those that need none (0 and 1).

    It mentions `task_exit_codes` where they decided the outcome or ruled out a retry.
    """
    if exit_code is None or exit_code < 0:
        return _plain_reason(exit_code)
    outcome = outcome_named(exit_code, exit_codes)
    if outcome != outcome_named(exit_code, WITHOUT_CODES):
        reason: Reason | None = Reason(MEANINGS[outcome], {"exit_code": exit_code})
    else:
        reason = _plain_reason(exit_code)
    if outcome == Status.TECHNICAL_FAILURE and is_final(exit_code, exit_codes):
        return Reason(Code.EXIT_CODE_NOT_RETRIED, {"what": reason})
    return reason


def _plain_reason(exit_code: int | None) -> Reason | None:
    """Return the explanation of an exit code without `task_exit_codes`."""
    if exit_code is None:
        return Reason(Code.NO_EXIT_CODE)
    if exit_code in (0, 1):
        return None
    if exit_code < 0:
        return Reason(Code.KILLED_BY_SIGNAL, {"signal": _signal_name(-exit_code)})
    if exit_code in OF_SHELLS:
        return Reason(OF_SHELLS[exit_code])
    if exit_code > 128 and (name := _signal_name(exit_code - 128)).startswith("SIG"):
        return Reason(Code.PROCESS_KILLED_BY_SIGNAL, {"exit_code": exit_code, "signal": name})
    return Reason(Code.EXIT_CODE, {"exit_code": exit_code})


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
