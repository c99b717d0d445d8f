"""Sends email within a total deadline and records which recipients were refused."""

from __future__ import annotations

import contextlib
import re
import smtplib
import socket
from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.core.mail import EmailMessage
from django.core.mail.backends import smtp
from django.core.mail.message import sanitize_address

from notifications.channels.email.advice import Situation, Step
from notifications.channels.email.reasons import Code
from notifications.exceptions import NotificationError
from notifications.transport.connections import Deadline, addresses_in_time, connect, resolve
from scheduler.engine.reasons import Reason

#: Server replies by recipient: code and text.
Refusals = dict[str, tuple[int, bytes]]

_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,252}[A-Za-z0-9])?")


class _Conversation:
    """Opens connections that the deadline can abort at any point, including the TLS handshake."""

    deadline: Deadline
    backend: EmailBackend

    def getreply(self) -> tuple[int, bytes]:
        """Read a reply; the first one proves that the connection is open."""
        if self.backend.step in (Step.CONNECT, Step.HANDSHAKE):
            self.backend.step = Step.GREET
        return super().getreply()  # type: ignore[misc,no-any-return]  # of the class that is mixed in

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        addresses = addresses_in_time(host, port, resolver=resolve, deadline=self.deadline)
        return connect(addresses, port, deadline=self.deadline)


class _Plain(_Conversation, smtplib.SMTP):
    pass


class _Encrypted(_Conversation, smtplib.SMTP_SSL):
    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        sock = super()._get_socket(host, port, timeout)
        self.backend.step = Step.HANDSHAKE
        return self.context.wrap_socket(sock, server_hostname=host)


class LoginError(NotificationError):
    """A user name or password that cannot be encoded for login."""


def _check_login(**settings_of_login: str) -> None:
    """Reject credentials that smtplib cannot encode.

    Raises:
        LoginError: a value contains non-ASCII characters; the text names its setting, not the value.
    """
    for name, value in settings_of_login.items():
        if not value.isascii():
            raise LoginError(Reason(Code.LOGIN_NOT_ASCII, {"name": name}))


class EmailBackend(smtp.EmailBackend):
    """Django's SMTP backend, with `deadline` seconds for each call of `send_messages`.

    Attributes:
        refused: recipients refused in the last call while others were accepted.
        step: the stage the last session reached.
    """

    def __init__(self, *args: Any, deadline: float | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.seconds = settings.EMAIL_TIMEOUT if deadline is None else deadline
        self.refused: Refusals = {}
        self.step = Step.CONNECT
        self._deadline: Deadline | None = None

    def send_messages(self, email_messages: Sequence[EmailMessage]) -> int:
        """Send the messages over one connection and return the number accepted.

        Raises:
            TimeoutError: the deadline expired. The server may have accepted a message nevertheless.
            OSError: the connection failed; smtplib.SMTPException: the server refused.
        """
        self.refused = {}
        with Deadline(self.seconds) as self._deadline:
            try:
                return super().send_messages(email_messages)
            except OSError as error:  # includes SMTPException
                if self._deadline.is_over and not isinstance(error, smtplib.SMTPResponseException):
                    raise TimeoutError(Reason(Code.MAIL_SERVER_SLOW, {"seconds": self.seconds})) from error
                raise
            finally:
                self._drop()

    def open(self) -> bool | None:
        """Connect, encrypt and log in; return whether a connection was opened."""
        if self.connection is not None:
            return False
        if self._deadline is None:
            raise RuntimeError("a connection is opened by send_messages, which has the deadline")
        self.step = Step.CONNECT
        is_login = bool(self.username and self.password)
        if is_login:
            _check_login(EMAIL_HOST_USER=self.username, EMAIL_HOST_PASSWORD=self.password)
        connection = _Encrypted(**self._encryption()) if self.use_ssl else _Plain(**self._introduction())
        connection.deadline = self._deadline
        connection.backend = self
        self.connection = connection
        # The name that starttls checks the certificate against; the constructor sets it only when it connects.
        setattr(connection, "_host", self.host)  # noqa: B010 - private, but starttls() of smtplib reads it
        code, text = connection.connect(self.host, self.port)
        if code != 220:
            raise smtplib.SMTPConnectError(code, text)
        if self.use_tls:
            self.step = Step.ENCRYPT
            connection.starttls(context=self.ssl_context)
        if is_login:
            self.step = Step.LOGIN
            connection.login(self.username, self.password)
        self.step = Step.SEND
        return True

    @property
    def situation(self) -> Situation:
        """The circumstances of the last session."""
        return Situation(self.step, bool(self.use_ssl), bool(self.use_tls))

    def close(self) -> None:
        """Send QUIT. The messages are accepted already, so errors are ignored."""
        with contextlib.suppress(OSError):
            if self.connection is not None:
                self.connection.quit()
        self._drop()

    def _introduction(self) -> dict[str, Any]:
        # Not getfqdn(), which may block in a DNS lookup.
        name = socket.gethostname()
        return {"local_hostname": name if _NAME.fullmatch(name) else "localhost", "timeout": self.seconds}

    def _encryption(self) -> dict[str, Any]:
        return {**self._introduction(), "context": self.ssl_context}

    def _drop(self) -> None:
        if self.connection is not None:
            self.connection.close()
            self.connection = None

    def _send(self, email_message: EmailMessage) -> bool:
        """Send one message to the recipients that the server accepts."""
        if self.connection is None or not email_message.recipients():
            return False
        encoding = email_message.encoding or settings.DEFAULT_CHARSET
        recipients = [sanitize_address(address, encoding) for address in email_message.recipients()]
        message: Any = email_message.message()  # Django sets its `linesep`
        self.refused = self.connection.sendmail(
            sanitize_address(email_message.from_email, encoding),
            recipients,
            message.as_bytes(linesep="\r\n"),
        )
        return True
