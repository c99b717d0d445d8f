"""A dispatcher that has nothing to do sleeps, and is notified of what changes its plan."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from scheduler.choices import Status, Trigger
from scheduler.models import Execution, Process
from scheduler.services.runs import request_run
from tests.stack import Stack, wait_until

SLEEPY = {"SCHEDULER_SWEEP": "60", "SCHEDULER_HEARTBEAT": "60", "SCHEDULER_LEASE": "180"}

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def sleeping(stack: Stack) -> Stack:
    """Return an installation whose dispatcher wakes up once a minute, unless it is notified."""
    stack.start("worker", **SLEEPY)
    stack.start("dispatcher", **SLEEPY)
    for kind in (Process.Kind.DISPATCHER, Process.Kind.CLUSTER):
        wait_until(Process.objects.filter(kind=kind).exists, what=f"the {kind}")
    return stack


def test_a_task_that_is_saved_meanwhile_runs_at_its_first_slot(sleeping: Stack, make_task: Any) -> None:
    slot = (datetime.now(UTC) + timedelta(seconds=3)).replace(microsecond=0)

    make_task("a", task_schedule=f"{slot.second} {slot.minute} {slot.hour} * * *", now=datetime.now(UTC))

    wait_until(Execution.objects.filter(status=Status.SUCCESS).exists, seconds=20, what="the execution")
    started_at = Execution.objects.get().started_at
    assert started_at is not None
    assert timedelta(0) <= started_at - slot < timedelta(seconds=10)


def test_a_retry_starts_when_its_wait_is_over(sleeping: Stack, make_task: Any) -> None:
    task = make_task("a", task_exec="exit 7", task_retry=1, task_retry_interval=2)

    request_run(task, trigger=Trigger.MANUAL, user=None, now=datetime.now(UTC))

    wait_until(
        lambda: Execution.objects.filter(status=Status.TECHNICAL_FAILURE).count() == 2,
        seconds=20,
        what="both attempts",
    )
