"""SIGKILL to each part of a running installation: nothing is lost, nothing runs twice, nothing that ran is stopped."""

from __future__ import annotations

import os
import random
import signal
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from scheduler.choices import ACTIVE, Status, Trigger
from scheduler.models import Execution, Task
from scheduler.services.runs import request_run
from tests.stack import Stack, kill_cluster, roles, wait_until

TASKS = 4
LEDGER_SCRIPT = 'echo "start $EXECUTION_ID" >> "$LEDGER"; sleep 0.7; echo "end $EXECUTION_ID" >> "$LEDGER"'


def ledger_tasks(make_task: Any, folder: Path) -> Path:
    """Store tasks that fire each second and write when they start and end."""
    ledger = folder / "ledger"
    ledger.touch()
    for number in range(TASKS):
        make_task(
            f"tick{number}",
            now=datetime.now(UTC),
            task_exec=LEDGER_SCRIPT,
            task_schedule="* * * * * *",
            task_concurrency="allow",
            task_env={"LEDGER": str(ledger)},
        )
    return ledger


def check_history(ledger: Path) -> None:
    """Compare the history with the ledger that the scripts wrote themselves."""
    lines = Counter(ledger.read_text().split("\n"))
    starts = {line.split()[1] for line in lines if line.startswith("start")}
    assert all(count == 1 for line, count in lines.items() if line), "a command started or ended twice"
    ended = {line.split()[1] for line in lines if line.startswith("end")}
    assert starts == ended, "a command that was running was stopped"
    succeeded = set(Execution.objects.filter(status=Status.SUCCESS).values_list("pk", flat=True))
    assert {int(pk) for pk in ended} == succeeded
    others = Execution.objects.exclude(status=Status.SUCCESS)
    assert not [(e.pk, e.status, e.reason) for e in others]
    slots = Counter(Execution.objects.values_list("task_id", "scheduled_for"))
    assert all(count == 1 for count in slots.values())
    for task in Task.objects.all():
        instants = sorted(at for pk, at in slots if pk == task.pk)
        seconds = (instants[-1] - instants[0]).total_seconds()
        assert len(instants) == seconds + 1, f"{task} lost a slot"


@pytest.mark.parametrize("role", ["worker", "main", "sentinel", "pusher", "monitor", "cluster", "dispatcher"])
def test_killing_any_part_under_load_loses_and_repeats_nothing(
    stack: Stack, make_task: Any, tmp_path: Path, role: str
) -> None:
    ledger = ledger_tasks(make_task, tmp_path)
    dispatchers = [stack.start("dispatcher"), stack.start("dispatcher")]
    workers = [stack.start("worker"), stack.start("worker")]
    wait_until(
        lambda: Execution.objects.filter(status=Status.SUCCESS).count() >= TASKS, what="the first successes"
    )

    for _round in range(2):
        done = Execution.objects.filter(status=Status.SUCCESS).count()
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
        wait_until(
            lambda done=done: Execution.objects.filter(status=Status.SUCCESS).count() >= done + 3 * TASKS,
            what=f"work after the death of the {role}",
        )

    Task.objects.update(enabled=False, next_run_at=None)
    wait_until(
        lambda: not Execution.objects.filter(status__in=ACTIVE).exists(), what="the end of all executions"
    )
    check_history(ledger)


def test_an_idle_worker_may_be_killed_and_work_goes_on(stack: Stack, make_task: Any) -> None:
    task = make_task("one")
    worker = stack.start("worker")
    wait_until(lambda: len(roles(worker)["worker"]) == 2, what="two worker processes")

    for index in (0, 1, 0):
        pids = wait_until(
            lambda: len(found := roles(worker)["worker"]) == 2 and found, what="two worker processes"
        )
        os.kill(pids[index], signal.SIGKILL)
        wait_until(lambda gone=pids[index]: gone not in roles(worker)["worker"], what="the death")
        execution = request_run(task, trigger=Trigger.MANUAL, user=None, now=datetime.now(UTC))
        wait_until(
            lambda pk=execution.pk: Execution.objects.get(pk=pk).status == Status.SUCCESS,
            what="a run after the death of an idle worker",
        )


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
