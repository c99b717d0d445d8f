"""`manage.py explain`: explain why a task ran, why it does not run, and what it waits for."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django.core.management.base import CommandError, CommandParser

from scheduler.management.base import DatabaseCommand
from scheduler.models import Task
from scheduler.wording.explanations import explain
from scheduler.wording.reasons import told


class Command(DatabaseCommand):
    """Prints one sentence a line."""

    help = "Explain why a task ran, why it does not run, and what it waits for."

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the argument."""
        parser.add_argument("task_id")

    def handle(self, *args: Any, **options: Any) -> None:
        """Explain."""
        task = Task.all_objects.filter(task_id=options["task_id"]).first()
        if task is None:
            raise CommandError(f'there is no task "{options["task_id"]}"')
        for sentence in explain(task, now=datetime.now(UTC)).sentences:
            self.stdout.write(told(sentence))
