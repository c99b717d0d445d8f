"""Base class of the management commands."""

from __future__ import annotations

import os
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor

from scheduler.management.checks import INSTALLATION


class DatabaseCommand(BaseCommand):
    """A command that requires the tables; fails with a clear message if they are missing or the database is down."""

    requires_migrations_checks = True
    requires_system_checks = [INSTALLATION]  # the checks of the code would import all pages

    def execute(self, *args: Any, **options: Any) -> str | None:
        """Run the command.

        Raises:
            CommandError: also for an argument that databases reject.
        """
        try:
            return super().execute(*args, **options)
        except UnicodeEncodeError as error:
            raise CommandError(f"{error.object!a} is not valid UTF-8") from error

    def say(self, text: str, *, ending: str = "\n", is_exact: bool = False) -> None:
        """Print a text.

        Args:
            is_exact: raise for characters that the output encoding lacks, instead of escaping them.

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
            # Otherwise Python retries the rest of the buffer at exit and reports the error again.
            os.dup2(os.open(os.devnull, os.O_WRONLY), self.stdout.fileno())
            raise CommandError(f"standard output cannot be written: {error.strerror}") from error
        except AttributeError as error:  # stdout was closed when this process began
            raise CommandError("standard output cannot be written: it is closed") from error

    def check_migrations(self) -> None:
        """Refuse to start before `setup` was run, initially or after an upgrade.

        Raises:
            CommandError: states what to do.
        """
        try:
            executor = MigrationExecutor(connection)
        except DatabaseError as error:
            raise CommandError(f"the database cannot be used: {error}") from error
        missing = len(executor.migration_plan(executor.loader.graph.leaf_nodes()))
        if missing:
            raise CommandError(
                f"{missing} migrations are missing in the database; run: python manage.py setup"
            )
