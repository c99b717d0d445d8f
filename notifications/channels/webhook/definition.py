"""Schema and checks of a webhook channel in config.json."""

from __future__ import annotations

from urllib.parse import urlsplit

from django.utils.translation import gettext_noop

from notifications.channels.fields import BODY_TEMPLATE
from notifications.channels.webhook.checks import check_headers, check_url
from notifications.channels.webhook.reasons import Code
from scheduler.config_file import reasons
from scheduler.config_file.channel_kinds import ChannelKind, FieldCheck, Form
from scheduler.config_file.schema import channel_schema
from scheduler.config_file.secret_fields import SecretAddress, SecretText, SecretValues
from scheduler.engine.reasons import Reason

KIND = "webhook"
METHODS = ["POST", "PUT", "PATCH", "GET"]
ONE_LINE = r"^[^\u0000-\u001f\u007f]*$"

SUCCESS_WHEN = {
    "title": "Success when",
    "description": "Condition for the JSON of the response, in addition to a status from 200 to 299; "
    "null: the known rules for the host.",
    "$comment": gettext_noop("an object with path and equals, or null"),
    "type": ["object", "null"],
    "additionalProperties": False,
    "required": ["path", "equals"],
    "properties": {
        "path": {
            "title": "Path",
            "description": "Path in the JSON of the response: names separated by dots; "
            "a number is an index in a list, from 0.",
            "$comment": gettext_noop(
                "1 to 8 names separated by dots, each of at most 64 characters without spaces"
            ),
            "type": "string",
            "pattern": r"^[^.\s]{1,64}(\.[^.\s]{1,64}){0,7}$",
            "examples": ["errcode", "data.status"],
        },
        "equals": {
            "title": "Equals",
            "description": "Expected value at the path.",
            "$comment": gettext_noop("text of at most 200 characters, a number, true, false or null"),
            "type": ["string", "number", "boolean", "null"],
            "maxLength": 200,
            "examples": [0, "ok", True],
        },
    },
    "default": None,
    "examples": [{"path": "errcode", "equals": 0}],
}
HEADERS = {
    "title": "Headers",
    "description": "Additional headers.",
    "type": "object",
    "additionalProperties": {
        "$comment": gettext_noop("one line of at most 4000 characters"),
        "type": "string",
        "pattern": ONE_LINE,
        "maxLength": 4000,
    },
    "propertyNames": {
        "$comment": gettext_noop("letters, digits, _ and -, at most 100"),
        "type": "string",
        "pattern": "^[A-Za-z0-9_-]{1,100}$",
    },
    "maxProperties": 50,
    "default": {},
    "examples": [{"X-Team": "ops"}],
}
SCHEMA = channel_schema(
    KIND,
    title="Webhook channel",
    description="Sends an HTTP request.",
    required=["url"],
    fields={
        "url": {
            "title": "URL",
            "description": "URL with http or https.",
            "$comment": gettext_noop("an http or https URL of at most 2000 characters without spaces"),
            "type": "string",
            "pattern": r"^[Hh][Tt][Tt][Pp][Ss]?://[^\s]+$",
            "maxLength": 2000,
            "examples": ["https://example.org/hook"],
        },
        "method": {
            "title": "Method",
            "description": "HTTP method.",
            "enum": METHODS,
            "default": "POST",
            "examples": ["PUT"],
        },
        "headers": HEADERS,
        "body_template": BODY_TEMPLATE,
        "secret": {
            "title": "Secret",
            "description": "Secret of the HMAC-SHA256 signature.",
            "type": "string",
            "maxLength": 500,
            "default": "",
            "examples": ["a long random text"],
        },
        "success_when": SUCCESS_WHEN,
    },
)


def has_host(url: str) -> bool:
    """Return whether a URL has a host, and a valid port if it has one."""
    try:
        parts = urlsplit(url)
        return bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


DEFINITION = ChannelKind(
    KIND,
    SCHEMA,
    secrets={"url": SecretAddress(), "secret": SecretText(), "headers": SecretValues()},
    forms=[Form("url", has_host, Reason(reasons.Code.URL_WITH_HOST))],
    checks=[
        FieldCheck("url", check_url, Reason(Code.PUBLIC_HOST)),
        FieldCheck("headers", check_headers, Reason(Code.FREE_HEADERS)),
    ],
)
