"""A command reads what /proc shows of all processes, and finds no secret of the service."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
import pytest
from django.conf import settings

from scheduler.choices import Trigger
from scheduler.models import Execution, ExecutionLog, Task
from scheduler.services import runs
from tests.conftest import NOON
from tests.sinks import free_port
from tests.stack import ROOT, Stack, wait_until

MARK = uuid.uuid4().hex  # not that of a test beside this one
CANARY = "can" + f"ary-{MARK}"
NAMES = ("EMAIL_HOST_PASSWORD", "SCHEDULER_HEARTBEAT_URL", "PGPASSWORD", "AWS_SECRET_ACCESS_KEY")
SPY = """
import json, os
found = {"read": [], "leaks": []}
for pid in filter(str.isdigit, os.listdir("/proc")):
    for part in ("environ", "cmdline"):
        try:
            with open(f"/proc/{pid}/{part}", "rb") as file:
                content = file.read()
        except OSError:
            continue
        found["read"].append([int(pid), part])
        if b"can" + b"ary-MARK" in content:
            found["leaks"].append([int(pid), part])
print(json.dumps(found))
"""


def secrets() -> dict[str, str]:
    return dict.fromkeys(NAMES, f"https://example.invalid/{CANARY}")


def spy(make_task: Any) -> dict[str, list[list[Any]]]:
    """Run the spy as a task and return what it found."""
    folder = settings.SCHEDULER_TASKS_DIR / "spy"
    folder.mkdir()
    (folder / "spy.py").write_text(SPY.replace("MARK", MARK))
    task: Task = make_task("spy", task_exec=f"{sys.executable} spy.py", now=NOON)
    execution = runs.request_run(task, trigger=Trigger.MANUAL, user=None, now=datetime.now(UTC))
    wait_until(lambda: Execution.objects.filter(pk=execution.pk, finished_at__isnull=False).exists())
    text = "".join(
        ExecutionLog.objects.filter(execution=execution).order_by("offset").values_list("text", flat=True)
    )
    found: dict[str, list[list[Any]]] = json.loads(text)
    return found


def family(pid: int) -> set[int]:
    parent = psutil.Process(pid)
    return {pid, *(child.pid for child in parent.children(recursive=True))}


@pytest.mark.proves("G19")
def test_no_process_of_an_installation_shows_a_secret_and_the_spy_finds_one_where_it_is(
    make_task: Any, stack: Stack
) -> None:
    started = [
        stack.start("worker", **secrets()),
        stack.start("dispatcher", **secrets()),
        stack.start("web", "--bind", "127.0.0.1:0", **secrets()),
    ]
    wait_until(lambda: "listens on" in stack.output())
    holder = subprocess.Popen(["sleep", "60"], env={**os.environ, **secrets()})

    try:
        found = spy(make_task)
    finally:
        holder.kill()
        holder.wait()

    ours = set().union(*(family(process.pid) for process in started))
    read = {pid for pid, part in found["read"] if part == "environ"}
    assert {process.pid for process in started} <= read
    assert len(ours & read) >= 8
    assert found["leaks"] == [[holder.pid, "environ"]]


@pytest.mark.faults
def test_cluster_that_is_started_again_shows_none_either(make_task: Any, stack: Stack) -> None:
    worker = stack.start("worker", **secrets())
    first = wait_until(lambda: [child.pid for child in psutil.Process(worker.pid).children()])
    os.kill(first[0], signal.SIGKILL)

    found = spy(make_task)

    assert found["leaks"] == []


def test_everything_that_start_starts_shows_none_be_it_given_as_variable_or_as_file(
    make_task: Any, stack: Stack, tmp_path: Path
) -> None:
    values = secrets()
    (tmp_path / "secret").write_text(values["EMAIL_HOST_PASSWORD"])
    values["SECRET_FILE_OF_MINE"] = values.pop("EMAIL_HOST_PASSWORD")
    values["EMAIL_HOST_PASSWORD_FILE"] = str(tmp_path / "secret")
    process = stack.start("start", stdout=subprocess.DEVNULL, PORT=str(free_port()), **values)
    try:
        found = spy(make_task)
        ours = family(process.pid)
    finally:
        process.send_signal(signal.SIGINT)
    assert found["leaks"] == []
    assert len(ours & {pid for pid, part in found["read"] if part == "environ"}) >= 8
    assert process.wait(30) == 130


def test_start_says_which_program_above_it_shows_a_secret(stack: Stack) -> None:
    shell = subprocess.Popen(
        ["/bin/sh", "-c", f"{sys.executable} {ROOT / 'manage.py'} start; true"],
        env={**stack.env, "PORT": str(free_port()), "EMAIL_HOST_PASSWORD": CANARY},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert shell.stdout is not None

    lines = []
    while sum(" started (pid=" in line for line in lines) < 3:
        lines.append(shell.stdout.readline())

    psutil.Process(shell.pid).children()[0].terminate()
    shell.communicate(timeout=60)
    assert (
        "sh was started with EMAIL_HOST_PASSWORD, which commands can read there; "
        "give it as EMAIL_HOST_PASSWORD_FILE instead.\n" in lines
    )
    assert CANARY not in "".join(lines)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_start_that_is_ended_when_it_has_hardly_begun_leaves_nothing_behind(
    stack: Stack, number: signal.Signals
) -> None:
    start = subprocess.Popen(
        [sys.executable, str(ROOT / "manage.py"), "start"],
        env={**stack.env, "PORT": str(free_port())},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        bufsize=0,
    )
    assert start.stdout is not None
    said = b""
    try:
        while said.count(b" started (pid=") == 0:
            said += start.stdout.readline()

        start.send_signal(number)
        said += start.communicate(timeout=60)[0]  # until the last that holds the pipe has ended
    except subprocess.TimeoutExpired:
        for child in psutil.Process(start.pid).children(recursive=True):
            child.kill()
        raise

    assert b"Traceback" not in said
    assert said.count(b" started (pid=") == said.count(b" stopped (code=") == 3
    assert start.returncode == 128 + number
