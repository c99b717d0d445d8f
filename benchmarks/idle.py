"""What an installation costs that has nothing to do: `python benchmarks/idle.py [--tasks 1000] [--seconds 60]
[--tree PATH]`.

Site, dispatcher and worker as `make run` starts them, with a database of their own in a temporary folder and a thousand
tasks of which none is due. After one page and twenty seconds of rest, the CPU time of all their processes, the process
manager included, is read from /proc for as long as asked, and their proportional memory (PSS) at the end. `--tree`
measures another checkout with the packages of this one, so that two builds can be compared in turns. The result is
printed and written to benchmarks/results/idle.json.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import defaultdict
from pathlib import Path

import psutil
from installation import ROOT, wait_until, write_result

PORT = 8791
SETTLE_S = 20
CPU_LIMIT, MEMORY_LIMIT = 0.3, 200.0  # per cent of a core, MiB


def cpu_ns(pid: int) -> int:
    """Return the CPU time of all threads of a process (schedstat of proc(5), first field)."""
    return sum(
        int((task / "schedstat").read_text().split()[0]) for task in Path(f"/proc/{pid}/task").iterdir()
    )


def pss_mib(pid: int) -> float:
    """Return the proportional memory of a process."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("Pss:"))) / 1024


def main() -> int:
    """Measure, print, write; 1 above a limit."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--tree", type=Path, default=ROOT)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="schedsite-idle-") as folder:
        result = measure(options.tree.resolve(), Path(folder), tasks=options.tasks, seconds=options.seconds)
    for kind, row in result["processes"].items():
        print(f"{kind:34} {row['cpu_percent']:6.3f} % {row['pss_mib']:7.1f} MiB")
    print(f"{'all':34} {result['cpu_percent']:6.3f} % {result['pss_mib']:7.1f} MiB")
    write_result("idle", result)
    return 0 if result["cpu_percent"] <= CPU_LIMIT and result["pss_mib"] <= MEMORY_LIMIT else 1


def measure(tree: Path, folder: Path, *, tasks: int, seconds: float) -> dict:
    """Start an installation of `tree`, let it rest, and return CPU and memory by kind of process and in all."""
    env = environment(folder)
    store_tasks(tree, folder, env, tasks)
    is_old = "honcho start" in (tree / "Makefile").read_text()
    start = ["honcho", "start"] if is_old else [sys.executable, "manage.py", "start"]
    root = subprocess.Popen(start, cwd=tree, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: answers(f"http://localhost:{PORT}/admin/login/"))
        time.sleep(SETTLE_S)
        table = costs(root.pid, seconds)
    finally:
        root.send_signal(signal.SIGTERM)
        root.wait(30)
    in_all = {key: round(sum(row[key] for row in table.values()), 3) for key in ("cpu_percent", "pss_mib")}
    return {"tasks": tasks, "seconds": seconds, "processes": table, **in_all}


def environment(folder: Path) -> dict[str, str]:
    """Return the environment of an installation in a folder."""
    others = ("SCHEDULER_", "DATABASE_", "REDIS_")
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith(others)},
        "SCHEDULER_DATA_DIR": str(folder),
        "SCHEDULER_TASKS_DIR": str(folder / "tasks"),
        "PORT": str(PORT),
        "SITE_URL": f"http://localhost:{PORT}",
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }


def store_tasks(tree: Path, folder: Path, env: dict[str, str], count: int) -> None:
    """Make the database, and import tasks of which none is due soon."""
    (folder / "tasks").mkdir()
    config = folder / "config.json"
    rows = [
        {"task_id": f"task_{n}", "task_name": f"Task {n}", "task_exec": "true", "task_schedule": "0 4 1 1 *"}
        for n in range(count)
    ]
    config.write_text(json.dumps({"tasks": rows}))
    for command in (["migrate", "-v0"], ["import_config", str(config)]):
        arguments = [sys.executable, "manage.py", *command]
        subprocess.run(arguments, cwd=tree, env=env, check=True, stdout=subprocess.DEVNULL)


def costs(root: int, seconds: float) -> dict[str, dict[str, float]]:
    """Return per cent of a processor and MiB of a process and all below it, by kind, over a span of rest."""
    family = [psutil.Process(root), *psutil.Process(root).children(recursive=True)]
    processes = {process.pid: " ".join(process.cmdline()) for process in family}
    before = {pid: cpu_ns(pid) for pid in processes}
    time.sleep(seconds)
    rows_of = defaultdict(list)
    for pid, title in processes.items():
        rows_of[kind_of(title)].append(((cpu_ns(pid) - before[pid]) / seconds / 1e7, pss_mib(pid)))
    return {
        f"{len(rows)} x {kind}": {
            "cpu_percent": round(sum(cpu for cpu, _ in rows), 3),
            "pss_mib": round(sum(pss for _, pss in rows), 1),
        }
        for kind, rows in sorted(rows_of.items())
    }


def kind_of(title: str) -> str:
    """Return the part that a process plays, from its title."""
    words = title.split()
    if title.startswith("qcluster"):
        return f"qcluster {words[-1]}"
    return " ".join(word.rpartition("/")[2] for word in words if not word.isdigit())[-30:]


def answers(address: str) -> bool:
    """Return whether the site answers."""
    try:
        with urllib.request.urlopen(address, timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


if __name__ == "__main__":
    raise SystemExit(main())
