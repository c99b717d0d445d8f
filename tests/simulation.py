"""Runs without commands: tasks end as a test says, by the services that workers use."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.conf import settings

from scheduler.choices import Status, Trigger
from scheduler.models import Execution, Process, Run, Task
from scheduler.runner import Spool
from scheduler.services import claims, heartbeats, runs
from scheduler.services.outcomes import Report, finish
from tests.conftest import NOON

S, B, F, T = Status.SUCCESS, Status.BUSINESS_FAILURE, Status.TECHNICAL_FAILURE, Status.TIMEOUT


class Clock:
    """Simulated time; each act takes a second."""

    def __init__(self) -> None:
        self.now = NOON

    def tick(self, seconds: float = 1) -> Any:
        self.now += timedelta(seconds=seconds)
        return self.now


class Engine:
    """Runs tasks by saying how they end, by the services that workers use."""

    def __init__(self, make_task: Callable[..., Task]) -> None:
        self.clock = Clock()
        self._make = make_task
        host_id = Spool(settings.SCHEDULER_SPOOL_DIR).host_id
        self.worker = heartbeats.register(
            Process.Kind.WORKER, host_id=host_id, queue="default", slots=99, now=NOON
        )
        self.claimed: dict[str, claims.Claimed] = {}

    def task(self, task_id: str, *upstreams: str, **fields: Any) -> Task:
        return self._make(task_id, now=self.clock.now, task_dependencies=list(upstreams), **fields)

    def start(self, task_id: str, *, downstream: bool = True) -> Execution:
        return runs.request_run(
            Task.objects.get(task_id=task_id),
            trigger=Trigger.MANUAL,
            user=None,
            downstream=downstream,
            now=self.clock.tick(),
        )

    def claim(self) -> list[str]:
        """Claim all that is queued and due; return the task ids of all that runs."""
        for one in claims.claim(owner=self.worker, queue="default", limit=99, now=self.clock.tick()):
            self.claimed[one.spec["task_id"]] = one
        return sorted(self.claimed)

    def end(self, **statuses: Status) -> None:
        """Claim what is queued, then end these tasks in one group."""
        self.claim()
        at = self.clock.tick()
        finish([Report(self.claimed.pop(name), status, at) for name, status in statuses.items()], now=at)

    def history(self, run: Run | None = None) -> list[tuple[str, str]]:
        rows = Execution.objects.order_by("pk").select_related("task")
        return [(row.task.task_id, row.status) for row in (rows if run is None else rows.filter(run=run))]

    def latest(self, task_id: str) -> Execution:
        return Execution.objects.filter(task__task_id=task_id).order_by("-pk")[0]


def diamond(engine: Engine, **of_d: Any) -> None:
    engine.task("a")
    engine.task("b", "a")
    engine.task("c", "a")
    engine.task("d", "b", "c", **of_d)
