"""Resolution of masks in submitted tasks: a mask keeps the stored secret as long as its target is unchanged.

A mask is resolved if kind, scheme, host and port of its channel are unchanged, wherever the channel is among the rules
of its task. For another target the secret must be entered again: a user who may edit a rule must not be able to send
the secrets of others to a host of their own.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

from scheduler.config_file.channel_kinds import ChannelKind, kind_of
from scheduler.config_file.compiled import definition_check
from scheduler.config_file.masking import masked_channel
from scheduler.config_file.problems import ConfigError, Finding, Keys, field_name, shorten
from scheduler.config_file.reasons import Code
from scheduler.config_file.schema import fields_of
from scheduler.config_file.specs import normal_channel
from scheduler.config_file.targets import Target, target_of_url
from scheduler.config_file.url_masking import MASK
from scheduler.engine.reasons import Reason

ALLOWED = Reason(Code.SECRET_ITSELF)
NOT_STORED = Code.MASK_NOT_STORED
OF_ANOTHER = Code.MASK_OF_ANOTHER
OF_SEVERAL = Code.MASK_OF_SEVERAL
WITHIN = Code.MASK_WITHIN


def with_kept_values(data: Mapping[str, Any], stored: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the fields of a task, valid or not, with masks replaced by stored values.

    Args:
        stored: the stored spec of the task; None: it is new.

    Raises:
        ConfigError: a mask has no stored value, or one for another target.
    """
    new, findings = kept_task(data, stored)
    if findings:
        raise ConfigError([finding.as_problem("") for finding in findings])
    return new


def kept_task(
    data: Mapping[str, Any], stored: Mapping[str, Any] | None
) -> tuple[dict[str, Any], list[Finding]]:
    """Return a task, valid or not, with masks replaced by stored values, and the masks that cannot be resolved."""
    findings: list[Finding] = []
    new, before = dict(data), stored or {}
    if isinstance(new.get("task_env"), dict):
        known = before.get("task_env", {})
        new["task_env"] = {
            name: _kept_variable(name, value, known, findings) for name, value in new["task_env"].items()
        }
    if isinstance(new.get("task_notify"), list):
        rules = _Stored(before.get("task_notify", []))
        most = fields_of("task")["task_notify"]["maxItems"]  # the validator rejects more
        kept = [_kept_rule(rule, rules, place) for place, rule in enumerate(new["task_notify"][:most])]
        new["task_notify"] = [*(rule for rule, _missing in kept), *new["task_notify"][most:]]
        for place, (_rule, missing) in enumerate(kept):
            findings += [finding.below(("task_notify", place)) for finding in missing]
    return new, findings


def with_kept_secrets(
    rule: Mapping[str, Any], stored: Mapping[str, Any] | None
) -> tuple[dict[str, Any], list[Finding]]:
    """Return a valid rule with masks replaced by secrets of the stored one, and the masks that cannot be resolved."""
    return _with_kept(rule, _Stored([] if stored is None else [stored]), 0)


def _kept_variable(name: str, value: Any, known: Mapping[str, str], findings: list[Finding]) -> Any:
    if value != MASK:
        return value
    if name in known:
        return known[name]
    _refuse(NOT_STORED, ("task_env", str(name)), findings)
    return ""


def _kept_rule(rule: object, stored: _Stored, place: int) -> tuple[object, list[Finding]]:
    if not definition_check("rule")(rule):
        return rule, []  # the validator reports the error
    return _with_kept(cast("dict[str, Any]", rule), stored, place)


def _with_kept(rule: Mapping[str, Any], stored: _Stored, place: int) -> tuple[dict[str, Any], list[Finding]]:
    findings: list[Finding] = []
    channels = []
    for index, words in enumerate(rule["channels"]):
        channel = _Channel(words, stored.rule_of(str(rule.get("name", "")), place), index)
        has_mask = MASK in repr(words)
        channels.append(_Keeper(channel, stored, findings).words() if has_mask else dict(words))
    return {**rule, "channels": channels}, findings


def _refuse(code: Code, path: Keys, findings: list[Finding]) -> None:
    """Record why a mask cannot be resolved."""
    findings.append(Finding(path, Reason(code, {"field": field_name(path)}), shorten(MASK), ALLOWED))


