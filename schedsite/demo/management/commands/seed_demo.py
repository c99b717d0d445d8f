"""`manage.py seed_demo`: seed an empty installation with the demonstration."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError, CommandParser

from schedsite.demo.seeding import seed_demonstration
from scheduler.config_file.document import MAX_TASKS
from scheduler.exceptions import ConflictError
from scheduler.management.base import DatabaseCommand

MOST = {"days": 3650, "tasks": MAX_TASKS, "executions": 100_000_000}


class Command(DatabaseCommand):
    """Fails if tasks exist, unless forced."""

    help = "Write tasks with weeks of believable history into an empty database."

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the arguments."""
        parser.add_argument("--days", type=int, default=28, help="Days of history (28).")
        parser.add_argument("--tasks", type=int, default=25, help="Number of tasks (25).")
        parser.add_argument("--seed", type=int, default=1, help="The same number creates the same data (1).")
        parser.add_argument(
            "--executions", type=int, help="Write so many plain executions instead, for measuring."
        )
        parser.add_argument(
            "--force",
            action="store_true",
            help="Go on although there are tasks; same ids and their history are replaced.",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Write the data and print the counts."""
        for name, most in MOST.items():
            if options[name] is not None and not 1 <= options[name] <= most:
                raise CommandError(f"--{name} is {options[name]}; a whole number from 1 to {most} is allowed")
        try:
            seeded = seed_demonstration(
                now=datetime.now(UTC),
                days=options["days"],
                task_count=options["tasks"],
                seed=options["seed"],
                execution_count=options["executions"],
                is_forced=options["force"],
            )
        except ConflictError as error:
            raise CommandError(f"{error}; use --force to go on") from error
        self.stdout.write(f"{seeded.tasks} tasks and {seeded.executions} executions were written")
        if seeded.scripts:
            self.stdout.write(f"{seeded.scripts} scripts were written to {settings.SCHEDULER_TASKS_DIR}")
