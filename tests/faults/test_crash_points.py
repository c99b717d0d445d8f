"""A process dies exactly between two steps that must not come apart: what it was doing is finished, once."""

from __future__ import annotations

import json
import re
import signal
from pathlib import Path
from typing import Any

import pytest

from scheduler.models import EndedExecution, Task
from scheduler.processes.cluster import EXIT_FAILED
from tests.faults.ledger import TASKS, check_history, ledger_tasks, stop_ticking, wait_for_successes
from tests.stack import ROOT, Stack, wait_until

IMPORTANT = ("claim.after_commit", "spawn.after", "exit.before_commit")
# Which process passes a point, by the first word of its name.
DISPATCHER, WORKER, IMPORT = {"slot", "run", "count"}, {"claim", "spawn", "exit"}, {"import"}


def points() -> list[str]:
    """Return the names of all points in the code."""
    texts = [path.read_text(encoding="utf-8") for path in (ROOT / "scheduler").rglob("*.py")]
    return sorted({name for text in texts for name in re.findall(r'failpoints\.hit\("([^"]+)"\)', text)})


def points_of(processes: set[str]) -> list[str]:
    return [name for name in points() if name.partition(".")[0] in processes]


def test_every_point_is_swept() -> None:
    assert set(points()) == {name for group in (DISPATCHER, WORKER, IMPORT) for name in points_of(group)}
    assert set(IMPORTANT) <= set(points())


def crash_worker(stack: Stack, place: str) -> None:
    """Let a worker run until one of its processes dies at a place, which ends all of its cluster; then stop it."""
    told = f"the cluster ended with code {EXIT_FAILED}"
    before = stack.output().count(told)
    worker = stack.start("worker", SCHED_CRASH_AT=place)
    wait_until(lambda: stack.output().count(told) > before, what=f"a death at {place}")
    stack.stop(worker)


def crash_dispatcher(stack: Stack, place: str) -> None:
    """Let a dispatcher run until it dies at a place."""
    dispatcher = stack.start("dispatcher", SCHED_CRASH_AT=place)
    wait_until(lambda: dispatcher.poll() is not None, what=f"a death at {place}")
    assert dispatcher.returncode == -signal.SIGKILL


@pytest.mark.proves("G4")
@pytest.mark.parametrize("point", IMPORTANT)
def test_what_a_worker_was_doing_when_it_died_is_finished_once(
    stack: Stack, make_task: Any, tmp_path: Path, point: str
) -> None:
    ledger = ledger_tasks(make_task, tmp_path)
    stack.start("dispatcher")

    crash_worker(stack, f"{point}:1")
    stack.start("worker")

    wait_for_successes(2 * TASKS, what=f"work after the death at {point}")
    stop_ticking()
    check_history(ledger)


@pytest.mark.campaign
@pytest.mark.parametrize("count", [1, 2, 3, 5, 8])
@pytest.mark.parametrize("point", points_of(WORKER))
def test_a_worker_may_die_at_any_point_again_and_again(
    stack: Stack, make_task: Any, tmp_path: Path, point: str, count: int
) -> None:
    ledger = ledger_tasks(make_task, tmp_path)
    stack.start("dispatcher")

    for _round in range(3):
        crash_worker(stack, f"{point}:{count}")
    stack.start("worker")
    crash_worker(stack, f"{point}:{count}")  # beside one that works

    wait_for_successes(2 * TASKS, what=f"work after the deaths at {point}")
    stop_ticking()
    check_history(ledger)


def test_a_dispatcher_that_dies_while_it_counts_counts_each_end_once(
    stack: Stack, make_task: Any, tmp_path: Path
) -> None:
    ledger = ledger_tasks(make_task, tmp_path)
    stack.start("worker")

    crash_dispatcher(stack, "count.before_commit:1")
    stack.start("dispatcher")

    wait_for_successes(2 * TASKS, what="work after the death")
    stop_ticking()
    check_history(ledger)
    wait_until(lambda: not EndedExecution.objects.exists(), what="the counting of all ends")


@pytest.mark.proves("G1")
@pytest.mark.campaign
@pytest.mark.parametrize("count", [1, 2, 3, 5])
@pytest.mark.parametrize("point", points_of(DISPATCHER))
def test_a_dispatcher_may_die_at_any_point_again_and_again(
    stack: Stack, make_task: Any, tmp_path: Path, point: str, count: int
) -> None:
    ledger = ledger_tasks(make_task, tmp_path)
    stack.start("worker")

    for _round in range(3):
        crash_dispatcher(stack, f"{point}:{count}")
    stack.start("dispatcher")
    if "slot" in point:  # each slot is inserted by one of them
        stack.start("dispatcher", SCHED_CRASH_AT=f"{point}:{count}")

    wait_for_successes(2 * TASKS, what=f"work after the deaths at {point}")
    stop_ticking()
    check_history(ledger)


@pytest.mark.proves("G17")
@pytest.mark.parametrize("count", [1, 2])
def test_an_import_that_dies_leaves_nothing_and_may_be_repeated(
    stack: Stack, make_task: Any, tmp_path: Path, count: int
) -> None:
    make_task("before", task_exec="old")
    make_task("gone", task_exec="old")
    config = tmp_path / "config.json"
    tasks = [{"task_id": name, "task_name": name, "task_exec": "new"} for name in ("before", "a", "b", "c")]
    config.write_text(json.dumps({"tasks": tasks}))

    died = stack.start("import_config", "--prune", str(config), SCHED_CRASH_AT=f"import.each_section:{count}")
    assert died.wait(60) == -signal.SIGKILL
    assert list(Task.objects.values_list("task_id", "command")) == [("before", "old"), ("gone", "old")]

    again = stack.start("import_config", "--prune", str(config))
    assert again.wait(60) == 0
    assert set(Task.objects.values_list("task_id", "command")) == {
        (name, "new") for name in ("before", "a", "b", "c")
    }
