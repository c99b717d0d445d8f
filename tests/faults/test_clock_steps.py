"""Real processes whose clock is ahead, is put right, is set days ahead, or is another at each start."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from scheduler.choices import ACTIVE, Status, Trigger
from scheduler.models import ClockStep, Execution, Task
from scheduler.selectors.health import health
from scheduler.selectors.logs import read_log
from scheduler.services.runs import request_run
from tests.conftest import is_required
from tests.faults.ledger import stop_ticking
from tests.stack import Stack, kill_cluster, wait_until

HOUR, DAY = 3600, 86_400


class Clock:
    """The clock of the processes that get `env`; it can be set while they run."""

    def __init__(self, folder: Path) -> None:
        spec = find_spec("libfaketime")
        found = (
            []
            if spec is None or spec.origin is None
            else list(Path(spec.origin).parent.rglob("libfaketime.so.1"))
        )
        if not found:
            if is_required("libfaketime"):
                pytest.fail("libfaketime is not installed")
            pytest.skip("libfaketime is not installed")
        self._file = folder / "clock"
        self.env = {
            "LD_PRELOAD": str(found[0]),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
        }
        self.set(0)

    def set(self, seconds: int) -> None:
        """Let the clock be so many seconds ahead."""
        new = self._file.with_suffix(".new")
        new.write_text(f"{seconds:+d}\n")
        new.rename(self._file)


@pytest.fixture
def clock(tmp_path: Path) -> Clock:
    return Clock(tmp_path)


def now() -> datetime:
    return datetime.now(UTC)


def runs_since(at: datetime) -> int:
    """Return how many slots of the right clock have run since an instant."""
    return Execution.objects.filter(
        scheduled_for__gt=at, scheduled_for__lte=now(), status=Status.SUCCESS
    ).count()


@pytest.mark.proves("G20")
@pytest.mark.parametrize("is_restarted", [False, True])
def test_a_clock_that_was_ahead_and_is_put_right_lets_work_go_on_within_a_minute(
    stack: Stack, make_task: Any, clock: Clock, client: Client, is_restarted: bool
) -> None:
    clock.set(2 * HOUR)
    ahead = now() + timedelta(hours=2)
    make_task("tick", now=ahead, task_schedule="* * * * * *", task_concurrency="allow")
    make_task(
        "fails",
        now=ahead,
        task_exec="exit 2",
        task_schedule="*/5 * * * * *",
        task_retry=1,
        task_retry_interval=5,
    )
    dispatcher = stack.start("dispatcher", **clock.env)
    stack.start("worker", **clock.env)
    wait_until(lambda: Execution.objects.filter(status=Status.SUCCESS).count() >= 3, what="work")
    wait_until(lambda: Execution.objects.filter(not_before__gt=now()).exists(), what="a retry that waits")
    if is_restarted:
        stack.stop(dispatcher)

    reasons = health(now()).reasons
    answer = client.get("/healthz")
    clock.set(0)
    at = now()
    if is_restarted:
        stack.start("dispatcher", **clock.env)
    wait_until(lambda: runs_since(at) >= 3, seconds=60, what="slots of the right clock")
    wait_until(lambda: not health(now()).ahead, seconds=60, what="a health that sees nothing in the future")

    assert any(reason.startswith("the clock was set back by about") for reason in reasons)
    assert answer.status_code == 503
    step = ClockStep.objects.order_by("pk")[0]
    assert -2 * HOUR - 60 < step.seconds < -2 * HOUR + 60
    assert "the clock was put back by" in stack.output()
    assert not Execution.objects.filter(not_before__gt=now() + timedelta(minutes=1)).exists()
    assert Task.objects.filter(next_run_at__gt=now() + timedelta(minutes=1)).count() == 0
    wait_until(lambda: health(now()).is_healthy, seconds=60, what="health")
    stop_ticking()
    slots = [
        slot for pair in Execution.objects.slots().values_list("task_id", "scheduled_for") for slot in [pair]
    ]
    assert len(slots) == len(set(slots))
    assert not Execution.objects.filter(finished_at__gt=now() + timedelta(seconds=5)).exists()


def test_a_step_of_days_does_not_let_retention_delete(stack: Stack, make_task: Any, clock: Clock) -> None:
    make_task("tick", now=now(), task_schedule="* * * * * *", task_concurrency="allow")
    stack.env["SCHEDULER_HISTORY_DAYS"] = "1"
    dispatcher = stack.start("dispatcher", **clock.env)
    stack.start("worker", **clock.env)
    wait_until(lambda: Execution.objects.filter(status=Status.SUCCESS).count() >= 5, what="work")
    stack.stop(dispatcher)
    before = set(Execution.objects.filter(status=Status.SUCCESS).values_list("pk", flat=True))

    clock.set(10 * DAY)
    stack.start("dispatcher", **clock.env)
    later = now() + timedelta(days=9)
    wait_until(
        lambda: Execution.objects.filter(scheduled_for__gt=later).count() >= 5, what="work on the new clock"
    )
    wait_until(lambda: "retention deletes nothing before" in stack.output(), what="a word on retention")

    assert before <= set(Execution.objects.values_list("pk", flat=True))
    assert ClockStep.objects.filter(seconds__gt=9 * DAY, hold_until__isnull=False).exists()
    stop_ticking()


#: The second carries no mark of its execution any more: nothing but its start says that it is the same.
ADOPTED = ["echo began; cat {0}; cat {0}; exit 7", "echo began; exec env -i sh -c 'cat {0}; cat {0}; exit 7'"]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-2 * HOUR, ADOPTED[0]),
        (400 * DAY, ADOPTED[1]),
        pytest.param(400 * DAY, ADOPTED[0], marks=pytest.mark.campaign),
        pytest.param(-2 * HOUR, ADOPTED[1], marks=pytest.mark.campaign),
    ],
)
def test_a_command_is_taken_over_whatever_the_clock_of_the_next_worker_says(
    stack: Stack, make_task: Any, clock: Clock, tmp_path: Path, seconds: int, text: str
) -> None:
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    task = make_task(
        "a", task_exec=text.format(gate), task_timeout=300, task_retry=1, task_retry_interval=3600
    )
    execution = request_run(task, trigger=Trigger.MANUAL, user=None, now=now())
    worker = stack.start("worker", **clock.env)
    wait_until(lambda: execution.log_pieces.exists(), what="its beginning")
    owner = Execution.objects.get(pk=execution.pk).owner

    kill_cluster(worker)
    clock.set(seconds)
    stack.start("worker", **clock.env)
    wait_until(lambda: Execution.objects.get(pk=execution.pk).owner != owner, what="another owner")
    gate.write_text("still here\n")  # waits for a reader: the command was not stopped
    wait_until(lambda: "still here" in read_log(execution).text, what="its output")
    gate.write_text("last\n")
    wait_until(lambda: Execution.objects.get(pk=execution.pk).status not in ACTIVE, what="the end")

    found = Execution.objects.get(pk=execution.pk)
    assert (found.status, found.reason) == (Status.TECHNICAL_FAILURE, "exit code 7")
    assert read_log(found).text == "began\nstill here\nlast\n"  # once: it was not started again
    assert found.finished_at is not None
    assert abs(found.finished_at - now() - timedelta(seconds=seconds)) < timedelta(minutes=1)
