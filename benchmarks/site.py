"""How fast and how heavy the pages of the site are beside a long history, and what watching logs costs the dispatcher:
`python benchmarks/site.py [--tasks 5000] [--executions 2000000] [--repeats 30] [--readers 100] [--seconds 30]`.

A database of its own in a temporary folder. Pages are asked for in process, as the administrator who sees everything;
the pages are those that tests/site_pages.py knows. The logs are read over HTTP from `manage.py web`, as the
page of an execution reads them. The result is printed and written to benchmarks/results/site.json.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import os
import platform
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from installation import ROOT, installation, started, wait_until, write_result

LIMIT_MS, LIMIT_BYTES = 300.0, 300_000
LIMIT_LATE_S = 0.1  # how much later 95 of 100 starts may be while logs are watched
DAYS = 28
ROWS = """
CREATE TEMP TABLE bench_row AS
WITH RECURSIVE counter(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM counter WHERE n < {count})
SELECT n, id AS task_id, revision_id, strftime('%Y-%m-%d %H:%M:%f', '{begins}', (n * {step}) || ' seconds') AS at
FROM counter JOIN bench_task ON number = CASE WHEN n % 10 = 0 THEN 0 ELSE n % {tasks} END
"""
RUNS = """
INSERT INTO scheduler_run (id, trigger, first_task_id, created_at, finished_at, cancel_reason)
SELECT {run} + n, 'schedule', task_id, at, at, '' FROM bench_row
"""
EXECUTIONS = """
INSERT INTO scheduler_execution (
    id, task_id, run_id, revision_id, status, is_outcome, attempt, retries_left, trigger, queue, priority, slot_count,
    scheduled_for, queued_at, started_at, finished_at, exit_code, reason, worker, claim, cancel_reason, log_size
)
SELECT {first} + n, task_id, {run} + n, revision_id, iif(n % 33 = 0, 'technical_failure', 'success'), 1, 1, 0,
    'schedule', 'default', 0, 1, at, at, at, strftime('%Y-%m-%d %H:%M:%f', at, (n % 97 / 10.0) || ' seconds'),
    iif(n % 33 = 0, 2, 0), '', 'demo-1:4711', '', '', 0
