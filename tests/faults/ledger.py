"""What scripts write down themselves when they start and end, and how the history must agree with it."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from scheduler.choices import ACTIVE, Status
from scheduler.models import Execution, Task
from scheduler.services.totals import count_ended
from tests.stack import wait_until
from tests.support.totals import counted, ended_in_history

TASKS = 4
LEDGER_SCRIPT = 'echo "start $EXECUTION_ID" >> "$LEDGER"; sleep 0.7; echo "end $EXECUTION_ID" >> "$LEDGER"'


def ledger_tasks(make_task: Any, folder: Path) -> Path:
    """Store tasks that fire each second and write when they start and end."""
    ledger = folder / "ledger"
    ledger.touch()
    for number in range(TASKS):
        make_task(
            f"tick{number}",
            now=datetime.now(UTC),
            task_exec=LEDGER_SCRIPT,
            task_schedule="* * * * * *",
            task_concurrency="allow",
            task_env={"LEDGER": str(ledger)},
        )
    return ledger


def check_history(ledger: Path) -> None:
    """Compare the history with the ledger that the scripts wrote themselves."""
    lines = Counter(ledger.read_text().split("\n"))
    starts = {line.split()[1] for line in lines if line.startswith("start")}
    assert all(count == 1 for line, count in lines.items() if line), "a command started or ended twice"
    ended = {line.split()[1] for line in lines if line.startswith("end")}
    assert starts == ended, "a command that was running was stopped"
    succeeded = set(Execution.objects.filter(status=Status.SUCCESS).values_list("pk", flat=True))
    assert {int(pk) for pk in ended} == succeeded
    others = Execution.objects.exclude(status=Status.SUCCESS)
    assert not [(e.pk, e.status, e.reason) for e in others]
    slots = Counter(Execution.objects.values_list("task_id", "scheduled_for"))
    assert all(count == 1 for count in slots.values())
    for task in Task.objects.all():
        instants = sorted(at for pk, at in slots if pk == task.pk)
        seconds = (instants[-1] - instants[0]).total_seconds()
        assert len(instants) == seconds + 1, f"{task} lost a slot"
    count_ended()
    wait_until(lambda: counted() == ended_in_history(), what="totals that agree with the history")


def successes() -> int:
    """Return how many executions succeeded so far."""
    return Execution.objects.filter(status=Status.SUCCESS).count()


def wait_for_successes(count: int, *, what: str) -> None:
    """Wait until so many more executions have succeeded."""
    wanted = successes() + count
    wait_until(lambda: successes() >= wanted, what=what)


def stop_ticking() -> None:
    """Let no further slot come due, and wait until all executions have ended."""
    Task.objects.update(enabled=False, next_run_at=None)
    wait_until(
        lambda: not Execution.objects.filter(status__in=ACTIVE).exists(), what="the end of all executions"
    )
