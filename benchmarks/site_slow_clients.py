"""How long the pages of others take while slow clients hold connections of the site:
`python benchmarks/site_slow_clients.py [--silent 500] [--dribbling 200] [--seconds 30]`.

A database of its own in a temporary folder, and the web process with its defaults. The slow clients are those of
tests/slow_clients.py: silent, half a head, half a body, idle, and one byte a second of a head or a body; each comes
again when the site ends its connection. Pages are asked for one after the other, each on a connection of its own, from
the address of the slow clients and from another. The result is printed and written to
benchmarks/results/site_slow_clients.json.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from installation import ROOT, installation, wait_until, write_result

LIMIT_MS = 1000.0
PAGES = ("/admin/login/", "/healthz")
OTHER, SAME = "127.0.0.2", "127.0.0.1"


@contextmanager
def web(log: Path) -> Iterator[tuple[int, int]]:
    """Run the web process, and yield its port and its process id."""
    command = [sys.executable, "manage.py", "web", "--bind", "127.0.0.1:0"]
    with (
        log.open("wb") as file,
        subprocess.Popen(command, cwd=ROOT, stderr=file, stdin=subprocess.DEVNULL) as server,
    ):
        try:
            wait_until(lambda: b"listens on" in log.read_bytes())
            line = next(line for line in log.read_text().splitlines() if "listens on" in line)
            yield int(line.rsplit(":", 1)[1]), server.pid
        finally:
            server.terminate()


def memory_mib(pid: int) -> float:
    """Return the proportional memory of a process."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return round(int(next(line.split()[1] for line in lines if line.startswith("Pss:"))) / 1024, 1)


def measure(port: int, source: str, seconds: float) -> dict[str, Any]:
    """Return percentiles in milliseconds of all pages, and how many were not answered."""
    from tests.slow_clients import seconds_for

    end = time.monotonic() + seconds
    times, lost = [], 0
    while time.monotonic() < end:
        for page in PAGES:
            took, status = seconds_for(port, page, source=source)
            times.append(took * 1000)
            lost += status == 0
    cuts = statistics.quantiles(times, n=100, method="inclusive")
    return {
        "pages": len(times),
        "p50_ms": round(cuts[49], 1),
        "p95_ms": round(cuts[94], 1),
        "max_ms": round(max(times), 1),
        "unanswered": lost,
    }


def main() -> int:
    """Measure, print, write; 1 when a page was not answered or the 95th percentile is above a second."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--silent", type=int, default=500)
    parser.add_argument("--dribbling", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=30)
    options = parser.parse_args()
    sys.path.insert(0, str(ROOT))
    from tests.slow_clients import slow_clients

    rows: dict[str, dict[str, Any]] = {}
    with (
        installation(ALLOWED_HOSTS="127.0.0.1") as folder,
        web(folder / "web.log") as (port, pid),
    ):
        measure(port, OTHER, 2)  # the first pages of a process take longer
        memory = {"before": memory_mib(pid)}
        rows["before"] = measure(port, OTHER, options.seconds)
        with slow_clients(port, silent=options.silent, dribbling=options.dribbling) as became:
            time.sleep(3)
            rows["during"] = measure(port, OTHER, options.seconds)
            rows["during, same address"] = measure(port, SAME, options.seconds)
            memory["during"] = memory_mib(pid)
        rows["after"] = measure(port, OTHER, options.seconds)
        memory["after"] = memory_mib(pid)
    for name, row in rows.items():
        print(f"{name:22} " + "  ".join(f"{key} {value}" for key, value in row.items()), flush=True)
    for kind, (count, lasted) in sorted(became.items()):
        print(f"{kind:22} ended {count} times, after {lasted} s at most")
    print("memory, MiB (PSS)      " + "  ".join(f"{key} {value}" for key, value in memory.items()))
    write_result(
        "site_slow_clients",
        {
            "silent": options.silent,
            "dribbling": options.dribbling,
            "limit_p95_ms": LIMIT_MS,
            "rows": rows,
            "slow": became,
            "memory_mib": memory,
            "python": platform.python_version(),
        },
    )
    return 0 if all(row["p95_ms"] < LIMIT_MS and not row["unanswered"] for row in rows.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
