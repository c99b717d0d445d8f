"""Closed sets of stored values."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


class Scope(models.TextChoices):
    """The tasks a rule applies to."""

    TASK = "task", _("One task")
    TAG = "tag", _("Tasks with a tag")
    ALL = "all", _("All tasks")


class Repeat(models.TextChoices):
    """The outcomes of a streak that cause a message."""

    EVERY = "every", _("Every N times")
    ONCE = "once", _("Once, at N")
    ALWAYS = "always", _("Each time from N on")


class Event(models.TextChoices):
    """The event a message reports: a trigger, or one of our own."""

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


#: Events without a rule decision; they neither start a cooldown nor count towards the hourly limit.
OWN_EVENTS = (Event.DIGEST, Event.TEST)


class State(models.TextChoices):
    """The state of a message."""

    PENDING = "pending", _("Pending")
    SENDING = "sending", _("Sending")
    SENT = "sent", _("Sent")
    FAILED = "failed", _("Failed")
    SUPPRESSED = "suppressed", _("Suppressed")


OPEN = (State.PENDING, State.SENDING)
#: States after an attempt to send.
ATTEMPTED = (State.SENT, State.FAILED)
#: States in which a message is finished; sending it again is a new message.
FINISHED = (State.SENT, State.SUPPRESSED)
