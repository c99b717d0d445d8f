"""A real scrape of a real installation: what ran is what two web processes report, also after a restart."""

from __future__ import annotations

import re
import urllib.request
from datetime import UTC, datetime
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from scheduler.choices import Trigger
from scheduler.models import Execution, Run
from scheduler.services.runs import request_run
from scheduler.services.totals import count_ended
from tests.stack import Stack, wait_until
from tests.support.scrapes import Scrape

RUNS = 5


@pytest.fixture
def ports(stack: Stack) -> list[int]:
    """Return the ports of two web processes."""
    for _ in range(2):
        stack.start("web", "--bind", "127.0.0.1:0")

    def found() -> list[int]:
        return [int(port) for port in re.findall(r"listens on http://127\.0\.0\.1:(\d+)", stack.output())]

    wait_until(lambda: len(found()) == 2, what="both processes")
    return found()


def scrape(port: int) -> Scrape:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=60) as answer:
        text = answer.read().decode()
    return Scrape({one.name: one for one in text_string_to_metric_families(text)})


def figures(found: Scrape) -> dict[str, Any]:
    """Return what does not change while nothing runs."""
    return {
        "executions": found.values_of("schedsite_executions_total", "status"),
        "tasks": {str(one.labels): one.value for one in found["schedsite_task_executions"].samples},
        "durations": [
            (str(one.labels), one.value) for one in found["schedsite_execution_duration_seconds"].samples
        ],
        "uncounted": found.value("schedsite_executions_uncounted"),
    }


def test_a_scrape_reports_what_ran_on_whichever_process_it_asks(
    stack: Stack, make_task: Any, ports: list[int]
) -> None:
    tasks = [
        make_task("good", task_exec="sleep 0.2", task_concurrency="allow"),
        make_task("bad", task_exec="exit 1", task_concurrency="allow"),
    ]
    dispatcher, worker = stack.start("dispatcher"), stack.start("worker")
    for _ in range(RUNS):
        for task in tasks:
            request_run(task, trigger=Trigger.MANUAL, user=None, now=datetime.now(UTC))
    wait_until(
        lambda: (
            scrape(ports[0]).value(
                "schedsite_task_executions_total", task_id="bad", status="business_failure"
            )
            == scrape(ports[0]).value("schedsite_task_executions_total", task_id="good", status="success")
            == RUNS
        ),
        what="the counting of all executions",
    )
    working = scrape(ports[0])
    stack.stop(dispatcher)
    stack.stop(worker)
    stopped = [figures(scrape(port)) for port in ports]

    assert working.values_of("schedsite_processes", "kind") == {"dispatcher": 1.0, "worker": 1.0}
    assert working.value("schedsite_queue_slots", queue="default") == 8 * stack.WORKERS
    assert stopped[0] == stopped[1]
    assert stopped[0]["executions"]["success"] == RUNS
    assert stopped[0]["uncounted"] == 0
    seconds = working.value("schedsite_task_execution_duration_seconds_sum", task_id="good")
    assert seconds is not None and seconds >= RUNS * 0.2
    assert scrape(ports[1]).values_of("schedsite_processes", "kind") == {"dispatcher": 0.0, "worker": 0.0}
    assert count_ended() == 0
    assert Execution.objects.count() == Run.objects.count() == 2 * RUNS
