"""Schema and checks of an email channel in config.json."""

from __future__ import annotations

import re

from django.core.exceptions import ValidationError
from django.core.validators import validate_email

from notifications.channels.fields import BODY_TEMPLATE, SUBJECT_TEMPLATE
from scheduler.config_file.channel_kinds import ChannelKind, Form, OlderAddresses
from scheduler.config_file.reasons import Code
from scheduler.config_file.schema import channel_schema
from scheduler.engine.reasons import Reason

KIND = "email"
#: Subset of Django's email validator, 100 times faster: a rule may have thousands of addresses.
COMMON_ADDRESS = re.compile(
    r"[A-Za-z0-9_+-]+(?:\.[A-Za-z0-9_+-]+)*+@(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z]{2,63}"
)

SCHEMA = channel_schema(
    KIND,
    title="Email channel",
    description="Sends email.",
    required=["recipients"],
    fields={
        "recipients": {
            "title": "Recipients",
            "description": "Email addresses.",
            "type": "array",
            "minItems": 1,
            "maxItems": 100,
            "items": {"type": "string", "maxLength": 254},
            "examples": [["ops@example.org"]],
        },
        "subject_template": SUBJECT_TEMPLATE,
        "body_template": BODY_TEMPLATE,
    },
)


def is_address(text: str) -> bool:
    """Return whether a text is one email address."""
    if COMMON_ADDRESS.fullmatch(text):
        return True
    try:
        validate_email(text)
    except (ValidationError, ValueError):
        return False
    return True


DEFINITION = ChannelKind(
    KIND,
    SCHEMA,
    forms=[Form("recipients", is_address, Reason(Code.MAIL_ADDRESS))],
    older=OlderAddresses("recipients", ("email", "emails", "recipients")),
)
