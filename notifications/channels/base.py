"""The contract of a channel: a way by which messages reach people."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from notifications.exceptions import SendError

__all__ = ["Channel", "Facts", "SendError"]


@dataclass(frozen=True, slots=True)
class Facts:
    """What a message tells.

    Attributes:
        values: a value for each of the names that templates may use; None where there is none.
        event: a trigger word of a rule, or "digest" or "test".
        language: "en" or "zh-hans"; of texts that the rule does not bring itself.
    """

    values: Mapping[str, str | int | float | None]
    event: str
    language: str


class Channel(Protocol):
    """One kind of channel. It keeps no state: the same object serves all rules and threads."""

    @property
    def kind(self) -> str:
        """The word under `type` in a rule."""
        ...

    def compose(self, config: Mapping[str, Any], facts: Facts) -> dict[str, Any]:
        """Return what will be sent, ready to be stored as JSON and shown to people; it holds no secret.

        Args:
            config: the channel as it stands in the rule, defaults filled in or not.

        Raises:
            ValueError: a template of the channel cannot be rendered.
        """
        ...

    def send(
        self, config: Mapping[str, Any], content: Mapping[str, Any], *, key: str, deadline: float
    ) -> str:
        """Send what `compose` returned and return what the other side said, in a short text without secrets.

        Args:
            key: names the delivery; the same at each attempt, so that the other side can tell a repetition.
            deadline: seconds that all of it may take, name resolution included.

        Raises:
            SendError: it did not get through, or not to everybody.
        """
        ...
