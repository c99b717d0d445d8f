"""A pigeon in config.json."""

from __future__ import annotations

from notifications.channels.fields import BODY_TEMPLATE
from scheduler.config_file.channel_kinds import ChannelKind, FieldCheck
from scheduler.config_file.schema import channel_schema
from scheduler.config_file.secret_fields import SecretText
from scheduler.engine.reasons import Reason
from tests.pigeon.reasons import Code

KIND = "pigeon"
SCHEMA = channel_schema(
    KIND,
    title="Pigeon channel",
    description="Sends a bird.",
    required=["loft"],
    fields={
        "loft": {
            "title": "Loft",
            "description": "Where the bird flies to.",
            "type": "string",
            "maxLength": 50,
            "examples": ["tower-3"],
        },
        "ring": {
            "title": "Ring",
            "description": "What the bird wears, so that it is let in.",
            "type": "string",
            "maxLength": 50,
            "default": "",
            "examples": ["a word that nobody else knows"],
        },
        "body_template": BODY_TEMPLATE,
    },
)


def check_loft(loft: str) -> None:
    """Refuse a loft in which no bird lives long.

    Raises:
        ValueError: there is a cat.
    """
    if "cat" in loft:
        raise ValueError(Reason(Code.CAT_LIVES_THERE))


DEFINITION = ChannelKind(
    KIND,
    SCHEMA,
    secrets={"ring": SecretText()},
    checks=[FieldCheck("loft", check_loft, Reason(Code.LOFT_WITHOUT_CAT))],
)
