"""What a schema cannot say of notification rules: addresses, URLs, templates, words that stand twice.

What only the channels know (hosts that may not be reached) they say themselves: see `add_check`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from django.core.exceptions import ValidationError
from django.core.validators import validate_email

from scheduler.config_file.fast_check import accepted
from scheduler.config_file.problems import Finding, Keys, field_name, hint, printable, refused, shorten
from scheduler.config_file.schema import load_schema

TEMPLATE_NAMES = (
    "task_id",
    "task_name",
    "execution_status",
    "execution_start_time",
    "execution_end_time",
    "execution_duration",
    "threshold_count",
    "execution_log_tail",
    "execution_id",
    "execution_url",
    "exit_code",
    "attempt",
    "reason",
    "scheduled_for",
    "run_id",
    "rule_name",
)
PLACEHOLDER = re.compile(r"\{\{([^{}]*+)\}\}")
BRACES = re.compile(r"\{\{|\}\}")


@dataclass(frozen=True)
class _Check:
    field: str
    check: Callable[[Any], None]
    allowed: str


_CHECKS: dict[str, list[_Check]] = {}


def add_check(kind: str, field: str, check: Callable[[Any], None], *, allowed: str) -> None:
    """Have a field of the channels of a kind checked by a function that raises ValueError; a list item by item.

    Args:
        allowed: what may stand there, in words.
    """
    _CHECKS.setdefault(kind, []).append(_Check(field, check, allowed))


def find_in_rules(rules: list[Any]) -> Iterator[Finding]:
    """Yield what is wrong with those parts of rules that the schema accepts; paths begin at ``task_notify``."""
    kinds = load_schema()["$defs"]["channel"]["properties"]["type"]["enum"]
    for index, rule in enumerate(rules):
        if not isinstance(rule, dict):
            continue
        path: Keys = ("task_notify", index)
        yield from find_repeated((*path, "triggers"), accepted("rule", rule).get("triggers", []))
        channels = rule.get("channels")
        for number, channel in enumerate(channels if isinstance(channels, list) else ()):
            kind = channel.get("type") if isinstance(channel, dict) else None
            if isinstance(kind, str) and kind in kinds:
                yield from _find_in_channel((*path, "channels", number), accepted(kind, channel))


def find_repeated(path: Keys, values: list[Any]) -> Iterator[Finding]:
    """Yield a finding for each text of a list that stood in it before."""
    seen: set[str] = set()
    for index, value in enumerate(values):
        if isinstance(value, str) and value in seen:
            message = f"{field_name((*path, index))} must not repeat {shorten(value)}, which stands in the list already"
            yield Finding((*path, index), message, shorten(value), "each once")
        elif isinstance(value, str):
            seen.add(value)


def _find_in_channel(path: Keys, channel: Mapping[str, Any]) -> Iterator[Finding]:
    for index, address in enumerate(channel.get("recipients", [])):
        if address is not None and not _is_address(address):
            yield refused((*path, "recipients", index), address, "one mail address such as ops@example.org")
    if "url" in channel and not _is_url(channel["url"]):
        yield refused((*path, "url"), channel["url"], "an http or https URL with a host")
    else:
        yield from _ask_channel(path, channel)
    for name in ("subject_template", "body_template"):
        yield from _find_in_template((*path, name), channel.get(name, ""))


def _ask_channel(path: Keys, channel: Mapping[str, Any]) -> Iterator[Finding]:
    for one in _CHECKS.get(channel["type"], ()):
        value = channel.get(one.field)
        if value is None:
            continue
        items: list[tuple[Keys, Any]] = [((*path, one.field), value)]
        if isinstance(value, list):
            items = [
                ((*path, one.field, index), item) for index, item in enumerate(value) if item is not None
            ]
        for where, item in items:
            try:
                one.check(item)
            except ValueError as error:
                yield Finding(where, f"{field_name(where)} is refused: {error}", shorten(item), one.allowed)


def _is_address(text: str) -> bool:
    try:
        validate_email(text)
    except (ValidationError, ValueError):
        return False
    return True


def _is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _find_in_template(path: Keys, text: str) -> Iterator[Finding]:
    known = ", ".join(TEMPLATE_NAMES)
    for name in dict.fromkeys(match[1].strip() for match in PLACEHOLDER.finditer(text)):
        if name not in TEMPLATE_NAMES:
            message = (
                f'{field_name(path)} must not use the unknown name "{printable(name)}"; known are {known}'
            )
            message += hint(name, TEMPLATE_NAMES)
            yield Finding(path, message, shorten("{{" + name + "}}"), known)
    left = BRACES.search(PLACEHOLDER.sub("", text))
    if left:
        message = f"{field_name(path)} must have each {{{{ closed by }}}}, but a single {left[0]} was found"
        yield Finding(path, message, shorten(left[0]), "{{name}}")
