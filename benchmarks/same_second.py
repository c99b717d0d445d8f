"""How late 200 tasks start that are due at the same second: two workers, SQLite, a real dispatcher and cluster.

Prints the lateness from the slot to `started_at`, and to the instant that each command noted itself. Run by
`make bench`.
"""

from __future__ import annotations

import statistics
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from installation import installation, started, wait_until, write_result

TASKS = 200
AHEAD = timedelta(seconds=6)  # until the slot, to store the tasks
LIMIT_S = 2.0


def store_tasks(slot: datetime, ledger: Path) -> None:
    """Store tasks that are due at `slot`, and once a year; each command adds a line to a file of its own."""
    from scheduler.config_file import validate_task
    from scheduler.services.tasks import save_task

    schedule = f"{slot.second} {slot.minute} {slot.hour} {slot.day} {slot.month} *"
    for number in range(TASKS):
        spec = {
            "task_id": f"t{number}",
            "task_name": f"Task {number}",
            "task_exec": f"echo x >> {ledger}/$TASK_ID",
            "task_schedule": schedule,
            "task_timezone": "UTC",
        }
        save_task(validate_task(spec), task=None, user=None, now=datetime.now(UTC))


def spread(lateness: list[float]) -> dict[str, float]:
    """Return percentiles in seconds."""
    cuts = statistics.quantiles(lateness, n=100, method="inclusive")
    return {
        "p50": round(cuts[49], 3),
        "p95": round(cuts[94], 3),
        "p99": round(cuts[98], 3),
        "max": round(max(lateness), 3),
    }


def measure(folder: Path) -> dict[str, object]:
    """Return the lateness of all starts at one slot."""
    from scheduler.choices import Status
    from scheduler.models import Execution

    ledger = folder / "ledger"
    ledger.mkdir()
    slot = (datetime.now(UTC) + AHEAD).replace(microsecond=0)
    store_tasks(slot, ledger)
    assert datetime.now(UTC) < slot - timedelta(seconds=1), "storing the tasks took too long"
    time.sleep((slot - datetime.now(UTC)).total_seconds())
    wait_until(lambda: Execution.objects.filter(status=Status.SUCCESS).count() >= TASKS)
    rows = list(Execution.objects.values_list("task_id", "status", "scheduled_for", "started_at"))
    assert len(rows) == len({task for task, *_ in rows}) == TASKS, "a task has not exactly one execution"
    assert all(status == Status.SUCCESS and at == slot for _, status, at, _ in rows)
    notes = list(ledger.iterdir())
    assert len(notes) == TASKS and all(note.read_text() == "x\n" for note in notes), "a command ran twice"
    return {
        "tasks": TASKS,
        "limit_p99_s": LIMIT_S,
        "recorded_s": spread([(at - slot).total_seconds() for *_, at in rows]),
        "command_s": spread([note.stat().st_mtime - slot.timestamp() for note in notes]),
    }


def main() -> int:
    """Measure, print, write; 1 when starts are later than the limit."""
    with (
        installation(SCHEDULER_WORKERS="2") as folder,
        started("worker", "cluster"),
        started("dispatcher", "dispatcher"),
    ):
        result = measure(folder)
    print(f"{TASKS} tasks due at the same second, one execution each; seconds from the slot to")
    for name, what in (("recorded_s", "the recorded start"), ("command_s", "the command itself")):
        print(f"  {what:20} " + "  ".join(f"{key} {value:.3f}" for key, value in result[name].items()))
    write_result("same_second", result)
    late = max(result["recorded_s"]["p99"], result["command_s"]["p99"])
    print(f"  p99 {late:.3f} s; the limit is {LIMIT_S:g} s")
    return 0 if late < LIMIT_S else 1


if __name__ == "__main__":
    sys.exit(main())