@dataclass(frozen=True)
class _Channel:
    """A channel of task_notify, the index of its stored rule, and its index in that rule."""

    words: Mapping[str, Any]
    rule: int
    index: int

    @cached_property
    def kind(self) -> ChannelKind:
        """Its kind; registered, because the schema has accepted it."""
        return cast("ChannelKind", kind_of(self.words))

    @property
    def address(self) -> str | None:
        """The address to which its secrets are sent; None: the secrets contain the target."""
        name = self.kind.address
        return None if name is None else str(self.words.get(name, ""))

    @cached_property
    def target(self) -> tuple[str, Target | None]:
        """Its kind and target."""
        return self.kind.name, None if self.address is None else target_of_url(self.address)

    @property
    def has_target(self) -> bool:
        """Whether its target is known."""
        return self.address is None or self.target[1] is not None

    @cached_property
    def likenesses(self) -> Sequence[object]:
        """Keys for matching with another channel, the most specific first.

        Its masked form, with and without its address; its address; its index; its rule.
        """
        full = normal_channel(self.words)
        looks = [repr(masked_channel(full, shows_address=shows)) for shows in (True, False)]
        address = [] if self.address is None else [self.address]
        return (*looks, *address, (self.rule, self.index), self.rule)

    @cached_property
    def secrets(self) -> Mapping[str, Sequence[str]]:
        """Candidate values of its masks by secret name; several for one name occur only in lists."""
        found: dict[str, list[str]] = {}
        for field, secret in self.kind.secrets.items():
            for name, value in secret.secrets(field, self.words[field]) if field in self.words else ():
                found.setdefault(name, []).append(value)
        return found


class _Stored:
    """The stored channels of rules, looked up by the matching keys of a channel with masks."""

    def __init__(self, rules: Sequence[Mapping[str, Any]]) -> None:
        self._channels = {
            (number, index): _Channel(words, number, index)
            for number, rule in enumerate(rules)
            for index, words in enumerate(rule["channels"])
        }
        self._numbers: dict[str, list[int]] = {}
        for number, rule in enumerate(rules):
            self._numbers.setdefault(str(rule.get("name", "")), []).append(number)

    def rule_of(self, name: str, place: int) -> int:
        """Return the index of the stored rule with this name, or else at this place."""
        named = self._numbers.get(name, []) if name else []
        return named[0] if len(named) == 1 else place

    @cached_property
    def _secrets(self) -> Mapping[object, list[Sequence[str]]]:
        """Secrets of stored channels by target, matching key and secret name."""
        found: dict[object, list[Sequence[str]]] = {}
        for channel in self._channels.values():
            for what, values in channel.secrets.items():
                for key in (*channel.likenesses, channel.kind.name):
                    known = found.setdefault((channel.target, key, what), [])
                    if len(known) < 2 and values not in known:  # two are enough to detect ambiguity
                        known.append(values)
                found[channel.kind.name, what] = []
        return found

    def choices(self, channel: _Channel, what: str) -> list[Sequence[str]]:
        """Return the candidates for the mask of `what`: the values of the best matching stored channels.

        Only channels of the same kind and target match. More than one candidate means that the mask is ambiguous.
        """
        if not channel.has_target:
            return []
        own = self._channels.get((channel.rule, channel.index))
        for key in (*channel.likenesses, channel.kind.name):
            if (
                own is not None
                and own.target == channel.target
                and key in own.likenesses
                and what in own.secrets
            ):
                return [own.secrets[what]]
            if found := self._secrets.get((channel.target, key, what)):
                return found
        return []

    def has(self, kind: str, what: str) -> bool:
        """Return whether any channel of a kind has such a secret, whatever its target."""
        return (kind, what) in self._secrets


class _Keeper:
    """Replaces the masks of one channel with stored values; records the masks that cannot be resolved."""

    def __init__(self, channel: _Channel, stored: _Stored, findings: list[Finding]) -> None:
        self._channel, self._stored, self._findings = channel, stored, findings

    def words(self) -> dict[str, Any]:
        """Return the channel."""
        new = dict(self._channel.words)
        for field, secret in self._channel.kind.secrets.items():
            if field in new:
                new[field] = secret.kept(field, new[field], self)
        return new

    def kept(self, secret: str, keys: Keys) -> str | None:
        """Return the stored secret of a name, or None if it is ambiguous or missing."""
        return self.all_kept(secret, [keys])[0]

    def all_kept(self, secret: str, places: Sequence[Keys]) -> list[str | None]:
        """Return the stored secrets of one name in order, one per place."""
        choices = self._stored.choices(self._channel, secret)
        known: list[str | None] = list(choices[0]) if len(choices) == 1 else []
        if len(set(known)) == 1:
            known = known[:1] * len(places)
        if len(known) == len(places):
            return known
        for keys in places:
            self._refuse(self._why_not(choices, secret), keys)
        return [None] * len(places)

    def refuse(self, keys: Keys) -> None:
        """Record a mask inside other text."""
        self._refuse(WITHIN, keys)

    def _why_not(self, choices: Collection[Sequence[str]], secret: str) -> Code:
        if choices:
            return OF_SEVERAL
        return OF_ANOTHER if self._stored.has(self._channel.kind.name, secret) else NOT_STORED

    def _refuse(self, code: Code, keys: Keys) -> None:
        _refuse(code, ("channels", self._channel.index, *keys), self._findings)
