"""`manage.py run_task`: start a task by hand, and follow it when asked to."""

from __future__ import annotations

import sys
import time
from datetime import UTC, datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from scheduler.choices import ACTIVE, Status, Trigger
from scheduler.exceptions import ConflictError
from scheduler.models import Execution, ExecutionLog, Task
from scheduler.services.runs import request_run

POLL = 0.2


class Command(BaseCommand):
    """With --wait it exits with the exit code of the script (1 when there is none)."""

    help = "Run a task now."

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the arguments."""
        parser.add_argument("task_id")
        parser.add_argument(
            "--wait", action="store_true", help="Print the log as it comes; exit as the script did."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Start, and follow."""
        task = Task.objects.filter(task_id=options["task_id"]).first()
        if task is None:
            raise CommandError(f'there is no task "{options["task_id"]}"')
        try:
            execution = request_run(task, trigger=Trigger.MANUAL, user=None, now=datetime.now(UTC))
        except ConflictError as error:
            raise CommandError(str(error)) from error
        if not options["wait"]:
            self.stdout.write(f"execution {execution.pk} queued in run {execution.run_id}")
            return
        sys.exit(self._follow(execution))

    def _follow(self, execution: Execution) -> int:
        """Print output until the outcome of the task in this run is known; return the exit code."""
        printed = -1
        while True:
            latest = Execution.objects.filter(run=execution.run_id, task=execution.task_id).order_by(
                "-attempt"
            )[0]
            if latest.pk != execution.pk:
                execution, printed = latest, -1
            for piece in ExecutionLog.objects.filter(execution=execution, offset__gt=printed).order_by(
                "offset"
            ):
                self.stdout.write(piece.text, ending="")
                printed = piece.offset
            if latest.status not in ACTIVE and latest.is_outcome:
                self.stderr.write(f"{Status(latest.status).value} {latest.reason}".strip())
                return latest.exit_code if latest.exit_code is not None and latest.exit_code >= 0 else 1
            time.sleep(POLL)
