"""`manage.py prune_history`: delete executions past their retention."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django.core.management.base import CommandError, CommandParser

from scheduler.engine.times import exact_instant
from scheduler.management.base import DatabaseCommand
from scheduler.services.clock import held_until
from scheduler.services.pruning import prune

LONGEST = 36_500  # days


class Command(DatabaseCommand):
    """The dispatcher does the same once an hour."""

    help = "Delete executions older than their retention (SCHEDULER_HISTORY_DAYS, or the task's own)."

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the options."""
        parser.add_argument("--days", type=int, default=None, help="Instead of SCHEDULER_HISTORY_DAYS.")
        parser.add_argument(
            "--force", action="store_true", help="Also when the clock may be wrong: it was set far ahead."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Prune and print the number of deleted executions."""
        days = options["days"]
        if days is not None and not 1 <= days <= LONGEST:
            raise CommandError(f"--days is {days}; a whole number from 1 to {LONGEST} is allowed")
        now = datetime.now(UTC)
        until = None if options["force"] else held_until(now)
        if until is not None:
            raise CommandError(
                f"nothing was deleted: by the clock of this machine it is {exact_instant(now)}, more than a day "
                f"beyond the last sign of life; retention waits until {exact_instant(until)} in case the clock is "
                "wrong. When it is right, --force deletes now"
            )
        pruned = prune(now, days=options["days"])
        self.stdout.write(f"{pruned.executions} executions deleted")
