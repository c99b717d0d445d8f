"""`manage.py dispatcher`: turns due slots into executions."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from scheduler import dispatcher


class Command(BaseCommand):
    """One pass, or a loop until SIGTERM or SIGINT."""

    help = "Dispatch due tasks. Any number of dispatchers may run."

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the options."""
        parser.add_argument("--once", action="store_true", help="Do one pass with one sweep, then end.")

    def handle(self, *args: Any, **options: Any) -> None:
        """Run."""
        if options["once"]:
            result = dispatcher.Dispatcher().once()
            self.stdout.write(f"{result.queued} queued, {result.recorded} recorded, {result.broken} broken")
        else:
            dispatcher.Dispatcher().run()
