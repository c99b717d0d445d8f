"""`manage.py start`: run site, dispatcher and worker together."""

from __future__ import annotations

import sys
from functools import partial
from typing import Any

from django.conf import settings
from django.core.management import execute_from_command_line
from django.core.management.base import BaseCommand

from schedsite.hidden_environment import showing_ancestors
from scheduler.processes import image
from scheduler.processes.foreman import Foreman

PROGRAMS = ("web", "dispatcher", "worker")
PATIENCE = 5.0  # seconds


class Command(BaseCommand):
    """Runs the programs of an installation in one terminal."""

    help = "Start the site, a dispatcher and a worker together, until Ctrl-C."
    requires_system_checks = []

    def handle(self, *args: Any, **options: Any) -> None:
        """Start the programs, and end when one of them ends."""
        for program, name in showing_ancestors():
            self.stderr.write(
                f"{program} was started with {name}, which commands can read there; give it as {name}_FILE instead."
            )
        image.load()
        # Executions have their own time to end; a second Ctrl-C kills all.
        patience = PATIENCE if settings.SCHEDULER_STOP == "leave" else float("inf")
        programs = {name: partial(execute_from_command_line, ["manage.py", name]) for name in PROGRAMS}
        sys.exit(Foreman(programs, patience=patience).run())
