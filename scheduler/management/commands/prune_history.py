"""`manage.py prune_history`: delete executions that are older than their retention."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django.core.management.base import CommandError, CommandParser

from scheduler.management.base import DatabaseCommand
from scheduler.services.pruning import prune

LONGEST = 36_500  # days


class Command(DatabaseCommand):
    """The dispatcher does the same once an hour."""

    help = "Delete executions older than their retention (SCHEDULER_HISTORY_DAYS, or the task's own)."

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the options."""
        parser.add_argument("--days", type=int, default=None, help="Instead of SCHEDULER_HISTORY_DAYS.")

    def handle(self, *args: Any, **options: Any) -> None:
        """Prune and say how many went."""
        days = options["days"]
        if days is not None and not 1 <= days <= LONGEST:
            raise CommandError(f"--days is {days}; a whole number from 1 to {LONGEST} is allowed")
        pruned = prune(datetime.now(UTC), days=options["days"])
        self.stdout.write(f"{pruned.executions} executions deleted")
