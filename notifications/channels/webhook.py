"""The webhook channel: one signed HTTP request to a permitted host."""

from __future__ import annotations

import email.utils
import hashlib
import hmac
import json
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import httpcore
import httpx
from django.conf import settings

from notifications import default_texts, rendering
from notifications.addresses import AllowList, parse_allow_list, why_host_forbidden
from notifications.channels.base import Facts
from notifications.connections import Resolver, refusal, resolve
from notifications.exceptions import ForbiddenTargetError, SendError
from notifications.guarded_http import Answer, request

TIMESTAMP_HEADER = "X-Schedsite-Timestamp"
SIGNATURE_HEADER = "X-Schedsite-Signature"
KEY_HEADER = "Idempotency-Key"
JSON_TYPE = "application/json"
#: Statuses after which the same request may succeed later.
TRANSIENT = frozenset({408, 425, 429})
#: Seconds; a longer wait asked for by the other side is taken as this.
LONGEST_WAIT = 24 * 3600.0

# Decided by this channel or by the connection, so a rule cannot set them.
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
# Ports of other protocols that could read an HTTP request as commands of theirs.
_FOREIGN_PORTS = frozenset((
    1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95, 101, 102,
    103, 104, 109, 110, 111, 113, 115, 117, 119, 123, 135, 137, 139, 143, 161, 179, 389, 427, 465,
    512, 513, 514, 515, 526, 530, 531, 532, 540, 548, 554, 556, 563, 587, 601, 636, 989, 990, 993,
    995, 1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060, 5061, 6000, 6379, 6566, 6665, 6666, 6667,
    6668, 6669, 6679, 6697, 10080, 11211,
))  # fmt: skip


@dataclass(frozen=True, slots=True)
class WebhookChannel:
    """Sends an HTTP request, signed when the rule has a secret.

    Attributes:
        resolver: gives the addresses of a host.
        now: gives seconds since 1970 for the signature.
    """

    resolver: Resolver = resolve
    now: Callable[[], float] = time.time
    kind: str = "webhook"

    def compose(self, config: Mapping[str, Any], facts: Facts) -> dict[str, Any]:
        """Return method, target, content type and body. Of the URL only the origin: its rest may be a secret."""
        content_type = _content_type(config)
        method = config.get("method") or "POST"
        return {
            "method": method,
            "target": _origin(config["url"]),
            "content_type": content_type,
            "body": "" if method == "GET" else _body(config.get("body_template") or "", content_type, facts),
        }

    def send(
        self, config: Mapping[str, Any], content: Mapping[str, Any], *, key: str, deadline: float
    ) -> str:
        """Send the request; the answer must have a status from 200 to 299."""
        try:
            check_url(config["url"])
            body = str(content["body"]).encode("utf-8", "replace")
            answer = request(
                str(content["method"]),
                config["url"],
                headers=self._headers(config, content, key=key, body=body),
                body=body,
                allow=_allow_list(),
                deadline=deadline,
                resolver=self.resolver,
            )
        except (ValueError, httpx.InvalidURL) as error:
            raise SendError(str(error), is_permanent=True) from error
        except (OSError, httpx.HTTPError, httpcore.NetworkError, httpcore.ProtocolError) as error:
            raise SendError(f"{_origin(config['url'])}: {_reason(error)}") from error
        return self._judge(answer)

    def _headers(
        self, config: Mapping[str, Any], content: Mapping[str, Any], *, key: str, body: bytes
    ) -> dict[str, str]:
        own = config.get("headers") or {}
        check_headers(own)
        headers = {name.lower(): value.strip() for name, value in own.items()}
        timestamp = str(int(self.now()))
        headers |= {
            "user-agent": headers.get("user-agent", "Schedsite"),
            "accept-encoding": "identity",
            "connection": "close",
            KEY_HEADER: key,
            TIMESTAMP_HEADER: timestamp,
        }
        if body:
            headers["content-type"] = str(content["content_type"])
        if config.get("secret"):
            headers[SIGNATURE_HEADER] = signature(config["secret"], timestamp, body)
        return headers

    def _judge(self, answer: Answer) -> str:
        said = f"HTTP {answer.status}"
        if answer.is_public:  # from a host inside, it could show what those who read deliveries may not see
            said += _excerpt(answer)
        if 200 <= answer.status < 300:
            return said
        if 300 <= answer.status < 400:
            raise SendError(
                f"HTTP {answer.status}: redirects are not followed; the rule must have the final URL",
                is_permanent=answer.status in {301, 308},
            )
        raise SendError(
            said,
            retry_after=_retry_after(answer, self.now()),
            is_permanent=400 <= answer.status < 500 and answer.status not in TRANSIENT,
        )


