"""Composes an email and sends it to all recipients of a rule."""

from __future__ import annotations

import hashlib
import smtplib
from collections.abc import Mapping
from dataclasses import dataclass
from email.header import Header
from email.utils import parseaddr
from typing import Any, ClassVar

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.mail import EmailMultiAlternatives, get_connection
from django.core.mail.message import sanitize_address
from django.core.validators import validate_email
from django.utils.html import escape
from django.utils.translation import gettext_lazy as _

from notifications.channels.base import Channel
from notifications.channels.email.advice import LOGIN_WANTED, WRONG_LOGIN, Situation, advice
from notifications.channels.email.definition import DEFINITION
from notifications.channels.email.form import EmailDraft
from notifications.channels.email.reasons import Code
from notifications.channels.email.smtp import LoginError, Refusals
from notifications.channels.email.wording import TEMPLATES
from notifications.engine.reasons import Code as CommonCode
from notifications.exceptions import SendError
from notifications.messages import default_texts, templates
from notifications.messages.context import Facts
from notifications.transport.connections import reason_of_connection
from scheduler.engine.reasons import Reason, reason_of

_OF_THE_MESSAGE = (smtplib.SMTPDataError, smtplib.SMTPSenderRefused)


@dataclass(frozen=True, slots=True)
class EmailChannel(Channel):
    """Sends email through the mail server of the settings."""

    definition: ClassVar = DEFINITION
    label: ClassVar = _("Email")
    icon: ClassVar = "mail"
    target: ClassVar = ("recipients",)
    draft: ClassVar = EmailDraft
    reasons: ClassVar = TEMPLATES

    def compose(self, config: Mapping[str, Any], facts: Facts) -> dict[str, Any]:
        """Return recipients, subject, and the message as text and as HTML."""
        defaults = default_texts.texts_for(facts)
        subject = templates.render_subject(config.get("subject_template") or defaults.subject, facts.values)
        body = config.get("body_template") or defaults.body
        return {
            "recipients": list(dict.fromkeys(config["recipients"])),
            "subject": subject,
            "text": templates.render(body, facts.values),
            "html": _page(subject, templates.render_html(body, facts.values), facts.language),
        }

    def send(
        self, config: Mapping[str, Any], content: Mapping[str, Any], *, key: str, deadline: float
    ) -> Reason:
        """Send the email; permanently refused recipients do not prevent delivery to the others."""
        recipients, malformed = _sorted_out(content["recipients"])
        if not recipients:
            parts = [Reason(Code.NO_VALID_RECIPIENT), _malformed(malformed)]
            raise SendError(several(parts), is_permanent=True)
        message = _message(content, recipients, key=key)
        connection = get_connection(deadline=deadline)
        try:
            connection.send_messages([message])
        except smtplib.SMTPRecipientsRefused as error:
            return _report(content, recipients, malformed, error.recipients)
        except LoginError as error:
            raise SendError(reason_of(error)) from error
        except (OSError, ValueError) as error:
            raise _failure(error, getattr(connection, "situation", None)) from error
        return _report(content, recipients, malformed, getattr(connection, "refused", {}))

    def describe(self, config: Mapping[str, Any]) -> list[str]:
        """Return the recipients."""
        return [str(address) for address in config["recipients"]]

    def sample_answer(self, config: Mapping[str, Any]) -> Reason:
        """Return a response that accepts all recipients."""
        number = len(config["recipients"])
        return Reason(Code.MAIL_ACCEPTED, {"accepted": number, "recipients": number})


def _failure(error: OSError | ValueError, situation: Situation | None) -> SendError:
    """Return the error of a failed email, with advice on the settings involved."""
    hint = None if situation is None else advice(error, situation)
    more = [] if hint is None else [Reason(hint)]
    if isinstance(error, smtplib.SMTPResponseException) and error.smtp_code >= 0:
        # If the server rejects us rather than the message, the administrator may have to change a setting.
        is_of_message = isinstance(error, _OF_THE_MESSAGE) and error.smtp_code not in LOGIN_WANTED
        said = Reason(Code.MAIL_SERVER_SAID, {"answer": _reply(error.smtp_code, error.smtp_error)})
        return SendError(several([said, *more]), is_permanent=error.smtp_code >= 500 and is_of_message)
    if isinstance(error, smtplib.SMTPNotSupportedError):
        cannot = Reason(Code.MAIL_SERVER_CANNOT, {"error": str(error)})
        return SendError(several([cannot, *more]), is_permanent=not more)
    if isinstance(error, OSError):
        is_reply = isinstance(error, smtplib.SMTPResponseException)  # without a reply code
        why = Reason(Code.NO_MAIL_REPLY) if is_reply else reason_of_connection(error)
        host = f"{settings.EMAIL_HOST}:{settings.EMAIL_PORT}"
        return SendError(several([Reason(Code.MAIL_SERVER_FAILED, {"host": host, "why": why}), *more]))
    # headers or addresses that cannot be encoded
    return SendError(Reason(Code.MAIL_NOT_WRITTEN, {"error": str(error)}), is_permanent=True)


