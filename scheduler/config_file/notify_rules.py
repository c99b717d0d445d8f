"""Validation of notification rules beyond the schema: templates, duplicate values, and checks of channel kinds."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from scheduler.config_file.channel_kinds import ChannelKind, kind_of
from scheduler.config_file.compiled import accepted
from scheduler.config_file.problems import (
    Finding,
    Keys,
    field_name,
    nearest,
    printable,
    refused,
    shorten,
    suggesting,
)
from scheduler.config_file.reasons import Code
from scheduler.engine.reasons import Reason, reason_of

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
#: Two braces open a name; closing braces without an open name are text, as at the end of nested JSON objects.
OPENING = re.compile(r"\{\{[^{}]*+\}?")


def find_in_rules(rules: list[Any]) -> Iterator[Finding]:
    """Yield the problems of the parts of rules that the schema accepts; paths begin at ``task_notify``."""
    for index, rule in enumerate(rules):
        if not isinstance(rule, dict):
            continue
        path: Keys = ("task_notify", index)
        yield from find_repeated((*path, "triggers"), accepted("rule", rule).get("triggers", []))
        channels = rule.get("channels")
        for number, channel in enumerate(channels if isinstance(channels, list) else ()):
            kind = kind_of(channel) if isinstance(channel, dict) else None
            if kind is not None:
                given = accepted(kind.name, channel)
                yield from _find_in_channel((*path, "channels", number), kind, given)


def find_repeated(path: Keys, values: list[Any]) -> Iterator[Finding]:
    """Yield a finding for each duplicate text of a list."""
    seen: set[str] = set()
    for index, value in enumerate(values):
        if isinstance(value, str) and value in seen:
            again = {"field": field_name((*path, index)), "found": shorten(value)}
            why, once = Reason(Code.REPEATED, again), Reason(Code.EACH_ONCE)
            yield Finding((*path, index), why, shorten(value), once)
        elif isinstance(value, str):
            seen.add(value)


def _find_in_channel(path: Keys, kind: ChannelKind, channel: Mapping[str, Any]) -> Iterator[Finding]:
    unfit = list(_find_unfit(path, kind, channel))
    yield from unfit or _ask_channel(path, kind, channel)
    for name in kind.templates:
        yield from _find_in_template((*path, name), channel.get(name, ""))


def _find_unfit(path: Keys, kind: ChannelKind, channel: Mapping[str, Any]) -> Iterator[Finding]:
    for form in kind.forms:
        for where, item in _items(path, form.field, channel):
            if not form.fits(item):
                yield refused(where, item, form.allowed)


def _ask_channel(path: Keys, kind: ChannelKind, channel: Mapping[str, Any]) -> Iterator[Finding]:
    for one in kind.checks:
        for where, item in _items(path, one.field, channel):
            try:
                one.check(item)
            except ValueError as error:
                values = {"field": field_name(where), "why": reason_of(error)}
                why = Reason(Code.REFUSED_BY_CHANNEL, values)
                yield Finding(where, why, one.shown(item), one.allowed)


def _items(path: Keys, field: str, channel: Mapping[str, Any]) -> list[tuple[Keys, Any]]:
    """Return a value, or each item of a list, with its path; None replaces values that the schema rejects."""
    value = channel.get(field)
    if isinstance(value, list):
        return [((*path, field, index), item) for index, item in enumerate(value) if item is not None]
    return [] if value is None else [((*path, field), value)]


def _find_in_template(path: Keys, text: str) -> Iterator[Finding]:
    known = {"known": list(TEMPLATE_NAMES)}
    allowed = ", ".join(TEMPLATE_NAMES)
    for name in dict.fromkeys(match[1].strip() for match in PLACEHOLDER.finditer(text)):
        if name not in TEMPLATE_NAMES:
            values = {"field": field_name(path), "name": printable(name), **known}
            why = suggesting(Reason(Code.UNKNOWN_PLACEHOLDER, values), nearest(name, TEMPLATE_NAMES))
            yield Finding(path, why, shorten("{{" + name + "}}"), allowed)
    # Keep a space in place of a placeholder: the braces on both sides of it must not join.
    left = OPENING.search(PLACEHOLDER.sub(" ", text))
    if left:
        found = shorten(left[0])
        values = {"field": field_name(path), "found": found, **known}
        yield Finding(path, Reason(Code.BROKEN_PLACEHOLDER, values), found, "{{name}}")
