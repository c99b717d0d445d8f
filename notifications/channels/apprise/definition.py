"""Schema and checks of an Apprise channel in config.json."""

from __future__ import annotations

from django.utils.translation import gettext_noop

from notifications.channels.apprise.checks import check_url
from notifications.channels.apprise.reasons import Code
from notifications.channels.fields import BODY_TEMPLATE, SUBJECT_TEMPLATE
from scheduler.config_file.channel_kinds import ChannelKind, FieldCheck
from scheduler.config_file.schema import channel_schema
from scheduler.config_file.secret_fields import SecretUrls
from scheduler.config_file.url_masking import masked_url
from scheduler.engine.reasons import Reason

KIND = "apprise"
SCHEMA = channel_schema(
    KIND,
    title="Apprise channel",
    description="Sends to Slack, Telegram, DingTalk, Feishu, WeCom, ntfy and others.",
    required=["urls"],
    fields={
        "urls": {
            "title": "URLs",
            "description": "Apprise URLs.",
            "type": "array",
            "minItems": 1,
            "maxItems": 20,
            "items": {
                "$comment": gettext_noop("an Apprise URL such as ntfy://topic"),
                "type": "string",
                "pattern": r"^[a-zA-Z][a-zA-Z0-9+.-]{0,30}://[^\s]+$",
                "maxLength": 2000,
            },
            "examples": [["ntfy://example-topic"]],
        },
        "subject_template": SUBJECT_TEMPLATE,
        "body_template": BODY_TEMPLATE,
    },
)
DEFINITION = ChannelKind(
    KIND,
    SCHEMA,
    secrets={"urls": SecretUrls()},
    checks=[FieldCheck("urls", check_url, Reason(Code.PUBLIC_SERVICE), shown=masked_url)],
)
