"""Errors of the rule form in the language of the reader: what a field accepts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from scheduler.config_file import ConfigProblem
from scheduler.config_file.notify_rules import TEMPLATE_NAMES
from scheduler.config_file.reasons import Code
from scheduler.engine.reasons import as_reason
from scheduler.wording.reasons import told

#: What the fields of a rule accept.
ALLOWED: Mapping[str, Any] = {
    "name": gettext_lazy("One line of at most 200 characters."),
    "triggers": gettext_lazy("Choose at least one."),
    "threshold": gettext_lazy("A whole number from 1 to 100,000 is allowed."),
    "repeat": gettext_lazy("Choose one of the three."),
    "cooldown": gettext_lazy("A number from 0 to 365 days is allowed; 0 is none."),
    "channels": gettext_lazy("A rule needs from 1 to 20 channels. Add one."),
}


def explain(problem: ConfigProblem, name: str, allowed: Mapping[str, Any]) -> str:
    """Return what is accepted where a value was rejected, in the language of the reader.

    Args:
        name: name of the field.
        allowed: accepted values by field name.
    """
    why = as_reason(problem.why)
    if why.code == Code.REFUSED_BY_CHANNEL:  # a channel's own check of an address or header
        return _("Refused: %(why)s") % {"why": told(why.params["why"])}
    if name in ("subject_template", "body_template"):
        return _about_template(problem)
    known = allowed.get(name)
    if known is None:
        return told(why)
    if problem.found in ('""', "[]", "{}", "null"):
        return str(known)
    return _("%(found)s was found. %(allowed)s") % {"found": told(problem.what), "allowed": known}


def _about_template(problem: ConfigProblem) -> str:
    known = {"known": ", ".join(TEMPLATE_NAMES)}
    why = as_reason(problem.why)
    if why.code == Code.SUGGESTION:
        why = why.params["what"]
    if why.code == Code.UNKNOWN_PLACEHOLDER:
        return _("Unknown name %(name)s; allowed: %(known)s.") % {
            "name": problem.found.strip('"'),
            **known,
        }
    if why.code == Code.BROKEN_PLACEHOLDER:
        return _("Each {{ needs a known name and a }} after it. Known are %(known)s.") % known
    return told(why)
