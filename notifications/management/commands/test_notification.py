"""`manage.py test_notification`: send a test message to the channels of a rule."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import Any

from django.core.management.base import CommandError, CommandParser

from notifications.choices import State
from notifications.models import NotificationRule
from notifications.services import test_messages
from scheduler.management.base import DatabaseCommand


class Command(DatabaseCommand):
    """Exits with 1 when a channel fails."""

    help = "Send a test message to each channel of a notification rule and print the results."

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the argument."""
        parser.add_argument("rule", help="Id or name of the rule.")

    def handle(self, *args: Any, **options: Any) -> None:
        """Send the messages and print a line per channel."""
        rule = _find(options["rule"])
        sent = test_messages.send_test_messages(
            list(rule.channels.all()), rule=rule, task=rule.task, now=datetime.now(UTC)
        )
        for delivery in sent:
            said = delivery.response if delivery.state == State.SENT else delivery.reason
            self.stdout.write(f"{delivery.kind}: {delivery.state}: {said}")
        if any(delivery.state != State.SENT for delivery in sent):
            sys.exit(1)


def _find(text: str) -> NotificationRule:
    rows = NotificationRule.objects.select_related("task").prefetch_related("channels")
    is_id = text.isascii() and text.isdigit() and len(text) < 19
    found = list(rows.filter(pk=int(text))) if is_id else []
    found = found or list(rows.filter(name=text).order_by("pk")[:11])
    if not found:
        raise CommandError(f'there is no notification rule "{text}"; give its id or its name')
    if len(found) > 1:
        ids = ", ".join(str(rule.pk) for rule in found[:10])
        raise CommandError(f'several notification rules have the name "{text}"; give one of the ids {ids}')
    return found[0]
