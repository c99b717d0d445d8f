"""What can go wrong in this app. One root, one short class for each failure a caller can act on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class NotificationError(Exception):
    """Root of the errors of this app. The text is for people and holds no secret of a channel."""


class SendError(NotificationError):
    """A message did not get through, or not to everybody.

    Attributes:
        reason: what happened, in one sentence for people.
        retry_after: seconds the other side asked us to wait, or None.
        is_permanent: the same message would be refused again, so another attempt is of no use.
        content: what is left to send at the next attempt, when some of it arrived; None: all of it.
    """

    def __init__(
        self,
        reason: str,
        *,
        retry_after: float | None = None,
        is_permanent: bool = False,
        content: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.retry_after = retry_after
        self.is_permanent = is_permanent
        self.content = content


class ForbiddenTargetError(NotificationError, ValueError):
    """An address or a host that messages may not be sent to."""
