"""Registry of channel kinds. Other code uses it and never names a kind."""

from __future__ import annotations

from notifications.channels.apprise.channel import AppriseChannel
from notifications.channels.base import Channel
from notifications.channels.email.channel import EmailChannel
from notifications.channels.webhook.channel import WebhookChannel
from scheduler.config_file import channel_kinds
from scheduler.engine.reasons import add_templates, remove_templates

#: By kind, in the order of the forms; the first kind is the default of a new channel.
REGISTRY: dict[str, Channel] = {}


def register(channel: Channel) -> None:
    """Add a channel kind with its reasons.

    Raises:
        ValueError: a reason code of the channel is in use with another template.
    """
    add_templates(channel.reasons)
    REGISTRY[channel.kind] = channel
    channel_kinds.register(channel.definition)


def unregister(kind: str) -> None:
    """Remove a channel kind with its reasons."""
    remove_templates(REGISTRY.pop(kind).reasons)
    channel_kinds.unregister(kind)


def get_channel(kind: str) -> Channel:
    """Return the channel of a kind.

    Raises:
        ValueError: unknown kind.
    """
    if kind not in REGISTRY:
        raise ValueError(f"there is no channel of kind {kind!r}; allowed are {', '.join(sorted(REGISTRY))}")
    return REGISTRY[kind]


for _channel in (EmailChannel(), WebhookChannel(), AppriseChannel()):
    register(_channel)
