"""How fast the history of one task is at any cursor: `python benchmarks/history.py [--rows 1000000]`.

A database of its own in a temporary folder; the whole request is measured, in process: routing, token,
permissions, queries, JSON. The result is printed and written to benchmarks/results/history.json.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from installation import installation, write_result

LIMIT_MS = 50.0
PAGE_SIZE = 50
SEEDED = """
WITH RECURSIVE counter(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM counter WHERE n < %s - 1)
INSERT INTO scheduler_execution (
    task_id, status, is_outcome, attempt, retries_left, trigger, queue, priority, slot_count,
    queued_at, started_at, finished_at, exit_code, reason, worker, claim, cancel_reason, log_size
)
SELECT %s, CASE WHEN n %% 20 = 0 THEN 'technical_failure' ELSE 'success' END, 1, 1, 0, 'api', 'default', 0, 1,
    strftime('%%Y-%%m-%%d %%H:%%M:%%S', '2020-01-01', '+' || (n * 60) || ' seconds'),
    strftime('%%Y-%%m-%%d %%H:%%M:%%S.250000', '2020-01-01', '+' || (n * 60) || ' seconds'),
    strftime('%%Y-%%m-%%d %%H:%%M:%%S.750000', '2020-01-01', '+' || (n * 60) || ' seconds'),
    CASE WHEN n %% 20 = 0 THEN 2 ELSE 0 END, '', 'host:1', '', '', 1000
FROM counter
"""


def prepare(rows: int) -> tuple[str, float]:
    """Migrate, store one task with `rows` executions and return a token and the seconds it took."""
    from django.contrib.auth.models import User
    from django.db import connection

    from scheduler.config_file import validate_task
    from scheduler.services.tasks import save_task
    from scheduler.services.tokens import create_token

    begin = time.perf_counter()
    spec = validate_task({"task_id": "busy", "task_name": "Busy", "task_exec": "true"})
    task = save_task(spec, task=None, user=None, now=datetime.now(UTC))
    with connection.cursor() as cursor:
        cursor.execute(SEEDED, [rows, task.pk])
        cursor.execute("ANALYZE")
    user = User.objects.create_superuser("bench")
    return create_token(user, name="bench"), time.perf_counter() - begin


def places(rows: int) -> Iterator[tuple[str, str]]:
    """Yield the queries of the pages that are measured."""
    from scheduler.models import Execution
    from scheduler.selectors.keyset import encode_cursor

    yield "first", ""
    begin = datetime(2020, 1, 1, tzinfo=UTC)
    for name, number in (("middle", rows // 2), ("last", min(PAGE_SIZE, rows - 1))):
        row = Execution.objects.get(queued_at=begin + timedelta(minutes=number))
        yield name, f"&cursor={encode_cursor(row, is_newer=False)}"
        yield f"{name}, one status", f"&cursor={encode_cursor(row, is_newer=False)}&status=technical_failure"
        yield f"{name}, backwards", f"&cursor={encode_cursor(row, is_newer=True)}"


def measure(token: str, query: str, repeats: int) -> dict[str, Any]:
    """Return latencies in milliseconds and the number of queries of one page."""
    from django.db import connection
    from django.test import Client

    statements: list[str] = []

    def note(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        statements.append(sql)
        return execute(sql, params, many, context)

    client = Client(headers={"Authorization": f"Bearer {token}"})
    url = f"/api/scheduler/tasks/busy/history?page_size={PAGE_SIZE}{query}"
    with connection.execute_wrapper(note):
        answer = client.get(url)
    assert answer.status_code == 200, answer.content
    times = []
    for _ in range(repeats):
        begin = time.perf_counter()
        client.get(url)
        times.append((time.perf_counter() - begin) * 1000)
    quantiles = statistics.quantiles(times, n=20)
    return {
        "rows": len(answer.json()["results"]),
        "queries": len(statements),
        "p50_ms": round(statistics.median(times), 2),
        "p95_ms": round(quantiles[18], 2),
        "max_ms": round(max(times), 2),
    }


def main() -> int:
    """Measure, print, write; 1 when a page is slower than the limit."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=100)
    options = parser.parse_args()
    with installation():
        token, seconds = prepare(options.rows)
        print(f"{options.rows:,} executions of one task, stored in {seconds:.1f} s")
        pages = {}
        for name, query in places(options.rows):
            pages[name] = measure(token, query, options.repeats)
            print(f"{name:20} " + "  ".join(f"{key} {value}" for key, value in pages[name].items()))
    slowest = max(page["p95_ms"] for page in pages.values())
    result = {
        "rows": options.rows,
        "page_size": PAGE_SIZE,
        "limit_ms": LIMIT_MS,
        "slowest_p95_ms": slowest,
        "python": platform.python_version(),
        "processors": os.cpu_count(),
        "pages": pages,
    }
    write_result("history", result)
    print(f"slowest p95 {slowest} ms; the limit is {LIMIT_MS:g} ms")
    return 0 if slowest < LIMIT_MS else 1


if __name__ == "__main__":
    sys.exit(main())
