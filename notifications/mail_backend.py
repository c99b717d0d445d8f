"""Sending mail within a deadline that covers the whole conversation, and knowing which recipients were refused."""

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

from notifications.connections import Deadline, addresses_in_time, connect, resolve

#: Replies of a server to one recipient: code and text.
Refusals = dict[str, tuple[int, bytes]]

_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,252}[A-Za-z0-9])?")


class _Conversation:
    """Opens connections that the deadline can end at any point, a TLS handshake included."""

    deadline: Deadline

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        addresses = addresses_in_time(host, port, resolver=resolve, deadline=self.deadline)
        return connect(addresses, port, deadline=self.deadline)


class _Plain(_Conversation, smtplib.SMTP):
    pass


class _Encrypted(_Conversation, smtplib.SMTP_SSL):
    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        sock = super()._get_socket(host, port, timeout)
        return self.context.wrap_socket(sock, server_hostname=host)


class EmailBackend(smtp.EmailBackend):
    """Django's SMTP backend, with `deadline` seconds for each call of `send_messages`.

    Attributes:
        refused: recipients that the server did not take in the last call, while it took others.
    """

    def __init__(self, *args: Any, deadline: float | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.seconds = settings.EMAIL_TIMEOUT if deadline is None else deadline
        self.refused: Refusals = {}
        self._deadline: Deadline | None = None

    def send_messages(self, email_messages: Sequence[EmailMessage]) -> int:
        """Send the messages over one connection and return how many were accepted.

        Raises:
            TimeoutError: the deadline was over first. The server may have accepted a message all the same.
            OSError: the connection failed; smtplib.SMTPException: the server refused.
        """
        self.refused = {}
        with Deadline(self.seconds) as self._deadline:
            try:
                return super().send_messages(email_messages)
            except OSError as error:  # SMTPException is one
                if self._deadline.is_over and not isinstance(error, smtplib.SMTPResponseException):
                    raise TimeoutError(f"the mail server did not finish within {self.seconds:g} s") from error
                raise
            finally:
                self._drop()

    def open(self) -> bool | None:
        """Connect, encrypt and log in; return whether a connection was opened."""
        if self.connection is not None:
            return False
        if self._deadline is None:
            raise RuntimeError("a connection is opened by send_messages, which has the deadline")
        connection = _Encrypted(**self._encryption()) if self.use_ssl else _Plain(**self._introduction())
        connection.deadline = self._deadline
        self.connection = connection
        # What starttls checks the certificate against; set by the constructor only when that connects.
        setattr(connection, "_host", self.host)  # noqa: B010
        code, text = connection.connect(self.host, self.port)
        if code != 220:
            raise smtplib.SMTPConnectError(code, text)
        if self.use_tls:
            connection.starttls(context=self.ssl_context)
        if self.username and self.password:
            connection.login(self.username, self.password)
        return True

    def close(self) -> None:
        """Say good-bye. The messages are accepted already, so nothing that happens here matters."""
        with contextlib.suppress(OSError):
            if self.connection is not None:
                self.connection.quit()
        self._drop()

    def _introduction(self) -> dict[str, Any]:
        # Not getfqdn(), which asks a resolver that may hang.
        name = socket.gethostname()
        return {"local_hostname": name if _NAME.fullmatch(name) else "localhost", "timeout": self.seconds}

    def _encryption(self) -> dict[str, Any]:
        return {**self._introduction(), "context": self.ssl_context}

    def _drop(self) -> None:
        if self.connection is not None:
            self.connection.close()
            self.connection = None

    def _send(self, email_message: EmailMessage) -> bool:
        """Send one message to those recipients that the server takes."""
        if self.connection is None or not email_message.recipients():
            return False
        encoding = email_message.encoding or settings.DEFAULT_CHARSET
        recipients = [sanitize_address(address, encoding) for address in email_message.recipients()]
        message: Any = email_message.message()  # its `linesep` is Django's own
        self.refused = self.connection.sendmail(
            sanitize_address(email_message.from_email, encoding),
            recipients,
            message.as_bytes(linesep="\r\n"),
        )
        return True
