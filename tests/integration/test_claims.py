"""Who owns an execution: claimed, given back, lost sight of and found again."""

from __future__ import annotations

from typing import Any

from django.conf import settings

from scheduler.choices import Status, Trigger
from scheduler.models import Execution, Process
from scheduler.runner import Spool
from scheduler.services import claims, processes
from scheduler.services.runs import request_run
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
