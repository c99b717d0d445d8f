"""Templates for the reasons of the webhook channel; see `scheduler.wording.reasons`."""

from __future__ import annotations

from collections.abc import Mapping

from django.utils.translation import gettext_noop

from notifications.channels.webhook.reasons import Code
from scheduler.engine.reasons import Plural

TEMPLATES: Mapping[Code, str | Plural] = {
    Code.CONNECTION_FAILED: gettext_noop("%(url)s: %(why)s"),
    Code.NO_VALID_ANSWER: gettext_noop("invalid response (%(error)s)"),
    Code.URL_WITHOUT_HTTP: gettext_noop("the URL must start with http:// or https:// and contain a host"),
    Code.URL_HAS_SPACES: gettext_noop("the URL must not contain spaces, control characters or backslashes"),
    Code.PORT_FORBIDDEN: gettext_noop("port %(port)s is reserved for another protocol than HTTP"),
    Code.HEADER_NAME_NOT_VALID: gettext_noop(
        "the header name %(name)s must have letters, digits, - and _ only"
    ),
    Code.HEADER_NOT_VALID: gettext_noop(
        "the header %(name)s must have one line of printable ASCII characters"
    ),
    Code.HEADER_RESERVED: gettext_noop("the header %(name)s is set by Schedsite and cannot be changed"),
    Code.PUBLIC_HOST: gettext_noop("a public host or one in SCHEDULER_WEBHOOK_ALLOW"),
    Code.FREE_HEADERS: gettext_noop("printable headers that Schedsite does not set"),
}