def several(parts: list[Reason]) -> Reason:
    """Combine several reasons into one."""
    return parts[0] if len(parts) == 1 else Reason(CommonCode.SEVERAL, {"parts": parts})


def _malformed(addresses: list[str]) -> Reason:
    return Reason(Code.RECIPIENTS_MALFORMED, {"addresses": addresses})


class _Mail(EmailMultiAlternatives):
    """An email whose subject starts on the header line whatever its length; some servers read it as empty otherwise."""

    def message(self, **options: Any) -> Any:
        """Return the message to transmit."""
        message: Any = super().message(**options)
        subject = str(self.subject)
        # A long word could not be folded, and "=?" would be decoded by the receiver.
        is_plain = (
            subject.isascii() and "=?" not in subject and max(map(len, subject.split()), default=0) < 60
        )
        message.replace_header(
            "Subject", Header(subject, None if is_plain else "utf-8", header_name="Subject")
        )
        return message


def message_id(key: str) -> str:
    """Return the Message-ID for a delivery key: the same at each attempt, so that mail clients merge duplicates."""
    domain = parseaddr(settings.DEFAULT_FROM_EMAIL)[1].rpartition("@")[2] or "localhost"
    return f"<{hashlib.sha256(key.encode()).hexdigest()[:40]}@{domain}>"


def _message(content: Mapping[str, Any], recipients: list[str], *, key: str) -> _Mail:
    message = _Mail(
        subject=content["subject"],
        body=content["text"],
        from_email=settings.DEFAULT_FROM_EMAIL,
        to=recipients,
        headers={
            "Message-ID": message_id(key),
            "Auto-Submitted": "auto-generated",
            "X-Auto-Response-Suppress": "All",
        },
    )
    message.attach_alternative(content["html"], "text/html")
    return message


def _page(subject: str, body: str, language: str) -> str:
    """Return an HTML document; `body` must be HTML."""
    return f"""\
<!doctype html>
<html lang="{escape(language)}"><head><meta charset="utf-8">\
<meta name="viewport" content="width=device-width,initial-scale=1"></head>
<body style="margin:0;padding:16px;color:#18181b;font:16px/1.5 -apple-system,Segoe UI,Roboto,sans-serif">
<h1 style="margin:0 0 12px;font-size:18px;line-height:1.3;overflow-wrap:anywhere">{escape(subject)}</h1>
<div style="overflow-wrap:anywhere">{body}</div>
</body></html>
"""


def _sorted_out(addresses: list[str]) -> tuple[list[str], list[str]]:
    """Return the valid addresses and the invalid ones."""
    valid: list[str] = []
    malformed: list[str] = []
    for address in addresses:
        try:
            validate_email(address)
        except ValidationError:
            malformed.append(templates.clean(str(address))[:100])
        else:
            valid.append(address)
    return valid, malformed


def _report(
    content: Mapping[str, Any], recipients: list[str], malformed: list[str], refused: Refusals
) -> Reason:
    """Return the result of an email; `refused` is keyed by addresses in wire format.

    Raises:
        SendError: some recipients were refused temporarily, or all of them; the others received the email.
    """
    replies = {address: refused[wire] for address in recipients if (wire := _on_wire(address)) in refused}
    later = [address for address, (code, _text) in replies.items() if code < 500 or code in LOGIN_WANTED]
    taken = len(recipients) - len(replies)
    everybody = len(recipients) + len(malformed)
    accepted = Reason(Code.MAIL_ACCEPTED, {"accepted": taken, "recipients": everybody})
    parts = [accepted if taken else Reason(Code.MAIL_REFUSED)]
    if replies:
        refusals = [f"{address} ({_reply(*reply)})" for address, reply in replies.items()]
        parts.append(Reason(Code.RECIPIENTS_REFUSED, {"addresses": refusals}))
    if malformed:
        parts.append(_malformed(malformed))
    if any(code in LOGIN_WANTED for code, _text in replies.values()):
        parts.append(Reason(WRONG_LOGIN))
    said = several(parts)
    if later:
        raise SendError(said, content={**content, "recipients": later})
    if not taken:
        raise SendError(said, is_permanent=True)
    return said


def _on_wire(address: str) -> str:
    return sanitize_address(address, "utf-8")


def _reply(code: int, text: bytes | str) -> str:
    words = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
    return f"{code} {' '.join(templates.clean(words).split())}"[:300].strip()
