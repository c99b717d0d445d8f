"""`manage.py backup PATH`: copy the SQLite database while everything runs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.db import DatabaseError, connection

from scheduler.management.base import DatabaseCommand


class Command(DatabaseCommand):
    """Writes a new file that only its owner may read."""

    help = "Copy the SQLite database to a new file, while everything runs."

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the options."""
        parser.add_argument("path", help="The file to create; it must not exist.")

    def handle(self, *args: Any, path: str, **options: Any) -> None:
        """Write the copy.

        Raises:
            CommandError: the database is not SQLite, or the file exists already or cannot be written.
        """
        if connection.vendor != "sqlite":
            raise CommandError("the database is PostgreSQL: use pg_dump")
        try:
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        except FileExistsError as error:
            raise CommandError(f"{path} already exists and is not overwritten") from error
        except (OSError, ValueError) as error:
            raise CommandError(
                f"{path} cannot be written: {getattr(error, 'strerror', None) or error}"
            ) from error
        try:
            with connection.cursor() as cursor:
                cursor.execute("VACUUM INTO %s", [str(Path(path).resolve())])
        except DatabaseError as error:
            Path(path).unlink(missing_ok=True)
            raise CommandError(f"{path} cannot be written: {error}") from error
        self.say(f"The database is in {path}.")
