"""`manage.py check`: Django's checks, and which tables of time zones are used."""

from __future__ import annotations

from typing import Any

from django.core.management.commands import check

from scheduler.wording.zone_tables import describe_zone_tables


class Command(check.Command):
    """Runs the checks of Django and of this installation."""

    def handle(self, *args: Any, **options: Any) -> None:
        """Name the tables of time zones, then run the checks."""
        self.stdout.write(f"Time zone tables: {describe_zone_tables()}")
        super().handle(*args, **options)
