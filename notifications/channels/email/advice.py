"""Advice on which setting to change when an email failed because of the configuration. Pure.

Such a failure is retried like that of a server that is down: an administrator corrects the setting, and the message
itself was not refused.
"""

from __future__ import annotations

import smtplib
import ssl
from dataclasses import dataclass
from enum import StrEnum

from notifications.channels.email.reasons import Code


class Step(StrEnum):
    """The stage of an SMTP session."""

    CONNECT = "connect"
    HANDSHAKE = "handshake"
    GREET = "greet"
    ENCRYPT = "encrypt"
    LOGIN = "login"
    SEND = "send"


#: Replies to other commands than a login that require one, or encryption first. Source: RFC 4954, sections 4 and 6.
LOGIN_WANTED = frozenset({530, 534, 538})
_SENDER_REFUSED = frozenset({501, 550, 553, 554})

ADDRESS = Code.SEE_MAIL_HOST
PLAIN_TO_TLS = Code.SET_MAIL_SSL
TLS_TO_PLAIN = Code.SET_MAIL_TLS
NO_STARTTLS = Code.NO_MAIL_STARTTLS
CERTIFICATE = Code.SEE_MAIL_CERTIFICATE
NO_LOGIN = Code.NO_MAIL_LOGIN
NO_LOGIN_ENCRYPTED = Code.NO_MAIL_LOGIN_ENCRYPTED
WRONG_LOGIN = Code.SEE_MAIL_LOGIN
ENCRYPT_FIRST = Code.ENCRYPT_MAIL_FIRST
SENDER = Code.SEE_MAIL_SENDER


@dataclass(frozen=True, slots=True)
class Situation:
    """The circumstances of a failed attempt.

    Attributes:
        step: the stage at which the session failed.
        is_ssl, is_tls: EMAIL_USE_SSL and EMAIL_USE_TLS.
    """

    step: Step
    is_ssl: bool
    is_tls: bool


def advice(error: Exception, situation: Situation) -> Code | None:
    """Return the advice on settings, or None if the error is not caused by a setting."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return CERTIFICATE
    if isinstance(error, smtplib.SMTPResponseException):
        return _about_reply(error, situation)
    is_missing = isinstance(error, smtplib.SMTPNotSupportedError) or type(error) is smtplib.SMTPException
    match situation.step:
        case Step.CONNECT:
            return ADDRESS
        case Step.HANDSHAKE:
            return TLS_TO_PLAIN
        case Step.GREET:
            return ADDRESS if situation.is_ssl else PLAIN_TO_TLS
        case Step.ENCRYPT if is_missing or isinstance(error, ssl.SSLError):
            return NO_STARTTLS
        case Step.LOGIN if is_missing:
            return NO_LOGIN_ENCRYPTED if situation.is_ssl or situation.is_tls else NO_LOGIN
    return None


def _about_reply(error: smtplib.SMTPResponseException, situation: Situation) -> Code | None:
    """Return the advice for a reply; a code below 0 means that the reply is not from a mail server."""
    code, raw = error.smtp_code, error.smtp_error
    text = (raw.decode("utf-8", "replace") if isinstance(raw, bytes) else raw).lower()
    if code < 0:
        return ADDRESS if situation.step is Step.GREET else None
    if code < 500:
        return None
    if isinstance(error, smtplib.SMTPAuthenticationError) or code in LOGIN_WANTED:
        wants_encryption = code == 538 or "starttls" in text or "encrypt" in text
        is_encrypted = situation.is_ssl or situation.is_tls
        return ENCRYPT_FIRST if wants_encryption and not is_encrypted else WRONG_LOGIN
    if situation.step is Step.ENCRYPT:
        return NO_STARTTLS
    if isinstance(error, smtplib.SMTPSenderRefused) and code in _SENDER_REFUSED:
        return SENDER
    return None
