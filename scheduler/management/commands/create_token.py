"""`manage.py create_token`: create an API token."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management.base import CommandError, CommandParser

from scheduler.engine.times import exact_instant
from scheduler.management.base import DatabaseCommand
from scheduler.services.tokens import LONGEST_DAYS, LONGEST_NAME, create_token


class Command(DatabaseCommand):
    """Prints the token once; only its hash is stored."""

    help = "Make an API token for a user and print it."

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the arguments."""
        parser.add_argument("user")
        parser.add_argument("--name", default="", help="What the token is for.")
        parser.add_argument(
            "--days", type=int, default=None, help="Days until it ends; default: SCHEDULER_TOKEN_DAYS."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Create and print the token."""
        user = get_user_model().objects.filter(username=options["user"], is_active=True).first()
        if user is None:
            raise CommandError(f'there is no active user "{options["user"]}"')
        name, days = options["name"], options["days"]
        if len(name) > LONGEST_NAME:
            raise CommandError(f"--name has {len(name)} characters; at most {LONGEST_NAME} are allowed")
        if days is not None and not 1 <= days <= LONGEST_DAYS:
            raise CommandError(f"--days is {days}; a whole number from 1 to {LONGEST_DAYS} is allowed")
        expires_at = datetime.now(UTC) + timedelta(days=days or settings.SCHEDULER_TOKEN_DAYS)
        self.stdout.write(create_token(user, name=name, expires_at=expires_at))
        self.stderr.write(f"It expires at {exact_instant(expires_at)}.")
