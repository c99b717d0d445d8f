"""`/metrics`: what it says, and what it costs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics

import schedsite
from notifications.choices import State
from notifications.models import Delivery, DeliveryCount
from notifications.services import counts
from notifications.services.send_threads import send_due
from scheduler.api.metrics.catalogue import CATALOGUE
from scheduler.choices import RAN, TERMINAL, Status
from scheduler.models import ExecutionTotal, Process, Task
from scheduler.selectors.metrics import oldest_tasks
from scheduler.services.dispatch import dispatch_due
from scheduler.services.pruning import prune
from scheduler.services.totals import count_ended
from tests.conftest import NOON
from tests.notify import NotebookChannel, rule
from tests.simulation import Engine, F, S
from tests.support.rows import add_executions
from tests.support.scrapes import Scrape, scrape

QUERIES = 15
ELSEWHERE = "203.0.113.9"
PROMETHEUS = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.2,*/*;q=0.1"


# --- what it says -----------------------------------------------------------------------------------


def test_names_follow_the_conventions() -> None:
    for name, one in CATALOGUE.items():
        assert name.startswith("schedsite_")
        assert one.help.endswith(".") or "0" in one.help
        assert name.endswith("_total") == (one.kind == "counter")
        if one.kind in ("histogram", "summary"):
            assert name.endswith("_seconds")
        assert not {"le", "quantile", "job", "instance"}.intersection(one.labels)


def test_every_metric_of_the_catalogue_is_exported_with_its_help_and_kind(busy: Engine) -> None:
    found = scrape()

    exported = {name: (one.documentation, one.type) for name, one in found.items() if one.samples}
    wanted = {name.removesuffix("_total"): (one.help, one.kind) for name, one in CATALOGUE.items()}
    assert {name: exported.get(name) for name in wanted} == wanted
    others = {name for name in found if name not in wanted}
    assert others and all(name.startswith("process_") for name in others)
    labels = {
        name: {label for sample in one.samples for label in sample.labels} - {"le"}
        for name, one in found.items()
    }
    assert {name: set(CATALOGUE[name].labels) for name in CATALOGUE} == {
        name: labels[name.removesuffix("_total")] for name in CATALOGUE
    }


def test_executions_are_counted_by_status_and_task(busy: Engine) -> None:
    found = scrape()

    assert found.values_of("schedsite_executions_total", "status") == {
        **dict.fromkeys(TERMINAL, 0.0), "success": 3.0, "business_failure": 1.0,
    }  # fmt: skip
    assert found.value("schedsite_task_executions_total", task_id="good", status="success") == 3
    assert found.value("schedsite_task_executions_total", task_id="good", status="timeout") == 0
    assert found.value("schedsite_task_executions_total", task_id="off", status="success") == 0
    assert found.value("schedsite_task_execution_duration_seconds_count", task_id="good") == 3
    assert found.value("schedsite_task_execution_duration_seconds_sum", task_id="good") == 3
    assert found.values_of("schedsite_task_failing", "task_id") == {"good": 0.0, "bad": 1.0}
    succeeded = found.values_of("schedsite_task_last_success_timestamp_seconds", "task_id")
    assert list(succeeded) == ["good"]
    assert 0 < datetime.now(UTC).timestamp() - succeeded["good"] < 700
    assert found.values_of("schedsite_tasks", "state") == {"enabled": 3.0, "disabled": 1.0, "broken": 0.0}


def test_buckets_are_cumulative_and_end_with_the_count(busy: Engine) -> None:
    found = scrape()

    samples = found["schedsite_execution_duration_seconds"].samples
    for status in RAN:
        own = [one for one in samples if one.labels["status"] == status]
        numbers = [one.value for one in own if one.name.endswith("_bucket")]
        (count,) = (one.value for one in own if one.name.endswith("_count"))
        assert numbers == sorted(numbers)
        assert numbers[-1] == count
    assert found.value("schedsite_execution_duration_seconds_bucket", status="success", le="0.5") == 0
    assert found.value("schedsite_execution_duration_seconds_bucket", status="success", le="1") == 3
    assert found.value("schedsite_execution_duration_seconds_sum", status="success") == 3


def test_queues_processes_and_lag_are_those_of_now(busy: Engine) -> None:
    busy.claim()
    Process.objects.filter(kind=Process.Kind.CLUSTER).update(
        heartbeat_at=datetime.now(UTC) - timedelta(seconds=40)
    )

    found = scrape()

    assert found.values_of("schedsite_queue_running_executions", "queue") == {"default": 1.0}
    assert found.values_of("schedsite_queue_waiting_executions", "queue") == {"default": 1.0}
    assert found.values_of("schedsite_queue_ready_executions", "queue") == {"default": 0.0}
    assert found.values_of("schedsite_queue_slots", "queue") == {"default": 8.0}
    assert found.values_of("schedsite_processes", "kind") == {"dispatcher": 1.0, "worker": 1.0}
    ages = found.values_of("schedsite_heartbeat_age_seconds", "kind")
    assert ages["dispatcher"] < 30 <= 40 <= ages["worker"] < 70
    lag = found.value("schedsite_dispatch_lag_seconds")
    assert lag is not None and 480 < lag < 620  # the slots of the task that nobody dispatches


def test_a_ready_execution_has_the_age_of_its_time_to_start(make_task: Any) -> None:
    now = datetime.now(UTC)
    task = make_task("a")
    queued = {"status": Status.QUEUED, "is_outcome": False, "started_at": None, "finished_at": None}
    add_executions(
        task,
        1,
        **{**queued, "queued_at": now - timedelta(seconds=900), "not_before": now - timedelta(seconds=100)},
    )
    add_executions(
        task,
        1,
        **{**queued, "queued_at": now - timedelta(seconds=900), "not_before": now + timedelta(hours=1)},
    )
    add_executions(task, 1, **{**queued, "queued_at": now - timedelta(seconds=50), "queue": "gpu"})

    found = scrape()

    ages = found.values_of("schedsite_queue_oldest_ready_seconds", "queue")
    assert 100 <= ages["default"] < 140
    assert 50 <= ages["gpu"] < 90
    assert found.values_of("schedsite_queue_waiting_executions", "queue") == {"default": 1.0, "gpu": 0.0}
    assert found.values_of("schedsite_queue_slots", "queue") == {"default": 0.0, "gpu": 0.0}


def test_a_stopped_process_is_not_missed_and_a_killed_one_is(db: None) -> None:
    past = datetime.now(UTC) - timedelta(hours=1)
    for number, stopped in enumerate((past, None)):
        Process.objects.create(
            kind=Process.Kind.DISPATCHER, host=f"h{number}", host_id="h", pid=1, start_ticks=number,
            started_at=past, heartbeat_at=past, stopped_at=stopped,
        )  # fmt: skip

    found = scrape()

    assert list(found.values_of("schedsite_heartbeat_age_seconds", "host")) == ["h1"]
    assert found.value("schedsite_processes", kind="dispatcher") == 0


def test_a_disabled_task_is_not_failing(busy: Engine) -> None:
    Task.objects.filter(task_id="bad").update(enabled=False)

    assert scrape().values_of("schedsite_task_failing", "task_id") == {"good": 0.0}


def test_counters_do_not_fall_when_history_and_tasks_go(busy: Engine) -> None:
    before = scrape().values_of("schedsite_executions_total", "status")

    prune(datetime.now(UTC) + timedelta(days=200))
    Task.objects.filter(task_id="good").update(deleted_at=datetime.now(UTC))
    found = scrape()

    assert found.values_of("schedsite_executions_total", "status") == before
    assert found.value("schedsite_task_executions_total", task_id="good", status="success") is None


def test_what_is_not_counted_yet_is_said(busy: Engine) -> None:
    busy.start("good")
    busy.end(good=F)

    assert scrape().value("schedsite_executions_uncounted") == 1
    count_ended()
    found = scrape()
    assert found.value("schedsite_executions_uncounted") == 0
    assert found.value("schedsite_executions_total", status="technical_failure") == 1


def test_tasks_with_series_of_their_own_are_bounded_and_stay_the_same(make_task: Any, settings: Any) -> None:
    settings.SCHEDULER_METRICS_TASKS = 2
    for name in ("m", "z", "a"):
        make_task(name)

    found = scrape()

    named = {sample.labels["task_id"] for sample in found["schedsite_task_executions"].samples}
    assert named == {"m", "z"}
    assert found.value("schedsite_tasks_without_series") == 1
    settings.SCHEDULER_METRICS_TASKS = 0
    assert scrape().value("schedsite_tasks_without_series") == 3


def test_labels_are_escaped(busy: Engine) -> None:
    nasty = 'h"\\\n} 1\nschedsite_forged 1'
    Process.objects.update(host=nasty)

    found = scrape()

    assert nasty in found.values_of("schedsite_heartbeat_age_seconds", "host")
    assert "schedsite_forged" not in found


def test_no_secret_command_address_or_path_is_told(busy: Engine, settings: Any) -> None:
    busy.task(
        "secret", task_exec="cat /etc/shadow", task_env={"API_TOKEN": "hunter2-hunter2"}, task_name="Payroll"
    )

    text = Client(SERVER_NAME="localhost").get("/metrics").content.decode()

    told = (
        settings.SECRET_KEY,
        str(settings.DATA_DIR),
        "hunter2",
        "shadow",
        "Payroll",
        "hook.invalid",
        "a-viewer",
    )
    assert [word for word in told if word in text] == []


def test_versions_are_told(db: None) -> None:
    (sample,) = scrape()["schedsite_build_info"].samples

    assert sample.value == 1
    assert sample.labels["version"] == schedsite.__version__
    assert sample.labels["database"] == connection.vendor


def test_the_format_is_the_one_that_is_asked_for_and_never_cached(busy: Engine) -> None:
    client = Client(SERVER_NAME="localhost")

    plain, open_metrics = client.get("/metrics"), client.get("/metrics", headers={"Accept": PROMETHEUS})

    assert plain["Content-Type"].startswith("text/plain; version=")
    assert open_metrics["Content-Type"].startswith("application/openmetrics-text")
    assert "schedsite_executions" in {one.name for one in read_openmetrics(open_metrics.content.decode())}
    assert plain["Cache-Control"] == "no-store"
    assert "Accept" in plain["Vary"]
    assert client.get("/metrics", headers={"Accept": "image/png"}).status_code == 200


# --- messages ---------------------------------------------------------------------------------------


def deliveries(found: Scrape, channel: str = "webhook") -> dict[str, float]:
    samples = found["schedsite_deliveries"].samples
    return {one.labels["state"]: one.value for one in samples if one.labels["channel"] == channel}


def test_messages_are_counted_when_they_end(busy: Engine, notebook: NotebookChannel) -> None:
    waiting = scrape()
    send_due()
    found = scrape()

    assert waiting.value("schedsite_deliveries_waiting", channel="webhook") == 3
    oldest = waiting.value("schedsite_deliveries_oldest_waiting_seconds", channel="webhook")
    assert oldest is not None and 0 < oldest < 60
    assert deliveries(waiting) == {"sent": 0.0, "failed": 0.0, "suppressed": 0.0}
    assert deliveries(found) == {"sent": 3.0, "failed": 0.0, "suppressed": 0.0}
    assert found.value("schedsite_deliveries_waiting", channel="webhook") == 0
    assert found.value("schedsite_deliveries_oldest_waiting_seconds", channel="webhook") == 0


def test_each_suppressed_message_is_counted_also_in_a_series(
    engine: Engine, notebook: NotebookChannel
) -> None:
    engine.clock.now = datetime.now(UTC)
    engine.task("a", task_notify=[rule("success", cooldown=3600)])
    for _ in range(4):
        engine.start("a")
        engine.end(a=S)

    assert deliveries(scrape())["suppressed"] == 3


def test_counts_of_messages_are_merged_without_a_change(db: None) -> None:
    for number in range(150):
        counts.add({("email", "sent"): 1, ("webhook", "failed"): number})
    before = deliveries(scrape()), deliveries(scrape(), "email")

    counts.merge()

    assert (deliveries(scrape()), deliveries(scrape(), "email")) == before
    assert before[1]["sent"] == 150
    assert DeliveryCount.objects.count() == 2


# --- what it costs ----------------------------------------------------------------------------------


def test_a_scrape_costs_the_same_number_of_queries_however_much_there_is(
    busy: Engine, make_task: Any, django_assert_num_queries: Any
) -> None:
    with CaptureQueriesContext(connection) as few:
        scrape()
    for number in range(30):
        task = make_task(f"t{number}", task_queue=f"q{number}")
        add_executions(task, 5)
        add_executions(task, 2, status=Status.QUEUED, is_outcome=False, queue=f"q{number}")
        ExecutionTotal.objects.create(task=task, status=S, slots=5, timed=5, seconds=7.5)

    with django_assert_num_queries(len(few)):
        scrape()
    assert len(few) <= QUERIES


def plans() -> Mapping[str, str]:
    """Return the plans of the queries of a scrape, with their parameters bound as they are."""
    asked: list[tuple[str, Any]] = []

    def note(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        asked.append((sql, params))
        return execute(sql, params, many, context)

    with connection.execute_wrapper(note):
        scrape()
    found = {}
    with connection.cursor() as cursor:
        for sql, params in asked:
            if sql.startswith("SELECT"):
                cursor.execute(f"EXPLAIN QUERY PLAN {sql}", params)
                found[sql] = "\n".join(row[3] for row in cursor.fetchall())
    return found


@pytest.mark.skipif(connection.vendor != "sqlite", reason="the plans are those of SQLite")
def test_no_query_of_a_scrape_reads_the_whole_history(busy: Engine) -> None:
    good = Task.objects.get(task_id="good")
    executions = add_executions(good, 3000)
    Delivery.objects.bulk_create(
        Delivery(
            task=good, execution=one, kind="webhook", event="success", occasion=str(one.pk), state=State.SENT,
            occurred_at=NOON, created_at=NOON,
        )
        for one in executions
    )  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    whole = re.compile(
        r"SCAN (?:scheduler_execution|notifications_delivery|U\d|r)(?: USING .*INDEX (\w+))?$", re.M
    )
    partial = {"execution_claim", "execution_running", "execution_active", "delivery_due"}

    scans = {
        sql: plan
        for sql, plan in plans().items()
        if any(index not in partial for index in whole.findall(plan))
    }

    assert scans == {}


def test_dates_of_the_database_are_read_as_instants(busy: Engine) -> None:
    (good,) = (one for one in oldest_tasks(10) if one.task_id == "good")

    assert good.succeeded_at is not None and good.succeeded_at.tzinfo is not None


def test_a_pass_of_the_dispatcher_ends_the_lag(make_task: Any) -> None:
    make_task("a", now=NOON, task_schedule="* * * * *")
    before = scrape().value("schedsite_dispatch_lag_seconds")

    dispatch_due(datetime.now(UTC))

    assert before is not None and before > 0
    assert scrape().value("schedsite_dispatch_lag_seconds") == 0
