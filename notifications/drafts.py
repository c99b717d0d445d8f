"""Rules as they stand in a form: what was typed, what is kept without being shown, and what is wrong with it.

One draft serves the page of a rule and the rules on the form of a task. Everything typed stays text until the one
validator of config.json has judged it, so that nothing is lost when it refuses. A secret is never shown: its field is
empty and says that something is kept; whoever types replaces it, whoever leaves it empty keeps it.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.http import QueryDict
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from notifications.choices import Event, Repeat
from notifications.models import NotificationRule, RuleChannel
from notifications.rules import TRIGGERS
from notifications.sentences import KINDS, rule_sentence
from notifications.services.definitions import validate_rule
from scheduler.config_file import ConfigError, ConfigProblem, load_schema
from scheduler.config_file.notify_rules import TEMPLATE_NAMES
from scheduler.config_file.secrets import MASK
from scheduler.phrases import retold

KEY = re.compile(r"[a-z0-9]{1,20}")
CHANNEL_PATH = re.compile(r"channels\[(\d+)\]\.?(\w*)(?:\[(\d+)\])?")
SEPARATORS = re.compile(r"[\s,;，；]+")
COOLDOWN_UNITS = ((1, gettext_lazy("seconds")), (60, gettext_lazy("minutes")), (3600, gettext_lazy("hours")))
METHODS: Sequence[str] = load_schema()["$defs"]["webhook"]["properties"]["method"]["enum"]
MOST_RULES, MOST_CHANNELS = 200, 40  # that are read from a form; the validator refuses fewer

#: Stands for the channels of a rule where it does not matter which it has.
ANY_CHANNEL = {"type": "email", "recipients": ["somebody@example.org"]}

Configs = Mapping[int, Mapping[str, Any]]


def new_key() -> str:
    """Return a name for a rule or channel that is added to a form."""
    return "n" + secrets.token_hex(5)


@dataclass
class SecretDraft:
    """A value that may be secret.

    Attributes:
        name: of a header; empty for others.
        kept: where it stands in the stored channel, empty when it is new.
        shown: what may be shown of the kept one.
    """

    typed: str = ""
    kept: str = ""
    name: str = ""
    shown: str = ""
    errors: list[str] = field(default_factory=list)


@dataclass
class ChannelDraft:
    """One channel of a form; `pk` is that of the stored channel whose secrets it may keep."""

    key: str
    kind: str
    pk: int | None = None
    recipients: str = ""
    url: str = ""
    method: str = "POST"
    subject_template: str = ""
    body_template: str = ""
    secret: SecretDraft = field(default_factory=SecretDraft)
    drops_secret: bool = False
    headers: list[SecretDraft] = field(default_factory=list)
    urls: list[SecretDraft] = field(default_factory=list)
    errors: dict[str, list[str]] = field(default_factory=dict)

    @property
    def has_texts(self) -> bool:
        """Whether it brings texts of its own, or texts that are refused."""
        own = self.subject_template or self.body_template
        return bool(own) or bool({"subject_template", "body_template"} & set(self.errors))

    @property
    def has_more(self) -> bool:
        """Whether there is something among the rarer fields of a webhook."""
        is_set = self.method != "POST" or self.headers or self.secret.kept or self.secret.typed
        return bool(is_set) or bool({"method", "headers", "secret"} & set(self.errors))

    def words(self, configs: Configs) -> dict[str, Any]:
        """Return the channel in the words of task_notify, with the secrets that it keeps."""
        stored = configs.get(self.pk or 0, {})
        words: dict[str, Any] = {"type": self.kind}
        if self.kind == "email":
            words["recipients"] = [text for text in SEPARATORS.split(self.recipients) if text]
        if self.kind == "webhook":
            words |= {"url": self.url.strip(), "method": self.method}
            words["headers"] = {}
            for header in self.headers:
                if header.name in words["headers"]:
                    header.errors.append(_("This name comes twice."))
                words["headers"][header.name] = self._value(header, _in(stored.get("headers"), header.kept))
            words["secret"] = "" if self.drops_secret else self._value(self.secret, stored.get("secret"))
        else:
            words["subject_template"] = self.subject_template
        if self.kind == "apprise":
            urls = stored.get("urls", [])
            filled = [url for url in self.urls if url.typed or url.kept]
            words["urls"] = [self._value(url, _at(urls, url.kept)) for url in filled]
        words["body_template"] = self.body_template
        return words

    def _value(self, secret: SecretDraft, stored: Any) -> str:
        if secret.typed or not secret.kept:
            return secret.typed
        if stored is None:
            secret.errors.append(_("It is not stored any more. Type it again."))
            return MASK
        return str(stored)

    @property
    def has_bad_rows(self) -> bool:
        """Whether something that was to be kept is gone, or a header comes twice."""
        return any(secret.errors for secret in (self.secret, *self.headers, *self.urls))

    def add_error(self, name: str, text: str, place: int | None) -> None:
        """Put an error beside its field, and in a list of secrets beside its row."""
        rows = self.urls if name == "urls" else []
        if place is not None and place < len(rows):
            rows[place].errors.append(text)
        else:
            self.errors.setdefault(name, []).append(text)


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
    method_choices = METHODS
    kinds = tuple((kind, label, icon) for kind, (label, icon) in KINDS.items())
    template_names = TEMPLATE_NAMES

    def words(self, configs: Configs) -> dict[str, Any]:
        """Return the rule in the words of task_notify; numbers that are none stay text, for the validator to refuse."""
        return {**self._own_words(), "channels": [channel.words(configs) for channel in self.channels]}

    def _own_words(self) -> dict[str, Any]:
        cooldown = _number(self.cooldown)
        return {
            "name": self.name.strip(),
            "enabled": self.enabled,
            "triggers": self.triggers,
            "threshold": _number(self.threshold),
            "repeat": self.repeat,
            "cooldown": (cooldown or 0) if isinstance(cooldown, str) else cooldown * self.cooldown_unit,
        }

    @property
    def sentence(self) -> str:
        """When it would tell; empty as long as it is not valid."""
        try:
            return rule_sentence(validate_rule({**self._own_words(), "channels": [ANY_CHANNEL]}))
        except ConfigError:
            return ""

    def check(self, configs: Configs) -> dict[str, Any] | None:
        """Return the valid rule in its normal form, or None; then `errors` of the rule and its channels say why."""
        words = self.words(configs)
        if any(channel.has_bad_rows for channel in self.channels):
            return None
        try:
            return validate_rule(words)
        except ConfigError as error:
            self.add_problems(error.problems)
            return None

    def check_when(self, configs: Configs) -> dict[str, Any] | None:
        """Return the valid rule, with a channel in place of its own as long as those are not valid; or None."""
        try:
            return validate_rule(self.words(configs))
        except ConfigError:
            pass
        try:
            return validate_rule({**self._own_words(), "channels": [ANY_CHANNEL]})
        except ConfigError as error:
            self.add_problems(error.problems)
            return None

    def add_problems(self, problems: Iterable[ConfigProblem]) -> None:
        """Put each problem beside the field it is about."""
        for problem in problems:
            match = CHANNEL_PATH.match(problem.path)
            if match and int(match[1]) < len(self.channels):
                place = None if match[3] is None else int(match[3])
                text = explain(problem, match[2])
                self.channels[int(match[1])].add_error(match[2] or "type", text, place)
            else:
                self.errors.setdefault(problem.path, []).append(explain(problem, problem.path))

    @property
    def is_refused(self) -> bool:
        """Whether something of it was refused."""
        return bool(self.errors) or any(c.errors or c.has_bad_rows for c in self.channels)

    @property
    def problems(self) -> list[str]:
        """All that was refused, for an answer that stands apart from the fields."""
        found = [text for texts in self.errors.values() for text in texts]
        for channel in self.channels:
            found += [text for texts in channel.errors.values() for text in texts]
            for row in (channel.secret, *channel.headers, *channel.urls):
                found += row.errors
        return found


# --- words of errors --------------------------------------------------------------------------------


def explain(problem: ConfigProblem, name: str) -> str:
    """Return what is allowed where something was refused, in the language of the reader."""
    if "is refused: " in problem.message:  # what a channel says of an address or a header
        return _("Refused: %(why)s") % {"why": retold(problem.message.partition("is refused: ")[2])}
    if name in ("subject_template", "body_template"):
        return _about_template(problem)
    known = _ALLOWED.get(name)
    if known is None:
        return retold(problem.message)
    if problem.found in ('""', "[]", "{}", "null"):
        return str(known)
    return _("%(found)s was found. %(allowed)s") % {"found": problem.found, "allowed": known}


def _about_template(problem: ConfigProblem) -> str:
    if problem.found.startswith('"{{') and problem.found.endswith('}}"'):
        known = ", ".join(TEMPLATE_NAMES)
        return _("%(name)s is no known name. Known are %(known)s.") % {
            "name": problem.found.strip('"'),
            "known": known,
        }
    if "closed by" in problem.message:
        return _("Each {{ needs a }} and a name between them, such as {{task_name}}.")
    return retold(problem.message)


_ALLOWED: Mapping[str, Any] = {
    "name": gettext_lazy("One line of at most 200 characters."),
    "triggers": gettext_lazy("Choose at least one."),
    "threshold": gettext_lazy("A whole number from 1 to 100,000 is allowed."),
    "repeat": gettext_lazy("Choose one of the three."),
    "cooldown": gettext_lazy("A number from 0 to 365 days is allowed; 0 is none."),
    "channels": gettext_lazy("A rule needs from 1 to 20 channels. Add one."),
    "recipients": gettext_lazy("Mail addresses such as ops@example.org are allowed, from 1 to 100."),
    "url": gettext_lazy("An http or https URL with a host is allowed, of at most 2,000 characters."),
    "urls": gettext_lazy("From 1 to 20 URLs of Apprise such as ntfy://topic are allowed."),
    "headers": gettext_lazy(
        "Names of letters, digits, “_” and “-”, and values of one line are allowed; at most 50."
    ),
    "secret": gettext_lazy("At most 500 characters are allowed."),
    "method": gettext_lazy("POST, PUT, PATCH and GET are allowed."),
}


# --- from what is stored ----------------------------------------------------------------------------


def draft_of(rule: NotificationRule, *, number: int = 0) -> RuleDraft:
    """Return the form of a stored rule, however broken it is; `channels` should be prefetched."""
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
        if channel.kind in KINDS
    ]
    return draft


def _channel_draft(channel: RuleChannel, key: str) -> ChannelDraft:
    config = channel.config if isinstance(channel.config, dict) else {}
    headers = config.get("headers")
    return ChannelDraft(
        key=key,
        kind=channel.kind,
        pk=channel.pk,
        recipients="\n".join(str(address) for address in config.get("recipients", [])),
        url=str(config.get("url", "")),
        method=str(config.get("method", "POST")),
        subject_template=str(config.get("subject_template", "")),
        body_template=str(config.get("body_template", "")),
        secret=SecretDraft(kept="1" if config.get("secret") else ""),
        headers=[SecretDraft(name=name, kept=name) for name in (headers or {})],
        urls=[
            SecretDraft(kept=str(place + 1), shown=_scheme(url))
            for place, url in enumerate(config.get("urls", []))
        ],
    )


def configs_of(rules: Iterable[NotificationRule]) -> Configs:
    """Return the configuration of each stored channel by its key, from which drafts keep secrets."""
    return {channel.pk: channel.config for rule in rules for channel in rule.channels.all()}


def new_draft(key: str = "") -> RuleDraft:
    """Return the form of a new rule: what most people want to be told of."""
    triggers = [Event.TECHNICAL_FAILURE.value, Event.TIMEOUT.value]
    return RuleDraft(key=key or new_key(), triggers=triggers, is_open=True)


def new_channel(kind: str) -> ChannelDraft:
    """Return the form of a new channel."""
    channel = ChannelDraft(key=new_key(), kind=kind)
    if kind == "apprise":
        channel.urls.append(SecretDraft())
    return channel


# --- from what was sent -----------------------------------------------------------------------------


def posted_drafts(data: QueryDict, configs: Configs) -> list[RuleDraft]:
    """Return the rules of a form in their order."""
    keys = [key for key in data.getlist("rule") if KEY.fullmatch(key)]
    return [posted_draft(data, key, configs) for key in dict.fromkeys(keys[:MOST_RULES])]


def posted_draft(data: QueryDict, key: str, configs: Configs) -> RuleDraft:
    """Return one rule of a form.

    Args:
        configs: the stored channels whose secrets it may keep.
    """

    def text(name: str, most: int = 200) -> str:
        return str(data.get(f"{key}-{name}", ""))[:most]

    unit = text("cooldown_unit")
    keys = [name for name in data.getlist(f"{key}-channel") if KEY.fullmatch(name)]
    channels = [_posted_channel(data, f"{key}-{name}", name, configs) for name in keys[:MOST_CHANNELS]]
    return RuleDraft(
        key=key,
        pk=_pk(text("pk")),
        name=text("name", 1000),
        enabled=bool(text("enabled")),
        triggers=[str(word)[:40] for word in data.getlist(f"{key}-triggers")[:50]],
        threshold=text("threshold"),
        repeat=text("repeat"),
        cooldown=text("cooldown"),
        cooldown_unit=int(unit) if unit in ("1", "60", "3600") else 1,
        channels=[channel for channel in channels if channel.kind in KINDS],
        is_open=True,
    )


def _posted_channel(data: QueryDict, prefix: str, key: str, configs: Configs) -> ChannelDraft:
    def text(name: str) -> str:
        return str(data.get(f"{prefix}-{name}", "")).replace("\r\n", "\n")

    def texts(name: str) -> list[str]:
        return [str(value) for value in data.getlist(f"{prefix}-{name}")[:200]]

    stored = configs.get(_pk(text("pk")) or 0, {})
    urls = [
        SecretDraft(typed=typed.strip(), kept=kept, shown=_scheme(_at(stored.get("urls", []), kept) or ""))
        for typed, kept in zip(texts("url_typed"), texts("url_kept"), strict=False)
        if typed.strip() or kept
    ]
    headers = [
        SecretDraft(typed=value, kept=kept, name=name.strip())
        for name, value, kept in zip(
            texts("header_name"), texts("header_value"), texts("header_kept"), strict=False
        )
        if name.strip() or value or kept
    ]
    return ChannelDraft(
        key=key,
        kind=text("kind"),
        pk=_pk(text("pk")),
        recipients=text("recipients"),
        url=text("url"),
        method=text("method") or "POST",
        subject_template=text("subject_template"),
        body_template=text("body_template"),
        secret=SecretDraft(typed=text("secret"), kept="1" if stored.get("secret") else ""),
        drops_secret=bool(text("drops_secret")),
        headers=headers,
        urls=urls or [SecretDraft()],
    )


def _pk(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None


def _at(urls: Any, kept: str) -> str | None:
    """Return the URL at a place, counted from 1."""
    place = _pk(kept) or 0
    return str(urls[place - 1]) if isinstance(urls, list) and 0 < place <= len(urls) else None


def _in(values: Any, name: str) -> Any:
    return values.get(name) if isinstance(values, dict) else None


def _scheme(url: Any) -> str:
    return f"{str(url).partition('://')[0]}://{MASK}" if url else ""


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
    """Return a span in the largest unit that it has a whole number of."""
    if not seconds:
        return "0", 60
    unit = next((size for size, _label in reversed(COOLDOWN_UNITS) if seconds % size == 0), 1)
    return f"{seconds / unit:g}" if unit > 1 else f"{seconds!r}".removesuffix(".0"), unit
