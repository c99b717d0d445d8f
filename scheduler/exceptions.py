"""What can go wrong in this app. One root, one short class for each failure a caller can act on."""

from __future__ import annotations

import math


class SchedulerError(Exception):
    """Root of the errors of this app. The text is for people and names object, value and what is allowed."""


class InvalidScheduleError(SchedulerError, ValueError):
    """A cron expression or time zone that cannot be accepted."""


class ConflictError(SchedulerError):
    """The request is well formed but the present state of the object does not admit it."""


class LimitReachedError(SchedulerError):
    """Something was tried too often; `seconds` from now it may be tried again."""

    def __init__(self, seconds: float) -> None:
        self.seconds = max(1, math.ceil(seconds))
        super().__init__(f"Too many attempts; try again in {self.seconds} s.")
