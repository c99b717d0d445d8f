"""From outcomes to deliveries: which rules fire, what is held back, and what it costs."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from notifications.choices import Scope
from notifications.models import Delivery, NotificationRule, target_of
from notifications.services import delivery_rows, outbox
from notifications.services.definitions import save_rule, validate_rule
from notifications.services.overdue import write_overdue
from notifications.services.send_threads import send_due
from scheduler.choices import Status, Trigger
from scheduler.config_file import validate_task
from scheduler.models import Execution, Process, Task
from scheduler.services.claims import claim
from scheduler.services.heartbeats import register
from scheduler.services.outcomes import Report, finish
from scheduler.services.runs import request_run, resume
from scheduler.services.tasks import save_task
from scheduler.task_mapping import task_to_spec
from tests.conftest import NOON
from tests.notify import NotebookChannel, announce_all, finish_all, outcomes, rule
from tests.simulation import Engine, F, S
from tests.support.cases import each_case

pytestmark = pytest.mark.django_db
LOCK = 1 if connection.vendor == "postgresql" else 0  # a query


def told(**fields: Any) -> list[tuple[str, int | None]]:
    """Return event and streak of each delivery that was not held back, in the order of what they tell of."""
    rows = Delivery.objects.exclude(state="suppressed").filter(**fields).order_by("occurred_at", "pk")
    return list(rows.values_list("event", "streak"))


@pytest.fixture
def save() -> Any:
    """Return a function that changes a task by words of config.json."""

    def change(task: Task, **fields: Any) -> Task:
        spec = validate_task({**task_to_spec(task), **fields})
        return save_task(spec, task=task, user=None, now=NOON)

    return change


def rule_for_all(*triggers: str, **fields: Any) -> NotificationRule:
    spec = validate_rule(rule(*triggers, **fields))
    return save_rule(spec, scope=Scope.ALL, user=None, now=NOON)


# --- from a rule to a message -----------------------------------------------------------------------


def test_a_rule_of_a_task_tells_of_its_outcome(make_task: Any, notebook: NotebookChannel) -> None:
    task = make_task("a", task_notify=[rule("technical_failure", name="ops")])

    [execution] = finish_all(task, "F")
    send_due()

    delivery = Delivery.objects.get()
    assert (delivery.state, delivery.response, delivery.attempts) == ("sent", "noted", 1)
    assert (delivery.execution, delivery.task, delivery.rule_name) == (execution, task, "ops")
    [(key, content)] = notebook.sent
    assert key == delivery.key
    assert content["event"] == "technical_failure"
    assert (content["task_id"], content["rule_name"], content["threshold_count"]) == ("a", "ops", 1)


def test_the_example_of_the_specification(make_task: Any) -> None:
    task = make_task("a", task_notify=[rule("technical_failure", threshold=3)])

    rows = finish_all(task, "FFFSFFFF")

    ids = list(Delivery.objects.order_by("pk").values_list("execution_id", flat=True))
    assert ids == [rows[2].pk, rows[6].pk]
    assert told() == [("technical_failure", 3), ("technical_failure", 3)]


def test_a_business_failure_between_ends_the_streak(make_task: Any) -> None:
    task = make_task("a", task_notify=[rule("technical_failure", threshold=3)])

    finish_all(task, "FFBFF")

    assert not Delivery.objects.exists()


def test_attempts_that_are_retried_do_not_count(make_task: Any) -> None:
    """Two runs with two attempts each are two outcomes, not four."""
    task = make_task("a", task_retry=1, task_notify=[rule("technical_failure", threshold=2)])
    owner = register(Process.Kind.WORKER, host_id="h", queue="default", slots=8, now=NOON)
    counts = []
    for number in range(4):
        now = NOON + timedelta(hours=number)
        if number % 2 == 0:
            request_run(task, trigger=Trigger.MANUAL, user=None, now=now)
        [claimed] = claim(owner=owner, queue="default", limit=1, now=now)
        finish([Report(claimed, Status.TECHNICAL_FAILURE, now, 2)], now=now)
        counts.append(Delivery.objects.count())

    assert counts == [0, 0, 0, 1]
    assert told() == [("technical_failure", 2)]


def test_rules_of_tags_and_of_all_tasks_tell_as_well(make_task: Any) -> None:
    night, day = make_task("night", task_tags=["night"]), make_task("day")
    rule_for_all("timeout", name="all")
    spec = validate_rule(rule("technical_failure", name="nightly"))
    save_rule(spec, scope=Scope.TAG, tag="night", user=None, now=NOON)

    finish_all(night, "F")
    finish_all(day, "FT")

    found = Delivery.objects.order_by("pk").values_list("task__task_id", "rule_name", "event")
    assert list(found) == [("night", "nightly", "technical_failure"), ("day", "all", "timeout")]


def test_a_disabled_rule_is_silent(make_task: Any) -> None:
    task = make_task("a", task_notify=[rule("technical_failure", enabled=False)])

    finish_all(task, "F")

    assert not Delivery.objects.exists()


def test_recovered_is_told_once_after_an_alert(make_task: Any) -> None:
    task = make_task("a", task_notify=[rule("technical_failure", "recovered", threshold=2)])

    finish_all(task, "FSFFSS")

    assert told() == [("technical_failure", 2), ("recovered", 2)]


def test_a_long_streak_is_counted_to_its_beginning(make_task: Any) -> None:
    task = make_task("a", task_notify=[rule("technical_failure", "recovered", threshold=100)])
    outcomes(task, "S" + "F" * 999, begin=NOON - timedelta(days=3))

    finish_all(task, "FS")

    assert told() == [("technical_failure", 1000), ("recovered", 1000)]


def test_a_message_of_a_plain_rule_tells_its_streak_too(make_task: Any, notebook: NotebookChannel) -> None:
    task = make_task("a", task_notify=[rule("technical_failure")])
    outcomes(task, "SFFF" + "K" * 80, begin=NOON - timedelta(days=3))

    finish_all(task, "F")
    send_due()

    assert notebook.sent[0][1]["threshold_count"] == 4
    assert told() == [("technical_failure", 4)]


# --- two workers finish -----------------------------------------------------------------------------


@each_case("order", [(0, 1, 2), (2, 1, 0), (1, 0, 2), (0, 2, 1), (2, 0, 1), (1, 2, 0)])
def test_the_streak_is_told_in_whatever_order_outcomes_are_recorded(
    make_task: Any, order: tuple[int, ...]
) -> None:
    task = make_task("a", task_notify=[rule("technical_failure", threshold=3)])
    ends = [NOON + timedelta(seconds=second) for second in range(3)]

    for place in order:
        announce_all(outcomes(task, "F", begin=ends[place]))

    assert told() == [("technical_failure", 3)]
    assert Delivery.objects.get().occurred_at == ends[2]


def test_a_group_of_outcomes_is_judged_one_by_one(make_task: Any) -> None:
    task = make_task("a", task_notify=[rule("technical_failure", threshold=3)])

    announce_all(outcomes(task, "FFFSFFFF"))

    assert told() == [("technical_failure", 3), ("technical_failure", 3)]


def test_an_outcome_that_is_announced_twice_is_told_of_once(make_task: Any) -> None:
    task = make_task("a", task_notify=[rule("technical_failure")])
    rows = outcomes(task, "F")

    announce_all(rows)
    announce_all(rows)

    assert Delivery.objects.count() == 1


# --- what is held back ------------------------------------------------------------------------------


def test_the_cooldown_holds_back_and_says_so_in_one_row(make_task: Any) -> None:
    task = make_task("a", task_notify=[rule("technical_failure", cooldown=600)])

    finish_all(task, "F" * 15)

    assert told() == [("technical_failure", None)] * 2
    first, second = Delivery.objects.filter(state="suppressed").order_by("pk")
    assert (first.count, second.count) == (9, 4)
    assert first.reason == (
        "suppressed until 2026-06-01 12:10:00 UTC by the cooldown of 10 min after the message about "
        "2026-06-01 12:00:00 UTC"
    )
    assert first.occurred_at == NOON + timedelta(minutes=9)


def test_the_cooldown_of_one_task_leaves_the_others_alone(make_task: Any) -> None:
    rule_for_all("technical_failure", cooldown=600)

    for name in "abc":
        finish_all(make_task(name), "FF")

    assert Delivery.objects.filter(state="pending").count() == 3
    assert Delivery.objects.filter(state="suppressed").count() == 3


def test_an_alert_does_not_hide_the_recovery(make_task: Any) -> None:
    task = make_task("a", task_notify=[rule("technical_failure", "recovered", cooldown=600)])

    finish_all(task, "FSFS")

    assert [event for event, _ in told()] == ["technical_failure", "recovered"]
    assert Delivery.objects.filter(state="suppressed").count() == 2


def test_identity_and_cooldown_stay_when_another_rule_is_put_before(make_task: Any, save: Any) -> None:
    ops = rule("technical_failure", name="ops", cooldown=600)
    task = make_task("a", task_notify=[ops])
    finish_all(task, "F")

    task = save(task, task_notify=[rule("timeout", name="new"), ops])
    finish_all(task, "F", begin=NOON + timedelta(minutes=1))

    assert Delivery.objects.filter(state="suppressed").count() == 1


@pytest.mark.parametrize("groups", [10, pytest.param(100, marks=pytest.mark.campaign)])
def test_thousands_of_failures_are_one_message_and_one_digest(
    make_task: Any, settings: Any, notebook: NotebookChannel, groups: int
) -> None:
    settings.SCHEDULER_NOTIFY_HOURLY_LIMIT = 1
    task = make_task("a", task_notify=[rule("technical_failure", name="ops")])
    queries = []
    for group in range(groups):
        rows = outcomes(task, "F" * 100, begin=NOON + timedelta(seconds=group), every=0)
        with CaptureQueriesContext(connection) as captured:
            outbox.write_for({row.task_id for row in rows}, rows, now=NOON + timedelta(seconds=group))
        queries.append(len(captured))

    send_due(clock=lambda: NOON + timedelta(minutes=59))
    assert [content["event"] for _key, content in notebook.sent] == ["technical_failure"]
    send_due(clock=lambda: NOON + timedelta(minutes=61))

    digest = notebook.sent[1][1]
    assert len(notebook.sent) == 2
    assert (digest["event"], digest["threshold_count"]) == ("digest", groups * 100 - 1)
    assert digest["reason"] == (
        f"Suppressed in the hour from 2026-06-01 12:00:00 +00:00, beyond 1 messages: a ({groups * 100 - 1})."
    )
    assert sorted(Delivery.objects.values_list("state", flat=True)) == ["sent", "sent", "suppressed"]
    assert Delivery.objects.get(state="suppressed").count == groups * 100 - 1
    assert max(queries) <= 9 + LOCK


@pytest.mark.django_db(transaction=True)
def test_workers_that_record_at_the_same_time_share_the_limit_and_count_every_message(
    make_task: Any, settings: Any
) -> None:
    settings.SCHEDULER_NOTIFY_HOURLY_LIMIT = 5
    task = make_task("a", task_notify=[rule("technical_failure")])
    together = threading.Barrier(4)

    def work(number: int) -> None:
        for group in range(5):
            rows = outcomes(task, "F" * 10, begin=NOON + timedelta(seconds=number, minutes=group))
            together.wait(60)
            with transaction.atomic():
                outbox.write_for({row.task_id for row in rows}, rows, now=NOON)
        connection.close()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))

    told = Delivery.objects.exclude(event="digest")
    assert told.filter(state="pending").count() == 5
    assert told.get(state="suppressed").count == 195
    assert Delivery.objects.filter(event="digest").count() == 1


def test_channels_that_reach_the_same_people_share_their_limit(make_task: Any, settings: Any) -> None:
    settings.SCHEDULER_NOTIFY_HOURLY_LIMIT = 2
    for name in "abcde":
        finish_all(make_task(name, task_notify=[rule("technical_failure")]), "F")

    states = Delivery.objects.order_by("pk").values_list("event", "state")
    assert list(states).count(("technical_failure", "pending")) == 2
    assert list(states).count(("technical_failure", "suppressed")) == 3
    assert list(states).count(("digest", "pending")) == 1


def test_the_hour_that_follows_has_a_limit_of_its_own(make_task: Any, settings: Any) -> None:
    settings.SCHEDULER_NOTIFY_HOURLY_LIMIT = 1
    task = make_task("a", task_notify=[rule("technical_failure")])
    rows = outcomes(task, "FFF", every=1)

    for row, minutes in zip(rows, (0, 1, 60), strict=True):
        outbox.write_for({row.task_id}, [row], now=NOON + timedelta(minutes=minutes))

    assert list(Delivery.objects.exclude(event="digest").order_by("pk").values_list("state", flat=True)) == [
        "pending",
        "suppressed",
        "pending",
    ]


# --- deadlines --------------------------------------------------------------------------------------


@pytest.fixture
def make_watched(make_task: Any) -> Any:
    """Return a function that stores a task as if it had been written at noon."""

    def make(task_id: str, **fields: Any) -> Task:
        task: Task = make_task(task_id, **fields)
        Task.objects.filter(pk=task.pk).update(updated_at=NOON)
        return task

    return make


def test_a_missed_deadline_is_told_once(make_watched: Any) -> None:
    make_watched("a", task_deadline=3600, task_notify=[rule("overdue")])
    make_watched("off", task_deadline=3600, task_enabled=False, task_notify=[rule("overdue")])
    make_watched("good", task_deadline=7200, task_notify=[rule("overdue")])

    write_overdue(NOON + timedelta(minutes=59))
    assert not Delivery.objects.exists()
    for minutes in (60, 61, 90):
        write_overdue(NOON + timedelta(minutes=minutes))

    delivery = Delivery.objects.get()
    assert delivery.task is not None and delivery.task.task_id == "a"
    assert (delivery.event, delivery.occurred_at) == ("overdue", NOON + timedelta(hours=1))


def test_a_success_after_a_missed_deadline_is_a_recovery(make_watched: Any) -> None:
    task = make_watched("a", task_deadline=3600, task_notify=[rule("overdue", "recovered")])
    write_overdue(NOON + timedelta(hours=1))

    finish_all(task, "FSS", begin=NOON + timedelta(hours=2))

    assert [event for event, _ in told()] == ["overdue", "recovered"]


def test_looking_for_missed_deadlines_costs_few_queries(
    make_watched: Any, django_assert_num_queries: Any
) -> None:
    with django_assert_num_queries(1):
        write_overdue(NOON)
    for number in range(20):
        make_watched(f"t{number}", task_deadline=3600, task_notify=[rule("overdue")])

    with django_assert_num_queries(2):
        write_overdue(NOON)
    write_overdue(NOON + timedelta(hours=2))
    assert Delivery.objects.count() == 20
    # rules, tasks, the rules whole, what was told, and two savepoints, one for the transaction of this test
    with django_assert_num_queries(8):
        write_overdue(NOON + timedelta(hours=2, seconds=5))


# --- what goes wrong --------------------------------------------------------------------------------


def test_a_broken_rule_is_marked_and_the_others_tell(make_task: Any, caplog: Any) -> None:
    task = make_task("a", task_notify=[rule("technical_failure", name="good")])
    broken = rule_for_all("technical_failure", name="bad")
    NotificationRule.objects.filter(pk=broken.pk).update(triggers=["failure"])

    finish_all(task, "F")

    broken.refresh_from_db()
    assert broken.problem.startswith("triggers must be among success, ")
    assert broken.problem.endswith("but failure was found")
    assert f"rule {broken.pk} is broken" in caplog.text
    assert list(Delivery.objects.values_list("rule_name", flat=True)) == ["good"]


def test_an_error_in_one_rule_leaves_outcome_and_other_rules_alone(
    make_task: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = make_task("a", task_notify=[rule("technical_failure", name="good")])
    bad = rule_for_all("technical_failure", name="bad")
    real = delivery_rows._pending

    def fail(firing: delivery_rows.Firing, *rest: Any) -> Delivery:
        if firing.row.pk == bad.pk:
            raise RuntimeError("boom")
        return real(firing, *rest)

    monkeypatch.setattr(delivery_rows, "_pending", fail)
    finish_all(task, "F")

    assert Execution.objects.filter(status="technical_failure").count() == 1
    assert list(Delivery.objects.values_list("rule_name", flat=True)) == ["good"]
    bad.refresh_from_db()
    assert bad.problem == "RuntimeError: boom"
    monkeypatch.setattr(delivery_rows, "_pending", real)
    finish_all(task, "F", begin=NOON + timedelta(hours=1))
    bad.refresh_from_db()
    assert bad.problem == ""


# --- what it costs ----------------------------------------------------------------------------------


def test_outcomes_without_any_rule_cost_one_query(make_task: Any, django_assert_num_queries: Any) -> None:
    rows = [row for name in "abc" for row in outcomes(make_task(name), "F")]

    with django_assert_num_queries(1):
        announce_all(rows)


def test_outcomes_that_no_rule_tells_of_cost_four(make_task: Any, django_assert_num_queries: Any) -> None:
    rows = []
    for number in range(32):
        task = make_task(f"t{number}", task_notify=[rule("technical_failure", threshold=3)])
        rows += outcomes(task, "S")

    with django_assert_num_queries(5 + LOCK):  # rules, executions, histories, savepoint twice
        announce_all(rows)


def test_a_group_of_32_outcomes_with_rules_costs_a_fixed_number_of_queries(
    make_task: Any, settings: Any, django_assert_num_queries: Any
) -> None:
    settings.SCHEDULER_NOTIFY_HOURLY_LIMIT = 1000
    rule_for_all("technical_failure", "recovered", threshold=2, cooldown=600)
    own = rule("technical_failure", threshold=3)
    tasks = [make_task(f"t{number}", task_notify=[own]) for number in range(32)]

    for minute, queries in enumerate(
        (
            5 + LOCK,  # rules, executions, histories, savepoint twice; of tasks
            9 + 2 * LOCK,  # and channels, cooldowns, limits, new deliveries; of tasks and targets
            8 + 2 * LOCK,  # without a cooldown
            11 + 2 * LOCK,  # and what was suppressed so far, and its count
        )
    ):
        rows = [row for task in tasks for row in outcomes(task, "F", begin=NOON + timedelta(minutes=minute))]
        with django_assert_num_queries(queries):
            announce_all(rows)

    assert Delivery.objects.filter(state="pending").count() == 64
    assert Delivery.objects.filter(state="suppressed").count() == 32


def test_the_history_is_read_by_its_index(make_task: Any) -> None:
    task = make_task("a", task_notify=[rule("technical_failure", threshold=3)])
    outcomes(task, "F" * 200)
    with CaptureQueriesContext(connection) as captured:
        announce_all(outcomes(task, "F", begin=NOON + timedelta(days=1)))
    sql = next(query["sql"] for query in captured if "AS latest" in query["sql"])

    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute(f"EXPLAIN QUERY PLAN {sql}")
            plan = " ".join(str(row[3]) for row in cursor.fetchall())
            assert "USING INDEX execution_outcome" in plan
            assert "TEMP B-TREE" not in plan


def test_a_target_does_not_depend_on_texts_and_secrets() -> None:
    config = {"url": "https://a.example", "method": "POST", "secret": "x"}

    assert target_of("webhook", config) == target_of(
        "webhook", {**config, "secret": "y", "headers": {"a": "b"}}
    )
    assert target_of("webhook", config) != target_of("webhook", {**config, "url": "https://b.example"})


def test_a_success_after_a_resume_is_a_recovery_once(make_task: Any, notebook: Any) -> None:
    engine = Engine(make_task)
    engine.task("a", task_notify=[rule("technical_failure", "recovered")])
    engine.start("a")
    engine.end(a=F)

    resume(engine.latest("a"), trigger=Trigger.MANUAL, now=engine.clock.tick())
    engine.end(a=S)
    for _ in range(2):
        engine.start("a")
        engine.end(a=S)

    events = Delivery.objects.order_by("pk").values_list("event", flat=True)
    assert list(events) == ["technical_failure", "recovered"]
