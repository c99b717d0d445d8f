"""Reason codes of the email channel; see `scheduler.engine.reasons`."""

from __future__ import annotations

from enum import StrEnum


class Code(StrEnum):
    """Why an email was sent or not, and which setting to change. The values are stored and never change."""

    MAIL_ACCEPTED = "mail_accepted"
    MAIL_REFUSED = "mail_refused"
    NO_VALID_RECIPIENT = "no_valid_recipient"
    RECIPIENTS_REFUSED = "recipients_refused"
    RECIPIENTS_MALFORMED = "recipients_malformed"
    MAIL_SERVER_SAID = "mail_server_said"
    MAIL_SERVER_CANNOT = "mail_server_cannot"
    MAIL_SERVER_FAILED = "mail_server_failed"
    MAIL_SERVER_SLOW = "mail_server_slow"
    MAIL_NOT_WRITTEN = "mail_not_written"
    NO_MAIL_REPLY = "no_mail_reply"
    LOGIN_NOT_ASCII = "login_not_ascii"
    SEE_MAIL_HOST = "see_mail_host"
    SET_MAIL_SSL = "set_mail_ssl"
    SET_MAIL_TLS = "set_mail_tls"
    NO_MAIL_STARTTLS = "no_mail_starttls"
    SEE_MAIL_CERTIFICATE = "see_mail_certificate"
    NO_MAIL_LOGIN = "no_mail_login"
    NO_MAIL_LOGIN_ENCRYPTED = "no_mail_login_encrypted"
    SEE_MAIL_LOGIN = "see_mail_login"
    ENCRYPT_MAIL_FIRST = "encrypt_mail_first"
    SEE_MAIL_SENDER = "see_mail_sender"
