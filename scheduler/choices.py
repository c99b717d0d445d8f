"""The closed lists of words that are stored and shown. No status literal stands outside this module."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


class Status(models.TextChoices):
    """The state of one execution."""

    QUEUED = "queued", _("Queued")
    RUNNING = "running", _("Running")
    SUCCESS = "success", _("Success")
    BUSINESS_FAILURE = "business_failure", _("Business failure")
    TECHNICAL_FAILURE = "technical_failure", _("Technical failure")
    TIMEOUT = "timeout", _("Timeout")
    CANCELLED = "cancelled", _("Cancelled")
    SKIPPED = "skipped", _("Skipped")
    MISSED = "missed", _("Missed")


ACTIVE = frozenset({Status.QUEUED, Status.RUNNING})
RAN = frozenset({Status.SUCCESS, Status.BUSINESS_FAILURE, Status.TECHNICAL_FAILURE, Status.TIMEOUT})
FAILED = RAN - {Status.SUCCESS}
RETRIED = frozenset({Status.TECHNICAL_FAILURE, Status.TIMEOUT})
TERMINAL = frozenset(Status) - ACTIVE
#: Terminal statuses of executions that a task's streak of outcomes passes over.
NEUTRAL = TERMINAL - RAN
#: Terminal statuses that a run's decisions can cause before a command starts.
PREVENTED = frozenset({Status.SKIPPED, Status.CANCELLED})
#: Statuses of rows that are no outcome any more once a run is resumed upstream: the task is decided again.
SUPERSEDED = frozenset({Status.SKIPPED})
#: Statuses that `task_exit_codes` can map exit codes to, in the order of forms.
BY_EXIT_CODE = (Status.SUCCESS, Status.BUSINESS_FAILURE, Status.TECHNICAL_FAILURE)
#: The others are searched for by an index of their own; so are triggers.
UNINDEXED_STATUSES = (Status.SUCCESS, Status.QUEUED, Status.RUNNING)


class RunStatus(models.TextChoices):
    """The state of a run, derived from the outcomes in it."""

    RUNNING = "running", _("Running")
    SUCCESS = "success", _("Success")
    FAILED = "failed", _("Failed")
    CANCELLED = "cancelled", _("Cancelled")


class Trigger(models.TextChoices):
    """Why an execution exists."""

    SCHEDULE = "schedule", _("Schedule")
    MANUAL = "manual", _("Manual")
    API = "api", _("API")
    DEPENDENCY = "dependency", _("Dependency")
    RETRY = "retry", _("Retry")
    WEBHOOK = "webhook", _("Webhook")
    BACKFILL = "backfill", _("Backfill")


UNINDEXED_TRIGGERS = (Trigger.SCHEDULE,)


class MisfirePolicy(models.TextChoices):
    """What happens to slots found later than the grace time."""

    RUN_ONCE = "run_once", _("Run once (the latest)")
    SKIP = "skip", _("Skip all")
    RUN_ALL = "run_all", _("Run all, oldest first")


class Concurrency(models.TextChoices):
    """What happens when a task is due while an execution of it is active."""

    SKIP = "skip", _("Skip the new one")
    QUEUE = "queue", _("Queue the new one")
    REPLACE = "replace", _("Replace the old one")
    ALLOW = "allow", _("Allow side by side")


class TriggerRule(models.TextChoices):
    """Which outcomes of its upstreams let a task start."""

    ALL_SUCCESS = "all_success", _("All upstreams succeeded")
    ALL_DONE = "all_done", _("All upstreams ended")
    ANY_FAILED = "any_failed", _("Any upstream failed")


WEEKDAYS = (_("Mon"), _("Tue"), _("Wed"), _("Thu"), _("Fri"), _("Sat"), _("Sun"))


class AuditKind(models.TextChoices):
    """What an event of the audit is about."""

    LOGIN = "login", _("Login")
    LOGOUT = "logout", _("Logout")
    SESSION = "session", _("Session ended")
    TOKEN = "token", _("API token")
    TOKEN_MADE = "token_made", _("API token created")
    TOKEN_ENDED = "token_ended", _("API token ended")
    PASSWORD = "password", _("Password")
    ACCOUNT = "account", _("Account")
    TEST = "test", _("Test message")
    RUN = "run", _("Run by API")
    UNLOCK = "unlock", _("Unlock")


class AuditOutcome(models.TextChoices):
    """How it ended: done, done wrongly, or not let through."""

    SUCCESS = "success", _("Success")
    FAILURE = "failure", _("Failed")
    REFUSED = "refused", _("Refused")
