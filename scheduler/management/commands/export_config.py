"""`manage.py export_config`: export all tasks as config.json."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from scheduler.config_file import dump_config
from scheduler.management.base import DatabaseCommand
from scheduler.services.configuration import export_specs


class Command(DatabaseCommand):
    """Writes the file atomically."""

    help = "Write all tasks as config.json to PATH, or to standard output."

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the arguments."""
        parser.add_argument(
            "path", nargs="?", default="-", help="Target file; “-” or omitted: standard output."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Write."""
        text = dump_config(export_specs())
        if options["path"] == "-":
            self.say(text, ending="", is_exact=True)
            return
        path = Path(options["path"])
        try:
            _write_whole(path.resolve(), text)
        except (OSError, ValueError) as error:
            raise CommandError(
                f"{path} cannot be written: {getattr(error, 'strerror', None) or error}"
            ) from error


def _write_whole(path: Path, text: str) -> None:
    """Write a file atomically; as it may contain secrets, a new file is readable by its owner only.

    Raises:
        OSError: it cannot be written.
        ValueError: it is not a regular file.
    """
    if path.exists() and not path.is_file():
        raise ValueError("it is not a regular file")
    mode = stat.S_IMODE(path.stat().st_mode) if path.exists() else 0o600
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with os.fdopen(
            os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w", encoding="utf-8"
        ) as file:
            os.fchmod(file.fileno(), mode)
            file.write(text)
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
