"""What follows from an outcome: downstream tasks start, wait or are skipped, and runs end."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from scheduler.choices import ACTIVE, RunStatus, Status, Trigger
from scheduler.exceptions import ConflictError
from scheduler.models import Execution, Run, RunGraph, Task
from scheduler.services import runs, tasks
from scheduler.services.dispatch import dispatch_due
from scheduler.services.outcomes import Report, finish
from scheduler.services.pruning import prune
from scheduler.wording.explanations import explain
from scheduler.wording.reasons import told_error
from tests.conftest import NOON
from tests.simulation import B, Engine, F, S, T, diamond
from tests.support.cases import each_case


def status_of(run: Run) -> str:
    return str(Run.objects.with_status().get(pk=run.pk).status)  # type: ignore[attr-defined]


# --- one run --------------------------------------------------------------------------------------


def test_a_success_starts_what_depends_on_it_in_the_same_run(engine: Engine) -> None:
    engine.task("a")
    engine.task("b", "a")
    first = engine.start("a")

    engine.end(a=S)

    second = engine.latest("b")
    assert (second.status, second.trigger, second.run_id) == (Status.QUEUED, "dependency", first.run_id)
    assert list(second.upstream_executions.all()) == [first]
    assert second.revision == Task.objects.get(task_id="b").revision
    assert Run.objects.get().finished_at is None


def test_a_task_without_downstreams_ends_its_run_and_stores_no_graph(engine: Engine) -> None:
    engine.task("a")
    engine.start("a")

    engine.end(a=S)

    run = Run.objects.get()
    assert (run.graph, run.finished_at) == (None, engine.clock.now)
    assert status_of(run) == RunStatus.SUCCESS


def test_a_diamond_joins_once(engine: Engine) -> None:
    diamond(engine)
    engine.start("a")
    engine.end(a=S)
    engine.end(b=S)
    assert engine.latest("c").status == Status.RUNNING
    assert not Execution.objects.filter(task__task_id="d").exists()

    engine.end(c=S)
    engine.end(d=S)

    assert engine.history() == [("a", S), ("b", S), ("c", S), ("d", S)]
    assert sorted(e.task.task_id for e in engine.latest("d").upstream_executions.all()) == ["b", "c"]


def test_two_upstreams_that_end_in_one_group_start_the_join_once(engine: Engine) -> None:
    diamond(engine)
    engine.start("a")
    engine.end(a=S)

    engine.end(b=S, c=S)

    assert Execution.objects.filter(task__task_id="d").count() == 1


def test_a_failure_skips_what_is_below_with_the_cause_and_other_branches_go_on(engine: Engine) -> None:
    diamond(engine)
    engine.task("e", "d")
    engine.task("f", "c")
    engine.start("a")
    engine.end(a=S)

    engine.end(b=B)
    engine.end(c=S)
    engine.end(f=S)

    b, d, e = (engine.latest(name) for name in "bde")
    assert d.reason == f"upstream b ended business_failure, execution {b.pk}"
    assert e.reason == f"upstream d ended skipped, execution {d.pk}"
    assert (d.status, d.is_outcome, d.run, d.trigger) == (Status.SKIPPED, True, b.run, "dependency")
    assert list(d.upstream_executions.all()) == [b]
    assert status_of(Run.objects.get()) == RunStatus.FAILED
    assert Run.objects.get().finished_at is not None


def test_retries_count_once_by_their_outcome(engine: Engine) -> None:
    engine.task("a", task_retry=2, task_retry_interval=1)
    engine.task("b", "a")
    engine.start("a")

    engine.end(a=F)
    assert not Execution.objects.filter(task__task_id="b").exists()
    engine.clock.tick(5)
    engine.end(a=T)
    assert not Execution.objects.filter(task__task_id="b").exists()
    engine.clock.tick(5)
    engine.end(a=S)

    assert engine.latest("b").status == Status.QUEUED
    assert Execution.objects.filter(task__task_id="b").count() == 1


@each_case(
    ("rule", "b", "c", "expected"),
    [
        ("all_done", F, S, Status.QUEUED),
        ("all_done", S, S, Status.QUEUED),
        ("any_failed", F, S, Status.QUEUED),
        ("any_failed", S, S, Status.SKIPPED),
        ("all_success", S, T, Status.SKIPPED),
    ],
)
def test_trigger_rules(engine: Engine, rule: str, b: Status, c: Status, expected: Status) -> None:
    diamond(engine, task_trigger_rule=rule)
    engine.start("a")
    engine.end(a=S)

    engine.end(b=b, c=c)

    assert engine.latest("d").status == expected
    assert Execution.objects.filter(task__task_id="d").count() == 1


def test_a_skipped_upstream_lets_all_done_start(engine: Engine) -> None:
    engine.task("a")
    engine.task("b", "a")
    engine.task("clean", "b", task_trigger_rule="all_done")
    engine.start("a")

    engine.end(a=F)

    assert engine.history() == [("a", F), ("b", Status.SKIPPED), ("clean", Status.QUEUED)]


def test_without_downstream_nothing_follows(engine: Engine) -> None:
    diamond(engine)
    engine.start("a", downstream=False)

    engine.end(a=S)

    assert engine.history() == [("a", S)]
    assert Run.objects.get().finished_at is not None


def test_a_run_by_hand_does_not_ask_its_own_upstreams(engine: Engine) -> None:
    diamond(engine)
    engine.start("d")

    engine.end(d=S)

    assert engine.history() == [("d", S)]


def test_a_waiting_retry_is_called_so_wherever_it_is_in_the_way(engine: Engine) -> None:
    engine.task("a", task_concurrency="allow")
    engine.task("b", "a", task_retry=1, task_retry_interval=3600)
    engine.start("a")
    engine.end(a=S)
    engine.end(b=F)
    retry = engine.latest("b")
    engine.start("a")

    engine.end(a=S)
    with pytest.raises(runs.OverlapError) as refused:
        engine.start("b")
    told = [str(said) for said in explain(Task.objects.get(task_id="b"), now=engine.clock.now).sentences]

    assert retry.not_before is not None
    reason = (
        f"execution {retry.pk} is a waiting retry: attempt 2 waits until {retry.not_before:%Y-%m-%d %H:%M:%S} UTC "
        "(overlap: skip the new one)"
    )
    skipped = Execution.objects.filter(task__task_id="b", status=Status.SKIPPED).order_by("pk")
    assert [(row.trigger, row.reason) for row in skipped] == [("dependency", reason), ("manual", reason)]
    assert str(refused.value) == reason
    until = f"{retry.not_before:%Y-%m-%d %H:%M:%S} UTC"
    assert f"Attempt 2 in run {retry.run_id} waits until {until}." in told


def test_overlap_skips_a_downstream_that_is_still_running_elsewhere(engine: Engine) -> None:
    engine.task("a", task_concurrency="allow")
    engine.task("b", "a")
    engine.task("c", "b")
    engine.start("a")
    engine.end(a=S)
    engine.claim()
    before = engine.latest("b")
    engine.start("a")

    engine.end(a=S)

    skipped = engine.latest("b")
    assert skipped.reason == f"execution {before.pk} is still running (overlap: skip the new one)"
    assert engine.latest("c").status == Status.SKIPPED


def test_replace_stops_the_downstream_of_an_older_run_and_skips_what_is_below_it_there(
    engine: Engine,
) -> None:
    engine.task("a", task_concurrency="allow")
    engine.task("b", "a", task_concurrency="replace")
    engine.task("c", "b")
    engine.start("a")
    engine.end(a=S)
    older = engine.latest("b")
    engine.start("a")
    engine.claimed.clear()

    Execution.objects.filter(pk=older.pk).update(queue="elsewhere")
    engine.end(a=S)

    older.refresh_from_db()
    assert (older.status, older.reason) == (Status.CANCELLED, "replaced by a newer execution")
    assert [(e.status, e.run_id == older.run_id) for e in Execution.objects.filter(task__task_id="c")] == [
        (Status.SKIPPED, True)
    ]
    assert engine.latest("b").status == Status.QUEUED


# --- two schedules --------------------------------------------------------------------------------


def pair(engine: Engine) -> None:
    engine.task("a")
    engine.task("b")
    engine.task("c", "a", "b")


def test_two_parents_on_different_schedules_run_the_child_once_a_pair(engine: Engine) -> None:
    pair(engine)

    def run(name: str) -> int:
        engine.start(name)
        engine.end(**{name: S})
        if "c" in engine.claim():
            engine.end(c=S)
        return Execution.objects.filter(task__task_id="c").count()

    assert [run("a"), run("b")] == [0, 1]
    assert [run("a"), run("a"), run("b")] == [1, 1, 2]
    assert [run("b"), run("a")] == [2, 3]
    assert Run.objects.filter(finished_at=None).count() == 0


def test_a_child_that_waits_for_a_worker_has_used_its_pair(engine: Engine) -> None:
    pair(engine)
    engine.task("d", task_exec="true")
    for name in "ab":
        engine.start(name)
        engine.end(**{name: S})
    waiting = engine.latest("c")
    Execution.objects.filter(pk=waiting.pk).update(queue="elsewhere")

    engine.start("a")
    engine.end(a=S)

    assert [e.pk for e in Execution.objects.filter(task__task_id="c")] == [waiting.pk]


@pytest.mark.parametrize("in_the_way", ["running", "disabled"])
def test_a_pair_that_could_not_be_used_is_used_after_the_next_success(
    engine: Engine, in_the_way: str
) -> None:
    pair(engine)
    if in_the_way == "running":
        engine.start("c")
        engine.claim()
        reason = f"execution {engine.latest('c').pk} is still running (overlap: skip the new one)"
    else:
        Task.objects.filter(task_id="c").update(enabled=False)
        reason = "the task is paused"
    for name in "ab":
        engine.start(name)
        engine.end(**{name: S})
    assert (engine.latest("c").status, engine.latest("c").reason) == (Status.SKIPPED, reason)

    if in_the_way == "running":
        engine.end(c=S)
    Task.objects.update(enabled=True)
    engine.start("b")
    engine.end(b=S)

    assert engine.latest("c").status == Status.QUEUED


def test_a_failed_parent_is_no_part_of_a_pair(engine: Engine) -> None:
    pair(engine)
    engine.start("a")
    engine.end(a=S)
    engine.start("b")
    engine.end(b=F)

    skipped = engine.latest("c")
    assert skipped.status == Status.SKIPPED

    engine.start("b")
    engine.end(b=S)
    assert engine.latest("c").status == Status.QUEUED


def test_a_retry_of_the_child_does_not_use_up_a_newer_success(engine: Engine) -> None:
    engine.task("a")
    engine.task("b")
    engine.task("c", "a", "b", task_retry=1, task_retry_interval=5)
    for name in "ab":
        engine.start(name)
        engine.end(**{name: S})
    engine.end(c=F)
    engine.start("b")
    engine.end(b=S)
    engine.clock.tick(10)
    engine.end(c=S)

    engine.start("a")
    engine.end(a=S)

    assert engine.latest("c").status == Status.QUEUED
    assert engine.latest("c").trigger == "dependency"


def test_a_clock_that_is_ahead_does_not_make_a_used_success_fresh_again(engine: Engine) -> None:
    pair(engine)
    engine.start("b")
    engine.claim()
    ahead = engine.clock.now + timedelta(hours=1)
    finish([Report(engine.claimed.pop("b"), S, ahead)], now=engine.clock.now)
    engine.start("a")
    engine.end(a=S)
    engine.end(c=S)
    Execution.objects.filter(task__task_id="c").update(queued_at=engine.clock.now)

    engine.start("a")
    engine.end(a=S)

    assert Execution.objects.filter(task__task_id="c").count() == 1


# --- a schedule and upstreams ---------------------------------------------------------------------


def test_a_slot_runs_when_the_upstreams_succeeded_since_and_is_skipped_otherwise(engine: Engine) -> None:
    engine.task("a")
    engine.task("c", "a", task_schedule="0 * * * *")
    dispatch_due(NOON + timedelta(hours=1))
    assert engine.latest("c").reason == "waits for a: no success yet"

    engine.clock.now = NOON + timedelta(hours=1, minutes=10)
    engine.start("a", downstream=False)
    engine.end(a=S)
    success = engine.latest("a")
    dispatch_due(NOON + timedelta(hours=2))

    ran = engine.latest("c")
    assert (ran.status, ran.trigger, list(ran.upstream_executions.all())) == ("queued", "schedule", [success])
    engine.clock.now = NOON + timedelta(hours=2)
    engine.end(c=S)
    dispatch_due(NOON + timedelta(hours=3))
    assert engine.latest("c").reason == (
        f"waits for a: last success 2026-06-01 13:10:03 UTC, already used by execution {ran.pk}"
    )


def test_a_slot_of_any_failed_runs_after_a_failure_only(engine: Engine) -> None:
    engine.task("a")
    engine.task("alarm", "a", task_schedule="0 * * * *", task_trigger_rule="any_failed")
    dispatch_due(NOON + timedelta(hours=1))
    assert engine.latest("alarm").reason == "no upstream has failed since the last start: a"

    engine.clock.now = NOON + timedelta(hours=1, minutes=10)
    engine.start("a", downstream=False)
    engine.end(a=F)
    dispatch_due(NOON + timedelta(hours=2))

    assert engine.latest("alarm").status == Status.QUEUED


def test_several_missed_slots_use_one_success_once(engine: Engine) -> None:
    engine.task("a")
    engine.task(
        "c",
        "a",
        task_schedule="0 * * * *",
        task_misfire_policy="run_all",
        task_misfire_grace=1,
        task_concurrency="queue",
    )
    engine.start("a", downstream=False)
    engine.end(a=S)

    dispatch_due(NOON + timedelta(hours=3))

    assert [status for name, status in engine.history() if name == "c"] == ["queued", "skipped"]
    assert engine.latest("c").slot_count == 2


# --- changes while a run is under way -------------------------------------------------------------


def test_a_run_keeps_the_dependencies_it_began_with(engine: Engine) -> None:
    engine.task("a")
    engine.task("b", "a")
    engine.task("c")
    engine.start("a")
    engine.claim()
    spec = {**_spec("b"), "task_dependencies": []}
    tasks.save_task(spec, task=Task.objects.get(task_id="b"), user=None, now=engine.clock.tick())
    spec = {**_spec("c"), "task_dependencies": ["a"]}
    tasks.save_task(spec, task=Task.objects.get(task_id="c"), user=None, now=engine.clock.tick())

    engine.end(a=S)
    assert engine.history() == [("a", S), ("b", Status.QUEUED)]

    engine.end(b=S)
    engine.start("a")
    engine.end(a=S)
    assert engine.history()[2:] == [("a", S), ("c", Status.QUEUED)]


def _spec(task_id: str) -> Any:
    from scheduler.task_mapping import task_to_spec

    return task_to_spec(Task.objects.get(task_id=task_id))


def test_a_disabled_downstream_is_skipped_and_so_is_what_is_below(engine: Engine) -> None:
    engine.task("a")
    engine.task("b", "a", task_enabled=False)
    engine.task("c", "b")
    engine.start("a")

    engine.end(a=S)

    assert engine.latest("b").reason == "the task is paused"
    assert engine.latest("c").status == Status.SKIPPED
    assert Run.objects.get().finished_at is not None


def test_a_downstream_that_was_deleted_meanwhile_is_skipped(engine: Engine) -> None:
    engine.task("a")
    engine.task("b", "a")
    engine.task("c", "b")
    engine.start("a")
    engine.claim()
    tasks.delete_task(Task.objects.get(task_id="b"), user=None, now=engine.clock.tick())

    engine.end(a=S)

    assert engine.latest("b").reason == "the task was deleted"
    assert engine.latest("c").status == Status.SKIPPED
    assert Run.objects.get().finished_at is not None


def test_deleting_a_queued_task_lets_its_run_go_on(engine: Engine) -> None:
    engine.task("a")
    engine.task("b", "a")
    engine.task("clean", "b", task_trigger_rule="all_done")
    engine.start("a")
    engine.end(a=S)

    tasks.delete_task(Task.objects.get(task_id="b"), user=None, now=engine.clock.tick())

    assert engine.history() == [("a", S), ("b", Status.CANCELLED), ("clean", Status.QUEUED)]


def test_deleting_an_upstream_leaves_a_revision_of_its_downstream_without_it(engine: Engine) -> None:
    engine.task("a")
    engine.task("b")
    engine.task("c", "a", "b")

    tasks.delete_task(Task.objects.get(task_id="a"), user=None, now=engine.clock.tick())

    task = Task.objects.get(task_id="c")
    assert task.revision is not None
    assert (task.revision.number, task.revision.spec["task_dependencies"]) == (2, ["b"])


# --- cancel and resume ----------------------------------------------------------------------------


def test_cancelling_a_queued_execution_skips_what_is_below_it(engine: Engine) -> None:
    engine.task("a")
    engine.task("b", "a")
    execution = engine.start("a")

    assert runs.cancel_execution(execution, by="ann", now=engine.clock.tick())

    assert engine.latest("b").reason == f"upstream a ended cancelled, execution {execution.pk}"
    assert status_of(Run.objects.get()) == RunStatus.CANCELLED


def test_cancelling_a_run_stops_what_is_active_and_starts_nothing_more(engine: Engine) -> None:
    engine.task("a")
    engine.task("b", "a")
    engine.task("c", "a")
    engine.task("clean", "b", "c", task_trigger_rule="all_done")
    engine.start("a")
    engine.end(a=S)
    engine.claim()
    run = Run.objects.get()

    assert runs.cancel_run(run, by="ann", now=engine.clock.tick())
    assert set(Execution.objects.running().values_list("cancel_reason", flat=True)) == {
        "run cancelled by ann"
    }
    engine.end(b=Status.CANCELLED, c=Status.CANCELLED)

    assert engine.latest("clean").reason == "run cancelled by ann"
    assert status_of(run) == RunStatus.CANCELLED
    assert not runs.cancel_run(run, by="ann", now=engine.clock.tick())


def test_what_fails_just_after_it_was_asked_to_stop_is_not_tried_again(engine: Engine) -> None:
    engine.task("a", task_retry=3)
    engine.task("b", "a")
    engine.start("a")
    engine.claim()

    assert runs.cancel_run(Run.objects.get(), by="ann", now=engine.clock.tick())
    engine.end(a=F)

    assert engine.history() == [("a", F), ("b", Status.SKIPPED)]
    assert engine.latest("a").is_outcome
    assert Run.objects.get().finished_at is not None


def test_resuming_a_failed_middle_runs_it_and_what_was_skipped_below_and_nothing_else(
    engine: Engine,
) -> None:
    diamond(engine)
    engine.task("e", "d")
    engine.task("clean", "b", task_trigger_rule="all_done")
    engine.start("a")
    engine.end(a=S)
    engine.end(b=F, c=S)
    engine.end(clean=S)
    failed = engine.latest("b")
    run = Run.objects.get()
    assert run.finished_at is not None

    again = runs.resume(failed, trigger=Trigger.MANUAL, now=engine.clock.tick())
    assert (again.run, again.attempt, again.trigger) == (run, 2, "manual")
    assert Run.objects.get().finished_at is None
    engine.end(b=S)
    engine.end(d=S)
    engine.end(e=S)

    outcomes = Execution.objects.filter(run=run, is_outcome=True).order_by("task__task_id")
    assert [(e.task.task_id, e.status, e.attempt) for e in outcomes] == [
        ("a", S, 1),
        ("b", S, 2),
        ("c", S, 1),
        ("clean", S, 1),
        ("d", S, 2),
        ("e", S, 2),
    ]
    assert status_of(run) == RunStatus.SUCCESS


def test_a_resumed_failure_that_fails_again_skips_again(engine: Engine) -> None:
    engine.task("a")
    engine.task("b", "a")
    engine.start("a")
    engine.end(a=F)

    runs.resume(engine.latest("a"), trigger=Trigger.MANUAL, now=engine.clock.tick())
    engine.end(a=F)

    assert engine.history() == [("a", F), ("b", "skipped"), ("a", F), ("b", "skipped")]
    assert Run.objects.get().finished_at is not None


def test_what_was_skipped_for_two_reasons_waits_for_both(engine: Engine) -> None:
    diamond(engine)
    engine.start("a")
    engine.end(a=S)
    engine.end(b=F, c=F)

    runs.resume(engine.latest("b"), trigger=Trigger.MANUAL, now=engine.clock.tick())
    engine.end(b=S)
    assert (
        engine.latest("d").reason == f"upstream c ended technical_failure, execution {engine.latest('c').pk}"
    )
    runs.resume(engine.latest("c"), trigger=Trigger.MANUAL, now=engine.clock.tick())
    engine.end(c=S)

    assert engine.latest("d").status == Status.QUEUED


def test_a_skipped_execution_can_be_resumed_by_itself(engine: Engine) -> None:
    engine.task("a")
    engine.task("b", "a")
    engine.task("c", "b")
    engine.start("a")
    engine.end(a=F)

    runs.resume(engine.latest("b"), trigger=Trigger.MANUAL, now=engine.clock.tick())
    engine.end(b=S)
    engine.end(c=S)

    assert engine.history()[3:] == [("b", S), ("c", S)]


def test_a_cancelled_run_goes_on_when_it_is_resumed(engine: Engine) -> None:
    engine.task("a")
    engine.task("b", "a")
    execution = engine.start("a")
    runs.cancel_run(Run.objects.get(), by="ann", now=engine.clock.tick())
    execution.refresh_from_db()

    runs.resume(execution, trigger=Trigger.MANUAL, now=engine.clock.tick())
    engine.end(a=S)

    assert engine.latest("b").status == Status.QUEUED


def test_what_cannot_be_resumed_is_refused_with_the_reason(engine: Engine) -> None:
    engine.task("a")
    first = engine.start("a")

    def refusal(execution: Execution) -> str:
        execution.refresh_from_db()
        with pytest.raises(ConflictError) as caught:
            runs.resume(execution, trigger=Trigger.MANUAL, now=engine.clock.tick())
        return told_error(caught.value)

    assert refusal(first) == f"Execution {first.pk} of the same run is “Queued”; wait until it ends."
    engine.end(a=F)
    second = runs.resume(first, trigger=Trigger.MANUAL, now=engine.clock.tick())
    engine.end(a=S)
    assert refusal(first) == (
        f"Execution {first.pk} was followed by execution {second.pk} in the same run; retry from that one."
    )
    assert refusal(second) == (
        f"Execution {second.pk} succeeded; only failed, cancelled or skipped executions can be retried."
    )
    third = engine.start("a")
    engine.end(a=F)
    other = engine.start("a")
    assert refusal(third) == f"execution {other.pk} is still queued (overlap: skip the new one)"
    Task.objects.update(deleted_at=NOON)
    assert refusal(third) == "Task a was deleted."


# --- the books ------------------------------------------------------------------------------------


def test_runs_with_the_same_dependencies_share_one_graph_until_it_is_pruned(engine: Engine) -> None:
    engine.task("a", task_concurrency="allow")
    engine.task("b", "a")
    engine.start("a")
    engine.start("a")
    assert RunGraph.objects.count() == 1

    Execution.objects.update(status=S, finished_at=NOON)
    Task.objects.update(deleted_at=NOON)  # of a task that is there, the latest execution stays
    prune(NOON + timedelta(days=9999))

    assert (Run.objects.count(), RunGraph.objects.count()) == (0, 0)


def test_what_a_run_is_decided_by_is_kept_until_its_end(engine: Engine) -> None:
    diamond(engine)
    Task.objects.filter(task_id="b").update(history_days=1)
    engine.start("a")
    engine.end(a=S)
    engine.end(b=S)

    prune(engine.clock.tick(10 * 86400))
    engine.end(c=S)
    engine.end(d=S)
    open_run = engine.history()
    engine.start("b", downstream=False)
    engine.end(b=S)
    prune(engine.clock.tick(10 * 86400))

    assert open_run == [("a", S), ("b", S), ("c", S), ("d", S)]
    assert engine.history() == [("a", S), ("c", S), ("d", S), ("b", S)]


def test_an_outcome_in_a_chain_costs_the_same_however_long_it_is(
    engine: Engine, django_assert_num_queries: Any
) -> None:
    engine.task("t0")
    for number in range(1, 30):
        engine.task(f"t{number}", f"t{number - 1}")
    engine.start("t0")
    engine.end(t0=S)
    engine.claim()
    at = engine.clock.tick()

    from django.db import connection

    locks = 3 if connection.features.has_select_for_update else 0
    with django_assert_num_queries(12 + locks):
        finish([Report(engine.claimed.pop("t1"), S, at)], now=at)

    assert not Execution.objects.filter(status__in=ACTIVE).exclude(task__task_id="t2").exists()
