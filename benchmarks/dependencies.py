"""How soon what depends on a task starts: a chain of 100, a fan 1 → 500 → 1, and the checks of a large graph.

Two workers on SQLite, idle otherwise. A hop is the time from the end of an upstream to the start of its
downstream. Run by `make bench`.
"""

from __future__ import annotations

import random
import statistics
import sys
import time
from datetime import UTC, datetime
from typing import Any

from installation import installation, started, wait_until, write_result

CHAIN, FAN = 100, 500
LARGE_TASKS, LARGE_EDGES = 5_000, 20_000
HOP_LIMIT_MS, EDGE_LIMIT_MS, GRAPH_LIMIT_MS = 15.0, 100.0, 1000.0


def store(upstreams: dict[str, list[str]]) -> None:
    """Store tasks that run /bin/true with their dependencies."""
    from django.db import transaction

    from scheduler.config_file import validate_task
    from scheduler.services.tasks import Definition, write_definitions

    specs = [
        validate_task(
            {"task_id": name, "task_name": name, "task_exec": "/bin/true", "task_dependencies": above}
        )
        for name, above in upstreams.items()
    ]
    with transaction.atomic():
        write_definitions([Definition(None, spec) for spec in specs], user=None, now=datetime.now(UTC))


def run(first: str) -> Any:
    """Run a task with all that follows and return the run."""
    from scheduler.choices import Trigger
    from scheduler.models import Run, Task
    from scheduler.services.runs import request_run

    task = Task.objects.get(task_id=first)
    execution = request_run(task, trigger=Trigger.MANUAL, user=None, now=datetime.now(UTC))
    wait_until(lambda: not Run.objects.open().filter(pk=execution.run_id).exists())
    return execution.run


def hops(run: Any) -> list[float]:
    """Return the milliseconds of each hop: from the end of the latest upstream to the start."""
    rows = run.executions.prefetch_related("upstream_executions").order_by("pk")
    found = []
    for row in rows:
        ends = [up.finished_at for up in row.upstream_executions.all()]
        assert row.status == "success" and all(end <= row.started_at for end in ends), "out of order"
        if ends:
            found.append((row.started_at - max(ends)).total_seconds() * 1000)
    return found


def summary(milliseconds: list[float]) -> dict[str, float]:
    """Return percentiles."""
    cuts = statistics.quantiles(milliseconds, n=100, method="inclusive")
    return {"p50": round(cuts[49], 1), "p95": round(cuts[94], 1), "max": round(max(milliseconds), 1)}


def measure_runs() -> dict[str, Any]:
    """Return the hops of chain and fan."""
    chain = {f"chain{n}": [f"chain{n - 1}"] if n else [] for n in range(CHAIN)}
    leaves = {f"leaf{n}": ["fan"] for n in range(FAN)}
    store({**chain, "fan": [], **leaves, "join": list(leaves)})
    with started("worker", "cluster"), started("worker", "cluster"):
        run("chain0")
        of_chain = hops(run("chain0"))
        begin = time.monotonic()
        of_fan = run("fan")
        fan_seconds = time.monotonic() - begin
    assert of_fan.executions.count() == FAN + 2
    return {
        "chain_hop_ms": summary(of_chain),
        "fan_hop_ms": summary(hops(of_fan)),
        "fan_s": round(fan_seconds, 2),
    }


def milliseconds(act: Any) -> float:
    """Return how long `act` takes."""
    begin = time.perf_counter()
    act()
    return (time.perf_counter() - begin) * 1000


def measure_large_graph() -> dict[str, Any]:
    """Return how long an edge takes to be checked and stored, and the graph to be answered."""
    from django.contrib.auth.models import User
    from django.test import Client

    from scheduler.models import Task, TaskDependency
    from scheduler.services.tasks import save_task
    from scheduler.task_mapping import task_to_spec

    chance = random.Random(1)
    upstreams: dict[str, list[str]] = {}
    names = [f"t{n:04}" for n in range(LARGE_TASKS)]
    for number, name in enumerate(names):
        upstreams[name] = sorted(chance.sample(names[:number], min(4, number)))
    store(upstreams)
    edges = TaskDependency.objects.count()

    def add_edge() -> None:
        task = Task.objects.get(task_id=names[chance.randrange(3000, LARGE_TASKS)])
        spec = task_to_spec(task)
        spec["task_dependencies"] = sorted({*spec["task_dependencies"], names[chance.randrange(2000)]})
        save_task(spec, task=task, user=None, now=datetime.now(UTC))

    def clean() -> None:
        up, down = (Task.objects.get(task_id=names[n]) for n in (chance.randrange(2000), -1))
        TaskDependency(upstream=up, downstream=down).clean()

    client = Client()
    client.force_login(User.objects.create_superuser("bench"))
    path = "/api/scheduler/graph"
    assert len(client.get(path).json()["edges"]) == edges
    return {
        "edges": edges,
        "add_edge_ms": summary([milliseconds(add_edge) for _ in range(30)]),
        "clean_ms": summary([milliseconds(clean) for _ in range(30)]),
        "graph_ms": summary([milliseconds(lambda: client.get(path)) for _ in range(10)]),
    }


def main() -> int:
    """Measure, print, write; 1 when a limit was missed."""
    with installation(SCHEDULER_WORKERS="2"):
        result = {**measure_runs(), **measure_large_graph()}
    for name, value in result.items():
        print(f"{name:16} {value}")
    write_result("dependencies", result)
    is_good = (
        result["chain_hop_ms"]["p50"] < HOP_LIMIT_MS
        and result["add_edge_ms"]["p95"] < EDGE_LIMIT_MS
        and result["graph_ms"]["p95"] < GRAPH_LIMIT_MS
    )
    print("limits:", "kept" if is_good else "MISSED", f"(hop {HOP_LIMIT_MS} ms p50,", end=" ")
    print(f"edge {EDGE_LIMIT_MS} ms, graph {GRAPH_LIMIT_MS} ms p95)")
    return 0 if is_good else 1


if __name__ == "__main__":
    sys.exit(main())
