"""`manage.py export_config`: all tasks as config.json."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from scheduler.config_file import dump_config
from scheduler.management.base import DatabaseCommand
from scheduler.services.configuration import export_specs


class Command(DatabaseCommand):
    """Writes a file whole or not at all."""

    help = "Write all tasks as config.json to PATH, or to standard output."

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the arguments."""
        parser.add_argument("path", nargs="?", default="-", help="Where to; “-” or nothing: standard output.")

    def handle(self, *args: Any, **options: Any) -> None:
        """Write."""
        text = dump_config(export_specs())
        if options["path"] == "-":
            self.stdout.write(text, ending="")
            return
        path = Path(options["path"])
        draft = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            draft.write_text(text, encoding="utf-8")
            draft.replace(path)
        except OSError as error:
            draft.unlink(missing_ok=True)
            raise CommandError(f"{path} cannot be written: {error.strerror}") from error
