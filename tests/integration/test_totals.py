"""Totals agree with the history whatever happens, and outlive it."""

from __future__ import annotations

import random
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection

from scheduler.choices import Status
from scheduler.engine.reasons import Code, Reason
from scheduler.models import BucketTotal, EndedExecution, Execution, ExecutionTotal, Task
from scheduler.services import totals
from scheduler.services.dispatch import dispatch_due
from scheduler.services.outcomes import cancel_all
from scheduler.services.pruning import prune
from scheduler.services.runs import OverlapError
from scheduler.services.tasks import delete_task
from scheduler.services.totals import count_ended
from scheduler.signals import execution_finished
from tests.conftest import NOON
from tests.races import interleaved
from tests.simulation import B, Engine, F, S, T, diamond
from tests.support.totals import counted, ended_in_history

DAY, MINUTE = timedelta(days=1), timedelta(minutes=1)


def buckets(histogram: str) -> dict[tuple[str, str], tuple[int, float]]:
    rows = BucketTotal.objects.filter(histogram=histogram)
    return {
        (row.label, row.bound): (row.number, round(row.seconds, 3))
        for row in rows
        if row.number or row.seconds
    }


def make_missing(make_task: Any, task_id: str) -> None:
    """Store a task whose slots are all missed when a pass comes half a minute after the last one."""
    fields = {"task_misfire_policy": "skip", "task_misfire_grace": 1}
    make_task(task_id, now=NOON - MINUTE, task_schedule="* * * * *", **fields)


@pytest.mark.parametrize("seed", range(8))
def test_after_random_runs_the_totals_are_those_of_the_history(engine: Engine, seed: int) -> None:
    chance = random.Random(seed)
    diamond(engine, task_trigger_rule=chance.choice(["all_success", "all_done"]))
    engine.task("retried", task_retry=2, task_schedule="* * * * *")
    engine.task("queued", task_schedule="* * * * *", task_concurrency="queue", task_max_waiting=2)
    engine.task("replaced", task_schedule="*/2 * * * *", task_concurrency="replace")

    for _ in range(40):
        act = chance.randrange(6)
        if act == 0:
            dispatch_due(engine.clock.tick(chance.choice([20, 70, 400])))
        elif act == 1:
            name = chance.choice(["a", "retried", "replaced"])
            with suppress(OverlapError):
                engine.start(name)
        elif act == 2 and Execution.objects.active().exists():
            pks = list(Execution.objects.active().values_list("pk", flat=True)[:2])
            cancel_all(pks, reason=Reason(Code.REPLACED), now=engine.clock.tick())
        elif act == 3:
            count_ended()
        elif engine.claim():
            ending = chance.sample(sorted(engine.claimed), chance.randint(1, len(engine.claimed)))
            engine.end(**{name: chance.choice([S, S, B, F, T]) for name in ending})
    count_ended()

    assert counted() == ended_in_history()
    assert not EndedExecution.objects.exists()
    ran = sum(row.timed for row in ExecutionTotal.objects.all())
    assert ran == sum(number for number, _ in buckets("duration").values())


def test_each_slot_of_a_series_is_counted_also_when_the_row_grows(make_task: Any) -> None:
    make_missing(make_task, "missed")
    make_task("skipped", now=NOON - MINUTE, task_schedule="* * * * *", task_misfire_grace=86_400)

    dispatch_due(NOON + 9.5 * MINUTE)
    count_ended()
    first = counted()
    dispatch_due(NOON + 19.5 * MINUTE)
    count_ended()

    assert first["missed", Status.MISSED] == 10
    assert counted()["missed", Status.MISSED] == 20
    assert counted() == ended_in_history()
    assert Execution.objects.filter(status=Status.MISSED).count() == 1


def test_a_counter_does_not_fall_when_the_history_is_pruned(engine: Engine) -> None:
    engine.task("a")
    for _ in range(5):
        engine.start("a")
        engine.end(a=S)

    pruned = prune(engine.clock.now + 200 * DAY)

    assert pruned.executions == 4
    assert Execution.objects.count() == 1
    assert counted() == {("a", S): 5}


def test_counting_twice_counts_once(engine: Engine) -> None:
    engine.task("a")
    engine.start("a")
    engine.end(a=F)

    assert [count_ended(), count_ended()] == [1, 0]
    assert counted() == {("a", F): 1}


def test_an_outcome_that_is_rolled_back_is_not_counted(engine: Engine) -> None:
    engine.task("a")
    engine.start("a")
    engine.claim()

    def give_up(**_kwargs: Any) -> None:
        raise RuntimeError("the process dies here")

    execution_finished.connect(give_up, weak=False)
    try:
        with pytest.raises(RuntimeError):
            engine.end(a=S)
    finally:
        execution_finished.disconnect(give_up)

    assert not EndedExecution.objects.exists()


def test_more_than_one_step_is_counted_at_once(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(totals, "STEP", 2)
    engine.task("a", task_concurrency="allow")
    for _ in range(5):
        engine.start("a")
        engine.end(a=S)

    assert count_ended() == 5
    assert counted() == {("a", S): 5}


def test_durations_and_delays_are_in_their_buckets(engine: Engine) -> None:
    engine.task("a", task_schedule="0 * * * *", task_concurrency="allow")
    engine.clock.tick(3600)
    dispatch_due(engine.clock.now)
    engine.claim()  # a second later
    engine.clock.tick(99)
    engine.end(a=B)  # claims once more, which takes a second, then ends
    engine.start("a")  # has no slot
    engine.end(a=S)
    count_ended()

    assert buckets("lateness") == {("", "1.0"): (1, 1.0)}
    assert buckets("duration") == {(B, "300.0"): (1, 101.0), (S, "1.0"): (1, 1.0)}
    total = ExecutionTotal.objects.get(status=B)
    assert (total.slots, total.timed, total.seconds) == (1, 1, 101.0)


def test_what_did_not_run_has_no_duration(make_task: Any) -> None:
    make_missing(make_task, "a")
    dispatch_due(NOON + 9.5 * MINUTE)
    count_ended()

    assert not BucketTotal.objects.exists()
    assert ExecutionTotal.objects.get().timed == 0


def test_totals_of_a_deleted_task_stay(engine: Engine) -> None:
    task = engine.task("a")
    engine.start("a")
    engine.end(a=S)
    delete_task(task, user=None, now=engine.clock.tick())
    count_ended()

    assert Task.objects.count() == 0
    assert ExecutionTotal.objects.get().slots == 1


def test_an_idle_installation_costs_one_read(db: None, django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(1):
        count_ended()


def test_a_group_of_outcomes_is_noted_by_one_statement(
    engine: Engine, django_assert_max_num_queries: Any
) -> None:
    for number in range(30):
        engine.task(f"t{number}")
        engine.start(f"t{number}")
    engine.claim()

    with django_assert_max_num_queries(14):
        engine.end(**{f"t{number}": S for number in range(30)})

    assert EndedExecution.objects.count() == 30


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has one writer")
def test_two_dispatchers_that_count_at_once_count_each_end_once(engine: Engine) -> None:
    engine.task("a", task_concurrency="allow")
    for _ in range(3):
        engine.start("a")
        engine.end(a=S)

    results = interleaved(count_ended, count_ended, after="INSERT INTO scheduler_executiontotal")

    assert sorted(results) == [0, 3]
    assert counted() == {("a", S): 3}
