"""Templates for the reasons of the email channel; see `scheduler.wording.reasons`."""

from __future__ import annotations

from collections.abc import Mapping

from django.utils.translation import gettext_noop

from notifications.channels.email.reasons import Code
from scheduler.engine.reasons import Plural

TEMPLATES: Mapping[Code, str | Plural] = {
    Code.MAIL_ACCEPTED: gettext_noop("accepted for %(accepted)s of %(recipients)s recipients"),
    Code.MAIL_REFUSED: gettext_noop("all refused"),
    Code.NO_VALID_RECIPIENT: gettext_noop("no valid recipient"),
    Code.RECIPIENTS_REFUSED: gettext_noop("refused: %(addresses)s"),
    Code.RECIPIENTS_MALFORMED: gettext_noop("malformed: %(addresses)s"),
    Code.MAIL_SERVER_SAID: gettext_noop("the mail server said %(answer)s"),
    Code.MAIL_SERVER_CANNOT: gettext_noop("the mail server cannot do this: %(error)s"),
    Code.MAIL_SERVER_FAILED: gettext_noop("mail server %(host)s: %(why)s"),
    Code.MAIL_SERVER_SLOW: gettext_noop("the mail server did not finish within %(seconds)s"),
    Code.MAIL_NOT_WRITTEN: gettext_noop("the mail cannot be written: %(error)s"),
    Code.NO_MAIL_REPLY: gettext_noop("its reply is not from a mail server"),
    Code.LOGIN_NOT_ASCII: gettext_noop("%(name)s must have ASCII characters only to log in; it has others"),
    Code.SEE_MAIL_HOST: gettext_noop("see EMAIL_HOST and EMAIL_PORT"),
    Code.SET_MAIL_SSL: gettext_noop(
        "for implicit TLS (port 465) set EMAIL_USE_SSL=1, EMAIL_USE_TLS=0; see EMAIL_PORT"
    ),
    Code.SET_MAIL_TLS: gettext_noop(
        "for STARTTLS (port 587) set EMAIL_USE_TLS=1, EMAIL_USE_SSL=0; see EMAIL_PORT"
    ),
    Code.NO_MAIL_STARTTLS: gettext_noop(
        "set EMAIL_USE_TLS=0, or EMAIL_PORT to a port with STARTTLS, usually 587"
    ),
    Code.SEE_MAIL_CERTIFICATE: gettext_noop(
        "EMAIL_HOST must be a name in its certificate, and SSL_CERT_FILE must contain the issuer"
    ),
    Code.NO_MAIL_LOGIN: gettext_noop(
        "leave EMAIL_HOST_USER and EMAIL_HOST_PASSWORD empty, or encrypt first with EMAIL_USE_TLS=1"
    ),
    Code.NO_MAIL_LOGIN_ENCRYPTED: gettext_noop("leave EMAIL_HOST_USER and EMAIL_HOST_PASSWORD empty"),
    Code.SEE_MAIL_LOGIN: gettext_noop("see EMAIL_HOST_USER and EMAIL_HOST_PASSWORD"),
    Code.ENCRYPT_MAIL_FIRST: gettext_noop("set EMAIL_USE_TLS=1"),
    Code.SEE_MAIL_SENDER: gettext_noop("see DEFAULT_FROM_EMAIL"),
}
