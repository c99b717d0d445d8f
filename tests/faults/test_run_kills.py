"""SIGKILL in the middle of a run: it goes on to its end, and no task of it runs twice."""

from __future__ import annotations

import os
import random
import signal
import subprocess
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from scheduler.choices import Status, Trigger
from scheduler.models import Execution, Run, Task
from scheduler.services.runs import request_run
from tests.stack import Stack, kill_cluster, roles, wait_until

PIPELINE = {"a": [], "b": ["a"], "c": ["a"], "d": ["b", "c"], "e": ["d"]}
RUNS = 3
#: Runs until the test lets its task end, so that nothing is over before the kill, however slow the machine is.
HELD_SCRIPT = (
    'echo "start $EXECUTION_ID" >> "$LEDGER"; '
    'until [ -e "$GATES/$TASK_ID" ]; do sleep 0.1; done; '
    'echo "end $EXECUTION_ID" >> "$LEDGER"'
)


ROLES = ["worker", "sentinel", "pusher", "cluster"]
MORE_ROLES = ["main", "monitor", "dispatcher"]


@pytest.mark.proves("G11")
@pytest.mark.parametrize(
    "role", [*ROLES, *(pytest.param(role, marks=pytest.mark.campaign) for role in MORE_ROLES)]
)
def test_a_run_completes_after_the_death_of_any_process(
    stack: Stack, make_task: Any, tmp_path: Path, role: str
) -> None:
    ledger, gates = tmp_path / "ledger", tmp_path / "gates"
    gates.mkdir()
    for name, upstreams in PIPELINE.items():
        env = {"LEDGER": str(ledger), "GATES": str(gates)}
        fields = {"task_exec": HELD_SCRIPT, "task_concurrency": "allow"}
        make_task(name, task_dependencies=upstreams, task_env=env, **fields)
    dispatcher = stack.start("dispatcher")
    workers = [stack.start("worker"), stack.start("worker")]
    first = Task.objects.get(task_id="a")
    for _ in range(RUNS):
        request_run(first, trigger=Trigger.MANUAL, user=None, now=datetime.now(UTC))

    for name, ending in (("a", "a"), ("c", "bc"), ("d", "d")):  # in each part of the run
        wait_until(lambda name=name: _running(name).count() == RUNS, what=f"{name} to run in each run")
        if role == "dispatcher":
            dispatcher.kill()
            dispatcher = stack.start("dispatcher")
        else:
            _kill(role, of=random.choice(_running(name)), workers=workers, stack=stack)
        for task in ending:
            (gates / task).touch()
    (gates / "e").touch()

    wait_until(lambda: not Run.objects.open().exists(), what="the end of the runs")
    history = Counter(Execution.objects.values_list("task__task_id", "status"))
    assert history == {(name, Status.SUCCESS): RUNS for name in PIPELINE}
    lines = Counter(ledger.read_text().splitlines())
    ids = Execution.objects.values_list("pk", flat=True)
    assert lines == {f"{what} {pk}": 1 for pk in ids for what in ("start", "end")}
    for run in Run.objects.all():
        started = {e.task.task_id: e for e in run.executions.select_related("task")}
        for name, upstreams in PIPELINE.items():
            for upstream in upstreams:
                end = started[upstream].finished_at
                assert end is not None and end <= started[name].queued_at


def _running(name: str) -> Any:
    return Execution.objects.running().filter(task__task_id=name)


def _kill(role: str, *, of: Execution, workers: list[subprocess.Popen[bytes]], stack: Stack) -> None:
    """Kill a process of the cluster that runs an execution; a whole cluster is followed by a new one."""

    def owned() -> tuple[int, subprocess.Popen[bytes]] | None:
        owner = Execution.objects.select_related("owner").get(pk=of.pk).owner
        pid = 0 if owner is None else owner.pid
        return next(((pid, worker) for worker in workers if pid in roles(worker)["worker"]), None)

    # A cluster that just began again takes over what its dead workers ran.
    pid, victim = wait_until(owned, what=f"a living owner of execution {of.pk}")
    if role == "cluster":
        kill_cluster(victim)
        workers[workers.index(victim)] = stack.start("worker")
    else:
        # A cluster that has just begun again may run its executions before all of its processes are there.
        wait_until(lambda: roles(victim)[role], what=f"the {role} of the cluster")
        os.kill(pid if role == "worker" else roles(victim)[role][0], signal.SIGKILL)
