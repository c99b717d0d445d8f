"""`manage.py changepassword`: Django's command, with revocation of sessions and tokens."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.management.commands.changepassword import Command as StockCommand
from django.core.management.base import CommandParser

from scheduler.services.passwords import tokens_kept


class Command(StockCommand):
    """Asks for a new password; ends the sessions of the account, and its tokens unless they are kept."""

    help = "Change the password of an account; its sessions end, and its API tokens unless they are kept."

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the option."""
        super().add_arguments(parser)
        parser.add_argument("--keep-tokens", action="store_true", help="Keep the API tokens of the account.")

    def handle(self, *args: Any, **options: Any) -> str | None:
        """Ask and store."""
        with tokens_kept(options["keep_tokens"]):
            return super().handle(*args, **options)
