"""Executions of `true` queued at once, with full history, against the machine's own limit; and single start latency.

Prints the CPU per execution, and from a second, profiled run what the workers spend it on. Run by `make bench`.
"""

from __future__ import annotations

import itertools
import json
import os
import signal
import statistics
import subprocess
import sys
import time
from collections import Counter, defaultdict
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any

import psutil
from installation import ROOT, installation, process, started, wait_until, write_result

COUNT = int(os.environ.get("BENCH_COUNT", "2000"))
SINGLES = 40
ROUNDS = 3  # the first counts; more show whether it lasts (ext4 does not soon use the inode of a deleted file again)
LEAST_RATIO = 0.4
LIMIT_SINGLE_MS = 100
PROFILED_WORKER = "--profiled-worker"
PROFILED_BURSTS = 5
SAMPLE_EVERY = 0.001  # seconds of CPU; the kernel may be coarser
MODULES, FUNCTIONS = 8, 3  # lines of the profile


def spawn(count: int) -> None:
    """Run /bin/true so many times, as plainly as Python can with captured output."""
    for _ in range(count):
        subprocess.Popen(
            ["/bin/sh", "-c", "true"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        ).communicate()


def limit() -> float:
    """Return the machine's own executions a second: the better of two processes and 16 threads."""
    from django.db import connections

    connections.close_all()  # they must not be forked
    rates = []
    for pool, width in ((ProcessPoolExecutor, 2), (ThreadPoolExecutor, 16)):
        with pool(width) as executor:
            begin = time.perf_counter()
            list(executor.map(spawn, [COUNT // width] * width))
            rates.append(COUNT / (time.perf_counter() - begin))
    return max(rates)


# --- the measured run -----------------------------------------------------------------------------


def cpu_seconds(worker: subprocess.Popen[bytes]) -> dict[str, float]:
    """Return the CPU seconds of a worker so far: its own, those of the kernel for it, and of its commands."""
    family = [psutil.Process(worker.pid), *psutil.Process(worker.pid).children(recursive=True)]
    times = [member.cpu_times() for member in family]
    return {
        "schedsite": sum(t.user for t in times),
        "kernel": sum(t.system for t in times),
        "commands": sum(t.children_user + t.children_system for t in times),
    }


def start_latencies(task: Any) -> list[float]:
    """Return the milliseconds from a "run now" to its start, one after the other on an idle system."""
    from scheduler.choices import ACTIVE, Trigger
    from scheduler.models import Execution
    from scheduler.services.runs import request_run

    latencies = []
    for _ in range(SINGLES):
        execution = request_run(task, trigger=Trigger.MANUAL, user=None, now=datetime.now(UTC))
        while (row := Execution.objects.get(pk=execution.pk)).status in ACTIVE:
            time.sleep(0.01)
        latencies.append((row.started_at - row.queued_at).total_seconds() * 1000)
        time.sleep(0.15)
    return latencies


def burst(task: Any) -> float:
    """Queue all executions at once and return how many ended a second, from when the last of them was queued."""
    from django.db.models import Max

    from scheduler.choices import ACTIVE, Status, Trigger
    from scheduler.models import Execution, Run
    from scheduler.queues import wake
    from scheduler.services.admission import new_run, queued_row

    now = datetime.now(UTC)
    runs = Run.objects.bulk_create(
        [new_run(task, trigger=Trigger.MANUAL, user=None, now=now, graph_pk=None) for _ in range(COUNT)]
    )
    Execution.objects.bulk_create([queued_row(task, run=run, now=now) for run in runs])
    begin = datetime.now(UTC)
    wake("default", count=2)
    mine = Execution.objects.filter(queued_at=now)
    wait_until(lambda: not mine.filter(status__in=ACTIVE).exists())
    assert mine.filter(status=Status.SUCCESS).count() == COUNT
    return COUNT / (mine.aggregate(last=Max("finished_at"))["last"] - begin).total_seconds()


# --- the profiled run -----------------------------------------------------------------------------


def run_profiled_worker(folder: Path) -> int:
    """Be a cluster whose worker processes note every few milliseconds of CPU time what they are doing.

    A sample is the innermost function, and the innermost one of ours; a sampler, unlike cProfile, does not make many
    short calls look dear. Each process leaves its samples in `folder` after each job.
    """
    import django

    sys.path.insert(0, str(ROOT))
    django.setup()
    from scheduler.processes import supervisor
    from scheduler.processes.cluster import run_cluster

    work, jobs = supervisor.work, itertools.count()

    def sampled_work() -> None:
        samples: Counter[tuple[str, str]] = Counter()
        signal.signal(signal.SIGPROF, lambda _number, frame: samples.update([sample_of(frame)]))
        signal.setitimer(signal.ITIMER_PROF, SAMPLE_EVERY, SAMPLE_EVERY)
        work()
        signal.setitimer(signal.ITIMER_PROF, 0)
        path = folder / f"{os.getpid()}-{next(jobs)}.json"
        path.write_text(json.dumps([[*names, count] for names, count in samples.items()]))

    supervisor.work = sampled_work
    return run_cluster()


def sample_of(frame: FrameType | None) -> tuple[str, str]:
    """Return the function that runs, and the innermost function of ours that it runs for, as "module function"."""
    innermost = "? ?" if frame is None else name_of(frame)
    while frame is not None and not Path(frame.f_code.co_filename).is_relative_to(ROOT / "scheduler"):
        frame = frame.f_back
    return innermost, "? ?" if frame is None else name_of(frame)


def name_of(frame: FrameType) -> str:
    """Return "module function"; of libraries the first two names of the module."""
    module = str(frame.f_globals.get("__name__", "?"))
    if not module.startswith("scheduler."):
        module = ".".join(module.split(".")[:2])
    return f"{module} {frame.f_code.co_qualname}"


def print_profile(folder: Path) -> dict[str, Any]:
    """Print what the samples say, by what runs and by what it runs for, and return it."""
    running: Counter[str] = Counter()
    on_behalf: Counter[str] = Counter()
    for path in folder.glob("*.json"):
        for innermost, ours, count in json.loads(path.read_text()):
            running[innermost] += count
            on_behalf[ours] += count
    print(f"\nCPU of the worker processes in {PROFILED_BURSTS} more bursts, {running.total()} samples")
    return {
        "samples": running.total(),
        "running": print_table("what runs, by module", running),
        "on_behalf": print_table("the function of ours that it runs for, by module", on_behalf),
    }


def print_table(title: str, samples: Counter[str]) -> dict[str, dict[str, float]]:
    """Print the modules with most samples, each with its functions; return the shares of the functions."""
    modules: dict[str, Counter[str]] = defaultdict(Counter)
    for name, count in samples.items():
        module, _, function = name.partition(" ")
        modules[module][function] += count
    total = samples.total()
    table = {}
    print(f"  {title}")
    for module in sorted(modules, key=lambda name: -modules[name].total())[:MODULES]:
        print(f"    {modules[module].total() / total:6.1%}  {module}")
        table[module] = {name: count / total for name, count in modules[module].most_common(FUNCTIONS)}
        for name, share in table[module].items():
            print(f"            {share:6.1%}  {name}")
    return table


def profiled_burst(task: Any, folder: Path) -> dict[str, Any]:
    """Run the burst again with sampled workers and print what they spend CPU on."""
    from scheduler.models import Process

    folder.mkdir()
    clusters = Process.objects.filter(kind=Process.Kind.CLUSTER, stopped_at=None)
    with process(str(Path(__file__)), PROFILED_WORKER, str(folder)):
        wait_until(clusters.exists)
        for _ in range(PROFILED_BURSTS):
            burst(task)
    return print_profile(folder)


def main() -> int:
    """Measure, print, write; 1 when it is slower than it must be."""
    with installation(SCHEDULER_WORKERS="2") as folder:
        from scheduler.config_file import validate_task
        from scheduler.services.tasks import save_task

        spec = {"task_id": "burst", "task_name": "b", "task_exec": "true", "task_concurrency": "allow"}
        task = save_task(validate_task(spec), task=None, user=None, now=datetime.now(UTC))
        with started("worker", "cluster") as worker:
            latencies = start_latencies(task)
            before = cpu_seconds(worker)
            rounds = [(limit(), burst(task)) for _ in range(ROUNDS)]
            after = cpu_seconds(worker)
        cpu = {name: (after[name] - before[name]) / COUNT / ROUNDS * 1000 for name in after}
        machine, rate = rounds[0]
        result: dict[str, Any] = {
            "executions": COUNT,
            "machine_limit_per_s": round(machine),
            "schedsite_per_s": round(rate),
            "ratio": round(rate / machine, 2),
            "ratio_of_each_burst": [round(rate / machine, 2) for machine, rate in rounds],
            "cpu_ms_per_execution": round(sum(cpu.values()), 2),
            **{f"cpu_ms_{name}": round(value, 2) for name, value in cpu.items()},
            "single_start_p50_ms": round(statistics.median(latencies), 1),
            "single_start_max_ms": round(max(latencies), 1),
        }
        for name, value in result.items():
            print(f"{name:24} {value}")
        result["profile"] = profiled_burst(task, folder / "profile")
    write_result("burst", result)
    print(f"ratio {result['ratio']}; the least is {LEAST_RATIO}")
    print(f"start of a single run p50 {result['single_start_p50_ms']} ms; the limit is {LIMIT_SINGLE_MS} ms")
    return 0 if result["ratio"] >= LEAST_RATIO and result["single_start_p50_ms"] < LIMIT_SINGLE_MS else 1


if __name__ == "__main__":
    if sys.argv[1:2] == [PROFILED_WORKER]:
        os._exit(run_profiled_worker(Path(sys.argv[2])))
    sys.exit(main())