FROM bench_row
"""


def fill(task_count: int, count: int) -> float:
    """Store tasks and `count` executions of 28 days, each with its run, and return the seconds it took.

    One of ten executions is of the first task, the others are spread evenly; three of a hundred failed.
    """
    from django.contrib.auth.models import User
    from django.db import connection
    from django.db.models import Max

    from schedsite.demo.seeding import seed_demonstration
    from scheduler.models import Execution, Run, Task

    begin = time.perf_counter()
    now = datetime.now(UTC)
    User.objects.create_superuser("admin", "", "bench")
    seed_demonstration(now=now, days=2, task_count=25)
    seed_demonstration(now=now, days=DAYS, task_count=task_count, execution_count=task_count, is_forced=True)
    first = Execution.objects.aggregate(last=Max("pk"))["last"]
    first_run = Run.objects.aggregate(last=Max("pk"))["last"]
    begins, step = f"{now - timedelta(days=DAYS):%Y-%m-%d %H:%M:%S}", DAYS * 86400 / count
    tasks = list(Task.objects.order_by("pk").values_list("pk", "revision_id"))
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA synchronous=OFF")
        cursor.execute("PRAGMA cache_size=-600000")  # its indexes are written in no order; they fit
        cursor.execute(
            "CREATE TEMP TABLE bench_task (number INTEGER PRIMARY KEY, id INTEGER, revision_id INTEGER)"
        )
        cursor.executemany(
            "INSERT INTO bench_task VALUES (%s, %s, %s)", [(n, *row) for n, row in enumerate(tasks)]
        )
        cursor.execute(ROWS.format(begins=begins, step=step, count=count, tasks=len(tasks)))
        cursor.execute(RUNS.format(run=first_run))
        cursor.execute(EXECUTIONS.format(first=first, run=first_run))
        cursor.execute("DROP TABLE bench_row")
        cursor.execute("PRAGMA synchronous=NORMAL")
        cursor.execute("PRAGMA cache_size=-16000")
        cursor.execute("ANALYZE")
    return time.perf_counter() - begin


def places() -> list[tuple[str, str]]:
    """Return name and address of every page: of the busiest task and of its latest failure."""
    sys.path.insert(0, str(ROOT))
    from scheduler.models import Execution, Task
    from tests import site_pages

    found = site_pages.keys()
    found["task"] = Task.objects.order_by("pk").values_list("pk", flat=True)[0]
    failed = Execution.objects.filter(task=found["task"], status="technical_failure").latest("queued_at")
    found["execution"] = failed.pk
    if failed.run_id:
        found["run"] = failed.run_id
    return [(address, address) for _, address in site_pages.walk(found)]


def measure(client: Any, address: str, repeats: int) -> dict[str, Any]:
    """Return milliseconds, queries and weight of one page."""
    from django.core.cache import cache
    from django.db import connection

    statements: list[str] = []

    def note(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        statements.append(sql)
        return execute(sql, params, many, context)

    with connection.execute_wrapper(note):
        answer = client.get(address)
    assert answer.status_code == 200, (address, answer.status_code)
    times, spent = [], []
    for _ in range(repeats):
        cache.clear()  # each request pays for everything, as the first one of a minute does
        begin, begin_spent = time.perf_counter(), time.process_time()
        client.get(address)
        times.append((time.perf_counter() - begin) * 1000)
        spent.append((time.process_time() - begin_spent) * 1000)
    return {
        "p50_ms": round(statistics.median(times), 1),
        "p95_ms": round(statistics.quantiles(times, n=20, method="inclusive")[18], 1),
        "processor_ms": round(statistics.median(spent), 1),
        "queries": len(statements),
        "bytes": len(answer.content),
    }


def static_weight(client: Any) -> int:
    """Return the bytes of all scripts, styles and fonts that the overview names, uncompressed; a browser keeps them."""
    from django.contrib.staticfiles import finders

    html = client.get("/admin/").content.decode()
    found = set(re.findall(r'(?:src|href)="/static/([^"]+)"', html))
    return sum(Path(path).stat().st_size for name in found if (path := finders.find(name)))


@contextmanager
def web() -> Iterator[str]:
    """Run the server, and yield its address."""
    command = [sys.executable, "manage.py", "web", "--bind", "127.0.0.1:0"]
    with subprocess.Popen(
        command, cwd=ROOT, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True
    ) as server:
        assert server.stderr is not None
        try:
            yield next(line.split()[-1] for line in server.stderr if "listens on" in line)
        finally:
            server.terminate()


async def watch(
    address: str, cookies: dict[str, str], keys: list[int], readers: int, seconds: float
) -> dict[str, Any]:
    """Let `readers` follow logs as browsers do, and return how many answers they got and how long these took."""
    import httpx

    end = time.monotonic() + seconds
    times: list[float] = []
    got = 0

    async def read(client: httpx.AsyncClient, key: int) -> None:
        nonlocal got
        offset, wait = "0", 1.0
        while time.monotonic() < end:
            begin = time.perf_counter()
            answer = await client.get(f"/admin/scheduler/execution/{key}/log/?offset={offset}")
            times.append(time.perf_counter() - begin)
            answer.raise_for_status()
            got += len(answer.content)
            offset = answer.headers["X-Next-Offset"]
            wait = 0.25 if answer.content else min(wait * 1.3, 2.0)
            await asyncio.sleep(wait)

    async with httpx.AsyncClient(base_url=address, cookies=cookies, timeout=60) as client:
        await asyncio.gather(*(read(client, keys[number % len(keys)]) for number in range(readers)))
    cuts = statistics.quantiles(times, n=100)
    return {
        "answers": len(times),
        "per_second": round(len(times) / seconds, 1),
        "bytes": got,
        "p50_s": round(cuts[49], 3),
        "p95_s": round(cuts[94], 3),
    }


def lateness(task: Any, begin: datetime, end: datetime) -> dict[str, float]:
    """Return how late the starts of a task were whose slots lie in a span."""
    rows = task.executions.filter(scheduled_for__gte=begin, scheduled_for__lt=end, started_at__isnull=False)
    late = [(at - slot).total_seconds() for slot, at in rows.values_list("scheduled_for", "started_at")]
    cuts = statistics.quantiles(late, n=20, method="inclusive")
    return {
        "starts": len(late),
        "p50_s": round(cuts[9], 3),
        "p95_s": round(cuts[18], 3),
        "max_s": round(max(late), 3),
    }


def watch_logs(cookies: dict[str, str], readers: int, seconds: float) -> dict[str, Any]:
    """Return the lateness of a task that is due each second, alone and while ten logs are watched by all readers."""
    from scheduler.choices import Status, Trigger
    from scheduler.config_file import validate_task
    from scheduler.models import Execution, ExecutionLog, Task
    from scheduler.services.runs import cancel_execution, request_run
    from scheduler.services.tasks import save_task

    Task.objects.update(enabled=False, next_run_at=None)  # their commands exist in the demonstration only
    Execution.objects.active().update(status=Status.CANCELLED, finished_at=datetime.now(UTC))
    now = datetime.now(UTC)

    def store(task_id: str, **fields: Any) -> Any:
        return save_task(
            validate_task({"task_id": task_id, "task_name": task_id, **fields}), task=None, user=None, now=now
        )

    tick = store("tick", task_exec="true", task_schedule="* * * * * *", task_concurrency="allow")
    talk = "while :; do echo `date` a line that somebody reads; sleep 0.2; done"
    talkers = [store(f"talk{number}", task_exec=talk) for number in range(10)]
    with web() as address, started("worker", "cluster"), started("dispatcher", "dispatcher"):
        keys = [
            request_run(task, trigger=Trigger.MANUAL, user=None, now=datetime.now(UTC)).pk for task in talkers
        ]
        said = ExecutionLog.objects.filter(execution__in=keys).values("execution").distinct()
        wait_until(lambda: said.count() == len(keys))
        time.sleep(3)
        begin = datetime.now(UTC)
        time.sleep(seconds)
        middle = datetime.now(UTC)
        watched = asyncio.run(watch(address, cookies, keys, readers, seconds))
        end = datetime.now(UTC)
        time.sleep(2)
        Task.objects.filter(pk=tick.pk).update(enabled=False)
        for execution in Execution.objects.filter(pk__in=keys):
            cancel_execution(execution, by="bench", now=datetime.now(UTC))
        wait_until(lambda: not Execution.objects.filter(pk__in=keys, finished_at=None).exists())
    return {
        "readers": readers,
        "alone": lateness(tick, begin, middle - timedelta(seconds=1)),
        "watched": lateness(tick, middle, end - timedelta(seconds=1)),
        "reading": watched,
    }


def read_options() -> argparse.Namespace:
    """Return what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, default=5000)
    parser.add_argument("--executions", type=int, default=2_000_000)
    parser.add_argument("--repeats", type=int, default=30)
    parser.add_argument("--readers", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=30)
    return parser.parse_args()


