"""What can go wrong in this app. One root, one short class for each failure a caller can act on."""

from __future__ import annotations


class SchedulerError(Exception):
    """Root of the errors of this app. The text is for people and names object, value and what is allowed."""


class InvalidScheduleError(SchedulerError, ValueError):
    """A cron expression or time zone that cannot be accepted."""


class ConflictError(SchedulerError):
    """The request is well formed but the present state of the object does not admit it."""
