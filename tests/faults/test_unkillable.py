"""Processes that a worker cannot kill: they belong to another user, or hang in the kernel."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
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
from tests.stack import Stack, kill_cluster, wait_until

NOBODY = 65534
#: root that may become another user, but not kill what belongs to one: what a worker without root has to do with sudo
WITHOUT_KILL = ("setpriv", "--bounding-set", "-kill", "--inh-caps", "-kill")


@pytest.fixture
def stranger(tmp_path: Path) -> Iterator[Path]:
    """Return where a command notes the pid of its process of another user, which is killed after the test."""
    if os.getuid() != 0:
        pytest.skip("only root can start a process as another user")
    if shutil.which("setpriv") is None:
        pytest.skip("setpriv is not installed")
    note = tmp_path / "stranger"
    yield note
    if note.exists() and psutil.pid_exists(pid := int(note.read_text())):
        os.kill(pid, signal.SIGKILL)


TIMED_OUT = (Status.TIMEOUT, "ran longer than its timeout of 3 s")
STOPPED = (Status.TECHNICAL_FAILURE, "stopped with its worker (SCHEDULER_STOP=terminate)")


@pytest.mark.proves("G8")
@pytest.mark.parametrize(
    ("how", "outcome"), [("timeout", TIMED_OUT), ("timeout of another worker", TIMED_OUT), ("stop", STOPPED)]
)
def test_a_process_of_another_user_that_survives_a_stop_is_named_and_no_retry_starts_beside_it(
    stack: Stack, make_task: Any, stranger: Path, how: str, outcome: tuple[Status, str]
) -> None:
    text = (
        f"setpriv --reuid={NOBODY} --clear-groups sleep 600 & echo $! >{stranger}.new;"
        f" mv {stranger}.new {stranger}; echo began; wait"
    )
    timeout = None if how == "stop" else 3
    task = make_task("a", task_exec=text, task_timeout=timeout, task_retry=2, task_retry_interval=0)
    execution = request_run(task, trigger=Trigger.MANUAL, user=None, now=datetime.now(UTC))
    worker = stack.start("worker", wrapper=WITHOUT_KILL, SCHEDULER_STOP="terminate")
    wait_until(lambda: execution.log_pieces.exists(), what="its beginning")
    if how == "stop":
        assert stack.stop(worker) == 0
    if how == "timeout of another worker":
        kill_cluster(worker)
        stack.start("worker", wrapper=WITHOUT_KILL)

    wait_until(lambda: Execution.objects.get(pk=execution.pk).status not in ACTIVE, what="the end")

    process = psutil.Process(int(stranger.read_text()))
    assert process.status() == psutil.STATUS_SLEEPING and process.uids().real == NOBODY
    named = f"processes could not be killed: pid {process.pid} (user {process.username()})"
    reason = f"{outcome[1]}; not retried, because {named}"
    found = Execution.objects.get(pk=execution.pk)
    assert (found.status, found.reason) == (outcome[0], reason)
    assert read_log(found).text == f"began\n\n[{reason}]\n"
    assert f"execution {found.pk}: {named}" in stack.output()
    assert [(found.attempt, found.is_outcome)] == list(Execution.objects.values_list("attempt", "is_outcome"))


@pytest.fixture
def frozen(tmp_path: Path) -> Iterator[Path]:
    """Return a folder whose file system is frozen: whoever writes there hangs in the kernel until the end of the test."""
    tools = {name: shutil.which(name) for name in ("mkfs.ext4", "mount", "umount", "fsfreeze")}
    if os.getuid() != 0 or None in tools.values():
        pytest.skip("a file system can be mounted and frozen by root alone, with mkfs.ext4 and util-linux")
    image, folder = tmp_path / "image", tmp_path / "frozen"
    image.write_bytes(bytes(8 << 20))
    folder.mkdir()

    def call(*arguments: object) -> None:
        subprocess.run(list(map(str, arguments)), check=True, capture_output=True, timeout=20)

    call("mkfs.ext4", "-q", image)
    try:
        call("mount", "-o", "loop", image, folder)
    except subprocess.CalledProcessError as error:
        pytest.skip(f"no file system can be mounted here: {error.stderr.decode().strip()}")
    try:
        call("fsfreeze", "--freeze", folder)
        try:
            yield folder
        finally:
            call("fsfreeze", "--unfreeze", folder)
    finally:
        call("umount", "--lazy", folder)


HANGING = [
    "echo began; echo x >>{}/log",
    pytest.param("trap : TERM; echo began; echo x >>{}/log; true", marks=pytest.mark.campaign),
]


@pytest.mark.parametrize("text", HANGING)
def test_a_shell_that_hangs_in_the_kernel_is_named_and_given_up(
    stack: Stack, make_task: Any, frozen: Path, text: str
) -> None:
    task = make_task("a", task_exec=text.format(frozen), task_timeout=2, task_retry=2, task_retry_interval=0)
    execution = request_run(task, trigger=Trigger.MANUAL, user=None, now=datetime.now(UTC))
    stack.start("worker")

    wait_until(lambda: Execution.objects.get(pk=execution.pk).status not in ACTIVE, what="the end")

    (found,) = Execution.objects.all()
    (hanging,) = [
        one for one in psutil.process_iter() if one.status() == psutil.STATUS_DISK_SLEEP and is_of(one, found)
    ]
    assert found.status == Status.TIMEOUT
    assert found.reason == (
        "ran longer than its timeout of 2 s; not retried, because processes could not be killed:"
        f" pid {hanging.pid} (user {hanging.username()})"
    )


def is_of(process: psutil.Process, execution: Execution) -> bool:
    """Return whether a process carries the mark of an execution."""
    try:
        return process.environ().get(MARKER) == f"{execution.pk}-{execution.claim}"
    except psutil.Error:
        return False
