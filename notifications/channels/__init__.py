"""The kinds of channels. A new kind is one file beside this one and one line in `REGISTRY`."""

from __future__ import annotations

from notifications.channels.apprise import AppriseChannel
from notifications.channels.base import Channel
from notifications.channels.email import EmailChannel
from notifications.channels.webhook import WebhookChannel

REGISTRY: dict[str, Channel] = {
    channel.kind: channel for channel in (EmailChannel(), WebhookChannel(), AppriseChannel())
}


def get_channel(kind: str) -> Channel:
    """Return the channel of a kind.

    Raises:
        ValueError: there is none of that kind.
    """
    if kind not in REGISTRY:
        raise ValueError(f"there is no channel of kind {kind!r}; allowed are {', '.join(sorted(REGISTRY))}")
    return REGISTRY[kind]
