"""Sentences that describe a rule, in the language of the reader."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.utils.text import capfirst
from django.utils.translation import gettext as _
from django.utils.translation import pgettext

from notifications.channels.registry import REGISTRY
from notifications.choices import Event
from notifications.engine.rules import ALWAYS, ONCE, BrokenRuleError
from notifications.models import NotificationRule
from scheduler.config_file.masking import masked_channel
from scheduler.wording.reasons import told_error
from scheduler.wording.times import sentence_duration

OTHER_ICON = "notifications"
ADDRESSES_SHOWN = 2


def triggers_words(triggers: Sequence[str]) -> str:
    """Return the triggers as a list joined with “or”."""
    words = [str(Event(word).label).lower() if word in Event.values else word for word in triggers]
    if len(words) < 2:
        return "".join(words)
    return _("%(first)s or %(last)s") % {"first": pgettext("list", ", ").join(words[:-1]), "last": words[-1]}


def rule_sentence(rule: Mapping[str, Any]) -> str:
    """Return when a valid rule (`task_notify` format) sends a message."""
    what, count = capfirst(triggers_words(rule["triggers"])), rule["threshold"]
    is_once = rule["repeat"] == ONCE
    if count == 1:
        when = _("%(what)s: once, for the first of a series") if is_once else _("%(what)s: each time")
    elif is_once:
        when = _("%(what)s: once, after %(count)d in a row")
    elif rule["repeat"] == ALWAYS:
        when = _("%(what)s: each time, starting at %(count)d in a row")
    else:
        when = _("%(what)s: after every %(count)d in a row")
    sentence = when % {"what": what, "count": count}
    if rule["cooldown"]:
        sentence += _("; then muted for %(span)s") % {"span": sentence_duration(rule["cooldown"])}
    return sentence


def stored_sentence(rule: NotificationRule) -> str:
    """Return when a stored rule sends a message, or that it is invalid."""
    if problem_of(rule):
        return ""
    words = {name: getattr(rule, name) for name in ("triggers", "threshold", "repeat", "cooldown")}
    return rule_sentence(words)


def problem_of(rule: NotificationRule) -> str:
    """Return why a rule is invalid, or an empty text."""
    try:
        rule.policy()
    except BrokenRuleError as error:
        return told_error(error)
    return rule.problem


def kind_word(kind: str) -> str:
    """Return the display name of a channel kind."""
    return str(REGISTRY[kind].label) if kind in REGISTRY else kind


def kind_icon(kind: str) -> str:
    """Return the icon name of a channel kind."""
    return REGISTRY[kind].icon if kind in REGISTRY else OTHER_ICON


def channel_words(kind: str, config: Mapping[str, Any]) -> str:
    """Return where a channel sends messages, without values that are or may be secret."""
    try:
        shown = masked_channel({"type": kind, **config}, shows_address=False)
        addresses = REGISTRY[kind].describe(shown)
    except (KeyError, TypeError, ValueError, AttributeError):
        return _("not readable")  # a row edited by hand
    more = len(addresses) - ADDRESSES_SHOWN
    words = ", ".join(addresses[:ADDRESSES_SHOWN])
    return words if more < 1 else _("%(some)s and %(count)d more") % {"some": words, "count": more}
