"""Who owns an execution: claimed, given back, lost sight of and found again."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.db import OperationalError, connection

from scheduler.choices import Status, Trigger
from scheduler.models import Execution, Process
from scheduler.runner import Spool
from scheduler.services import claims, processes
from scheduler.services.runs import request_run
from scheduler.supervisor import Supervisor
from tests.conftest import NOON


def worker() -> Process:
    """Return the row of this process as a worker."""
    host_id = Spool(settings.SCHEDULER_SPOOL_DIR).host_id
    return processes.register(Process.Kind.WORKER, host_id=host_id, queue="default", slots=8, now=NOON)


def test_what_was_claimed_and_never_started_is_queued_again(make_task: Any) -> None:
    execution = request_run(make_task("a"), trigger=Trigger.MANUAL, user=None, now=NOON)
    taken = claims.claim(owner=worker(), queue="default", limit=1, now=NOON)

    won = claims.hand_back(taken)

    execution.refresh_from_db()
    assert won == [execution.pk]
    assert (execution.status, execution.claim, execution.owner, execution.worker) == ("queued", "", None, "")
    assert execution.started_at is None


def test_a_worker_that_lost_its_claim_gives_nothing_back(make_task: Any) -> None:
    request_run(make_task("a"), trigger=Trigger.MANUAL, user=None, now=NOON)
    taken = claims.claim(owner=worker(), queue="default", limit=1, now=NOON)
    Execution.objects.update(claim="somebody else")

    assert claims.hand_back(taken) == []
    assert Execution.objects.get().status == Status.RUNNING


@pytest.mark.django_db(transaction=True)
def test_a_claim_whose_answer_was_lost_is_started_all_the_same(make_task: Any) -> None:
    later = NOON + timedelta(seconds=1)
    execution = request_run(make_task("a"), trigger=Trigger.MANUAL, user=None, now=later)
    failures = []

    def lose_the_first_answer(execute: Any, sql: str, *arguments: Any) -> Any:
        if "scheduler_taskrevision" in sql and not failures:
            failures.append(sql)
            raise OperationalError("server closed the connection unexpectedly")
        return execute(sql, *arguments)

    with connection.execute_wrapper(lose_the_first_answer):
        Supervisor(worker(), Spool(settings.SCHEDULER_SPOOL_DIR)).run()

    execution.refresh_from_db()
    assert failures
    assert (execution.status, execution.exit_code) == (Status.SUCCESS, 0)
