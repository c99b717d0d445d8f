"""A worker that stood still beyond its lease: when it wakes, it changes nothing that others have recorded."""

from __future__ import annotations

import os
import signal
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
import pytest

from scheduler.choices import Status, Trigger
from scheduler.models import Execution, ExecutionLog, Process
from scheduler.runner import MARKER
from scheduler.services.runs import request_run
from tests.stack import Stack, locked_database, roles, wait_until

# The first attempt waits for a file that the test makes, or for ever; the second has nothing to wait for.
SCRIPT = 'echo "start $ATTEMPT"; until [ "$ATTEMPT" -gt 1 ] || [ -f "$GATE" ]; do sleep 0.05; done; echo "end $ATTEMPT"'


def send(worker: subprocess.Popen[bytes], number: signal.Signals) -> None:
    """Send a signal to all processes of a cluster, its starter first."""
    for pid in [worker.pid, *(pid for pids in roles(worker).values() for pid in pids)]:
        os.kill(pid, number)


def processes_of(execution: Execution) -> list[int]:
    """Return the processes of the command of an execution."""
    marker = f"{execution.pk}-{execution.claim}"
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARKER) == marker:
                found.append(process.pid)
        except psutil.Error:
            continue
    return found


def everything() -> tuple[list[Any], list[Any]]:
    """Return all that is recorded of executions and their logs."""
    return list(Execution.objects.order_by("pk").values()), list(ExecutionLog.objects.order_by("pk").values())


@pytest.mark.proves("G5")
@pytest.mark.parametrize("ends_meanwhile", [True, False])
def test_a_worker_that_lost_its_lease_changes_nothing_when_it_wakes(
    stack: Stack, make_task: Any, tmp_path: Path, ends_meanwhile: bool
) -> None:
    gate = tmp_path / "gate"
    task = make_task("a", task_exec=SCRIPT, task_retry=1, task_retry_interval=0, task_env={"GATE": str(gate)})
    halted = stack.start("worker")
    first = request_run(task, trigger=Trigger.MANUAL, user=None, now=datetime.now(UTC))
    wait_until(lambda: ExecutionLog.objects.filter(execution=first).exists(), what="the first output")
    first.refresh_from_db()

    with locked_database():  # who is halted amid a transaction would keep its locks
        send(halted, signal.SIGSTOP)
    elsewhere = {"SCHEDULER_SPOOL_DIR": str(tmp_path / "spool of another host")}
    stack.start("dispatcher", **elsewhere)
    stack.start("worker", **elsewhere)
    second = wait_until(
        lambda: Execution.objects.filter(attempt=2, status=Status.SUCCESS).first(), what="the second attempt"
    )
    if ends_meanwhile:
        gate.touch()
        wait_until(lambda: not processes_of(first), what="the end of the first command")
    before = everything()
    beats = Process.objects.get(pk=first.owner_id).heartbeat_at
    send(halted, signal.SIGCONT)

    wait_until(lambda: not processes_of(first), what="the end of the first command")
    wait_until(
        lambda: Process.objects.get(pk=first.owner_id).heartbeat_at > beats,
        what="a sign of life of the worker",
    )
    stack.stop(halted)
    assert everything() == before
    first.refresh_from_db()
    assert (first.status, first.reason) == (Status.TECHNICAL_FAILURE, "worker lost")
    assert (second.trigger, second.owner_id == first.owner_id) == (Trigger.RETRY, False)
