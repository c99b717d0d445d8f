"""What follows when the clock is set: the plan is made anew, and said, and retention waits."""

from __future__ import annotations

from datetime import datetime, timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse

from notifications.models import Delivery
from scheduler.choices import Status, Trigger
from scheduler.models import ClockStep, Execution, Process, Run, Task
from scheduler.processes import dispatcher
from scheduler.processes.dispatcher import Dispatcher
from scheduler.selectors.health import health
from scheduler.services import clock
from scheduler.services.dispatch import dispatch_due
from scheduler.services.runs import request_run
from tests.conftest import NOON
from tests.simulation import Engine, F, S

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
AHEAD = NOON + 2 * HOUR


def beat(at: datetime, kind: Process.Kind = Process.Kind.DISPATCHER, host: str = "h") -> Process:
    return Process.objects.create(
        kind=kind, host_id=host, host=host, pid=1, start_ticks=1, started_at=at, heartbeat_at=at
    )


# --- a clock that was ahead -----------------------------------------------------------------------


def test_tasks_wait_for_their_next_slot_after_the_clock_was_put_back(make_task: Any) -> None:
    for name, schedule in (("a", "* * * * *"), ("b", "0 0 * * *"), ("c", "")):
        make_task(name, task_schedule=schedule)
    dispatch_due(AHEAD)

    clock.put_back(NOON, seconds=7200)

    assert dict(Task.objects.values_list("task_id", "next_run_at")) == {
        "a": NOON + MINUTE,
        "b": NOON + 12 * HOUR,
        "c": None,
    }
    assert [dispatch_due(NOON + MINUTE).recorded for _ in range(2)] == [1, 0]


def test_slots_that_had_not_come_have_one_record_each_when_they_come(make_task: Any) -> None:
    task = make_task("a", task_schedule="* * * * *", task_concurrency="allow", task_misfire_grace=1)
    dispatch_due(NOON + MINUTE)
    dispatch_due(AHEAD)  # one runs, 118 are missed
    dispatch_due(AHEAD + MINUTE)
    Execution.objects.filter(status=Status.QUEUED).update(status=Status.SUCCESS, finished_at=AHEAD + MINUTE)
    present = NOON + 30 * MINUTE

    clock.put_back(present, seconds=5460)
    for minute in range(31, 34):
        dispatch_due(NOON + minute * MINUTE)

    rows = list(Execution.objects.slots().filter(task=task).order_by("scheduled_for"))
    assert [(row.status, row.scheduled_for, row.slot_count) for row in rows] == [
        (Status.SUCCESS, NOON + MINUTE, 1),
        (Status.MISSED, NOON + 2 * MINUTE, 29),
        *((Status.QUEUED, NOON + minute * MINUTE, 1) for minute in (31, 32, 33)),
    ]
    assert rows[1].covers_until == present
    early = Execution.objects.filter(scheduled_for=None).order_by("pk")
    assert [row.reason for row in early] == [
        "the clock was ahead: the slot 2026-06-01 14:00:00 UTC had not come",
        "the clock was ahead: the slot 2026-06-01 14:01:00 UTC had not come",
    ]


def test_a_retry_waits_as_long_as_it_was_to_wait(engine: Engine) -> None:
    engine.task("a", task_retry=2, task_retry_interval=600)
    engine.clock.now = AHEAD
    engine.start("a")
    engine.end(a=F)

    clock.put_back(NOON, seconds=7200)

    retry = engine.latest("a")
    assert (retry.status, retry.queued_at, retry.not_before) == (Status.QUEUED, NOON, NOON + 10 * MINUTE)


def test_what_ended_while_the_clock_was_ahead_is_no_longer_in_the_future(engine: Engine) -> None:
    engine.task("a")
    engine.task("b")
    engine.start("b")
    engine.claim()
    engine.clock.now = AHEAD
    engine.start("a")
    engine.end(a=S)
    present = NOON + MINUTE

    clock.put_back(present, seconds=7140)

    ended = engine.latest("a")
    assert ended.finished_at == present
    assert ended.duration == 1
    assert not Execution.objects.filter(queued_at__gt=present).exists()
    assert not Run.objects.filter(finished_at__gt=present).exists()
    assert engine.latest("b").started_at == NOON + timedelta(seconds=2)


