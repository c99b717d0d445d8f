"""Rules as list items: scope, triggers, channels, and the result of the latest message."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from notifications import selectors
from notifications.models import Delivery, NotificationRule, RuleChannel
from notifications.wording.rules import channel_words, problem_of, stored_sentence


@dataclass(frozen=True)
class ChannelLine:
    """A channel; `last` is its latest message that was sent or failed, for users who may see deliveries."""

    channel: RuleChannel
    where: str
    last: Delivery | None


@dataclass(frozen=True)
class RuleCard:
    """A rule; `problem` says why it is invalid."""

    rule: NotificationRule
    sentence: str
    problem: str
    channels: Sequence[ChannelLine]

    @property
    def tone(self) -> str:
        """The colour of the status light."""
        if self.problem:
            return "bad"
        return "good" if self.rule.enabled else ""


def rule_cards(rules: Iterable[NotificationRule], *, shows_deliveries: bool) -> list[RuleCard]:
    """Return the cards of rules with prefetched channels; two queries."""
    rows = list(rules)
    channels = {rule.pk: list(rule.channels.all()) for rule in rows}
    pks = [channel.pk for some in channels.values() for channel in some]
    last = selectors.latest_deliveries(pks) if shows_deliveries else {}
    return [
        RuleCard(
            rule,
            stored_sentence(rule),
            problem_of(rule),
            [
                ChannelLine(
                    channel,
                    channel_words(channel.kind, channel.config),
                    last.get(channel.pk),
                )
                for channel in channels[rule.pk]
            ],
        )
        for rule in rows
    ]