def main() -> int:
    """Measure, print, write; 1 when a page is slower or heavier than the limits, or watching delays starts."""
    options = read_options()
    with installation(ALLOWED_HOSTS="testserver,127.0.0.1"):
        from django.contrib.auth.models import User
        from django.test import Client

        took = fill(options.tasks, options.executions)
        print(
            f"{options.tasks:,} tasks and {options.executions:,} executions, stored in {took:.0f} s",
            flush=True,
        )
        importlib.import_module("schedsite.wsgi")  # what the server does before its first request
        client = Client()
        client.force_login(User.objects.get())
        pages = {}
        for name, address in places():
            pages[name] = measure(client, address, options.repeats)
            print(
                f"{name:50} " + "  ".join(f"{key} {value}" for key, value in pages[name].items()), flush=True
            )
        weight = static_weight(client)
        logs = None
        if options.readers:
            cookies = {name: morsel.value for name, morsel in client.cookies.items()}
            logs = watch_logs(cookies, options.readers, options.seconds)
    slowest, heaviest = (max(page[key] for page in pages.values()) for key in ("p95_ms", "bytes"))
    result = {
        "tasks": options.tasks,
        "executions": options.executions,
        "limit_p95_ms": LIMIT_MS,
        "limit_bytes": LIMIT_BYTES,
        "slowest_p95_ms": slowest,
        "heaviest_bytes": heaviest,
        "static_bytes": weight,
        "logs": logs,
        "python": platform.python_version(),
        "processors": os.cpu_count(),
        "pages": pages,
    }
    write_result("site", result)
    print(f"slowest p95 {slowest} ms of {LIMIT_MS:g}; heaviest {heaviest:,} bytes of {LIMIT_BYTES:,}")
    print(f"scripts, styles and fonts beside the pages: {weight:,} bytes, kept by the browser")
    delayed = 0.0
    if logs:
        print(f"starts of a task that is due each second, {options.readers} readers of logs")
        for name in ("alone", "watched", "reading"):
            print(f"  {name:8} " + "  ".join(f"{key} {value}" for key, value in logs[name].items()))
        delayed = logs["watched"]["p95_s"] - logs["alone"]["p95_s"]
    return 0 if slowest < LIMIT_MS and heaviest < LIMIT_BYTES and delayed < LIMIT_LATE_S else 1


if __name__ == "__main__":
    sys.exit(main())
