"""The closed lists of words that are stored and shown."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


class Scope(models.TextChoices):
    """The tasks that a rule is about."""

    TASK = "task", _("One task")
    TAG = "tag", _("Tasks with a tag")
    ALL = "all", _("All tasks")


class Repeat(models.TextChoices):
    """Which outcomes of a streak cause a message."""

    EVERY = "every", _("At each multiple of the threshold")
    ONCE = "once", _("Once, when the threshold is reached")
    ALWAYS = "always", _("At each outcome from the threshold on")


class Event(models.TextChoices):
    """What a message tells of: the word of a trigger, or one of ours."""

    SUCCESS = "success", _("Success")
    BUSINESS_FAILURE = "business_failure", _("Business failure")
    TECHNICAL_FAILURE = "technical_failure", _("Technical failure")
    TIMEOUT = "timeout", _("Timeout")
    CANCELLED = "cancelled", _("Cancelled")
    SKIPPED = "skipped", _("Skipped")
    MISSED = "missed", _("Missed")
    RECOVERED = "recovered", _("Recovered")
    OVERDUE = "overdue", _("Overdue")
    DIGEST = "digest", _("Digest")
    TEST = "test", _("Test")


#: Events that no rule decided on: they neither start a cooldown nor count for the limit.
OWN_EVENTS = (Event.DIGEST, Event.TEST)


class State(models.TextChoices):
    """What became of a message."""

    PENDING = "pending", _("Pending")
    SENDING = "sending", _("Sending")
    SENT = "sent", _("Sent")
    FAILED = "failed", _("Failed")
    SUPPRESSED = "suppressed", _("Suppressed")


OPEN = (State.PENDING, State.SENDING)
