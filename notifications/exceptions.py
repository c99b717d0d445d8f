"""Exceptions of this app: one root, one class per failure that a caller can handle."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from scheduler.engine.reasons import Reason, as_reason


class NotificationError(Exception):
    """Base class. The message is for people and contains no secret of a channel."""


class SendError(NotificationError):
    """A message was not delivered, or not to all recipients.

    Attributes:
        why: the cause.
        retry_after: delay in seconds requested by the receiver, or None.
        is_permanent: a retry would be refused as well.
        content: the part to send at the next attempt, when some was delivered; None: all of it.
    """

    def __init__(
        self,
        why: Reason | str,
        *,
        retry_after: float | None = None,
        is_permanent: bool = False,
        content: Mapping[str, Any] | None = None,
    ) -> None:
        self.why = as_reason(why)
        super().__init__(self.why)
        self.retry_after = retry_after
        self.is_permanent = is_permanent
        self.content = content

    @property
    def reason(self) -> str:
        """The cause as an English sentence."""
        return str(self.why)


class ForbiddenTargetError(NotificationError, ValueError):
    """An address or host that is not a permitted target."""
