"""`manage.py dispatcher`: turn due slots into executions."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from scheduler.management.base import DatabaseCommand
from scheduler.processes import dispatcher


class Command(DatabaseCommand):
    """One pass, or a loop until SIGTERM or SIGINT."""

    requires_migrations_checks = False  # the loop waits for the tables
    help = "Dispatch due tasks. Any number of dispatchers may run."

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the options."""
        parser.add_argument("--once", action="store_true", help="Do one pass with one sweep, then end.")

    def handle(self, *args: Any, **options: Any) -> None:
        """Run."""
        if options["once"]:
            self.check_migrations()
            result = dispatcher.Dispatcher().once()
            self.stdout.write(f"{result.queued} queued, {result.recorded} recorded, {result.broken} broken")
        else:
            dispatcher.Dispatcher().run()
