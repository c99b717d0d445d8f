"""What two processes must not do in the same moment; one is stopped between its look and its write."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import transaction

from notifications.models import Delivery
from notifications.services import resending
from notifications.services.send_threads import send_due
from scheduler.choices import Trigger
from scheduler.engine.limits import GuessLimit
from scheduler.models import AttemptCount, Execution, Process
from scheduler.runner.process_table import started_ticks
from scheduler.services import claims, limits, owners
from scheduler.services.limits import Counted, Scope
from scheduler.services.owners import LastOwnerError
from scheduler.services.runs import request_run
from tests.conftest import NOON
from tests.notify import NotebookChannel, finish_all, rule
from tests.races import interleaved

pytestmark = pytest.mark.django_db(transaction=True)
GUESSES = Counted(Scope.LOGIN, GuessLimit(3, 5, 900, 900), account="alice", address="198.51.100.7")


def guess() -> limits.Taken:
    return limits.take([GUESSES], now=NOON)


def count() -> float:
    return AttemptCount.objects.get().count


def test_two_guesses_in_the_same_moment_are_both_counted() -> None:
    guess()

    interleaved(guess, guess, after='^SELECT .*FROM "scheduler_attemptcount"', number=2)

    assert count() == 3
    assert AttemptCount.objects.get().blocked_until == NOON + timedelta(seconds=5)


def test_a_guess_is_counted_while_a_right_password_is_given_back() -> None:
    right = guess()

    interleaved(
        lambda: limits.give_back(right), guess, after='^SELECT .*FROM "scheduler_attemptcount"', number=1
    )

    assert count() == 1


def test_of_two_owners_who_are_disabled_in_the_same_moment_one_stays() -> None:
    pair = [User.objects.create_superuser(f"owner{number}", password="a password") for number in range(2)]

    def disable(user: User) -> None:
        with transaction.atomic():
            user.is_active = False
            user.save()

    results = interleaved(
        lambda: disable(pair[0]), lambda: disable(pair[1]), after='^SELECT .*FROM "auth_user"'
    )

    assert owners.owners().count() == 1
    assert [type(result) for result in results] == [type(None), LastOwnerError]


def test_a_delivery_that_is_sent_while_somebody_resends_it_is_sent_once(
    make_task: Any, notebook: NotebookChannel
) -> None:
    finish_all(make_task("a", task_notify=[rule("technical_failure")]), "F")
    delivery = Delivery.objects.get()
    later = datetime.now(UTC) + timedelta(minutes=1)

    interleaved(
        lambda: resending.resend(delivery, now=NOON),
        lambda: send_due(clock=lambda: later),
        after='^SELECT .*FROM "notifications_delivery"',
    )
    send_due(clock=lambda: later)

    delivery.refresh_from_db()
    assert (delivery.state, len(notebook.sent)) == ("sent", 1)


@pytest.fixture
def workers() -> list[Process]:
    """Return a worker of this host that is gone, and two that are alive."""
    alive = [(pid, started_ticks(pid) or 0) for pid in (os.getpid(), os.getppid())]
    return [
        Process.objects.create(
            kind="worker", queue="default", slots=4, host="h", host_id="h", pid=pid, start_ticks=ticks,
            started_at=NOON, heartbeat_at=NOON,
        )
        for pid, ticks in [(os.getpid(), 1), *alive]
    ]  # fmt: skip


@pytest.mark.proves("G13")
def test_two_workers_do_not_take_more_of_a_task_than_may_run_at_once(
    make_task: Any, workers: list[Process]
) -> None:
    task = make_task("a", task_concurrency="queue")
    for _ in range(2):
        request_run(task, trigger=Trigger.MANUAL, user=None, now=NOON)

    def claim(owner: Process) -> Any:
        return claims.claim(owner=owner, queue="default", limit=1, now=NOON + timedelta(seconds=1))

    interleaved(lambda: claim(workers[1]), lambda: claim(workers[2]), after="COUNT.*GROUP BY")

    assert Execution.objects.running().count() == 1


def test_of_two_workers_one_takes_over_what_a_dead_one_left(make_task: Any, workers: list[Process]) -> None:
    request_run(make_task("a"), trigger=Trigger.MANUAL, user=None, now=NOON)
    left = claims.claim(owner=workers[0], queue="default", limit=1, now=NOON + timedelta(seconds=1))

    won = interleaved(
        lambda: claims.take_over(left, owner=workers[1]),
        lambda: claims.take_over(left, owner=workers[2]),
        after='^SELECT .*FROM "scheduler_execution"',
    )

    assert [len(taken) for taken in won] == [1, 0]
    assert Execution.objects.get().owner == workers[1]
