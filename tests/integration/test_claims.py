"""Who owns an execution: claimed, given back, lost sight of and found again."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from django.conf import settings
from django.db import connection, transaction
from django_q.brokers import get_broker
from django_q.conf import Conf
from django_q.signing import SignedPackage

from scheduler import queues
from scheduler.choices import Status, Trigger
from scheduler.models import Execution, Process
from scheduler.runner import Spool
from scheduler.services import claims, heartbeats
from scheduler.services.downstream import lock_downstream
from scheduler.services.outcomes import LogPiece, Report, append_log, finish
from scheduler.services.pruning import prune
from scheduler.services.runs import cancel_run, request_run
from scheduler.services.tasks import delete_task
from tests.conftest import NOON
from tests.stack import wait_until


def worker() -> Process:
    """Return the row of this process as a worker."""
    host_id = Spool(settings.SCHEDULER_SPOOL_DIR).host_id
    return heartbeats.register(Process.Kind.WORKER, host_id=host_id, queue="default", slots=8, now=NOON)


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


def test_many_of_a_task_that_runs_one_at_a_time_do_not_hide_the_others(make_task: Any) -> None:
    serial = make_task("serial", task_concurrency="queue")
    for _ in range(4):
        request_run(serial, trigger=Trigger.MANUAL, user=None, now=NOON)
    request_run(make_task("other"), trigger=Trigger.MANUAL, user=None, now=NOON)

    taken = claims.claim(owner=worker(), queue="default", limit=4, now=NOON)

    assert [claimed.spec["task_id"] for claimed in taken] == ["serial", "other"]


def test_a_worker_without_work_for_days_has_its_row_again_when_it_beats(make_task: Any) -> None:
    idle = worker()
    prune(NOON + timedelta(days=2))
    assert not Process.objects.exists()

    heartbeats.beat(idle, now=NOON + timedelta(days=2))

    request_run(make_task("a"), trigger=Trigger.MANUAL, user=None, now=NOON)
    (taken,) = claims.claim(owner=idle, queue="default", limit=1, now=NOON + timedelta(days=2))
    assert Execution.objects.get(pk=taken.execution_id).owner == idle


@pytest.mark.postgres
@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite locks no rows")
def test_cancelling_a_run_and_recording_its_outcomes_do_not_wait_for_each_other(
    transactional_db: None, make_task: Any
) -> None:
    first, below = make_task("first"), make_task("below", task_dependencies=["first"])
    run = request_run(first, trigger=Trigger.MANUAL, user=None, now=NOON).run
    assert run is not None
    errors: list[Exception] = []

    def record() -> None:
        with transaction.atomic():
            lock_downstream([(run.pk, first.pk)])

    def attempt(act: Any) -> None:
        try:
            act()
        except Exception as error:
            errors.append(error)
        finally:
            connection.close()

    def number_waiting() -> Any:
        return other.execute("SELECT count(*) FROM pg_locks WHERE NOT granted").fetchone()

    acts = [record, lambda: cancel_run(run, by="somebody", now=NOON)]
    threads = [threading.Thread(target=attempt, args=(act,)) for act in acts]
    with psycopg.connect(**connection.get_connection_params()) as other:
        other.execute("SELECT 1 FROM scheduler_task WHERE id = %s FOR UPDATE", [below.pk])
        for number, thread in enumerate(threads, start=1):
            thread.start()
            wait_until(lambda number=number: number_waiting()[0] >= number, what="a transaction that waits")
    for thread in threads:
        thread.join()

    assert errors == []
    assert Execution.objects.get(task=first).status == Status.CANCELLED


@contextmanager
def queue_of(name: str) -> Iterator[Any]:
    """Yield the broker of a queue, which is removed at the end."""
    broker = get_broker(name)
    try:
        yield broker
    finally:
        broker.delete_queue()


def test_work_is_announced_also_while_a_message_of_another_job_waits(db: None) -> None:
    name = f"queue-{secrets.token_hex(4)}"
    with queue_of(name) as broker:
        queues.wake_job("notifications.jobs.send_deliveries", queue=name)
        queues.wake(name, count=1)

        taken = [payload for _ in range(2) for _key, payload in broker.dequeue()]
    jobs = [SignedPackage.loads(payload)["func"] for payload in taken]
    assert jobs == ["notifications.jobs.send_deliveries", "scheduler.jobs.work"]


def test_installations_that_share_a_redis_leave_each_other_their_wake_ups(
    db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not settings.REDIS_URL:
        pytest.skip("REDIS_URL is not set")
    name = f"queue-{secrets.token_hex(4)}"
    with queue_of(name) as mine:
        queues.wake(name, count=1)
        with monkeypatch.context() as patch:
            patch.setattr(Conf, "SECRET_KEY", "that of another installation")
            with queue_of(name) as theirs:
                assert theirs.queue_size() == 0
        assert mine.queue_size() == 1


def test_the_log_that_a_lost_worker_stored_keeps_its_size(make_task: Any) -> None:
    execution = request_run(make_task("a"), trigger=Trigger.MANUAL, user=None, now=NOON)
    (claimed,) = claims.claim(owner=worker(), queue="default", limit=5, now=NOON)
    append_log(
        [
            LogPiece(execution.pk, claimed.claim, 0, 5, "hello"),
            LogPiece(execution.pk, claimed.claim, 9, 4, "more"),
        ]
    )

    claims.reap(host_id="another", now=NOON + timedelta(days=1))

    execution.refresh_from_db()
    assert (execution.status, execution.reason, execution.log_size) == (
        "technical_failure",
        "worker lost",
        13,
    )


def test_what_runs_of_a_deleted_task_is_not_tried_again(make_task: Any) -> None:
    task = make_task("a", task_retry=3, task_retry_interval=1)
    execution = request_run(task, trigger=Trigger.MANUAL, user=None, now=NOON)
    (claimed,) = claims.claim(owner=worker(), queue="default", limit=5, now=NOON)
    delete_task(task, user=None, now=NOON)

    finish([Report(claimed, Status.TECHNICAL_FAILURE, NOON, 2)], now=NOON)

    execution.refresh_from_db()
    assert execution.is_outcome and Execution.objects.count() == 1
