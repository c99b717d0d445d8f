"""SIGKILL in the middle of a run: it goes on to its end, and no task of it runs twice."""

from __future__ import annotations

import os
import random
import signal
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from scheduler.choices import Status, Trigger
from scheduler.models import Execution, Run, Task
from scheduler.services.runs import request_run
from tests.faults.ledger import LEDGER_SCRIPT
from tests.stack import Stack, kill_cluster, roles, wait_until

PIPELINE = {"a": [], "b": ["a"], "c": ["a"], "d": ["b", "c"], "e": ["d"]}


@pytest.mark.parametrize("role", ["worker", "sentinel", "pusher", "cluster"])
def test_a_run_completes_after_the_death_of_any_process(
    stack: Stack, make_task: Any, tmp_path: Path, role: str
) -> None:
    ledger = tmp_path / "ledger"
    for name, upstreams in PIPELINE.items():
        fields = {"task_exec": LEDGER_SCRIPT, "task_concurrency": "allow"}
        make_task(name, task_dependencies=upstreams, task_env={"LEDGER": str(ledger)}, **fields)
    stack.start("dispatcher")
    workers = [stack.start("worker"), stack.start("worker")]
    first = Task.objects.get(task_id="a")
    for _ in range(3):
        request_run(first, trigger=Trigger.MANUAL, user=None, now=datetime.now(UTC))

    for name in ("a", "c", "d"):  # in each part of the run
        running = Execution.objects.running().filter(task__task_id=name)
        wait_until(lambda running=running: running.exists(), what=f"{name} to run")
        victim = random.choice(workers)
        if role == "cluster":
            kill_cluster(victim)
            workers[workers.index(victim)] = stack.start("worker")
        else:
            pids = wait_until(lambda victim=victim: roles(victim)[role], what=f"a {role}")
            os.kill(random.choice(pids), signal.SIGKILL)

    wait_until(lambda: not Run.objects.open().exists(), what="the end of the runs")
    history = Counter(Execution.objects.values_list("task__task_id", "status"))
    assert history == {(name, Status.SUCCESS): 3 for name in PIPELINE}
    lines = Counter(ledger.read_text().split())
    assert all(lines[str(pk)] == 2 for pk in Execution.objects.values_list("pk", flat=True))
    for run in Run.objects.all():
        started = {e.task.task_id: e for e in run.executions.select_related("task")}
        for name, upstreams in PIPELINE.items():
            for upstream in upstreams:
                end = started[upstream].finished_at
                assert end is not None and end <= started[name].queued_at
