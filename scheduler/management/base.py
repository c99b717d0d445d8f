"""What commands for people have in common."""

from __future__ import annotations

import os
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

    def say(self, text: str, *, ending: str = "\n", is_exact: bool = False) -> None:
        """Print a text.

        Args:
            is_exact: refuse what the output has no characters for, instead of escaping it.

        Raises:
            CommandError: it cannot be printed.
        """
        encoding = getattr(self.stdout, "encoding", None) or "utf-8"
        try:
            encoded = text.encode(encoding, "strict" if is_exact else "backslashreplace")
        except UnicodeEncodeError as error:
            character = ascii(error.object[error.start])
            raise CommandError(
                f"standard output is {encoding}, which has no {character}; set PYTHONUTF8=1"
            ) from error
        try:
            self.stdout.write(encoded.decode(encoding), ending=ending)
            self.stdout.flush()
        except OSError as error:
            # What is left in its buffer would be tried again, and be told, at the end of the process.
            os.dup2(os.open(os.devnull, os.O_WRONLY), self.stdout.fileno())
            raise CommandError(f"standard output cannot be written: {error.strerror}") from error
        except AttributeError as error:  # it was closed when this process began
            raise CommandError("standard output cannot be written: it is closed") from error

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
