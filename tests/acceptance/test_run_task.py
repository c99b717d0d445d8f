"""`run_task --wait` as its user sees it: a real worker runs the task, the command follows it."""

from __future__ import annotations

import re
import subprocess
from typing import Any

import pytest

from tests.stack import Stack

FAILS_TWICE = 'echo "try $ATTEMPT"; printf "no end of line"; [ "$ATTEMPT" -gt 2 ] || exit 7'


def wait_for_task(stack: Stack, task_id: str) -> tuple[str, int]:
    """Run a task to its end and return what was printed, with the exit code."""
    command = stack.start("run_task", task_id, "--wait", stdout=subprocess.PIPE)
    printed, _ = command.communicate(timeout=60)
    return printed.decode(), command.returncode


@pytest.mark.parametrize(("retry", "code"), [(2, 0), (1, 7)])
def test_the_log_of_each_attempt_is_printed_and_the_last_exit_code_returned(
    stack: Stack, make_task: Any, retry: int, code: int
) -> None:
    make_task("a", task_exec=FAILS_TWICE, task_retry=retry, task_retry_interval=0)
    stack.start("dispatcher")
    stack.start("worker")

    printed, returned = wait_for_task(stack, "a")

    attempts = [f"try {number}\nno end of line" for number in range(1, retry + 2)]
    logs = re.split(
        r"\n--- attempt \d ended: technical_failure \(exit code 7\); attempt \d is due at [\d:]{8} ---\n",
        printed,
    )
    assert logs == attempts
    assert returned == code


@pytest.mark.parametrize(("command", "timeout", "code"), [("kill -9 $$", None, 137), ("sleep 60", 0.5, 124)])
def test_a_command_that_left_no_code_is_told_as_shells_do(
    stack: Stack, make_task: Any, command: str, timeout: float | None, code: int
) -> None:
    make_task("a", task_exec=command, task_timeout=timeout)
    stack.start("dispatcher")
    stack.start("worker")

    _printed, returned = wait_for_task(stack, "a")

    assert returned == code
