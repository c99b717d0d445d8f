"""Template filters for rules and deliveries."""

from __future__ import annotations

import json

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

from notifications.choices import Event, State
from notifications.wording import rules

register = template.Library()


@register.filter
def state_pill(state: str) -> SafeString:
    """Return a coloured label for the state of a delivery."""
    label = State(state).label if state in State.values else state
    return format_html('<span class="s-pill n-{}">{}</span>', state, label)


@register.filter
def event_pill(event: str) -> SafeString:
    """Return a coloured label for the event of a message."""
    label = Event(event).label if event in Event.values else event
    return format_html('<span class="s-pill s-{}">{}</span>', event, label)


@register.filter
def kind_icon(kind: str) -> SafeString:
    """Return the icon of a channel kind, with its name for screen readers."""
    return format_html(
        '<span class="material-symbols-outlined n-icon" title="{0}" aria-hidden="true">{1}</span>'
        '<span class="s-hidden">{0}</span>',
        rules.kind_word(kind),
        rules.kind_icon(kind),
    )


@register.filter
def kind_name(kind: str) -> str:
    """Return the display name of a channel kind."""
    return rules.kind_word(kind)


@register.filter
def pretty(text: str) -> str:
    """Return a JSON document indented; other text unchanged."""
    try:
        return json.dumps(json.loads(text), ensure_ascii=False, indent=2)
    except (ValueError, RecursionError):
        return text
