"""Filters of the pages of rules and deliveries."""

from __future__ import annotations

import json

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

from notifications.choices import Event, State
from notifications.sentences import KINDS, OTHER_ICON, kind_word

register = template.Library()


@register.filter
def state_pill(state: str) -> SafeString:
    """Return the coloured word for the state of a delivery."""
    label = State(state).label if state in State.values else state
    return format_html('<span class="s-pill n-{}">{}</span>', state, label)


@register.filter
def event_pill(event: str) -> SafeString:
    """Return the coloured word for what a message tells of."""
    label = Event(event).label if event in Event.values else event
    return format_html('<span class="s-pill s-{}">{}</span>', event, label)


@register.filter
def kind_icon(kind: str) -> SafeString:
    """Return the icon of a kind of channel, with its name for those who do not see it."""
    icon = KINDS[kind][1] if kind in KINDS else OTHER_ICON
    name = kind_word(kind)
    return format_html(
        '<span class="material-symbols-outlined n-icon" title="{0}" aria-hidden="true">{1}</span>'
        '<span class="s-hidden">{0}</span>',
        name,
        icon,
    )


@register.filter
def kind_name(kind: str) -> str:
    """Return what a kind of channel is called."""
    return kind_word(kind)


@register.filter
def pretty(text: str) -> str:
    """Return a JSON document on lines; any other text as it is."""
    try:
        return json.dumps(json.loads(text), ensure_ascii=False, indent=2)
    except (ValueError, RecursionError):
        return text
