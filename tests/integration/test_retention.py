"""What retention deletes, and what decisions still need."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from notifications.models import Delivery
from notifications.services.overdue import write_overdue
from scheduler.choices import Status, Trigger
from scheduler.models import Execution, Process, Task
from scheduler.services import claims, heartbeats
from scheduler.services.outcomes import Report, finish
from scheduler.services.pruning import prune
from scheduler.services.runs import request_run
from tests.conftest import NOON
from tests.notify import rule

DAY = timedelta(days=1)


def run(task: Task, status: Status, *, queued: datetime, ended: datetime | None = None) -> Execution:
    execution = request_run(task, trigger=Trigger.MANUAL, user=None, now=queued)
    worker = heartbeats.register(Process.Kind.WORKER, host_id="h", queue="default", slots=8, now=queued)
    (claimed,) = claims.claim(owner=worker, queue="default", limit=50, now=queued)
    finish([Report(claimed, status, ended or queued)], now=ended or queued)
    return execution


def test_a_long_run_stays_for_its_time_after_its_end_with_the_message_about_it(
    make_task: Any, notebook: Any
) -> None:
    task = make_task(
        "daemon", now=NOON - 100 * DAY, task_history_days=1, task_notify=[rule("technical_failure")]
    )
    run(task, Status.TECHNICAL_FAILURE, queued=NOON - 2 * DAY, ended=NOON)
    run(task, Status.SUCCESS, queued=NOON)

    prune(NOON + timedelta(minutes=1))
    soon = Execution.objects.count(), Delivery.objects.count()
    prune(NOON + 2 * DAY)

    assert soon == (2, 1)
    assert Execution.objects.get().status == Status.SUCCESS


def test_a_join_still_sees_the_success_of_an_upstream_that_ran_before_the_time(make_task: Any) -> None:
    a, b = (make_task(name, now=NOON - 200 * DAY) for name in "ab")
    make_task("c", now=NOON - 200 * DAY, task_dependencies=["a", "b"])
    run(a, Status.SUCCESS, queued=NOON - 91 * DAY)

    prune(NOON)
    run(b, Status.SUCCESS, queued=NOON)

    assert Execution.objects.filter(task__task_id="c").count() == 1


def test_a_deadline_longer_than_the_retention_is_not_missed_by_pruning(make_task: Any, notebook: Any) -> None:
    task = make_task(
        "quarterly", now=NOON - 400 * DAY, task_deadline=100 * 86_400, task_notify=[rule("overdue")]
    )
    Task.objects.update(updated_at=NOON - 400 * DAY)
    run(task, Status.SUCCESS, queued=NOON - 91 * DAY)

    prune(NOON)
    write_overdue(NOON)

    assert not Delivery.objects.exists()


def test_the_latest_execution_success_and_outcome_of_a_task_stay_and_all_of_a_deleted_one_goes(
    make_task: Any,
) -> None:
    kept, gone = make_task("kept", now=NOON - 200 * DAY), make_task("gone", now=NOON - 200 * DAY)
    for task in (kept, gone):
        for number, status in enumerate([Status.SUCCESS, Status.SUCCESS, Status.TIMEOUT, Status.TIMEOUT]):
            run(task, status, queued=NOON - (190 - number) * DAY)
    Task.objects.filter(pk=gone.pk).update(deleted_at=NOON)

    prune(NOON)

    left = Execution.objects.order_by("pk").values_list("task__task_id", "status")
    assert list(left) == [("kept", Status.SUCCESS), ("kept", Status.TIMEOUT)]
