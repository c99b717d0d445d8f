"""`run_task --wait` as its user sees it: a real worker runs the task, the command follows it."""

from __future__ import annotations

import re
import subprocess
from typing import Any

from tests.stack import Stack

FAILS_TWICE = 'echo "try $ATTEMPT"; printf "no end of line"; [ "$ATTEMPT" -gt 2 ] || exit 7'


def wait_for_tasks(stack: Stack, *task_ids: str) -> list[tuple[str, int]]:
    """Run tasks to their ends, side by side, and return what was printed for each, with the exit code."""
    stack.start("dispatcher")
    stack.start("worker")
    commands = [stack.start("run_task", task_id, "--wait", stdout=subprocess.PIPE) for task_id in task_ids]
    printed = [command.communicate(timeout=60)[0].decode() for command in commands]
    return [(text, command.returncode) for text, command in zip(printed, commands, strict=True)]


def test_the_log_of_each_attempt_is_printed_and_the_last_exit_code_returned(
    stack: Stack, make_task: Any
) -> None:
    make_task("heals", task_exec=FAILS_TWICE, task_retry=2, task_retry_interval=0)
    make_task("fails", task_exec=FAILS_TWICE, task_retry=1, task_retry_interval=0)

    found = wait_for_tasks(stack, "heals", "fails")

    break_between = (
        r"\n--- attempt \d ended: technical_failure \(exit code 7\); attempt \d is due at [\d:]{8} ---\n"
    )
    logs = [re.split(break_between, printed) for printed, _returned in found]
    attempts = [f"try {number}\nno end of line" for number in (1, 2, 3)]
    assert logs == [attempts, attempts[:2]]
    assert [returned for _printed, returned in found] == [0, 7]


def test_a_command_that_left_no_code_is_told_as_shells_do(stack: Stack, make_task: Any) -> None:
    make_task("killed", task_exec="kill -9 $$")
    make_task("late", task_exec="sleep 60", task_timeout=0.5)

    found = wait_for_tasks(stack, "killed", "late")

    assert [returned for _printed, returned in found] == [137, 124]
