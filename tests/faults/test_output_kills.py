"""SIGKILL to what reads the output of commands, again and again: no line is lost or doubled, no command is ended."""

from __future__ import annotations

import os
import random
import shlex
import signal
import subprocess
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from django.db.models import Sum
from django.db.models.functions import Coalesce

from scheduler.choices import ACTIVE, Status, Trigger
from scheduler.models import Execution
from scheduler.selectors.logs import read_log
from scheduler.services.runs import request_run
from tests.stack import Stack, roles, wait_until

AT_ONCE = 24
KEEPERS = 3
#: Lines until a file appears, and at least so many; the last says how many they were.
SHELL_LINES = 'i=0; while [ ! -e "$STOP" ] && [ $i -lt $LINES ]; do i=$((i+1)); echo line $i; sleep 0.2; done; echo end $i'
PYTHON_LINES = """
import os, time
number = 0
while not os.path.exists(os.environ["STOP"]) and number < int(os.environ["LINES"]):
    number += 1
    print("line", number, flush=True)
    time.sleep(0.05)
print("end", number, flush=True)
"""
STAMPED = "exec > >(while IFS= read -r line; do printf '%s\\n' \"$line\"; done) 2>&1"
TEXTS = {
    "lines of a shell": SHELL_LINES,
    "another program in place of the shell": "exec python lines.py",
    "a plain command": "sh lines.sh",
    "a trap of its own": f"trap 'true' EXIT; {SHELL_LINES}",
    "errors and output": SHELL_LINES.replace("echo line $i;", "echo line $i >/dev/stderr;"),
    "a process substitution": f"bash -c {shlex.quote(STAMPED + '; . ./lines.sh')}",
}


@pytest.fixture
def queue_writers(make_task: Any, tmp_path: Path, settings: Any) -> Any:
    """Return a function that queues executions that write numbered lines, of each text in turn."""

    def queue(count: int, *, lines: int = 10**9) -> None:
        env = {"STOP": str(tmp_path / "stop"), "LINES": str(lines)}
        tasks = []
        for number, text in enumerate(TEXTS.values()):
            folder = settings.SCHEDULER_TASKS_DIR / f"writer{number}"
            folder.mkdir()
            (folder / "lines.sh").write_text(SHELL_LINES)
            (folder / "lines.py").write_text(PYTHON_LINES)
            tasks.append(make_task(folder.name, task_exec=text, task_concurrency="allow", task_env=env))
        for number in range(count):
            request_run(tasks[number % len(tasks)], trigger=Trigger.MANUAL, user=None, now=datetime.now(UTC))

    return queue


def start_worker(stack: Stack) -> subprocess.Popen[bytes]:
    return stack.start("worker", SCHEDULER_SLOTS=str(AT_ONCE), SCHEDULER_LOG_LIMIT=str(1 << 23))


def running() -> int:
    return Execution.objects.filter(status=Status.RUNNING).count()


def are_looked_after(workers: list[subprocess.Popen[bytes]]) -> bool:
    """Return whether processes that live have taken over all that runs."""
    alive = {pid for worker in workers for pid in roles(worker)["worker"]}
    return set(Execution.objects.running().values_list("owner__pid", flat=True)) <= alive


def stored_sizes() -> dict[int, int]:
    """Return how many bytes of the log of each execution are stored."""
    sizes = Execution.objects.annotate(stored=Coalesce(Sum("log_pieces__size"), 0))
    return dict(sizes.values_list("pk", "stored"))


def check_writers() -> None:
    """Compare the log of each execution with what its command says it wrote."""
    wait_until(
        lambda: not Execution.objects.filter(status__in=ACTIVE).exists(),
        seconds=180,
        what="the end of all",
    )
    outcomes = Counter(Execution.objects.values_list("status", "exit_code", "reason", "attempt"))
    assert set(outcomes) == {(Status.SUCCESS, 0, "", 1)}, outcomes
    wrong = []
    for execution in Execution.objects.all():
        text = read_log(execution, limit=1 << 24).text
        last = int(text.split()[-1])
        if text != "".join(f"line {n}\n" for n in range(1, last + 1)) + f"end {last}\n":
            wrong.append((execution.pk, execution.task_id, _difference(text, last)))
    assert not wrong
    print(f"{sum(outcomes.values())} executions, {sum(outcomes.values())} whole logs")


def _difference(text: str, last: int) -> tuple[list[str], list[str]]:
    """Return lines that are missing, and lines that are there twice."""
    found = Counter(text.splitlines())
    wanted = {f"line {n}" for n in range(1, last + 1)} | {f"end {last}"}
    return sorted(wanted - set(found))[:9], [
        line for line, count in found.items() if count > 1 or line not in wanted
    ][:9]


@pytest.mark.proves("G6")
@pytest.mark.parametrize("kills", [6, pytest.param(200, marks=pytest.mark.campaign)])
def test_no_line_is_lost_when_any_process_but_the_outermost_is_killed(
    stack: Stack, queue_writers: Any, tmp_path: Path, kills: int
) -> None:
    chance = random.Random()
    workers = [start_worker(stack) for _ in range(KEEPERS)]
    queue_writers(AT_ONCE * (2 + kills // 8), lines=60)
    wait_until(lambda: running() >= AT_ONCE, what="the writers")

    killed: Counter[str] = Counter()
    while killed.total() < kills:
        clusters = [roles(worker) for worker in workers]
        # A cluster that begins is its main process alone: half of the kills are for those that are whole.
        whole = [found for found in clusters if all(found.values())]
        found = chance.choice(whole if whole and chance.random() < 0.5 else clusters)
        role = chance.choice(list(found))
        if found[role]:
            pid = chance.choice(found[role])
            try:
                os.kill(pid, signal.SIGKILL)
                killed[role] += 1
            except ProcessLookupError:
                continue
        time.sleep(chance.uniform(0.1, 2.5))
    (tmp_path / "stop").touch()

    assert all(worker.poll() is None for worker in workers)
    check_writers()
    print(dict(killed))


@pytest.mark.parametrize("kills", [3, pytest.param(40, marks=pytest.mark.campaign)])
def test_no_line_is_lost_when_the_outermost_process_is_killed_while_commands_run(
    stack: Stack, queue_writers: Any, tmp_path: Path, kills: int
) -> None:
    workers = [start_worker(stack), start_worker(stack)]
    queue_writers(AT_ONCE)
    wait_until(lambda: running() == AT_ONCE, what="the writers")

    for number in range(kills):
        victim = workers.pop(0)
        victim.kill()
        victim.wait()
        workers.append(start_worker(stack))
        if number % 3 == 0:
            wait_until(lambda: roles(workers[-1])["worker"], what="a new cluster")
        time.sleep(random.uniform(0.1, 2.0))
    wait_until(lambda: are_looked_after(workers), what="the last taking over")
    before = stored_sizes()
    wait_until(lambda: all(size > before[pk] for pk, size in stored_sizes().items()), what="more of each log")
    (tmp_path / "stop").touch()

    check_writers()
