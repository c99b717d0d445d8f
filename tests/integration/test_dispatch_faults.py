"""What goes wrong around a dispatch: edits at the same moment, a busy database, clocks that jump, long outages."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from django.db import OperationalError, connection

from scheduler.choices import Status, Trigger
from scheduler.models import Execution, Process, Task
from scheduler.processes import dispatcher
from scheduler.selectors.health import health
from scheduler.services import claims, dispatch
from scheduler.services.dispatch import dispatch_due
from scheduler.services.heartbeats import HeartbeatMonitor
from scheduler.services.pruning import prune
from scheduler.services.rescheduling import follow_zones
from scheduler.services.runs import request_run
from scheduler.services.tasks import save_task
from scheduler.task_mapping import task_to_spec
from tests.conftest import NOON

MINUTE = timedelta(minutes=1)


def change(task: Task, **fields: Any) -> Task:
    """Save `task`, as it was read, with other fields."""
    spec: Any = {**task_to_spec(task), **fields}
    return save_task(spec, task=task, user=None, now=NOON + MINUTE)


@contextmanager
def failing_statements(begin: str = "") -> Iterator[list[str]]:
    """Let statements that begin so fail as those of a busy database do; yield those that did."""
    failed: list[str] = []

    def fail(execute: Any, sql: str, *arguments: Any) -> Any:
        if not sql.startswith(begin):
            return execute(sql, *arguments)
        failed.append(sql)
        raise OperationalError("database is locked")

    with connection.execute_wrapper(fail):
        yield failed


# --- edits ----------------------------------------------------------------------------------------


def test_an_edit_that_began_before_a_dispatch_does_not_bring_the_slot_back(make_task: Any) -> None:
    read_before = make_task("a", task_schedule="* * * * *")
    dispatch_due(NOON + MINUTE)

    saved = change(read_before, task_name="new")

    assert Task.objects.get().next_run_at == saved.next_run_at == NOON + 2 * MINUTE


def test_an_edit_that_began_before_another_one_takes_the_slots_of_its_own_schedule(make_task: Any) -> None:
    read_before = make_task("a", task_schedule="* * * * *")
    change(Task.objects.get(), task_schedule="0 0 1 1 *")

    change(read_before, task_name="new")

    stored = Task.objects.get()
    assert (stored.schedule, stored.next_run_at) == ("* * * * *", NOON + 2 * MINUTE)


def test_a_slot_that_has_its_record_is_passed_over_and_the_next_one_runs(make_task: Any) -> None:
    make_task("a", task_schedule="* * * * *", task_concurrency="queue")
    make_task("b", task_schedule="* * * * *")
    dispatch_due(NOON + MINUTE)
    Task.objects.update(next_run_at=NOON + MINUTE)  # edited on a host whose clock is behind

    dispatch_due(NOON + MINUTE)
    dispatch_due(NOON + 2 * MINUTE)

    slots = Execution.objects.filter(task__task_id="a").order_by("scheduled_for")
    assert list(slots.values_list("scheduled_for", flat=True)) == [NOON + MINUTE, NOON + 2 * MINUTE]
    assert set(Task.objects.values_list("schedule_error", "next_run_at")) == {("", NOON + 3 * MINUTE)}


def test_missed_slots_that_have_their_record_are_passed_over(make_task: Any) -> None:
    make_task("a", task_schedule="* * * * *", task_misfire_policy="skip", task_misfire_grace=1)
    dispatch_due(NOON + 10 * MINUTE + timedelta(seconds=30))
    Task.objects.update(next_run_at=NOON + MINUTE)

    dispatch_due(NOON + 10 * MINUTE + timedelta(seconds=30))

    assert Execution.objects.get().slot_count == 10
    assert Task.objects.get().next_run_at == NOON + 11 * MINUTE


# --- the database ---------------------------------------------------------------------------------


def test_a_busy_database_sets_no_task_aside(make_task: Any) -> None:
    make_task("a", task_schedule="* * * * *")

    with failing_statements('INSERT INTO "scheduler_execution"') as failed, pytest.raises(OperationalError):
        dispatch_due(NOON + MINUTE)
    again = dispatch_due(NOON + MINUTE)

    assert (len(failed), again.queued, Task.objects.get().schedule_error) == (1, 1, "")


def test_a_dispatcher_outlives_failing_passes_and_stops_when_told(
    transactional_db: None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(dispatcher, "LONGEST_FAILURE_SLEEP", 0)
    caplog.set_level("CRITICAL", logger="scheduler.processes.dispatcher")
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    passes = 0

    def fail(execute: Any, sql: str, *arguments: Any) -> Any:
        nonlocal passes
        passes += 1
        if passes == 20:
            os.kill(os.getpid(), signal.SIGTERM)
        raise OperationalError("the database is away")

    try:
        with connection.execute_wrapper(fail):
            dispatcher.Dispatcher().run()
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)

    assert passes == 20


# --- clocks ---------------------------------------------------------------------------------------


def test_what_was_queued_before_the_clock_was_put_back_is_woken(make_task: Any) -> None:
    request_run(make_task("a"), trigger=Trigger.MANUAL, user=None, now=NOON + timedelta(hours=2))

    assert dispatch.wake_waiting(NOON, older_than=timedelta(seconds=1)) == {"default"}


def process(host: str = "far", kind: Process.Kind = Process.Kind.WORKER) -> Process:
    return Process.objects.create(
        kind=kind, host_id=host, host=host, pid=1, start_ticks=1, started_at=NOON, heartbeat_at=NOON
    )


def test_a_clock_that_jumps_takes_nothing_from_a_worker_that_lives(make_task: Any) -> None:
    request_run(make_task("a"), trigger=Trigger.MANUAL, user=None, now=NOON)
    claims.claim(owner=process(), queue="default", limit=1, now=NOON)

    claims.reap(host_id="here", now=NOON + timedelta(days=1), monitor=HeartbeatMonitor(longest_step=10))

    assert Execution.objects.get().status == Status.RUNNING


def test_silence_is_heartbeats_that_stay_the_same_while_somebody_looks() -> None:
    monitor = HeartbeatMonitor(longest_step=10)
    beats = [(1, NOON), (2, NOON)]

    assert monitor.silent_for(30, beats, at=1000) == set()
    assert monitor.silent_for(30, beats, at=1010) == set()
    assert monitor.silent_for(30, beats, at=2000) == set()  # nobody looked for long: 10 seconds count
    assert monitor.silent_for(30, [(1, NOON), (2, NOON - MINUTE)], at=2010) == {
        1
    }  # any change is a sign of life
    assert monitor.silent_for(30, [(2, NOON - MINUTE), (3, NOON)], at=2020) == set()
    assert monitor.silent_for(20, [(2, NOON - MINUTE), (3, NOON)], at=2030) == {2}


def test_the_dead_do_not_look_alive_after_the_clock_was_put_back(db: None) -> None:
    process(kind=Process.Kind.DISPATCHER)

    assert health(NOON).dispatchers == 1
    assert health(NOON - timedelta(hours=1)).dispatchers == 0


def test_slots_follow_the_zone_of_the_settings_when_it_has_changed(make_task: Any, settings: Any) -> None:
    make_task("a", task_schedule="0 9,17 * * *")  # next at 17:00 UTC
    make_task("own", task_schedule="0 9,17 * * *", task_timezone="Europe/Berlin")
    settings.SCHEDULER_TIME_ZONE = "America/New_York"

    assert [follow_zones(NOON), follow_zones(NOON)] == [1, 0]

    slots = dict(Task.objects.values_list("task_id", "next_run_at"))
    assert slots == {"a": NOON + timedelta(hours=1), "own": NOON + timedelta(hours=3)}


def test_slots_that_have_their_records_do_not_come_back_when_the_clock_was_put_back(make_task: Any) -> None:
    make_task("a", task_schedule="* * * * *")
    dispatch_due(NOON + MINUTE)

    assert follow_zones(NOON) == 0
    assert Task.objects.get().next_run_at == NOON + 2 * MINUTE


# --- outages and long lists -----------------------------------------------------------------------


def test_a_long_outage_of_many_tasks_is_recorded_in_few_queries(
    make_task: Any, django_assert_max_num_queries: Any
) -> None:
    for number in range(30):
        make_task(f"t{number}", task_schedule="* * * * *", task_misfire_policy="skip", task_misfire_grace=1)

    with django_assert_max_num_queries(19):
        dispatch_due(NOON + timedelta(days=3, seconds=30))

    assert set(Execution.objects.values_list("status", "slot_count")) == {(Status.MISSED, 3 * 24 * 60)}


def test_what_waits_for_another_execution_of_its_task_is_no_reason_for_alarm(make_task: Any) -> None:
    task = make_task("a", task_concurrency="queue")
    for _ in range(2):
        request_run(task, trigger=Trigger.MANUAL, user=None, now=NOON)
    process(kind=Process.Kind.DISPATCHER)
    claims.claim(owner=process(kind=Process.Kind.CLUSTER), queue="default", limit=5, now=NOON)
    Process.objects.update(heartbeat_at=NOON + 10 * MINUTE)

    assert health(NOON + 10 * MINUTE).reasons == []


def test_a_retry_that_nobody_takes_is_a_reason_for_alarm(make_task: Any) -> None:
    request_run(make_task("a"), trigger=Trigger.MANUAL, user=None, now=NOON)
    Execution.objects.update(not_before=NOON + MINUTE)
    process(kind=Process.Kind.DISPATCHER)
    process(kind=Process.Kind.CLUSTER)
    Process.objects.update(heartbeat_at=NOON + 10 * MINUTE)

    assert health(NOON + 10 * MINUTE).reasons == ["1 executions are queued, some for more than five minutes"]


def test_pruning_goes_on_where_it_stopped_when_its_time_was_up(make_task: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr("scheduler.services.pruning.STEP", 2)
    task = make_task("a", task_concurrency="allow")
    for _ in range(6):
        request_run(task, trigger=Trigger.MANUAL, user=None, now=NOON)
    Execution.objects.update(status=Status.SUCCESS, finished_at=NOON, is_outcome=True)

    parts = [prune(NOON + timedelta(days=999), seconds=0) for _ in range(4)]

    assert [part.executions for part in parts] == [2, 2, 1, 0]
    assert [part.is_done for part in parts] == [False, False, False, True]


def test_pruning_takes_fewer_at_once_when_their_logs_are_long(make_task: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr("scheduler.services.pruning.STEP_BYTES", 1000)
    task = make_task("a", task_concurrency="allow")
    for _ in range(5):
        request_run(task, trigger=Trigger.MANUAL, user=None, now=NOON)
    Execution.objects.update(status=Status.SUCCESS, finished_at=NOON, log_size=500)

    assert prune(NOON + timedelta(days=999), seconds=0).executions == 2
