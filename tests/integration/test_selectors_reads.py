"""Reads that span models: logs by byte, health, and the indexes that pages lean on."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from rest_framework.request import Request
from rest_framework.test import APIRequestFactory

from scheduler.api.pagination import ExecutionPage
from scheduler.api.parameters import filter_executions
from scheduler.choices import Status, Trigger
from scheduler.models import Execution, ExecutionLog, Process, Run, Task
from scheduler.selectors.executions import counts_since, latest_executions, span_counts
from scheduler.selectors.health import health
from scheduler.selectors.keyset import encode_cursor
from scheduler.selectors.logs import read_log
from scheduler.selectors.statistics import day_load
from tests.conftest import NOON
from tests.support.cases import each_case
from tests.support.rows import add_executions


@pytest.fixture
def execution(make_task: Any) -> Execution:
    return add_executions(make_task("a"), 1)[0]


def store(execution: Execution, *texts: str) -> None:
    """Store pieces one after the other."""
    offset = 0
    for text in texts:
        size = len(text.encode())
        ExecutionLog.objects.create(execution=execution, offset=offset, size=size, text=text)
        offset += size
    Execution.objects.filter(pk=execution.pk).update(log_size=offset)
    execution.refresh_from_db()


def test_parts_read_one_after_the_other_give_the_whole_log(execution: Execution) -> None:
    texts = ["α" * 10_000, "b" * 10_000, "中文\n" * 3_000, "end"]
    store(execution, *texts)

    read, part = "", read_log(execution, limit=15_000)
    parts = 1
    while part.next_offset < part.size:
        read += part.text
        part = read_log(execution, offset=part.next_offset, limit=15_000)
        parts += 1

    assert read + part.text == "".join(texts)
    assert parts == 3


def test_a_character_that_the_offset_cuts_is_left_out(execution: Execution) -> None:
    store(execution, "aé中z")

    assert [read_log(execution, offset=n).text for n in range(8)] == [
        "aé中z", "é中z", "中z", "中z", "z", "z", "z", "",
    ]  # fmt: skip


def test_a_tail_ends_at_the_end_however_small_the_limit(execution: Execution) -> None:
    store(execution, "x" * 50_000, "y" * 50_000)

    part = read_log(execution, tail=90_000, limit=1_000)

    assert (part.offset, part.next_offset, part.text) == (99_000, 100_000, "y" * 1_000)


def test_an_offset_beyond_the_end_is_an_empty_part_of_a_log_of_its_true_size(execution: Execution) -> None:
    store(execution, "abc")

    part = read_log(execution, offset=1_000)

    assert (part.text, part.next_offset, part.size) == ("", 1_000, 3)


def test_a_piece_with_replaced_bytes_is_met_approximately(execution: Execution) -> None:
    ExecutionLog.objects.create(execution=execution, offset=0, size=4, text="\ufffd" * 4)

    assert read_log(execution, offset=2).text == "\ufffd" * 2


def test_the_latest_execution_of_each_task_is_found_at_once(
    make_task: Any, django_assert_num_queries: Any
) -> None:
    tasks = [make_task(name) for name in "abc"]
    newest = [add_executions(task, 3)[-1].pk for task in tasks[:2]]

    with django_assert_num_queries(2):  # executions, their upstreams
        found = latest_executions([task.pk for task in tasks])

    assert found.keys() == {tasks[0].pk, tasks[1].pk}
    assert [found[task.pk].pk for task in tasks[:2]] == newest


def heartbeat(kind: Process.Kind) -> None:
    Process.objects.create(
        kind=kind, host_id="h", host="h", pid=1, start_ticks=1, started_at=NOON, heartbeat_at=NOON
    )


def test_health_needs_a_dispatcher_a_worker_and_a_queue_that_moves(make_task: Any) -> None:
    heartbeat(Process.Kind.DISPATCHER)
    heartbeat(Process.Kind.CLUSTER)
    healthy = health(NOON)
    add_executions(make_task("a"), 1, status=Status.QUEUED, finished_at=None, queued_at=NOON)
    young = health(NOON + timedelta(seconds=10))
    Execution.objects.update(queued_at=NOON - timedelta(minutes=6))
    stuck = health(NOON)
    silent = health(NOON + timedelta(hours=1))

    assert (healthy.is_healthy, healthy.dispatchers, healthy.workers, healthy.backlog) == (True, 1, 1, 0)
    assert (young.is_healthy, young.backlog) == (True, 1)
    assert stuck.reasons == ["1 executions are queued, some for more than five minutes"]
    assert len(silent.reasons) == 2


@pytest.fixture
def rows_among_others(execution: Execution, make_task: Any) -> list[Execution]:
    """Return a thousand executions of one task, beside a few with another status and thousands of another task."""
    add_executions(make_task("other"), 3_000, status=Status.TIMEOUT)
    rows = add_executions(execution.task, 1_000)
    add_executions(execution.task, 20, status=Status.TIMEOUT)
    return rows


@each_case("direction", ["", "older", "newer"])
@each_case(("query", "index"), [("", "execution_history"), ("&status=timeout", "execution_history_status")])
def test_a_page_of_history_is_read_from_its_index_without_sorting(
    execution: Execution, rows_among_others: list[Execution], query: str, index: str, direction: str
) -> None:
    rows = rows_among_others
    cursor = f"&cursor={encode_cursor(rows[50], is_newer=direction == 'newer')}" if direction else ""
    request = Request(APIRequestFactory().get(f"/?page_size=50{query}{cursor}"))
    queryset = filter_executions(request, Execution.objects.filter(task=execution.task))

    page = ExecutionPage(request, queryset)
    with connection.cursor() as sql:
        if connection.vendor == "postgresql":  # a table this small would be read as a whole
            sql.execute("ANALYZE scheduler_execution")
            sql.execute("SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off")
    plan = page.page.queryset.explain()

    # PostgreSQL chooses among indexes by the size of each, in which the dead rows of the tests before count.
    assert (index if connection.vendor == "sqlite" else "Index Scan") in plan
    assert "TEMP B-TREE" not in plan and "Sort" not in plan, plan


@pytest.mark.skipif(connection.vendor != "sqlite", reason="SQLite alone looks at the text of a condition")
def test_what_is_rare_is_found_by_its_index_among_all_tasks(make_task: Any) -> None:
    add_executions(make_task("a"), 1_000)

    rare, common = (
        Execution.objects.of_status(status).newest_first()[:50]
        for status in (Status.CANCELLED, Status.SUCCESS)
    )

    assert "execution_recent_failed" in rare.explain()
    assert "execution_recent_failed" not in common.explain()


@pytest.mark.skipif(
    connection.vendor != "sqlite", reason="SQLite alone would rather read in the order of ids"
)
def test_what_goes_on_of_a_task_is_found_by_its_status_however_long_its_history(make_task: Any) -> None:
    task = make_task("a")
    add_executions(task, 3_000)
    for number in range(30):
        add_executions(make_task(f"other_{number}"), 100)
    with connection.cursor() as sql:
        sql.execute("ANALYZE scheduler_execution")

    active = Execution.objects.active().filter(task=task)

    assert "(task_id=? AND status=?)" in active.oldest_first().explain()
    assert "status=?" not in active.order_by("pk").explain()  # what this is for


@pytest.mark.skipif(connection.vendor != "sqlite", reason="SQLite alone looks at the text of a condition")
@pytest.mark.parametrize("is_analyzed", [False, True])
def test_counts_of_spans_read_no_row_of_a_success(make_task: Any, is_analyzed: bool) -> None:
    add_executions(make_task("a"), 3_000)
    if is_analyzed:
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE scheduler_execution")
    asked: list[tuple[str, Any]] = []

    def note(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        asked.append((sql, params))
        return execute(sql, params, many, context)

    with connection.execute_wrapper(note):
        counts = counts_since(NOON)

    assert counts == {"success": 3_000}
    [(sql, params)] = asked
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN QUERY PLAN {sql}", params)
        plan = [row[-1] for row in cursor.fetchall() if "scheduler_execution" in row[-1]]
    assert plan == [
        "SEARCH scheduler_execution USING COVERING INDEX execution_recent (queued_at>? AND queued_at<?)",
        "SEARCH scheduler_execution USING INDEX execution_recent_failed (status=? AND queued_at>? AND queued_at<?)",
        "SCAN scheduler_execution USING INDEX execution_active",
    ]


@pytest.mark.skipif(connection.vendor != "sqlite", reason="SQLite alone looks at the text of a condition")
def test_rare_triggers_are_found_by_their_indexes(make_task: Any) -> None:
    task = make_task("a")
    add_executions(task, 1_000)

    executions, by_hand = Execution.objects.all(), Trigger.MANUAL
    of_all = executions.of_trigger(by_hand).newest_first()[:50]
    of_one = executions.filter(task=task).of_trigger(by_hand).newest_first()[:50]
    runs = Run.objects.of_trigger(by_hand).newest_first()[:50]
    usual = executions.of_trigger(Trigger.SCHEDULE).newest_first()[:50]

    assert "execution_recent_triggered" in of_all.explain()
    assert "execution_history_triggered" in of_one.explain()
    assert "run_triggered" in runs.explain()
    assert "triggered" not in usual.explain()


@each_case(
    ("tag", "found"),
    [
        ("Night", ["upper"]),
        ("night", ["lower"]),
        ("nigh", []),
        ("夜间", ["chinese"]),
        ('a"quoted"one', ["quoted"]),
        ("quoted", []),
        (", ", []),
        ("100%", ["percent"]),
    ],
)
def test_a_tag_is_met_exactly(make_task: Any, tag: str, found: list[str]) -> None:
    make_task("lower", task_tags=["night", "other"])
    make_task("upper", task_tags=["Night"])
    make_task("chinese", task_tags=["other", "夜间"])
    make_task("quoted", task_tags=['a"quoted"one'])
    make_task("percent", task_tags=["100%"])
    make_task("untagged")

    tasks = Task.objects.tagged(tag).filter(enabled=True)

    assert [task.task_id for task in tasks.order_by("task_id")] == found


def test_executions_are_counted_by_the_instant_that_they_were_queued_at(make_task: Any) -> None:
    task = make_task("a")
    minute = timedelta(minutes=1)
    for minutes, status, is_outcome in (
        (-1, "success", True),
        (0, "success", True),
        (1, "success", True),
        (1, "timeout", False),
        (1, "timeout", True),
        (1, "running", False),
        (2, "queued", False),
        (2, "missed", True),
    ):
        at = NOON + minutes * minute
        Execution.objects.create(
            task=task, status=status, is_outcome=is_outcome, trigger="manual", queued_at=at
        )

    spans = span_counts([NOON - minute, NOON, NOON + minute, NOON + 2 * minute])

    assert [dict(+span) for span in spans] == [
        {("success", True): 1},
        {("success", True): 1},
        {("success", True): 1, ("timeout", True): 1, ("timeout", False): 1, ("running", False): 1},
    ]
    assert counts_since(NOON) == {
        "success": 2,
        "timeout": 2,
        "running": 1,
        "queued": 1,
        "missed": 1,
    }
    assert counts_since(NOON + 3 * minute) == {}


def test_the_load_of_a_day_is_counted_by_span_and_outcome(make_task: Any) -> None:
    task = make_task("a")
    half = timedelta(minutes=30)
    for minutes, status in (
        (-31, "success"),
        (-30, "success"),
        (-1, "timeout"),
        (0, "skipped"),
        (29, "success"),
    ):
        at = NOON + timedelta(minutes=minutes)
        Execution.objects.create(task=task, status=status, is_outcome=True, trigger="manual", queued_at=at)

    loads = day_load(NOON - half, NOON, NOON + half, half)

    assert [(load.succeeded, load.failed, load.other) for load in loads] == [(1, 1, 0), (1, 0, 1)]
