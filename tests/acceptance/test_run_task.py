"""`run_task --wait` as its user sees it: a real worker runs the task, the command follows it."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import Any

from django.conf import settings

from tests.stack import Stack

FAILS_TWICE = 'echo "try $ATTEMPT"; printf "no end of line"; [ "$ATTEMPT" -gt 2 ] || exit 7'


def wait_for_tasks(stack: Stack, *task_ids: str, umask: int) -> list[tuple[str, int]]:
    """Run tasks to their ends, side by side, and return what was printed for each, with the exit code."""
    before = os.umask(umask)
    try:
        stack.start("dispatcher")
        stack.start("worker")
        commands = [stack.start("run_task", name, "--wait", stdout=subprocess.PIPE) for name in task_ids]
    finally:
        os.umask(before)
    printed = [command.communicate(timeout=120)[0].decode() for command in commands]
    return [(text, command.returncode) for text, command in zip(printed, commands, strict=True)]


def test_the_log_of_each_attempt_is_printed_and_the_code_returned_that_the_task_or_the_shell_gives_it(
    stack: Stack, make_task: Any, tmp_path: Path
) -> None:
    """Commands have the umask of the worker as well, and its files are private."""
    make_task("heals", task_exec=FAILS_TWICE, task_retry=2, task_retry_interval=0)
    make_task("fails", task_exec=FAILS_TWICE, task_retry=1, task_retry_interval=0)
    make_task("killed", task_exec="kill -9 $$")
    make_task("late", task_exec="sleep 60", task_timeout=0.5)
    make_task("vanished", task_exec="exit 24", task_exit_codes={"success": [0, 24]})
    make_task("empty", task_exec="true", task_exit_codes={"business_failure": [0, 1]})
    make_task("mask", task_exec=f"umask; cd {tmp_path}; touch made; stat -c %a made; mkdir in; stat -c %a in")
    names = ("heals", "fails", "killed", "late", "vanished", "empty", "mask")

    found = dict(zip(names, wait_for_tasks(stack, *names, umask=0o023), strict=True))

    break_between = r"\n--- attempt \d ended: technical_failure \(exit code 7\); attempt \d is due at [\d:-]{10} [\d:]{8} UTC ---\n"
    logs = [re.split(break_between, found[name][0]) for name in ("heals", "fails")]
    attempts = [f"try {number}\nno end of line" for number in (1, 2, 3)]
    assert logs == [attempts, attempts[:2]]
    assert {name: returned for name, (_printed, returned) in found.items()} == {
        "heals": 0,
        "fails": 7,
        "killed": 137,
        "late": 124,
        "vanished": 0,
        "empty": 1,
        "mask": 0,
    }
    assert found["mask"][0] == "0023\n644\n754\n"
    spool = [path for path in Path(settings.SCHEDULER_SPOOL_DIR).rglob("*") if not path.is_symlink()]
    assert [path for path in spool if path.stat().st_mode & 0o077] == []
