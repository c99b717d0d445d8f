"""Composes and sends webhook requests."""

from __future__ import annotations

import email.utils
import hashlib
import hmac
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import urlsplit

from django.utils.translation import gettext_lazy as _

from notifications.channels.base import Channel
from notifications.channels.webhook.checks import (
    KEY_HEADER,
    SIGNATURE_HEADER,
    TIMESTAMP_HEADER,
    allow_list,
    check_headers,
    check_url,
)
from notifications.channels.webhook.definition import DEFINITION
from notifications.channels.webhook.form import WebhookDraft
from notifications.channels.webhook.reasons import Code
from notifications.channels.webhook.wording import TEMPLATES
from notifications.engine.reasons import Code as CommonCode
from notifications.exceptions import SendError
from notifications.messages import default_texts, templates
from notifications.messages.context import Facts
from notifications.transport import answers
from notifications.transport.connections import Resolver, reason_of_connection, resolve
from scheduler.engine.reasons import Reason, as_reason, reason_of

if TYPE_CHECKING:
    from notifications.transport.http import Answer

JSON_TYPE = "application/json"
#: Statuses after which the same request may succeed later.
TRANSIENT = frozenset({408, 425, 429})
#: Seconds; a longer Retry-After is reduced to this.
LONGEST_WAIT = 24 * 3600.0


@dataclass(frozen=True, slots=True)
class WebhookChannel(Channel):
    """Sends an HTTP request, signed if the rule has a secret.

    Attributes:
        resolver: returns the addresses of a host.
        now: returns seconds since 1970 for the signature.
    """

    definition: ClassVar = DEFINITION
    label: ClassVar = _("Webhook")
    icon: ClassVar = "webhook"
    target: ClassVar = ("url",)
    draft: ClassVar = WebhookDraft
    reasons: ClassVar = TEMPLATES

    resolver: Resolver = resolve
    now: Callable[[], float] = time.time

    def compose(self, config: Mapping[str, Any], facts: Facts) -> dict[str, Any]:
        """Return method, target, content type and body. Only the origin of the URL: the path may be a secret."""
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
    ) -> Reason:
        """Send the request; the response must have a 2xx status and its body must not report an error."""
        # Imported here because they take 0.1 s to load and only the sender needs them.
        import httpcore
        import httpx

        from notifications.transport.http import request

        try:
            check_url(config["url"])
            body = str(content["body"]).encode("utf-8", "replace")
            answer = request(
                str(content["method"]),
                config["url"],
                headers=self._headers(config, content, key=key, body=body),
                body=body,
                allow=allow_list(),
                deadline=deadline,
                resolver=self.resolver,
            )
        except (ValueError, httpx.InvalidURL) as error:
            raise SendError(reason_of(error), is_permanent=True) from error
        except (OSError, httpx.HTTPError, httpcore.NetworkError, httpcore.ProtocolError) as error:
            failed = {"url": _origin(config["url"]), "why": _reason(error)}
            raise SendError(Reason(Code.CONNECTION_FAILED, failed)) from error
        return self._judge(answer, config)

    def describe(self, config: Mapping[str, Any]) -> list[str]:
        """Return the URL."""
        return [str(config["url"])]

    def sample_answer(self, config: Mapping[str, Any]) -> Reason:
        """Return a success response."""
        return Reason(CommonCode.HTTP_ANSWER, {"status_code": 200, "answer": "ok"})

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

    def _judge(self, answer: Answer, config: Mapping[str, Any]) -> Reason:
        # A response from a host of the internal network could disclose data to readers of deliveries.
        excerpt = _excerpt(answer) if answer.is_public else ""
        said = Reason(CommonCode.HTTP_STATUS, {"status_code": answer.status})
        if excerpt:
            said = Reason(CommonCode.HTTP_ANSWER, {"status_code": answer.status, "answer": excerpt})
        if 200 <= answer.status < 300:
            _check_body(answer, config)
            return said
        if 300 <= answer.status < 400:
            raise SendError(
                Reason(CommonCode.HTTP_REDIRECT, {"status_code": answer.status}),
                is_permanent=answer.status in {301, 308},
            )
        raise SendError(
            said,
            retry_after=_retry_after(answer, self.now()),
            is_permanent=400 <= answer.status < 500 and answer.status not in TRANSIENT,
        )


def signature(secret: str, timestamp: str, body: bytes) -> str:
    """Return the value of the signature header: HMAC-SHA256 over timestamp, a dot, and the body."""
    digest = hmac.new(secret.encode(), timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()
    return f"sha256={digest}"


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
        return templates.render_json(template, facts.values)
    if media_type == "application/x-www-form-urlencoded":
        return templates.render_form(template, facts.values)
    if media_type in {"text/html", "text/xml"} or media_type.endswith(("+xml", "/xml")):
        return templates.render_markup(template, facts.values)
    return templates.render(template, facts.values)


def _default_body(facts: Facts) -> str:
    """Return a JSON object: the event, a summary line, and all values by name."""
    texts = default_texts.texts_for(facts)
    values = {
        name: templates.shorten(value) if isinstance(value, str) else value
        for name, value in facts.values.items()
    }
    text = templates.render_subject(texts.subject, facts.values)
    body = {"event": facts.event, "text": text, **values, **_reason_values(facts)}
    return json.dumps(body, ensure_ascii=False, allow_nan=False)


def _reason_values(facts: Facts) -> dict[str, Any]:
    """Return the reason as a code with parameters, in addition to its text."""
    if facts.reason is None:
        return {"reason_code": None, "reason_params": None}
    return {"reason_code": facts.reason.code, "reason_params": facts.reason.params_json()}


def _excerpt(answer: Answer) -> str:
    text = " ".join(templates.clean(answer.body[:500].decode("utf-8", "replace")).split())
    return text[:200]


def _check_body(answer: Answer, config: Mapping[str, Any]) -> None:
    """Raise if the body of a response with a good status reports an error.

    Raises:
        SendError: by the `success_when` of the channel, or else by the known rules of the host.
    """
    wanted = config.get("success_when")
    if wanted:
        unmet = answers.unmet(wanted["path"], wanted["equals"], answer.body)
        if unmet is not None:
            raise SendError(_unmet(*unmet, answer, wanted))
        return
    said_no = answers.refusal(urlsplit(config["url"]).hostname or "", answer.body)
    if said_no is not None:
        raise SendError(
            Reason(CommonCode.ANSWER_SAYS_NO, {"status_code": answer.status, "answer": said_no.text}),
            retry_after=said_no.retry_after,
            is_permanent=not said_no.is_temporary,
        )


def _unmet(code: CommonCode, found: str, answer: Answer, wanted: Mapping[str, Any]) -> Reason:
    """Return the reason of an unmet condition; the actual value is included only for a public host."""
    values = {"status_code": answer.status, "path": wanted["path"], "wanted": answers.shown(wanted["equals"])}
    if found and answer.is_public:
        return Reason(CommonCode.ANSWER_DIFFERS_AS, {**values, "answer": found})
    return Reason(code, values)


def _retry_after(answer: Answer, now: float) -> float | None:
    """Return the seconds of the Retry-After header, given as a number or as a date."""
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


def _reason(error: Exception) -> Reason:
    """Return why a connection failed."""
    text = str(error) or type(error).__name__
    if isinstance(error, OSError):
        return reason_of_connection(error) if str(error) else as_reason(text)
    return Reason(Code.NO_VALID_ANSWER, {"error": text})
