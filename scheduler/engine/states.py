"""Which status may follow which, and what an exit code means."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from types import MappingProxyType

from scheduler.choices import Status

#: target -> the states it may be reached from. Terminal states are reached once and never left.
SOURCES: Mapping[Status, frozenset[Status]] = MappingProxyType(
    {
        Status.QUEUED: frozenset({Status.RUNNING}),  # a claim that never started its command is given back
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

EXIT_TEXTS: Mapping[int, str] = MappingProxyType(
    {
        126: "exit code 126: the command is not executable",
        127: "exit code 127: the command was not found",
    }
)


def status_of_exit(exit_code: int | None, *, timed_out: bool = False, cancelled: bool = False) -> Status:
    """Return the status that the end of a command means; total over all inputs.

    A command that was stopped for its timeout or by a cancel has that status whatever it answered.

    Args:
        exit_code: negative for death by a signal, None when the command left none.
    """
    if cancelled:
        return Status.CANCELLED
    if timed_out:
        return Status.TIMEOUT
    if exit_code == 0:
        return Status.SUCCESS
    if exit_code == 1:
        return Status.BUSINESS_FAILURE
    return Status.TECHNICAL_FAILURE


def reason_of_exit(exit_code: int | None) -> str:
    """Return a sentence on an exit code that needs one, "" for those that speak for themselves (0 and 1)."""
    if exit_code is None:
        return "the command left no exit code"
    if exit_code in (0, 1):
        return ""
    if exit_code < 0:
        return f"killed by {_signal_name(-exit_code)}"
    if exit_code in EXIT_TEXTS:
        return EXIT_TEXTS[exit_code]
    if exit_code > 128 and _signal_name(exit_code - 128).startswith("SIG"):
        return (
            f"exit code {exit_code}: a process of the command was killed by {_signal_name(exit_code - 128)}"
        )
    return f"exit code {exit_code}"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
