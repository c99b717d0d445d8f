"""Slots become records."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import OperationalError, connection

from scheduler.choices import Status
from scheduler.models import Execution, Process, Run, Task
from scheduler.services import claims
from scheduler.services.dispatch import dispatch_due
from scheduler.services.rescheduling import reschedule_broken
from scheduler.services.tasks import save_task
from scheduler.signals import execution_finished
from scheduler.task_mapping import task_to_spec
from tests.conftest import NOON


def statuses(task: Task) -> list[tuple[str, datetime | None]]:
    rows = Execution.objects.filter(task=task).order_by("scheduled_for")
    return list(rows.values_list("status", "scheduled_for"))


def test_a_due_slot_becomes_one_queued_execution_in_a_run_of_its_own(make_task: Any) -> None:
    task = make_task("a", task_schedule="* * * * *")

    result = dispatch_due(NOON + timedelta(seconds=61))
    again = dispatch_due(NOON + timedelta(seconds=61))

    execution = Execution.objects.get()
    assert (result.queued, again.queued) == (1, 0)
    assert (execution.task, execution.status, execution.trigger) == (task, Status.QUEUED, "schedule")
    assert execution.scheduled_for == NOON + timedelta(minutes=1)
    assert execution.run is not None and execution.run.first_task == task
    assert Task.objects.get().next_run_at == NOON + timedelta(minutes=2)


@pytest.mark.proves("G2")
def test_nothing_is_dispatched_before_its_slot(make_task: Any) -> None:
    make_task("a", task_schedule="* * * * *")

    assert dispatch_due(NOON + timedelta(seconds=59)).queued == 0


@pytest.mark.parametrize(("policy", "queued"), [("run_once", 1), ("skip", 0), ("run_all", 60)])
def test_an_hour_without_a_dispatcher_is_accounted_for(make_task: Any, policy: str, queued: int) -> None:
    make_task(
        "a",
        task_schedule="* * * * *",
        task_misfire_policy=policy,
        task_concurrency="queue",
        task_misfire_grace=1,
    )

    dispatch_due(NOON + timedelta(minutes=60, seconds=30))

    missed = Execution.objects.filter(status=Status.MISSED).first()
    assert Execution.objects.filter(status=Status.QUEUED).count() == queued
    if policy == "run_all":
        assert missed is None
        return
    assert missed is not None
    assert missed.slot_count == 60 - queued
    assert missed.scheduled_for == NOON + timedelta(minutes=1)
    assert missed.covers_until == NOON + timedelta(minutes=60 - queued)
    assert f"(missed slots: {policy})" in missed.reason


def test_slots_that_run_all_catches_up_with_wait_for_each_other_though_overlap_is_skipped(
    make_task: Any,
) -> None:
    task = make_task("a", task_schedule="* * * * *", task_misfire_policy="run_all", task_misfire_grace=1)

    dispatch_due(NOON + timedelta(minutes=3, seconds=30))

    rows = list(task.executions.order_by("scheduled_for"))
    assert [row.scheduled_for for row in rows] == [NOON + timedelta(minutes=number) for number in (1, 2, 3)]
    assert {(row.status, row.parallel_limit) for row in rows} == {(Status.QUEUED, 1)}
    dispatch_due(NOON + timedelta(minutes=4))
    assert task.executions.latest("scheduled_for").reason == (
        f"execution {rows[0].pk} is still queued (overlap: skip the new one)"
    )


def test_a_slot_that_is_seen_within_a_second_is_on_time_whatever_the_grace(make_task: Any) -> None:
    task = make_task("a", task_schedule="* * * * *", task_misfire_policy="skip", task_misfire_grace=0)

    dispatch_due(NOON + timedelta(minutes=1, milliseconds=900))
    Execution.objects.update(status=Status.SUCCESS)
    dispatch_due(NOON + timedelta(minutes=2, milliseconds=1100))

    assert [row.status for row in task.executions.order_by("scheduled_for")] == [
        Status.SUCCESS,
        Status.MISSED,
    ]


def test_an_overlap_leaves_a_skipped_row_that_names_the_execution_in_the_way(make_task: Any) -> None:
    task = make_task("a", task_schedule="* * * * *")
    dispatch_due(NOON + timedelta(minutes=1))
    first = Execution.objects.get()

    dispatch_due(NOON + timedelta(minutes=2))

    skipped = Execution.objects.get(status=Status.SKIPPED)
    assert skipped.reason == f"execution {first.pk} is still queued (overlap: skip the new one)"
    assert [status for status, _ in statuses(task)] == [Status.QUEUED, Status.SKIPPED]


def skipped_rows(task: Task) -> list[tuple[int, datetime | None, datetime | None, str]]:
    rows = Execution.objects.filter(task=task, status=Status.SKIPPED).order_by("scheduled_for")
    return list(rows.values_list("slot_count", "scheduled_for", "covers_until", "reason"))


def test_skipped_slots_in_a_row_are_one_row_while_the_same_execution_is_in_the_way(make_task: Any) -> None:
    task = make_task("a", task_schedule="* * * * *")
    dispatch_due(NOON + timedelta(minutes=1))
    first = Execution.objects.get()

    dispatch_due(NOON + timedelta(minutes=2))
    Execution.objects.filter(pk=first.pk).update(status=Status.RUNNING)
    for minutes in range(3, 6):
        dispatch_due(NOON + timedelta(minutes=minutes))

    slot = NOON + timedelta(minutes=2)
    reason = f"execution {first.pk} is still running (overlap: skip the new one)"
    assert skipped_rows(task) == [(4, slot, NOON + timedelta(minutes=5), reason)]
    assert Execution.objects.get(status=Status.SKIPPED).finished_at == NOON + timedelta(minutes=5)


def test_another_execution_in_the_way_begins_another_row(make_task: Any) -> None:
    task = make_task("a", task_schedule="* * * * *")
    for minutes in (1, 2, 3):
        dispatch_due(NOON + timedelta(minutes=minutes))
    Execution.objects.filter(status=Status.QUEUED).update(status=Status.SUCCESS)
    for minutes in (4, 5, 6):
        dispatch_due(NOON + timedelta(minutes=minutes))

    assert [(count, until) for count, _slot, until, _reason in skipped_rows(task)] == [
        (2, NOON + timedelta(minutes=3)),
        (2, NOON + timedelta(minutes=6)),
    ]


def test_skipped_slots_of_one_pass_are_one_row_too(make_task: Any) -> None:
    task = make_task("a", task_schedule="* * * * *", task_misfire_grace=3600)
    dispatch_due(NOON + timedelta(minutes=1))

    dispatch_due(NOON + timedelta(minutes=31))
    dispatch_due(NOON + timedelta(minutes=33))

    assert [(count, until) for count, _slot, until, _reason in skipped_rows(task)] == [
        (32, NOON + timedelta(minutes=33))
    ]


def test_a_series_of_skipped_slots_ends_where_the_schedule_has_another_slot_between(make_task: Any) -> None:
    task = make_task("a", task_schedule="* * * * *")
    for minutes in (1, 2):
        dispatch_due(NOON + timedelta(minutes=minutes))
    Task.objects.update(next_run_at=NOON + timedelta(minutes=4))  # a slot without a record lies between

    dispatch_due(NOON + timedelta(minutes=4))

    assert [count for count, *_ in skipped_rows(task)] == [1, 1]


def test_a_series_tells_whoever_asks_for_skipped_slots_once(make_task: Any) -> None:
    make_task("a", task_schedule="* * * * *")
    told: list[int] = []

    def listen(execution_ids: list[int], **_: Any) -> None:
        told.extend(execution_ids)

    execution_finished.connect(listen, weak=False)
    try:
        for minutes in range(1, 6):
            dispatch_due(NOON + timedelta(minutes=minutes))
    finally:
        execution_finished.disconnect(listen)

    assert told == [Execution.objects.get(status=Status.SKIPPED).pk]


def test_a_waiting_retry_in_the_way_is_called_so_with_its_time(make_task: Any) -> None:
    make_task("a", task_schedule="* * * * *", task_retry=1, task_timezone="Europe/Berlin")
    dispatch_due(NOON + timedelta(minutes=1))
    Execution.objects.update(attempt=2, not_before=NOON + timedelta(minutes=65))
    retry = Execution.objects.get()

    dispatch_due(NOON + timedelta(minutes=2))

    assert Execution.objects.get(status=Status.SKIPPED).reason == (
        f"execution {retry.pk} is a waiting retry: attempt 2 waits until 2026-06-01 15:05:00 CEST "
        "(overlap: skip the new one)"
    )


def test_replace_cancels_what_is_queued(make_task: Any) -> None:
    task = make_task("a", task_schedule="* * * * *", task_concurrency="replace")
    dispatch_due(NOON + timedelta(minutes=1))

    dispatch_due(NOON + timedelta(minutes=2))

    assert [status for status, _ in statuses(task)] == [Status.CANCELLED, Status.QUEUED]
    assert Execution.objects.get(status=Status.CANCELLED).reason == "replaced by a newer execution"


def test_a_broken_schedule_is_set_aside_and_the_others_go_on(make_task: Any) -> None:
    make_task("a", task_schedule="* * * * *")
    make_task("b", task_schedule="* * * * *")
    Task.objects.filter(task_id="a").update(schedule="61 * * * *")

    result = dispatch_due(NOON + timedelta(minutes=1))

    broken = Task.objects.get(task_id="a")
    assert (result.queued, result.broken) == (1, 1)
    assert Execution.objects.get().task.task_id == "b"
    assert broken.next_run_at is None
    assert "61" in broken.schedule_error


def worker(host: str = "h") -> Process:
    return Process.objects.create(
        kind=Process.Kind.WORKER,
        host_id=host,
        host=host,
        pid=1,
        start_ticks=1,
        started_at=NOON,
        heartbeat_at=NOON,
    )


def test_a_claim_takes_each_execution_once(make_task: Any) -> None:
    make_task("a", task_schedule="* * * * *")
    dispatch_due(NOON + timedelta(minutes=1))

    first = claims.claim(owner=worker(), queue="default", limit=5, now=NOON + timedelta(minutes=1))
    second = claims.claim(owner=worker("other"), queue="default", limit=5, now=NOON + timedelta(minutes=1))

    assert [len(first), len(second)] == [1, 0]
    assert Execution.objects.get().status == Status.RUNNING


def test_a_queued_overlap_waits_for_the_one_that_runs(make_task: Any) -> None:
    make_task("a", task_schedule="* * * * *", task_concurrency="queue")
    dispatch_due(NOON + timedelta(minutes=1))
    dispatch_due(NOON + timedelta(minutes=2))

    taken = claims.claim(owner=worker(), queue="default", limit=5, now=NOON + timedelta(minutes=2))
    more = claims.claim(owner=worker("other"), queue="default", limit=5, now=NOON + timedelta(minutes=2))

    assert [len(taken), len(more)] == [1, 0]


def test_the_most_urgent_is_claimed_first(make_task: Any) -> None:
    make_task("low", task_schedule="* * * * *")
    make_task("high", task_schedule="* * * * *", task_priority=5)
    dispatch_due(NOON + timedelta(minutes=1))

    taken = claims.claim(owner=worker(), queue="default", limit=1, now=NOON + timedelta(minutes=1))

    assert taken[0].spec["task_id"] == "high"


def test_what_another_host_left_behind_ends_as_worker_lost_and_is_tried_again(make_task: Any) -> None:
    make_task("a", task_schedule="* * * * *", task_retry=1)
    dispatch_due(NOON + timedelta(minutes=1))
    claims.claim(owner=worker("far"), queue="default", limit=1, now=NOON + timedelta(minutes=1))

    claims.reap(host_id="here", now=NOON + timedelta(hours=1))

    lost, retry = Execution.objects.order_by("attempt")
    assert (lost.status, lost.reason, lost.is_outcome) == (Status.TECHNICAL_FAILURE, "worker lost", False)
    assert (retry.status, retry.attempt, retry.trigger) == (Status.QUEUED, 2, "retry")
    assert retry.run == lost.run


def test_an_edit_that_began_before_a_slot_does_not_bring_the_slot_back(make_task: Any) -> None:
    make_task("a", task_schedule="0 * * * *")
    read_before = Task.objects.get()

    dispatch_due(NOON + timedelta(hours=1))
    spec = task_to_spec(read_before)
    spec["task_desc"] = "edited"
    save_task(spec, task=read_before, user=None, now=NOON + timedelta(hours=1))

    assert Task.objects.get().next_run_at == NOON + timedelta(hours=2)
    assert dispatch_due(NOON + timedelta(hours=1)).queued == 0


def test_a_database_that_gives_up_a_pass_is_not_the_fault_of_a_task(make_task: Any) -> None:
    make_task("a", task_schedule="0 * * * *")
    make_task("b", task_schedule="0 * * * *", task_dependencies=["a"])

    def give_up(**_: Any) -> None:
        raise OperationalError("deadlock detected")

    execution_finished.connect(give_up, weak=False)
    try:
        with pytest.raises(OperationalError):
            dispatch_due(NOON + timedelta(hours=1))
    finally:
        execution_finished.disconnect(give_up)

    assert not Task.objects.exclude(schedule_error="").exists()
    dispatch_due(NOON + timedelta(hours=1))
    assert Execution.objects.filter(task__task_id="b").count() == 1


def test_slots_two_hundred_at_once_have_one_record_each_in_few_queries(
    make_task: Any, django_assert_max_num_queries: Any
) -> None:
    for number in range(200):
        make_task(f"t{number}", task_schedule="0 13 * * *")

    with django_assert_max_num_queries(19):
        dispatch_due(datetime(2026, 6, 1, 13, tzinfo=UTC))

    assert Execution.objects.filter(status=Status.QUEUED).values("task").distinct().count() == 200


def test_of_the_slots_of_one_pass_only_the_last_begins_when_the_policy_is_replace(make_task: Any) -> None:
    make_task("a", now=NOON - timedelta(seconds=10), task_schedule="* * * * * *", task_concurrency="replace")

    dispatch_due(NOON)

    rows = list(Execution.objects.order_by("scheduled_for").values_list("status", "slot_count", "reason"))
    assert rows == [("skipped", 9, "replaced by a newer execution"), ("queued", 1, "")]
    assert Run.objects.count() == 1


@pytest.mark.skipif(connection.vendor != "sqlite", reason="the trigger is written for SQLite")
def test_a_task_that_could_not_be_written_for_a_while_gets_the_records_of_all_its_slots(
    make_task: Any,
) -> None:
    make_task("a", now=NOON - timedelta(seconds=30), task_schedule="* * * * *", task_misfire_policy="run_all")
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE TRIGGER broken BEFORE INSERT ON scheduler_execution "
            "BEGIN SELECT RAISE(ABORT, 'NOT NULL constraint failed: scheduler_execution.new'); END"
        )
    dispatch_due(NOON)
    set_aside = Task.objects.get()
    reschedule_broken(NOON)
    dispatch_due(NOON + timedelta(minutes=1))
    with connection.cursor() as cursor:
        cursor.execute("DROP TRIGGER broken")

    reschedule_broken(NOON + timedelta(minutes=2))
    dispatch_due(NOON + timedelta(minutes=2))

    assert "NOT NULL constraint failed" in set_aside.schedule_error
    assert Task.objects.get().schedule_error == ""
    slots = Execution.objects.order_by("scheduled_for").values_list("scheduled_for", flat=True)
    assert list(slots) == [NOON + timedelta(minutes=minute) for minute in range(3)]


def test_a_schedule_that_can_be_read_again_goes_on(make_task: Any) -> None:
    task = make_task("a", task_schedule="* * * * *", task_timezone="Europe/Berlin")
    Task.objects.update(timezone="Mars/Olympus")
    dispatch_due(NOON + timedelta(minutes=1))
    Task.objects.update(timezone="Europe/Berlin")

    reschedule_broken(NOON + timedelta(minutes=2))

    task.refresh_from_db()
    assert (task.schedule_error, task.next_run_at) == ("", NOON + timedelta(minutes=3))
