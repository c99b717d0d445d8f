"""What a scrape of /metrics and the counting of ended executions cost: `python benchmarks/metrics.py [--rows 1000000]`.

A database of its own in a temporary folder; the whole request is measured, in process. The result is printed and
written to benchmarks/results/metrics.json. A scrape must not depend on the length of the history.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import sys
import time
from datetime import UTC, datetime
from typing import Any

from installation import installation, write_result

LIMIT_MS = 200.0  # of the processor, for a scrape
STEP_LIMIT_MS = 200.0  # the same, for a step of counting, which holds up other writers
SEEDED = """
WITH RECURSIVE counter(n) AS (SELECT %s UNION ALL SELECT n + 1 FROM counter WHERE n < %s - 1)
INSERT INTO scheduler_execution (
    task_id, status, is_outcome, attempt, retries_left, trigger, queue, priority, slot_count,
    queued_at, started_at, finished_at, exit_code, reason, worker, claim, cancel_reason, log_size
)
SELECT %s + n %% %s, CASE WHEN n %% 20 = 0 THEN 'technical_failure' ELSE 'success' END, 1, 1, 0, 'api', 'default', 0, 1,
    strftime('%%Y-%%m-%%d %%H:%%M:%%S', '2020-01-01', '+' || (n * 60) || ' seconds'),
    strftime('%%Y-%%m-%%d %%H:%%M:%%S.250000', '2020-01-01', '+' || (n * 60) || ' seconds'),
    strftime('%%Y-%%m-%%d %%H:%%M:%%S.750000', '2020-01-01', '+' || (n * 60) || ' seconds'),
    CASE WHEN n %% 20 = 0 THEN 2 ELSE 0 END, '', 'host:1', '', '', 1000
FROM counter
"""


def prepare(tasks: int) -> int:
    """Store tasks and return the key of the first."""
    from scheduler.config_file import validate_task
    from scheduler.services.tasks import save_task

    rows = [
        save_task(
            validate_task({"task_id": f"task{n}", "task_name": f"Task {n}", "task_exec": "true"}),
            task=None,
            user=None,
            now=datetime.now(UTC),
        )
        for n in range(tasks)
    ]
    return int(rows[0].pk)


def add_history(begin: int, rows: int, first: int, tasks: int) -> None:
    """Extend the history up to `rows` executions."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(SEEDED, [begin, rows, first, tasks])
        cursor.execute("ANALYZE")


def count(rows: int) -> dict[str, Any]:
    """Count the latest executions; return what that costs."""
    from scheduler.models import EndedExecution, Execution
    from scheduler.services import totals

    latest = list(Execution.objects.order_by("-pk").values_list("pk", flat=True)[:rows])
    EndedExecution.objects.all().note((pk, 1) for pk in latest)
    totals.MOST_STEPS = 1
    steps = []
    while EndedExecution.objects.exists():
        begin = time.process_time()
        totals.count_ended()
        steps.append((time.process_time() - begin) * 1000)
    return {
        "executions": len(latest),
        "cpu_ms_per_thousand": round(1000 * sum(steps) / len(latest), 1),
        "longest_step_cpu_ms": round(max(steps), 1),
    }


def scrape(repeats: int) -> dict[str, Any]:
    """Return latencies, size and number of queries of a scrape."""
    from django.db import connection
    from django.test import Client

    statements: list[str] = []

    def note(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        statements.append(sql)
        return execute(sql, params, many, context)

    client = Client(SERVER_NAME="localhost")
    with connection.execute_wrapper(note):
        answer = client.get("/metrics")
    assert answer.status_code == 200, answer.content
    times, processor = [], time.process_time()
    for _ in range(repeats):
        begin = time.perf_counter()
        client.get("/metrics")
        times.append((time.perf_counter() - begin) * 1000)
    return {
        "queries": len(statements),
        "cpu_ms": round((time.process_time() - processor) * 1000 / repeats, 1),
        "lines": answer.content.count(b"\n"),
        "p50_ms": round(statistics.median(times), 1),
        "p95_ms": round(statistics.quantiles(times, n=20)[18], 1),
    }


def main() -> int:
    """Measure, print, write; 1 when a scrape or a step costs more than its limit."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--tasks", type=int, default=1000)
    parser.add_argument("--repeats", type=int, default=20)
    options = parser.parse_args()
    scrapes: dict[str, Any] = {}
    with installation():
        first, begin = prepare(options.tasks), 0
        for rows in (options.tasks, options.rows):
            add_history(begin, rows, first, options.tasks)
            begin = rows
            counted = count(min(rows, 20_000))
            scrapes[f"{rows:,} executions"] = figures = scrape(options.repeats)
            print(f"{rows:>10,} executions of {options.tasks:,} tasks: {figures}; counting: {counted}")
    result = {
        "tasks": options.tasks,
        "scrapes": scrapes,
        "counting": counted,
        "limit_ms": LIMIT_MS,
        "python": platform.python_version(),
        "processors": os.cpu_count(),
    }
    write_result("metrics", result)
    slowest = max(one["cpu_ms"] for one in scrapes.values())
    return 0 if slowest < LIMIT_MS and counted["longest_step_cpu_ms"] < STEP_LIMIT_MS else 1


if __name__ == "__main__":
    sys.exit(main())
