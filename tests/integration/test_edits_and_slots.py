"""Edits of schedule, zone and switch while slots are due and not yet recorded: each slot has exactly one record."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from scheduler.choices import ACTIVE, Status, Trigger
from scheduler.config_file import parse_config, validate_task
from scheduler.engine.schedules import parse_schedule, slots_between
from scheduler.models import Execution, Run, Task
from scheduler.services.configuration import apply_import
from scheduler.services.dispatch import dispatch_due
from scheduler.services.runs import OverlapError, request_run
from scheduler.services.tasks import delete_task, save_task, set_enabled
from scheduler.task_mapping import task_to_spec
from tests.api_client import TokenClient
from tests.conftest import NOON
from tests.simulation import Engine, F, S

MINUTE = timedelta(minutes=1)


def change(task: Task, now: datetime, **fields: Any) -> Task:
    spec: Any = {**task_to_spec(task), **fields}
    return save_task(spec, task=task, user=None, now=now)


def records(task: Task) -> list[tuple[str, datetime | None, int, str]]:
    rows = Execution.objects.filter(task=task).order_by("scheduled_for")
    return [(row.status, row.scheduled_for, row.slot_count, row.reason) for row in rows]


# --- what an edit leaves --------------------------------------------------------------------------


@pytest.mark.parametrize("fields", [{"task_schedule": "0 0 * * *"}, {"task_timezone": "Asia/Kolkata"}])
def test_an_edit_lets_a_slot_that_is_in_time_run_as_it_was(make_task: Any, fields: dict[str, Any]) -> None:
    task = make_task("a", task_schedule="1 12 * * *")
    before = task.revision_id

    change(task, NOON + MINUTE + timedelta(seconds=20), **fields)

    execution = Execution.objects.get()
    assert (execution.status, execution.scheduled_for) == (Status.QUEUED, NOON + MINUTE)
    assert (execution.revision_id, execution.trigger) == (before, Trigger.SCHEDULE)
    assert dispatch_due(NOON + 2 * MINUTE).queued == 0


def test_an_edit_after_an_outage_records_what_is_late_and_starts_nothing(make_task: Any) -> None:
    task = make_task("a", task_schedule="0 * * * *")

    change(task, NOON + timedelta(hours=3, minutes=30), task_schedule="0 0 * * *")

    reason = "3 slots had not been dispatched when the task was changed"
    assert records(task) == [(Status.MISSED, NOON + timedelta(hours=1), 3, reason)]


def test_an_edit_of_something_else_leaves_due_slots_to_the_dispatcher(make_task: Any) -> None:
    task = make_task("a", task_schedule="* * * * *")

    change(task, NOON + MINUTE, task_name="new", task_timeout=5)

    assert not Execution.objects.exists()
    assert dispatch_due(NOON + MINUTE).queued == 1


def test_switching_off_records_the_slots_that_were_due(make_task: Any) -> None:
    task = make_task("a", task_schedule="* * * * *", task_concurrency="replace")
    dispatch_due(NOON + MINUTE)
    Execution.objects.update(status=Status.RUNNING)

    set_enabled(task, False, user=None, now=NOON + 2 * MINUTE)
    set_enabled(task, True, user=None, now=NOON + 5 * MINUTE)
    dispatch_due(NOON + 5 * MINUTE)

    assert [(status, reason) for status, _slot, _count, reason in records(task)] == [
        (Status.RUNNING, ""),
        (Status.MISSED, "1 slot had not been dispatched when the task was paused"),
    ]
    assert Execution.objects.get(status=Status.RUNNING).cancel_requested_at is None


def test_deleting_records_the_slots_that_were_due(make_task: Any) -> None:
    task = make_task("a", task_schedule="* * * * *")

    delete_task(task, user=None, now=NOON + 2 * MINUTE)

    reason = "2 slots had not been dispatched when the task was deleted"
    assert records(task) == [(Status.MISSED, NOON + MINUTE, 2, reason)]


def test_the_api_and_an_import_leave_records_too(
    editor: TokenClient, make_task: Any, time_machine: Any
) -> None:
    for name in ("switched", "patched", "imported", "pruned"):
        make_task(name, task_schedule="0 * * * *")
    now = NOON + timedelta(hours=2, minutes=30)
    time_machine.move_to(now, tick=False)
    kept = [task_to_spec(Task.objects.get(task_id=name)) for name in ("switched", "patched")]
    words = {"task_id": "imported", "task_name": "i", "task_exec": "true", "task_schedule": "5 * * * *"}

    document = parse_config(json.dumps([words, *kept]), file="config.json")
    apply_import(document, prune=True, user=None, now=now)
    answers = [
        editor.post("tasks/switched/toggle", {"enabled": False}),
        editor.call("patch", "tasks/patched", {"task_schedule": "7 * * * *"}),
    ]

    assert [answer.status_code for answer in answers] == [200, 200]
    found = dict(Execution.objects.values_list("task__task_id", "reason"))
    reason = "2 slots had not been dispatched when the task was "
    assert found == {
        "switched": f"{reason}paused",
        "patched": f"{reason}changed",
        "imported": f"{reason}changed",
        "pruned": f"{reason}deleted",
    }


def test_a_task_that_was_set_aside_can_be_repaired_and_its_slots_are_recorded(make_task: Any) -> None:
    task = make_task("a", task_schedule="* * * * *")
    Task.objects.update(schedule_error="IntegrityError: x")

    change(task, NOON + MINUTE, task_schedule="0 0 * * *")

    assert [(status, count) for status, _slot, count, _reason in records(task)] == [(Status.MISSED, 1)]
    assert Task.objects.get().schedule_error == ""


@pytest.mark.parametrize("is_skipped", [True, False])
def test_an_edit_on_a_host_whose_clock_is_behind_brings_no_slot_back(
    make_task: Any, is_skipped: bool
) -> None:
    task = make_task("a", task_schedule="* * * * *", task_misfire_policy="skip", task_misfire_grace=1)
    for minutes in (1, 2, 3, 4) if is_skipped else ():
        dispatch_due(NOON + minutes * MINUTE)
    dispatch_due(NOON + 4 * MINUTE + timedelta(seconds=30))  # or four are missed

    set_enabled(task, False, user=None, now=NOON + 2 * MINUTE + timedelta(seconds=59))
    set_enabled(task, True, user=None, now=NOON + 2 * MINUTE + timedelta(seconds=59))
    dispatch_due(NOON + 5 * MINUTE)

    found = [slot for row in Execution.objects.slots().select_related("revision") for slot in slots_of(row)]
    assert sorted(found) == [NOON + minutes * MINUTE for minutes in range(1, 6)]


def test_a_schedule_that_cannot_be_read_can_be_repaired(make_task: Any) -> None:
    task = make_task("a", task_schedule="* * * * *")
    Task.objects.update(schedule="61 * * * *", schedule_error="bad")

    change(task, NOON + MINUTE, task_schedule="0 0 * * *")

    assert Task.objects.get().next_run_at == NOON + timedelta(hours=12)


# --- what is queued stops with its task -----------------------------------------------------------


def test_what_the_schedule_queued_does_not_begin_when_the_task_is_switched_off(engine: Engine) -> None:
    task = engine.task("a", task_schedule="* * * * *", task_concurrency="queue")
    engine.task("below", "a")
    engine.task("cleanup", "a", task_trigger_rule="all_done")
    for minute in (1, 2, 3):
        dispatch_due(NOON + minute * MINUTE)
    engine.clock.now = NOON + 3 * MINUTE
    engine.claim()
    asked_for = engine.start("a")

    set_enabled(task, False, user=None, now=engine.clock.tick())

    own = Execution.objects.filter(task=task).order_by("pk")
    assert [(row.status, row.reason) for row in own] == [
        (Status.RUNNING, ""),
        (Status.SKIPPED, "the task was paused"),
        (Status.SKIPPED, "the task was paused"),
        (Status.QUEUED, ""),
    ]
    assert own.last() == asked_for
    assert engine.latest("below").reason == f"upstream a ended skipped, execution {own[2].pk}"
    assert Execution.objects.filter(task__task_id="cleanup", status=Status.QUEUED).exists()


def test_a_run_whose_only_execution_was_queued_ends_with_the_switch(make_task: Any) -> None:
    task = make_task("a", task_schedule="* * * * *")
    dispatch_due(NOON + MINUTE)

    set_enabled(task, False, user=None, now=NOON + MINUTE)

    assert Execution.objects.get().status == Status.SKIPPED
    assert Run.objects.get().finished_at is not None


def test_a_retry_goes_on_when_the_task_is_switched_off(engine: Engine) -> None:
    task = engine.task("a", task_schedule="* * * * *", task_retry=1)
    dispatch_due(NOON + MINUTE)
    engine.clock.now = NOON + MINUTE
    engine.end(a=F)

    set_enabled(task, False, user=None, now=engine.clock.tick())

    assert engine.latest("a").status == Status.QUEUED


def test_no_more_wait_than_the_task_allows_and_the_rest_is_one_skipped_row(engine: Engine) -> None:
    task = engine.task("a", task_schedule="* * * * *", task_concurrency="queue", task_max_waiting=2)
    dispatch_due(NOON + MINUTE)
    engine.clock.now = NOON + MINUTE
    engine.claim()

    for minute in range(2, 8):
        dispatch_due(NOON + minute * MINUTE)
    with pytest.raises(OverlapError) as refused:
        request_run(task, trigger=Trigger.API, user=None, now=NOON + 8 * MINUTE)

    reason = "the maximum number of executions is waiting already (at most waiting: 2)"
    counts = Counter(Execution.objects.values_list("status", flat=True))
    skipped = Execution.objects.get(status=Status.SKIPPED, trigger=Trigger.SCHEDULE)
    assert str(refused.value) == reason
    assert counts == {Status.RUNNING: 1, Status.QUEUED: 2, Status.SKIPPED: 2}
    assert (skipped.slot_count, skipped.reason) == (4, reason)
    engine.clock.now = NOON + 8 * MINUTE
    engine.end(a=S)
    dispatch_due(NOON + 9 * MINUTE)
    assert Execution.objects.filter(status=Status.QUEUED).count() == 2


# --- any edits, any time --------------------------------------------------------------------------

SCHEDULES = ("* * * * *", "*/7 * * * *", "0 * * * *", "30 13 * * *", "", "*/20 * * * * *")
ACTS = st.tuples(
    st.sampled_from(["dispatch", "dispatch", "schedule", "zone", "switch", "delete", "end"]),
    st.integers(0, 5),
    st.sampled_from([0, 1, 20, 59, 60, 61, 600, 4000, 90_000]),
)


def slots_of(row: Execution) -> Iterator[datetime]:
    """Yield the slots that a record stands for, by the definition that it used."""
    assert row.scheduled_for is not None and row.revision is not None
    spec = row.revision.spec
    schedule = parse_schedule(spec["task_schedule"], spec["task_timezone"] or "UTC")
    until = row.covers_until or row.scheduled_for
    found = slots_between(schedule, row.scheduled_for - timedelta(microseconds=1), until)
    assert len(found) == row.slot_count
    yield from found


class AnyEdits(TestCase):
    """Edits and passes of the dispatcher in any order."""

    @settings(max_examples=60)
    @given(st.sampled_from(["skip", "queue", "replace", "allow"]), st.lists(ACTS, min_size=1, max_size=14))
    def test_each_slot_has_exactly_one_record(self, overlap: str, acts: list[tuple[str, int, int]]) -> None:
        now = NOON
        words: Any = {"task_id": "a", "task_name": "a", "task_exec": "true", "task_concurrency": overlap}
        task = save_task(validate_task(words | {"task_schedule": "* * * * *"}), task=None, user=None, now=now)
        expected: list[datetime] = []
        since = now

        def leave() -> None:
            nonlocal since
            if task.enabled and task.schedule and task.deleted_at is None:
                expected.extend(slots_between(parse_schedule(task.schedule, task.zone), since, now))
            since = now

        for act, choice, seconds in acts:
            now += timedelta(seconds=seconds)
            if act == "dispatch":
                dispatch_due(now)
                continue
            if act == "end":
                Execution.objects.filter(status__in=ACTIVE).update(status=Status.SUCCESS, finished_at=now)
                continue
            leave()
            spec: Any = task_to_spec(task)
            if act == "delete" and task.deleted_at is None:
                delete_task(task, user=None, now=now)
                task = Task.all_objects.get()
                continue
            if act == "schedule":
                spec["task_schedule"] = SCHEDULES[choice]
            elif act == "zone":
                spec["task_timezone"] = ("", "Asia/Kolkata", "Europe/Berlin")[choice % 3]
            else:
                spec["task_enabled"] = not spec["task_enabled"]
            # Saving a deleted task by its id brings it back.
            task = save_task(spec, task=None if task.deleted_at else task, user=None, now=now)
        leave()
        dispatch_due(now)

        rows = Execution.objects.slots().select_related("revision")
        found = [slot for row in rows for slot in slots_of(row)]
        assert sorted(found) == expected
        assert not Task.all_objects.exclude(schedule_error="").exists()
