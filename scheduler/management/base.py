"""What commands for people have in common."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor


class DatabaseCommand(BaseCommand):
    """A command that needs the tables, and says in a sentence when they are missing or the database is away."""

    requires_migrations_checks = True

    def execute(self, *args: Any, **options: Any) -> str | None:
        """Run the command.

        Raises:
            CommandError: also for an argument that no database can look for.
        """
        try:
            return super().execute(*args, **options)
        except UnicodeEncodeError as error:
            raise CommandError(f"{error.object!a} is no text; UTF-8 is needed") from error

    def check_migrations(self) -> None:
        """Refuse to begin before `setup` was run, for the first time or after an upgrade.

        Raises:
            CommandError: saying what to do.
        """
        try:
            executor = MigrationExecutor(connection)
        except DatabaseError as error:
            raise CommandError(f"the database cannot be used: {error}") from error
        missing = len(executor.migration_plan(executor.loader.graph.leaf_nodes()))
        if missing:
            raise CommandError(
                f"the database lacks {missing} migrations of this version; run: python manage.py setup"
            )
