"""Which status may follow which, and what an exit code means."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.choices import RAN, TERMINAL, Status
from scheduler.engine.states import SOURCES, reason_of_exit, status_of_exit
from tests.support.cases import each_case

ROOT = Path(__file__).resolve().parents[2]


def test_every_status_says_where_it_comes_from() -> None:
    assert set(SOURCES) == set(Status)


@pytest.mark.proves("G7")
def test_nothing_leaves_a_terminal_status() -> None:
    assert not any(sources & TERMINAL for sources in SOURCES.values())


@each_case("status", sorted(RAN))
def test_what_ran_was_running(status: Status) -> None:
    assert SOURCES[status] == {Status.RUNNING}


def test_claim_and_hand_back_are_the_only_ways_between_queued_and_running() -> None:
    assert SOURCES[Status.RUNNING] == {Status.QUEUED}
    assert SOURCES[Status.QUEUED] == {Status.RUNNING}


def test_waiting_execution_can_be_cancelled_or_skipped() -> None:
    assert SOURCES[Status.CANCELLED] == {Status.QUEUED, Status.RUNNING}
    assert SOURCES[Status.SKIPPED] == {Status.QUEUED}
    assert SOURCES[Status.MISSED] == frozenset()


@each_case(
    ("exit_code", "status"),
    [
        (0, Status.SUCCESS),
        (1, Status.BUSINESS_FAILURE),
        (2, Status.TECHNICAL_FAILURE),
        (127, Status.TECHNICAL_FAILURE),
        (255, Status.TECHNICAL_FAILURE),
        (-9, Status.TECHNICAL_FAILURE),
        (None, Status.TECHNICAL_FAILURE),
    ],
)
def test_exit_code_decides_the_status(exit_code: int | None, status: Status) -> None:
    assert status_of_exit(exit_code, timed_out=False, cancelled=False) is status


@each_case("exit_code", [0, 1, 143, -15, None])
def test_stopped_command_has_the_status_of_what_stopped_it(exit_code: int | None) -> None:
    assert status_of_exit(exit_code, timed_out=True, cancelled=False) is Status.TIMEOUT
    assert status_of_exit(exit_code, timed_out=False, cancelled=True) is Status.CANCELLED
    assert status_of_exit(exit_code, timed_out=True, cancelled=True) is Status.CANCELLED


@each_case(
    ("exit_code", "reason"),
    [
        (0, ""),
        (1, ""),
        (2, "exit code 2"),
        (126, "exit code 126: the command is not executable"),
        (127, "exit code 127: the command was not found"),
        (137, "exit code 137: a process of the command was killed by SIGKILL"),
        (255, "exit code 255"),
        (-9, "killed by SIGKILL"),
        (-15, "killed by SIGTERM"),
        (-40, "killed by signal 40"),
        (None, "the command left no exit code"),
    ],
)
def test_reason_says_what_an_exit_code_means(exit_code: int | None, reason: str) -> None:
    assert str(reason_of_exit(exit_code) or "") == reason


CODES: dict[str, list[int | str]] = {
    "success": [0, 24],
    "business_failure": ["3-5"],
    "technical_failure": [1],
    "no_retry": [1, "64-78"],
}


@each_case(
    ("exit_code", "status", "reason"),
    [
        (0, Status.SUCCESS, ""),
        (24, Status.SUCCESS, "exit code 24 means success (task_exit_codes)"),
        (4, Status.BUSINESS_FAILURE, "exit code 4 means a business failure (task_exit_codes)"),
        (
            1,
            Status.TECHNICAL_FAILURE,
            "exit code 1 means a technical failure (task_exit_codes); not retried (no_retry of task_exit_codes)",
        ),
        (78, Status.TECHNICAL_FAILURE, "exit code 78; not retried (no_retry of task_exit_codes)"),
        (2, Status.TECHNICAL_FAILURE, "exit code 2"),
        (-24, Status.TECHNICAL_FAILURE, "killed by SIGXCPU"),
        (None, Status.TECHNICAL_FAILURE, "the command left no exit code"),
    ],
)
def test_exit_codes_of_a_task_decide_and_the_reason_names_them(
    exit_code: int | None, status: Status, reason: str
) -> None:
    assert status_of_exit(exit_code, CODES) is status
    assert str(reason_of_exit(exit_code, CODES) or "") == reason


def test_a_timeout_and_a_cancel_win_over_the_exit_codes_of_a_task() -> None:
    assert status_of_exit(24, CODES, timed_out=True) is Status.TIMEOUT
    assert status_of_exit(24, CODES, cancelled=True) is Status.CANCELLED


@pytest.mark.proves("G7")
@given(st.none() | st.integers(), st.booleans(), st.booleans())
def test_any_exit_has_a_terminal_status_and_a_reason(
    exit_code: int | None, timed_out: bool, cancelled: bool
) -> None:
    assert status_of_exit(exit_code, timed_out=timed_out, cancelled=cancelled) in TERMINAL
    reason = reason_of_exit(exit_code)
    assert reason is None if exit_code in (0, 1) else str(reason)


GROUPED = re.compile(r"\b(?:Status|State)\.([A-Z_]+)\b")
#: The state machine, which names sources by target, and modules that assign a value to each status.
NO_GROUPS = ("scheduler/choices.py", "notifications/choices.py", "scheduler/engine/states.py")


def groups(path: Path) -> Iterator[str]:
    """Yield the lists, tuples and sets of a module that consist of several statuses."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.List | ast.Tuple | ast.Set) and len(node.elts) > 1:
            texts = [ast.unparse(element) for element in node.elts]
            if all(GROUPED.fullmatch(text) or text.strip("'") in Status.values for text in texts):
                yield ast.unparse(node)


def test_groups_of_statuses_are_defined_in_the_choices_only() -> None:
    found = [
        f"{path.relative_to(ROOT)}: {group}"
        for package in ("scheduler", "notifications", "schedsite")
        for path in (ROOT / package).rglob("*.py")
        if str(path.relative_to(ROOT)) not in NO_GROUPS and "migrations" not in path.parts
        for group in groups(path)
    ]

    assert found == []
