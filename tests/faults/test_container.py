"""The worker as process 1, as in a container."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
import pytest

from scheduler.choices import ACTIVE, Status, Trigger
from scheduler.models import Execution
from scheduler.runner import MARKER
from scheduler.selectors.logs import read_log
from scheduler.services.runs import request_run
from tests.stack import Stack, wait_until

ORPHANS = 20


class Container:
    """A worker in a namespace of processes of its own; `pid` is what it is outside."""

    def __init__(self, stack: Stack, wrapper: list[str], **more: str) -> None:
        self.outside = stack.start("worker", wrapper=wrapper, **more)
        wait_until(lambda: self._find() and self._find()[0].children(), what="a cluster in the namespace")
        (self.worker,) = self._find()

    def _find(self) -> list[psutil.Process]:
        return psutil.Process(self.outside.pid).children()

    def pid_inside(self) -> int:
        """Return the pid of the worker as it sees it itself. Source: proc_pid_status(5), NSpid."""
        status = Path(f"/proc/{self.worker.pid}/status").read_text()
        return int(status.partition("NSpid:")[2].splitlines()[0].split()[-1])

    def stop(self) -> int:
        """Send what a container is stopped with to process 1, and return its exit code."""
        self.worker.send_signal(signal.SIGTERM)
        return self.outside.wait(60)

    def kill(self) -> None:
        """Kill all that is in it."""
        self.worker.kill()
        self.outside.wait(60)


@pytest.fixture
def namespace() -> list[str]:
    """Return what runs a program as process 1 of a namespace; everything in it ends with that."""
    tool = shutil.which("unshare")
    if tool is None:
        pytest.skip("unshare is not installed")
    options = ["--pid", "--fork", "--kill-child", "--mount-proc"]
    if os.getuid() != 0:
        options = ["--user", "--map-root-user", *options]
    tried = subprocess.run([tool, *options, "true"], capture_output=True, text=True, check=False)
    if tried.returncode:
        pytest.skip(f"no namespace of processes can be made here: {tried.stderr.strip()}")
    return [tool, *options]


def run(make_task: Any, name: str, text: str, **fields: Any) -> Execution:
    task = make_task(name, task_exec=text, **fields)
    return request_run(task, trigger=Trigger.MANUAL, user=None, now=datetime.now(UTC))


def ended(execution: Execution) -> Execution:
    wait_until(lambda: Execution.objects.get(pk=execution.pk).status not in ACTIVE, what="the end")
    return Execution.objects.get(pk=execution.pk)


def test_the_worker_reaps_orphans_as_process_1(
    stack: Stack, make_task: Any, tmp_path: Path, namespace: list[str]
) -> None:
    container = Container(stack, namespace)
    orphan = "sleep 0.3; cut -d ' ' -f 4 /proc/$$/stat >>parents"
    text = f'for i in $(seq {ORPHANS}); do setsid -f sh -c "{orphan.replace("$", chr(92) + "$")}"; done'
    folder = tmp_path / "tasks" / "a"
    folder.mkdir()

    execution = ended(run(make_task, "a", text))

    parents = folder / "parents"
    wait_until(lambda: parents.exists() and len(parents.read_text().split()) == ORPHANS, what="the orphans")
    assert container.pid_inside() == 1
    assert set(parents.read_text().split()) == {"1"}
    wait_until(
        lambda: [child.status() for child in container.worker.children()].count("zombie") == 0,
        seconds=5,
        what="the reaping of all",
    )
    assert len(container.worker.children()) == 1  # the cluster
    assert execution.status == Status.SUCCESS
    assert container.stop() == 0


def test_the_stop_signal_of_a_container_gives_commands_their_grace_and_records_their_end(
    stack: Stack, make_task: Any, namespace: list[str]
) -> None:
    container = Container(stack, namespace, SCHEDULER_STOP="terminate")
    polite = run(
        make_task,
        "polite",
        "trap 'echo bye; exit 0' TERM; echo began; while :; do sleep 0.05; done",
        task_retry=1,
        task_retry_interval=3600,
    )
    deaf = run(make_task, "deaf", "trap 'echo no' TERM; echo began; while :; do sleep 0.05; done")
    plain = run(make_task, "plain", "echo began; sleep 600")
    for one in (polite, deaf, plain):
        wait_until(one.log_pieces.exists, what="its beginning")
    assert container.pid_inside() == 1

    assert container.stop() == 0

    stopped = (Status.TECHNICAL_FAILURE, "stopped with its worker (SCHEDULER_STOP=terminate)")
    found = [Execution.objects.get(pk=one.pk) for one in (polite, deaf, plain)]
    assert [(one.status, one.reason) for one in found] == [stopped] * 3
    logs = [read_log(one).text.splitlines() for one in found]
    assert (logs[0][0], logs[0][-1]) == ("began", "bye")
    assert (logs[1][0], logs[1][-1]) == ("began", "no")  # asked, and killed when its grace was over
    assert logs[2][0] == "began"
    assert Execution.objects.get(task=polite.task, attempt=2).status == Status.QUEUED


def test_a_container_that_was_killed_is_followed_by_one_that_records_what_ran_in_it_and_tries_again(
    stack: Stack, make_task: Any, tmp_path: Path, namespace: list[str]
) -> None:
    container = Container(stack, namespace)
    flag = tmp_path / "flag"
    lost = run(
        make_task,
        "a",
        f"echo began; test -e {flag} && exit 0; sleep 600; true",
        task_retry=1,
        task_retry_interval=0,
    )
    wait_until(lost.log_pieces.exists, what="its beginning")

    container.kill()
    flag.touch()
    container = Container(stack, namespace)  # pids begin anew, in the same boot of the host

    reason = "worker lost: its command left neither a process nor an exit code"
    found = ended(lost)
    assert (found.status, found.reason) == (Status.TECHNICAL_FAILURE, reason)
    wait_until(
        Execution.objects.filter(task=lost.task, attempt=2, status=Status.SUCCESS).exists, what="a retry"
    )
    assert not any(MARKER in environment for environment in environments_below(container.worker))
    assert container.stop() == 0


def environments_below(process: psutil.Process) -> list[dict[str, str]]:
    """Return the variables of all processes below one."""
    found = []
    for child in process.children(recursive=True):
        try:
            found.append(child.environ())
        except psutil.Error:
            continue
    return found
