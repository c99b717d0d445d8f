"""Servers that take mail and HTTP requests as badly as real ones can. Each listens on a port of its own on loopback."""

from __future__ import annotations

import contextlib
import email
import email.policy
import queue
import random
import socket
import socketserver
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

#: Seconds that a test waits for an event that must come.
PATIENCE = 90


def free_port() -> int:
    """Return a port that nobody listens on, and that the kernel gives to no client.

    A client that asks before the server listens could be given that very port: it would then talk to itself.
    """
    while True:
        with socket.socket() as sock, contextlib.suppress(OSError):
            sock.bind(("127.0.0.1", random.randrange(20_000, 32_000)))
            return int(sock.getsockname()[1])


@dataclass
class Received:
    """One HTTP request as it came."""

    line: str
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str | None:
        """Return the only value of a header, or None."""
        values = [value for key, value in self.headers if key.lower() == name.lower()]
        assert len(values) < 2, f"{name} came {len(values)} times"
        return values[0] if values else None


Behaviour = Callable[[socket.socket, threading.Event], None]


def answer(
    status: str, *headers: str, body: bytes = b"", length: int | None = None
) -> Callable[[socket.socket, threading.Event], None]:
    """Return a behaviour: this answer at once."""

    def behave(sock: socket.socket, _end: threading.Event) -> None:
        size = len(body) if length is None else length
        head = [f"HTTP/1.1 {status}", f"Content-Length: {size}", *headers, "", ""]
        sock.sendall("\r\n".join(head).encode() + body)

    return behave


def dribble(first: bytes, byte: bytes) -> Behaviour:
    """Return a behaviour: `first`, and then one byte after the other for as long as somebody listens."""

    def behave(sock: socket.socket, end: threading.Event) -> None:
        sock.sendall(first)
        while not end.wait(0.02):
            sock.sendall(byte)

    return behave


def flood(first: bytes, size: int) -> Behaviour:
    """Return a behaviour: `first`, and then so many bytes as fast as they are taken."""

    def behave(sock: socket.socket, _end: threading.Event) -> None:
        sock.sendall(first)
        block = b"x" * 65536
        for _ in range(size // len(block)):
            sock.sendall(block)

    return behave


def reset(sock: socket.socket, _end: threading.Event) -> None:
    """Break the connection off instead of an answer."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def silence(_sock: socket.socket, end: threading.Event) -> None:
    """Say nothing until the test is over."""
    end.wait(PATIENCE * 3)


class Sink:
    """A server that records what comes and then behaves as told. `hung_up` is set when a client leaves early."""

    def __init__(self, behave: Behaviour, *, tls: ssl.SSLContext | None = None) -> None:
        self.received: queue.Queue[Received] = queue.Queue()
        self.connections = 0
        self.hung_up = threading.Event()
        self.served = threading.Event()
        end = self._end = threading.Event()
        sink = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                sink.connections += 1
                try:
                    sock = tls.wrap_socket(self.request, server_side=True) if tls else self.request
                    self.serve(sock)
                except OSError:
                    sink.hung_up.set()
                sink.served.set()

            def serve(self, sock: socket.socket) -> None:
                sink.take(sock)
                behave(sock, end)

            def finish(self) -> None:
                self.request.close()

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = True
            allow_reuse_address = True

        self._server = Server(("127.0.0.1", 0), Handler)
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    def __enter__(self) -> Sink:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._end.set()
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        """The address of a page of this server."""
        return f"http://127.0.0.1:{self.port}/hook"

    def take(self, sock: socket.socket) -> None:
        """Read one request and record it."""
        with sock.makefile("rb") as stream:
            line = stream.readline().decode("latin-1").rstrip("\r\n")
            headers: list[tuple[str, str]] = []
            while (raw := stream.readline()) not in {b"\r\n", b"\n", b""}:
                name, _, value = raw.decode("latin-1").rstrip("\r\n").partition(":")
                headers.append((name, value.strip()))
            size = next((int(value) for name, value in headers if name.lower() == "content-length"), 0)
            self.received.put(Received(line, headers, stream.read(size)))

    def forget(self) -> None:
        """Drop the requests that came so far; connections are counted on."""
        while not self.received.empty():
            self.received.get_nowait()

    def next(self) -> Received:
        """Return the next request, waiting for it."""
        return self.received.get(timeout=PATIENCE)


class RawSink(Sink):
    """A server that behaves at once, without waiting for a request; for protocols in which the server begins."""

    def take(self, sock: socket.socket) -> None:
        """Read nothing."""


@dataclass
class Mailbox:
    """What a mail server took, and how it takes.

    Attributes:
        refuse: replies to recipients by address.
        reply: what it says after a message.
        is_dropping: it takes the message and breaks the connection off without a reply.
        is_hanging: it never replies to a message.
    """

    refuse: dict[str, str] = field(default_factory=dict)
    reply: str = "250 OK"
    is_dropping: bool = False
    is_hanging: bool = False
    mails: list[tuple[list[str], EmailMessage]] = field(default_factory=list)
    raw: list[bytes] = field(default_factory=list)
    helo: list[str] = field(default_factory=list)

    def forget(self) -> None:
        """Drop the mails that came so far."""
        for kept in (self.mails, self.raw, self.helo):
            kept.clear()

    async def handle_RCPT(
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        """Take the recipient or not."""
        if address in self.refuse:
            return self.refuse[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, _session: Session, envelope: Envelope) -> str:
        """Take the message."""
        content = envelope.original_content or b""
        message = email.message_from_bytes(content, policy=email.policy.default)
        assert isinstance(message, EmailMessage)
        self.raw.append(content)
        self.mails.append((list(envelope.rcpt_tos), message))
        if self.is_dropping:
            assert server.transport is not None
            server.transport.abort()
        if self.is_hanging:
            await server.loop.create_future()
        return self.reply


@contextmanager
def mail_server(mailbox: Mailbox, **options: Any) -> Iterator[int]:
    """Run a mail server for the time of the context; yields its port."""
    controller = Controller(
        mailbox, hostname="127.0.0.1", port=free_port(), ready_timeout=PATIENCE, **options
    )
    controller.start()
    try:
        yield controller.port
    finally:
        controller.stop()
