"""The email channel: one message to all recipients of a rule."""

from __future__ import annotations

import hashlib
import smtplib
from collections.abc import Mapping
from dataclasses import dataclass
from email.header import Header
from email.utils import parseaddr
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.mail import EmailMultiAlternatives, get_connection
from django.core.mail.message import sanitize_address
from django.core.validators import validate_email
from django.utils.html import escape

from notifications import default_texts, rendering
from notifications.channels.base import Facts
from notifications.exceptions import SendError
from notifications.mail_backend import Refusals

_OF_THE_MESSAGE = (smtplib.SMTPDataError, smtplib.SMTPSenderRefused)


@dataclass(frozen=True, slots=True)
class EmailChannel:
    """Sends mail by the server that the settings name."""

    kind: str = "email"

    def compose(self, config: Mapping[str, Any], facts: Facts) -> dict[str, Any]:
        """Return recipients, subject, and the message as text and as HTML."""
        defaults = default_texts.texts_for(facts)
        subject = rendering.render_subject(config.get("subject_template") or defaults.subject, facts.values)
        body = config.get("body_template") or defaults.body
        return {
            "recipients": list(dict.fromkeys(config["recipients"])),
            "subject": subject,
            "text": rendering.render(body, facts.values),
            "html": _page(subject, rendering.render_html(body, facts.values), facts.language),
        }

    def send(
        self, config: Mapping[str, Any], content: Mapping[str, Any], *, key: str, deadline: float
    ) -> str:
        """Send the mail; recipients that the server refuses for good do not keep it from the others."""
        recipients, malformed = _sorted_out(content["recipients"])
        if not recipients:
            raise SendError(f"no valid recipient; malformed: {', '.join(malformed)}", is_permanent=True)
        message = _message(content, recipients, key=key)
        connection = get_connection(deadline=deadline)
        try:
            connection.send_messages([message])
        except smtplib.SMTPRecipientsRefused as error:
            return _report(content, recipients, malformed, error.recipients)
        except smtplib.SMTPResponseException as error:
            raise SendError(
                f"the mail server said {_reply(error.smtp_code, error.smtp_error)}",
                # A server that refuses us, rather than the message, may be told better by its administrator.
                is_permanent=error.smtp_code >= 500 and isinstance(error, _OF_THE_MESSAGE),
            ) from error
        except smtplib.SMTPNotSupportedError as error:
            raise SendError(f"the mail server cannot do this: {error}", is_permanent=True) from error
        except OSError as error:
            raise SendError(f"mail server {settings.EMAIL_HOST}:{settings.EMAIL_PORT}: {error}") from error
        except ValueError as error:  # headers or addresses that cannot be expressed
            raise SendError(f"the mail cannot be written: {error}", is_permanent=True) from error
        return _report(content, recipients, malformed, getattr(connection, "refused", {}))


class _Mail(EmailMultiAlternatives):
    """A mail whose subject begins on the line of its name, however long it is; some servers read it as empty else."""

    def message(self, **options: Any) -> Any:
        """Return the message for the wire."""
        message: Any = super().message(**options)
        subject = str(self.subject)
        # A long word could not be folded, and "=?" would be decoded at the other end.
        is_plain = (
            subject.isascii() and "=?" not in subject and max(map(len, subject.split()), default=0) < 60
        )
        message.replace_header(
            "Subject", Header(subject, None if is_plain else "utf-8", header_name="Subject")
        )
        return message


def message_id(key: str) -> str:
    """Return the Message-ID of the delivery that `key` names: the same at each attempt, so mail programs merge them."""
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
    """Return an HTML document; `body` is HTML already."""
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
    """Return the valid addresses and the others."""
    valid: list[str] = []
    malformed: list[str] = []
    for address in addresses:
        try:
            validate_email(address)
        except ValidationError:
            malformed.append(rendering.clean(str(address))[:100])
        else:
            valid.append(address)
    return valid, malformed


def _report(
    content: Mapping[str, Any], recipients: list[str], malformed: list[str], refused: Refusals
) -> str:
    """Return what became of the mail; `refused` is by the addresses as they were on the wire.

    Raises:
        SendError: some recipients were refused for now, or all of them; the others have the mail.
    """
    replies = {address: refused[wire] for address in recipients if (wire := _on_wire(address)) in refused}
    later = [address for address, (code, _text) in replies.items() if code < 500]
    taken = len(recipients) - len(replies)
    said = (
        f"accepted for {taken} of {len(recipients) + len(malformed)} recipients" if taken else "all refused"
    )
    if replies:
        said += "; refused: " + ", ".join(
            f"{address} ({_reply(*reply)})" for address, reply in replies.items()
        )
    if malformed:
        said += f"; malformed: {', '.join(malformed)}"
    if later:
        raise SendError(said, content={**content, "recipients": later})
    if not taken:
        raise SendError(said, is_permanent=True)
    return said


def _on_wire(address: str) -> str:
    return sanitize_address(address, "utf-8")


def _reply(code: int, text: bytes | str) -> str:
    words = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
    return f"{code} {' '.join(rendering.clean(words).split())}"[:300].strip()
