"""Executions of `true` queued at once, with full history, against the machine's own limit; and single start latency.

Prints a table and writes JSON to benchmarks/results/. Run by `make bench`.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
COUNT = int(os.environ.get("BENCH_COUNT", "2000"))
SINGLES = 40


def spawn(count: int) -> None:
    """Run /bin/true so many times, as plainly as Python can with captured output."""
    for _ in range(count):
        subprocess.Popen(
            ["/bin/sh", "-c", "true"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        ).communicate()


def limit() -> float:
    """Return the machine's own executions a second: the better of two processes and 16 threads."""
    rates = []
    for pool, width in ((ProcessPoolExecutor, 2), (ThreadPoolExecutor, 16)):
        with pool(width) as executor:
            begin = time.perf_counter()
            list(executor.map(spawn, [COUNT // width] * width))
            rates.append(COUNT / (time.perf_counter() - begin))
    return max(rates)


def cpu_seconds(worker: subprocess.Popen[bytes]) -> float:
    """Return the CPU seconds of a process and its descendants, their ended children included."""
    import psutil

    family = [psutil.Process(worker.pid), *psutil.Process(worker.pid).children(recursive=True)]
    return sum(sum(process.cpu_times()[:4]) for process in family)


def main() -> None:
    """Measure."""
    machine = limit()
    os.environ["SCHEDULER_DATA_DIR"] = tempfile.mkdtemp(prefix="schedsite-bench-")
    os.environ["DJANGO_SETTINGS_MODULE"] = "schedsite.settings"
    os.environ.pop("DATABASE_URL", None)
    os.environ.pop("REDIS_URL", None)
    sys.path.insert(0, str(ROOT))
    import django

    django.setup()
    from django.core.management import call_command
    from django.db.models import Max

    from scheduler.choices import ACTIVE, Status, Trigger
    from scheduler.config_file import validate_task
    from scheduler.models import Execution, Process, Run
    from scheduler.queues import wake
    from scheduler.services.rows import new_run, queued_row
    from scheduler.services.runs import request_run
    from scheduler.services.tasks import save_task

    call_command("migrate", verbosity=0)
    now = datetime.now(UTC)
    spec = {"task_id": "burst", "task_name": "b", "task_exec": "true", "task_concurrency": "allow"}
    task = save_task(validate_task(spec), task=None, user=None, now=now)
    worker = subprocess.Popen([sys.executable, str(ROOT / "manage.py"), "worker"])
    while not Process.objects.filter(kind=Process.Kind.CLUSTER).exists():
        time.sleep(0.1)
    latencies = []
    for _ in range(SINGLES):
        execution = request_run(task, trigger=Trigger.MANUAL, user=None, now=datetime.now(UTC))
        while (row := Execution.objects.get(pk=execution.pk)).status in ACTIVE:
            time.sleep(0.01)
        latencies.append((row.started_at - row.queued_at).total_seconds() * 1000)
        time.sleep(0.15)
    before = cpu_seconds(worker)
    runs = Run.objects.bulk_create(
        [new_run(task, trigger=Trigger.MANUAL, user=None, now=now, graph_pk=None) for _ in range(COUNT)]
    )
    begin = datetime.now(UTC)
    Execution.objects.bulk_create([queued_row(task, run=run, now=begin) for run in runs])
    wake("default", count=2)
    burst = Execution.objects.filter(queued_at=begin)
    while burst.filter(status__in=ACTIVE).exists():
        time.sleep(0.05)
    last = burst.aggregate(last=Max("finished_at"))["last"]
    rate = COUNT / (last - begin).total_seconds()
    cpu = (cpu_seconds(worker) - before) / COUNT * 1000
    assert burst.filter(status=Status.SUCCESS).count() == COUNT
    worker.terminate()
    worker.wait()
    result = {
        "executions": COUNT,
        "machine_limit_per_s": round(machine),
        "schedsite_per_s": round(rate),
        "ratio": round(rate / machine, 2),
        "cpu_ms_per_execution": round(cpu, 2),
        "single_start_p50_ms": round(statistics.median(latencies), 1),
        "single_start_max_ms": round(max(latencies), 1),
    }
    for name, value in result.items():
        print(f"{name:24} {value}")
    folder = ROOT / "benchmarks" / "results"
    folder.mkdir(exist_ok=True)
    (folder / "burst.json").write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
