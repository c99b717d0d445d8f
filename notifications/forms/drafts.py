"""Rules in a form: submitted values, secrets kept without being shown, and errors.

One draft class serves the rule page and the rules on the task form. Submitted values stay text until the validator of
config.json has judged them, so that no rejected input is lost. Each kind of channel parses its own fields: see
`notifications.channels.drafts`.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from django.http import QueryDict
from django.utils.translation import gettext_lazy

from notifications.channels.drafts import ChannelDraft, Configs, Sent, key_in
from notifications.channels.registry import REGISTRY
from notifications.choices import Event, Repeat
from notifications.engine.rules import TRIGGERS
from notifications.forms.explaining import ALLOWED, explain
from notifications.models import NotificationRule, RuleChannel
from notifications.services.definitions import validate_rule
from notifications.wording.rules import rule_sentence
from scheduler.config_file import ConfigError, ConfigProblem
from scheduler.config_file.notify_rules import TEMPLATE_NAMES

KEY = re.compile(r"[a-z0-9]{1,20}")
CHANNEL_PATH = re.compile(r"channels\[(\d+)\]\.?(\w*)(?:\[(\d+)\])?")
COOLDOWN_UNITS = ((1, gettext_lazy("seconds")), (60, gettext_lazy("minutes")), (3600, gettext_lazy("hours")))
MOST_RULES, MOST_CHANNELS = 200, 40  # read from a form; the validator's limits are lower


def new_key() -> str:
    """Return a key for a rule or channel that is added to a form."""
    return "n" + secrets.token_hex(5)


@dataclass
class RuleDraft:
    """One rule of a form; `pk` is that of the stored rule."""

    key: str
    pk: int | None = None
    name: str = ""
    enabled: bool = True
    triggers: list[str] = field(default_factory=list)
    threshold: str = "1"
    repeat: str = Repeat.EVERY.value
    cooldown: str = "0"
    cooldown_unit: int = 60
    channels: list[ChannelDraft] = field(default_factory=list)
    errors: dict[str, list[str]] = field(default_factory=dict)
    is_open: bool = False

    trigger_choices = tuple((word, Event(word).label) for word in TRIGGERS)
    repeat_choices = tuple(Repeat.choices)
    unit_choices = COOLDOWN_UNITS
    template_names = TEMPLATE_NAMES

    @property
    def kinds(self) -> list[tuple[str, Any]]:
        """The channel kinds that can be added, with their display names."""
        return [(kind, channel.label) for kind, channel in REGISTRY.items()]

    def words(self, configs: Configs) -> dict[str, Any]:
        """Return the rule in `task_notify` format; invalid numbers stay text, for the validator to reject."""
        return {**self._own_words(), "channels": [channel.words(configs) for channel in self.channels]}

    def _own_words(self) -> dict[str, Any]:
        cooldown = _number(self.cooldown)
        return {
            "name": self.name,
            "enabled": self.enabled,
            "triggers": self.triggers,
            "threshold": _number(self.threshold),
            "repeat": self.repeat,
            "cooldown": (cooldown or 0) if isinstance(cooldown, str) else cooldown * self.cooldown_unit,
        }

    @property
    def sentence(self) -> str:
        """When the rule would send a message; empty while it is invalid."""
        try:
            return rule_sentence(validate_rule({**self._own_words(), "channels": [_any_channel()]}))
        except ConfigError:
            return ""

    def check(self, configs: Configs) -> dict[str, Any] | None:
        """Return the valid rule in its normal form; otherwise None, with `errors` set on the rule and its channels."""
        words = self.words(configs)
        if any(channel.has_bad_rows for channel in self.channels):
            return None
        try:
            return validate_rule(words)
        except ConfigError as error:
            self.add_problems(error.problems)
            return None

    def check_when(self, configs: Configs) -> dict[str, Any] | None:
        """Return the valid rule, with a placeholder channel while its own are invalid; or None."""
        try:
            return validate_rule(self.words(configs))
        except ConfigError:
            pass
        try:
            return validate_rule({**self._own_words(), "channels": [_any_channel()]})
        except ConfigError as error:
            self.add_problems(error.problems)
            return None

    def add_problems(self, problems: Iterable[ConfigProblem]) -> None:
        """Attach each problem to its field."""
        for problem in problems:
            match = CHANNEL_PATH.match(problem.path)
            if match and int(match[1]) < len(self.channels):
                place = None if match[3] is None else int(match[3])
                channel = self.channels[int(match[1])]
                channel.add_error(match[2] or "type", explain(problem, match[2], channel.allowed), place)
            else:
                self.errors.setdefault(problem.path, []).append(explain(problem, problem.path, ALLOWED))

    @property
    def is_refused(self) -> bool:
        """Whether any value was rejected."""
        return bool(self.errors) or any(c.errors or c.has_bad_rows for c in self.channels)

    @property
    def problems(self) -> list[str]:
        """All errors, for responses that show them apart from the fields."""
        found = [text for texts in self.errors.values() for text in texts]
        for channel in self.channels:
            found += [text for texts in channel.errors.values() for text in texts]
            for secret in channel.secrets:
                found += secret.errors
        return found


# --- from stored rules ------------------------------------------------------------------------------


def draft_of(rule: NotificationRule, *, number: int = 0) -> RuleDraft:
    """Return the draft of a stored rule, even an invalid one; `channels` should be prefetched."""
    draft = RuleDraft(
        key=f"r{number}",
        pk=rule.pk,
        name=rule.name,
        enabled=rule.enabled,
        triggers=[str(word) for word in rule.triggers] if isinstance(rule.triggers, list) else [],
        threshold=str(rule.threshold),
        repeat=rule.repeat,
    )
    draft.cooldown, draft.cooldown_unit = _in_unit(rule.cooldown)
    draft.channels = [
        _channel_draft(channel, f"c{place}")
        for place, channel in enumerate(rule.channels.all())
        if channel.kind in REGISTRY
    ]
    return draft


def _channel_draft(row: RuleChannel, key: str) -> ChannelDraft:
    draft = REGISTRY[row.kind].draft(key=key, kind=row.kind, pk=row.pk)
    draft.fill(row.config if isinstance(row.config, dict) else {})
    return draft


def configs_of(rules: Iterable[NotificationRule]) -> Configs:
    """Return the stored channels by key, in `task_notify` format; drafts keep secrets from them."""
    return {
        channel.pk: {**channel.config, "type": channel.kind}
        for rule in rules
        for channel in rule.channels.all()
        if isinstance(channel.config, dict)
    }


def new_draft(key: str = "") -> RuleDraft:
    """Return the draft of a new rule with the most common triggers."""
    triggers = [event.value for event in (Event.BUSINESS_FAILURE, Event.TECHNICAL_FAILURE, Event.TIMEOUT)]
    return RuleDraft(key=key or new_key(), triggers=triggers, is_open=True)


def new_channel(kind: str = "") -> ChannelDraft:
    """Return the draft of a new channel; the default kind is the most common one."""
    kind = kind or next(iter(REGISTRY))
    return REGISTRY[kind].draft(key=new_key(), kind=kind)


def _any_channel() -> dict[str, Any]:
    """Return a placeholder for the channels of a rule where they do not matter."""
    return next(iter(REGISTRY.values())).definition.example()


# --- from submitted data ----------------------------------------------------------------------------


def posted_drafts(data: QueryDict, configs: Configs) -> list[RuleDraft]:
    """Return the rules of a form in order."""
    keys = [key for key in data.getlist("rule") if KEY.fullmatch(key)]
    return [posted_draft(data, key, configs) for key in dict.fromkeys(keys[:MOST_RULES])]


def posted_draft(data: QueryDict, key: str, configs: Configs) -> RuleDraft:
    """Return one rule of a form.

    Args:
        configs: stored channels whose secrets it may keep.
    """

    def text(name: str, most: int = 200) -> str:
        return str(data.get(f"{key}-{name}", ""))[:most]

    unit = text("cooldown_unit")
    keys = [name for name in data.getlist(f"{key}-channel") if KEY.fullmatch(name)]
    channels = [_posted_channel(Sent(data, f"{key}-{name}"), name, configs) for name in keys[:MOST_CHANNELS]]
    return RuleDraft(
        key=key,
        pk=key_in(text("pk")),
        name=text("name", 1000),
        enabled=bool(text("enabled")),
        triggers=[str(word)[:40] for word in data.getlist(f"{key}-triggers")[:50]],
        threshold=text("threshold"),
        repeat=text("repeat"),
        cooldown=text("cooldown"),
        cooldown_unit=int(unit) if unit in ("1", "60", "3600") else 1,
        channels=[channel for channel in channels if channel is not None],
        is_open=True,
    )


def _posted_channel(sent: Sent, key: str, configs: Configs) -> ChannelDraft | None:
    """Return one channel of a form, or None for an unknown kind."""
    kind = sent.text("kind")
    if kind not in REGISTRY:
        return None
    draft = REGISTRY[kind].draft(key=key, kind=kind, pk=key_in(sent.text("pk")))
    draft.take(sent, configs)
    return draft


def _number(text: str) -> int | float | str:
    text = text.strip()
    for kind in (int, float):
        try:
            number = kind(text)
        except ValueError:
            continue
        return int(number) if isinstance(number, float) and number.is_integer() else number
    return text


def _in_unit(seconds: float) -> tuple[str, int]:
    """Return a duration in the largest unit that divides it."""
    if not seconds:
        return "0", 60
    unit = next((size for size, _label in reversed(COOLDOWN_UNITS) if seconds % size == 0), 1)
    return f"{seconds / unit:g}" if unit > 1 else f"{seconds!r}".removesuffix(".0"), unit