def test_the_order_of_outcomes_stays_what_it_was(engine: Engine) -> None:
    engine.task("a")
    engine.clock.now = AHEAD
    for status in (S, F, S, F):
        engine.start("a")
        engine.end(a=status)

    clock.put_back(NOON, seconds=7200)

    assert list(Execution.objects.outcomes().values_list("status", flat=True)) == [F, S, F, S]


def test_the_dead_do_not_look_alive_and_the_living_do_after_their_next_heartbeat(db: None) -> None:
    beat(AHEAD)

    clock.put_back(NOON, seconds=7200)

    assert health(NOON).dispatchers == 0
    assert Process.objects.get().heartbeat_at < NOON


def test_deliveries_wait_no_longer_than_they_were_to_wait(make_task: Any) -> None:
    for state in ("pending", "sent"):
        Delivery.objects.create(
            kind="email", target=state, event="timeout", occasion="x", state=state, occurred_at=AHEAD,
            created_at=AHEAD, next_attempt_at=AHEAD + MINUTE if state == "pending" else None,
        )  # fmt: skip

    clock.put_back(NOON, seconds=7200)

    assert set(Delivery.objects.values_list("created_at", "next_attempt_at")) == {(NOON, NOON), (NOON, None)}


# --- who sees it, and what is said ----------------------------------------------------------------


class Clocks:
    """The clocks that a dispatcher looks at."""

    def __init__(self) -> None:
        self.wall, self.monotonic = NOON, 1000.0

    def now(self, _zone: Any) -> datetime:
        return self.wall

    def passes(self, seconds: float) -> None:
        self.wall += timedelta(seconds=seconds)
        self.monotonic += seconds


@pytest.fixture
def clocks(monkeypatch: pytest.MonkeyPatch) -> Clocks:
    found = Clocks()
    monkeypatch.setattr(dispatcher, "datetime", found)
    monkeypatch.setattr(dispatcher, "monotonic", lambda: found.monotonic)
    return found


def test_a_dispatcher_that_runs_sees_the_step_at_once(
    transactional_db: None, make_task: Any, clocks: Clocks, client: Client
) -> None:
    make_task("a", task_schedule="* * * * *")
    running = Dispatcher()
    running._pass()
    clocks.wall += 3 * HOUR
    running._pass()
    ahead = Task.objects.get().next_run_at
    clocks.wall -= 3 * HOUR
    reasons = health(clocks.wall).reasons

    running._pass()

    assert ahead == NOON + 3 * HOUR + MINUTE
    assert "the clock was set back by about 3 h; a dispatcher rebuilds the plan" in reasons
    assert Task.objects.get().next_run_at == NOON + MINUTE
    found = health(clocks.wall)
    assert (found.ahead, found.dispatchers) == (0, 1)
    step = ClockStep.objects.get()
    assert (step.at, step.seconds, step.tasks) == (NOON, -10800, 1)


