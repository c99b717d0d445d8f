"""Restrictions of webhooks: forbidden hosts, ports and headers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from django.conf import settings

from notifications.channels.webhook.reasons import Code
from notifications.engine.reasons import Code as CommonCode
from notifications.exceptions import ForbiddenTargetError
from notifications.transport.connections import refusal
from notifications.transport.targets import AllowList, parse_allow_list, why_host_forbidden
from scheduler.engine.reasons import Reason

TIMESTAMP_HEADER = "X-Schedsite-Timestamp"
SIGNATURE_HEADER = "X-Schedsite-Signature"
KEY_HEADER = "Idempotency-Key"
# Set by this channel or by the connection, so a rule cannot override them.
RESERVED_HEADERS = frozenset(
    {
        "connection",
        "content-length",
        "expect",
        "host",
        "keep-alive",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        TIMESTAMP_HEADER.lower(),
        SIGNATURE_HEADER.lower(),
        KEY_HEADER.lower(),
    }
)
_HEADER_NAME = re.compile(r"[A-Za-z0-9_-]{1,100}")
# Ports of protocols whose servers could interpret an HTTP request as commands.
_FOREIGN_PORTS = frozenset((
    1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95, 101, 102,
    103, 104, 109, 110, 111, 113, 115, 117, 119, 123, 135, 137, 139, 143, 161, 179, 389, 427, 465,
    512, 513, 514, 515, 526, 530, 531, 532, 540, 548, 554, 556, 563, 587, 601, 636, 989, 990, 993,
    995, 1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060, 5061, 6000, 6379, 6566, 6665, 6666, 6667,
    6668, 6669, 6679, 6697, 10080, 11211,
))  # fmt: skip


def check_url(url: str) -> None:
    """Reject a URL that cannot be a target, as far as can be decided without a DNS lookup.

    Raises:
        ValueError: not an http or https URL, or the host or port is not permitted.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise ValueError(Reason(CommonCode.URL_NOT_VALID, {"error": str(error)})) from error
    if parts.scheme not in {"http", "https"} or not host:
        raise ValueError(Reason(Code.URL_WITHOUT_HTTP))
    if any(character.isspace() or character == "\\" or not character.isprintable() for character in url):
        raise ValueError(Reason(Code.URL_HAS_SPACES))
    allow = allow_list()
    reason = why_host_forbidden(host, allow)
    if reason is not None:
        raise ForbiddenTargetError(refusal(host, reason))
    if port in _FOREIGN_PORTS and not allow.has_host(host):
        raise ForbiddenTargetError(Reason(Code.PORT_FORBIDDEN, {"port": port}))


def check_headers(headers: Mapping[str, str]) -> None:
    """Reject headers that a rule cannot set.

    Raises:
        ValueError: a name or value contains other than printable ASCII characters, or Schedsite sets the header itself.
    """
    for name, value in headers.items():
        if not _HEADER_NAME.fullmatch(name):
            raise ValueError(Reason(Code.HEADER_NAME_NOT_VALID, {"name": repr(name[:50])}))
        if not value.isascii() or not value.isprintable():
            raise ValueError(Reason(Code.HEADER_NOT_VALID, {"name": name}))
        if name.lower() in RESERVED_HEADERS:
            raise ValueError(Reason(Code.HEADER_RESERVED, {"name": name}))


def allow_list() -> AllowList:
    """Return the permitted hosts of the settings."""
    return parse_allow_list(settings.SCHEDULER_WEBHOOK_ALLOW)
