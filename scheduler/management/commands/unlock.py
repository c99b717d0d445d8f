"""`manage.py unlock`: reset login limits, so that an account can log in again at once."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django.core.management.base import CommandParser

from scheduler.choices import AuditKind, AuditOutcome
from scheduler.management.base import DatabaseCommand
from scheduler.services import audit, limits


class Command(DatabaseCommand):
    """Resets attempt counters."""

    help = "Reset the counters of wrong passwords, invalid tokens and requests, which ends all waiting times."

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the argument."""
        parser.add_argument(
            "name", nargs="?", default="", metavar="ACCOUNT|ADDRESS", help="Of whom alone; default: of all."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Reset the counters, and print their number."""
        name: str = options["name"]
        count = limits.unlock(name)
        audit.record(AuditKind.UNLOCK, AuditOutcome.SUCCESS, about=name or "all", now=datetime.now(UTC))
        whose = f' of "{name}"' if name else ""
        self.stdout.write(f"{count} counts{whose} forgotten.")