def test_a_step_is_dealt_with_once_the_database_is_back(
    transactional_db: None, make_task: Any, clocks: Clocks, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_task("a", task_schedule="* * * * *")
    running = Dispatcher()
    running._pass()
    Task.objects.update(next_run_at=AHEAD)
    clocks.wall -= 2 * HOUR
    real = Dispatcher._beat
    with monkeypatch.context() as away:
        away.setattr(clock, "put_back", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            running._pass()
    clocks.passes(1)

    running._pass()

    assert Task.objects.get().next_run_at == NOON - 2 * HOUR + MINUTE
    assert Dispatcher._beat is real


def test_a_dispatcher_that_starts_sees_what_was_left_in_the_future(
    transactional_db: None, make_task: Any, clocks: Clocks
) -> None:
    make_task("a", task_schedule="* * * * *")
    dispatch_due(AHEAD)
    beat(AHEAD)

    Dispatcher()._pass()

    assert Task.objects.get().next_run_at == NOON + MINUTE
    assert ClockStep.objects.get().seconds == -7200


def test_two_dispatchers_note_one_step(make_task: Any) -> None:
    make_task("a", task_schedule="* * * * *")
    dispatch_due(AHEAD)

    clock.put_back(NOON, seconds=7200)
    clock.put_back(NOON, seconds=7200)

    assert ClockStep.objects.count() == 1


@pytest.mark.parametrize(
    ("language", "said"),
    [
        ("en", "The clock was set back by 2 h, noticed at"),
        ("zh-hans", "时钟被拨回了"),
    ],
)
def test_the_system_page_tells_of_the_step(
    admin_client: Client, make_task: Any, time_machine: Any, language: str, said: str
) -> None:
    time_machine.move_to(NOON, tick=False)
    clock.put_back(NOON, seconds=7200)
    beat(AHEAD)
    admin_client.cookies["django_language"] = language

    html = admin_client.get(reverse("admin:scheduler_system")).content.decode()
    overview = admin_client.get(reverse("admin:index")).content.decode()

    assert said in html
    words = "The clock was set back by about 2 h. A dispatcher rebuilds the plan."
    assert language != "en" or (words in html and words in overview)


# --- retention ------------------------------------------------------------------------------------


@pytest.fixture
def old(make_task: Any) -> Execution:
    """Store two executions that are older than their retention by a clock that is 100 days ahead."""
    task = make_task("a", task_concurrency="allow")
    for _ in range(2):
        request_run(task, trigger=Trigger.MANUAL, user=None, now=NOON)
    Execution.objects.update(status=Status.SUCCESS, finished_at=NOON, is_outcome=True)
    return Execution.objects.order_by("pk")[0]


def test_a_step_of_days_lets_retention_wait_in_a_dispatcher_that_runs(
    transactional_db: None, old: Execution, clocks: Clocks
) -> None:
    running = Dispatcher()
    running._pass()
    clocks.wall += 100 * DAY
    clocks.passes(4000)  # retention is due every hour

    running._pass()
    clocks.passes(6 * 86_400)
    running._pass()
    kept = Execution.objects.count()
    clocks.passes(2 * 86_400)
    running._pass()

    assert kept == 2
    assert Execution.objects.count() == 1  # the latest stays


def test_a_gap_of_days_lets_retention_wait_in_a_dispatcher_that_starts(
    transactional_db: None, old: Execution, clocks: Clocks
) -> None:
    beat(NOON)
    clocks.wall += 100 * DAY
    running = Dispatcher()

    for _ in range(3):
        running._pass()
        clocks.passes(4000)

    assert Execution.objects.count() == 2
    assert ClockStep.objects.get().hold_until == NOON + 107 * DAY


def test_prune_history_waits_too_unless_it_is_forced(old: Execution, time_machine: Any) -> None:
    beat(NOON)
    time_machine.move_to(NOON + 100 * DAY, tick=False)

    with pytest.raises(
        CommandError, match="nothing was deleted: by the clock of this machine it is 2026-09-09"
    ):
        call_command("prune_history")
    kept = Execution.objects.count()
    call_command("prune_history", "--force", stdout=StringIO())

    assert (kept, Execution.objects.count()) == (2, 1)


def test_a_clock_that_is_put_right_ends_the_wait(old: Execution) -> None:
    clock.put_forward(NOON + 100 * DAY, seconds=100 * 86_400)

    clock.put_back(NOON, seconds=100 * 86_400)

    assert clock.held_until(NOON) is None


def test_the_system_page_says_that_retention_waits(
    admin_client: Client, old: Execution, time_machine: Any
) -> None:
    beat(NOON)
    time_machine.move_to(NOON + 2 * DAY, tick=False)

    html = admin_client.get(reverse("admin:scheduler_system")).content.decode()

    assert "The clock jumped ahead by more than a day." in html
