"""`manage.py run_task`: start a task manually, and optionally follow it."""

from __future__ import annotations

import sys
import time
from datetime import UTC, datetime
from typing import Any

from django.core.management.base import CommandError, CommandParser

from scheduler.choices import ACTIVE, Status, Trigger
from scheduler.exceptions import ConflictError
from scheduler.management.base import DatabaseCommand
from scheduler.models import Execution, Task
from scheduler.selectors.logs import read_log
from scheduler.services.runs import request_run
from scheduler.wording.times import exact_instant

POLL = 0.2
BAD = 1  # for a command that exited with 0 but failed according to task_exit_codes
NOT_STARTED = 125  # as timeout(1) uses for its own errors; 1 would mean a business failure


class Command(DatabaseCommand):
    """With --wait it exits with the exit code of the last attempt, or with 125 if the task did not start.

    If `task_exit_codes` map a code to another outcome, it exits with 0 after a success only.
    """

    help = "Run a task now."

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the arguments."""
        parser.add_argument("task_id")
        parser.add_argument(
            "--wait",
            action="store_true",
            help="Print the log of each attempt as it comes; exit as the last one did.",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Start, and follow."""
        returned = NOT_STARTED if options["wait"] else 1
        task = Task.objects.filter(task_id=options["task_id"]).first()
        if task is None:
            raise CommandError(f'there is no task "{options["task_id"]}"', returncode=returned)
        try:
            execution = request_run(task, trigger=Trigger.MANUAL, user=None, now=datetime.now(UTC))
        except ConflictError as error:
            raise CommandError(str(error), returncode=returned) from error
        if not options["wait"]:
            self.stdout.write(f"execution {execution.pk} queued in run {execution.run_id}")
            return
        sys.exit(self._follow(execution))

    def _follow(self, execution: Execution) -> int:
        """Print the attempts one after the other; return the exit code of the last."""
        while True:
            ended, is_line_open = self._print_attempt(execution)
            if ended.is_outcome:
                break
            execution = Execution.objects.get(run=ended.run_id, task=ended.task_id, attempt=ended.attempt + 1)
            self.stdout.write("\n" * is_line_open + _between(ended, execution))
        self.stderr.write(_outcome(ended))
        return _exit_code(ended)

    def _print_attempt(self, execution: Execution) -> tuple[Execution, bool]:
        """Print the log of an execution until it has ended; return it, and whether its last line is unterminated."""
        offset, is_line_open = 0, False
        while True:
            latest = Execution.objects.get(pk=execution.pk)  # before the log, which is complete after the end
            part = read_log(latest, offset=offset)
            if part.text:
                self.stdout.write(part.text, ending="")
                self.stdout.flush()
                offset, is_line_open = part.next_offset, not part.text.endswith("\n")
            elif latest.status not in ACTIVE:
                return latest, is_line_open
            else:
                time.sleep(POLL)


def _exit_code(ended: Execution) -> int:
    """Return the exit code of the command, or without one, the code that shells and timeout(1) would use.

    The outcome according to `task_exit_codes` takes precedence: 0 is returned for a success only.
    """
    if ended.status == Status.SUCCESS:
        return 0
    if ended.status == Status.TIMEOUT:
        return 124
    if ended.exit_code is None:
        return NOT_STARTED
    return (ended.exit_code or BAD) if ended.exit_code >= 0 else 128 - ended.exit_code


def _between(ended: Execution, following: Execution) -> str:
    """Return the line between the logs of two attempts."""
    at = "" if following.not_before is None else f" at {exact_instant(following.not_before)}"
    return f"--- attempt {ended.attempt} ended: {_outcome(ended)}; attempt {following.attempt} is due{at} ---"


def _outcome(ended: Execution) -> str:
    """Return the status of an execution, with its reason if it has one."""
    status = Status(ended.status).value
    return f"{status} ({ended.reason})" if ended.reason else status
