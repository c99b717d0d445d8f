"""The interface of a channel, which delivers messages to people."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from notifications.channels.drafts import ChannelDraft
from notifications.messages.context import Facts
from scheduler.config_file.channel_kinds import ChannelKind
from scheduler.engine.reasons import Plural, Reason


class Channel(ABC):
    """One kind of channel. Stateless: one instance serves all rules and threads.

    Attributes:
        definition: its part of config.json; its name is the value of `type` in a rule.
        label: display name, translatable.
        icon: name of a Material Symbols icon.
        target: the fields that identify the recipients; the hourly limit counts by them.
        draft: class of its form fields.
        reasons: templates for the reason codes that only this channel returns; their values are used by no other part.
    """

    definition: ClassVar[ChannelKind]
    label: ClassVar[Any]
    icon: ClassVar[str]
    target: ClassVar[Sequence[str]]
    draft: ClassVar[type[ChannelDraft]]
    reasons: ClassVar[Mapping[Any, str | Plural]] = {}

    @property
    def kind(self) -> str:
        """The value of `type` in a rule."""
        return self.definition.name

    @property
    def folder(self) -> Path:
        """The directory of its package, with the templates ``form.html`` and ``content.html``."""
        return Path(inspect.getfile(type(self))).parent

    @abstractmethod
    def compose(self, config: Mapping[str, Any], facts: Facts) -> dict[str, Any]:
        """Return the content to send, as JSON that is stored and shown to people; without secrets.

        Args:
            config: the channel of the rule, with or without defaults filled in.

        Raises:
            ValueError: a template of the channel cannot be rendered.
        """

    @abstractmethod
    def send(
        self, config: Mapping[str, Any], content: Mapping[str, Any], *, key: str, deadline: float
    ) -> Reason | str:
        """Send the content that `compose` returned and return the receiver's response, without secrets.

        A `Reason` is translated for the reader; a plain string is shown verbatim.

        Args:
            key: idempotency key of the delivery, the same at each attempt.
            deadline: maximum seconds in total, including name resolution.

        Raises:
            SendError: the message was not delivered, or not to all recipients.
        """

    @abstractmethod
    def describe(self, config: Mapping[str, Any]) -> list[str]:
        """Return the destinations of messages, for people.

        Args:
            config: the stored channel with its secrets masked; possibly edited by hand.

        Raises:
            KeyError, TypeError, ValueError, AttributeError: the configuration is invalid.
        """

    @abstractmethod
    def sample_answer(self, config: Mapping[str, Any]) -> Reason | str:
        """Return the response to a delivered message, for the demonstration data."""
