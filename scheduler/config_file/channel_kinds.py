"""Registry of the channel kinds for rules. The scheduler knows none by name: the notifications app registers them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from scheduler.config_file.problems import Words, shorten
from scheduler.engine.reasons import Reason

if TYPE_CHECKING:
    from scheduler.config_file.secret_fields import SecretField


@dataclass(frozen=True)
class Form:
    """A syntax check of a field, for forms that a schema pattern cannot express; applied to each item of a list.

    Attributes:
        fits: returns whether a text that the schema accepts has the form.
        allowed: description of the form.
    """

    field: str
    fits: Callable[[str], bool]
    allowed: Reason


@dataclass(frozen=True)
class FieldCheck:
    """A semantic check of a field, such as forbidden hosts; called if all forms fit.

    Attributes:
        check: raises ValueError with a reason; called for each item of a list.
        allowed: description of the allowed values.
        shown: returns the displayed form of a refused value.
    """

    field: str
    check: Callable[[Any], None]
    allowed: Words
    shown: Callable[[Any], str] = shorten


@dataclass(frozen=True)
class OlderAddresses:
    """The names of recipients of this kind in legacy files.

    Attributes:
        field: field of the channel for a list of addresses.
        names: field names in the legacy ``task_notify``.
    """

    field: str
    names: Sequence[str]


@dataclass(frozen=True)
class ChannelKind:
    """The definition of one kind of channel in config.json.

    Attributes:
        name: value of `type`.
        schema: JSON Schema of the channel, see `channel_schema`; fields whose names end in ``_template`` are texts with
            placeholders.
        secrets: secret fields with their way of masking, by name.
        older: legacy names, if legacy files could contain such channels.
    """

    name: str
    schema: Mapping[str, Any]
    secrets: Mapping[str, SecretField] = field(default_factory=dict)
    forms: Sequence[Form] = ()
    checks: Sequence[FieldCheck] = ()
    older: OlderAddresses | None = None

    @cached_property
    def templates(self) -> list[str]:
        """The fields with placeholders."""
        return [name for name in self.schema["properties"] if name.endswith("_template")]

    @cached_property
    def address(self) -> str | None:
        """The field with the target of its secrets; None: the secrets contain the target."""
        return next((name for name, secret in self.secrets.items() if secret.is_address), None)

    def example(self) -> dict[str, Any]:
        """Return a channel with its required fields."""
        fields = self.schema["properties"]
        return {name: fields[name]["examples"][0] for name in self.schema["required"]}


_KINDS: dict[str, ChannelKind] = {}
_WATCHERS: list[Callable[[], object]] = []


def register(kind: ChannelKind) -> None:
    """Register a channel kind; it replaces an earlier one of the same name."""
    _KINDS[kind.name] = kind
    _tell()


def unregister(name: str) -> None:
    """Unregister a channel kind."""
    del _KINDS[name]
    _tell()


def on_change(watcher: Callable[[], object]) -> None:
    """Call `watcher` whenever the kinds change, so that caches derived from them can be cleared."""
    _WATCHERS.append(watcher)


def _tell() -> None:
    for watcher in _WATCHERS:
        watcher()


def channel_kinds() -> Sequence[ChannelKind]:
    """Return all kinds in registration order."""
    return list(_KINDS.values())


def kind_of(channel: Mapping[str, Any]) -> ChannelKind | None:
    """Return the kind of a channel of task_notify; None if it is not registered."""
    name = channel.get("type")
    return _KINDS.get(name) if isinstance(name, str) else None
