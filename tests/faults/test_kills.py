"""SIGKILL to each part of a running installation: nothing is lost, nothing runs twice, nothing that ran is stopped."""

from __future__ import annotations

import os
import random
import signal
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from scheduler.choices import ACTIVE, Status, Trigger
from scheduler.models import Execution
from scheduler.services.runs import request_run
from tests.faults.ledger import TASKS, check_history, ledger_tasks, stop_ticking, wait_for_successes
from tests.stack import Stack, kill_cluster, roles, wait_until, whole_pool


@pytest.mark.proves("G4")
@pytest.mark.parametrize("role", ["worker", "main", "sentinel", "pusher", "monitor", "cluster", "dispatcher"])
def test_killing_any_part_under_load_loses_and_repeats_nothing(
    stack: Stack, make_task: Any, tmp_path: Path, role: str
) -> None:
    ledger = ledger_tasks(make_task, tmp_path)
    dispatchers = [stack.start("dispatcher"), stack.start("dispatcher")]
    workers = [stack.start("worker"), stack.start("worker")]
    wait_for_successes(TASKS, what="the first successes")

    for _round in range(2):
        if role == "dispatcher":
            victim = dispatchers.pop(0)
            victim.kill()
            dispatchers.append(stack.start("dispatcher"))
        elif role == "cluster":
            victim = workers.pop(0)
            kill_cluster(victim)
            workers.append(stack.start("worker"))
        else:
            pids = wait_until(lambda: roles(workers[0])[role], what=f"a {role}")
            os.kill(random.choice(pids), signal.SIGKILL)
        wait_for_successes(3 * TASKS, what=f"work after the death of the {role}")

    stop_ticking()
    check_history(ledger)


def test_an_idle_worker_may_be_killed_and_work_goes_on(stack: Stack, make_task: Any) -> None:
    task = make_task("one")
    worker = stack.start("worker")

    for index in (0, 1, 2):
        pids = whole_pool(worker)
        os.kill(pids[index], signal.SIGKILL)
        wait_until(lambda gone=pids[index]: gone not in roles(worker)["worker"], what="the death")
        execution = request_run(task, trigger=Trigger.MANUAL, user=None, now=datetime.now(UTC))
        wait_until(
            lambda pk=execution.pk: Execution.objects.get(pk=pk).status == Status.SUCCESS,
            what="a run after the death of an idle worker",
        )


@pytest.mark.proves("G6")
def test_a_command_survives_a_restart_of_everything_with_its_log_complete(
    stack: Stack, make_task: Any
) -> None:
    script = "for i in 1 2 3 4 5 6; do echo line $i; sleep 0.5; done"
    execution = request_run(
        make_task("long", task_exec=script), trigger=Trigger.MANUAL, user=None, now=datetime.now(UTC)
    )
    worker = stack.start("worker")
    wait_until(lambda: Execution.objects.get(pk=execution.pk).log_pieces.exists(), what="the first output")

    stack.stop(worker)
    assert Execution.objects.get(pk=execution.pk).status == Status.RUNNING
    stack.start("worker")
    wait_until(lambda: Execution.objects.get(pk=execution.pk).status not in ACTIVE, what="the end")

    ended = Execution.objects.get(pk=execution.pk)
    text = "".join(ended.log_pieces.order_by("offset").values_list("text", flat=True))
    assert (ended.status, ended.exit_code) == (Status.SUCCESS, 0)
    assert text == "".join(f"line {i}\n" for i in range(1, 7))
