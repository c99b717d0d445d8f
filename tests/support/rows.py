"""Executions that tests store without running anything."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from scheduler.choices import Status, Trigger
from scheduler.models import Execution, Task
from tests.conftest import NOON


def add_outcomes(
    task: Task, count: int, status: Status = Status.SUCCESS, begin: datetime = NOON
) -> list[Execution]:
    """Store executions that ended, one a minute."""
    instants = [begin + timedelta(minutes=number) for number in range(count)]
    return Execution.objects.bulk_create(
        Execution(
            task=task,
            status=status,
            is_outcome=True,
            trigger="schedule",
            scheduled_for=at,
            queued_at=at,
            started_at=at,
            finished_at=at + timedelta(seconds=3),
        )
        for at in instants
    )


def add_executions(task: Task, count: int, **fields: Any) -> list[Execution]:
    """Store executions a minute apart, two at each instant; the oldest first."""
    rows = [
        Execution(
            task=task,
            trigger=Trigger.API,
            **{
                "status": Status.SUCCESS,
                "is_outcome": True,
                "queued_at": NOON + timedelta(minutes=number // 2),
                "started_at": NOON,
                "finished_at": NOON + timedelta(seconds=1.5),
                "exit_code": 0,
                **fields,
            },
        )
        for number in range(count)
    ]
    return Execution.objects.bulk_create(rows)