def check_url(url: str) -> None:
    """Refuse a URL that cannot be a target, as far as can be told without asking a resolver.

    Raises:
        ValueError: it is no http or https URL, or its host or port is not permitted.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise ValueError(f"the URL is not valid: {error}") from error
    if parts.scheme not in {"http", "https"} or not host:
        raise ValueError("the URL must begin with http:// or https:// and name a host")
    if any(character.isspace() or character == "\\" or not character.isprintable() for character in url):
        raise ValueError("the URL must not contain spaces, control characters or backslashes")
    allow = _allow_list()
    reason = why_host_forbidden(host, allow)
    if reason is not None:
        raise ForbiddenTargetError(refusal(host, reason))
    if port in _FOREIGN_PORTS and not allow.has_host(host):
        raise ForbiddenTargetError(f"port {port} is that of another protocol than HTTP")


def check_headers(headers: Mapping[str, str]) -> None:
    """Refuse headers that a rule cannot have.

    Raises:
        ValueError: a name or value has other than printable ASCII characters, or Schedsite sets the header itself.
    """
    for name, value in headers.items():
        if not _HEADER_NAME.fullmatch(name):
            raise ValueError(f"the header name {name[:50]!r} must have letters, digits, - and _ only")
        if not value.isascii() or not value.isprintable():
            raise ValueError(f"the header {name} must have one line of printable ASCII characters")
        if name.lower() in RESERVED_HEADERS:
            raise ValueError(f"the header {name} is set by Schedsite and cannot be changed")


def signature(secret: str, timestamp: str, body: bytes) -> str:
    """Return the value of the signature header: HMAC-SHA256 over timestamp, a dot, and the body."""
    digest = hmac.new(secret.encode(), timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()
    return f"sha256={digest}"


def _allow_list() -> AllowList:
    return parse_allow_list(settings.SCHEDULER_WEBHOOK_ALLOW)


def _origin(url: str) -> str:
    parts = urlsplit(url)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return f"{parts.scheme}://{host}" + (f":{parts.port}" if parts.port else "")


def _content_type(config: Mapping[str, Any]) -> str:
    for name, value in (config.get("headers") or {}).items():
        if name.lower() == "content-type":
            return str(value)
    return JSON_TYPE


def _body(template: str, content_type: str, facts: Facts) -> str:
    if not template:
        return _default_body(facts)
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type == JSON_TYPE or media_type.endswith(("+json", "/json")):
        return rendering.render_json(template, facts.values)
    if media_type == "application/x-www-form-urlencoded":
        return rendering.render_form(template, facts.values)
    if media_type in {"text/html", "text/xml"} or media_type.endswith(("+xml", "/xml")):
        return rendering.render_markup(template, facts.values)
    return rendering.render(template, facts.values)


def _default_body(facts: Facts) -> str:
    """Return a JSON object: the event, a line for people, and the values by their names."""
    texts = default_texts.texts_for(facts)
    values = {
        name: rendering.shorten(value) if isinstance(value, str) else value
        for name, value in facts.values.items()
    }
    text = rendering.render_subject(texts.subject, facts.values)
    return json.dumps({"event": facts.event, "text": text, **values}, ensure_ascii=False, allow_nan=False)


def _excerpt(answer: Answer) -> str:
    text = " ".join(rendering.clean(answer.body[:500].decode("utf-8", "replace")).split())
    return f": {text[:200]}" if text else ""


def _retry_after(answer: Answer, now: float) -> float | None:
    """Return the seconds that Retry-After asks for, given as a number or as a date."""
    text = answer.headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit():
        return min(float(text[:10]), LONGEST_WAIT)
    try:
        moment = email.utils.parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return None
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    seconds = (aware - datetime.fromtimestamp(now, UTC)).total_seconds()
    return min(max(seconds, 0.0), LONGEST_WAIT)


def _reason(error: Exception) -> str:
    """Return an error of the connection in words."""
    text = str(error) or type(error).__name__
    return text if isinstance(error, OSError) else f"no valid answer ({text})"
