"""HTTP requests to user-supplied hosts: only to permitted addresses, with a deadline and a size limit.

The host is resolved once, all its addresses are checked, and the connection goes to one of these; TLS and the Host
header still use the name. So changing a DNS record between check and connection (DNS rebinding) has no effect.
"""

from __future__ import annotations

import contextlib
import functools
import socket
import ssl
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import httpcore
import httpx

from notifications.engine.reasons import Code
from notifications.transport.connections import (
    Deadline,
    Resolver,
    are_public,
    connect,
    permitted_addresses,
    resolve,
)
from notifications.transport.targets import AllowList
from scheduler.engine.reasons import Reason

#: Bytes read of a response.
ANSWER_LIMIT = 64 * 1024


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP response.

    Attributes:
        status: HTTP status code.
        headers: names in lower case.
        body: the first `ANSWER_LIMIT` bytes as received; fewer if the connection broke or the deadline expired.
        is_public: the address needed no allow-list, so the response discloses nothing about the internal network.
    """

    status: int
    headers: httpx.Headers
    body: bytes
    is_public: bool


@functools.cache
def _ssl_context() -> ssl.SSLContext:
    """Return a context that trusts certifi's certificates, or those of the administrator's SSL_CERT_FILE."""
    return httpx.create_ssl_context()


class _Backend(httpcore.NetworkBackend):
    """Opens the connections of a pool; the only place where a host is resolved."""

    def __init__(self, allow: AllowList, resolver: Resolver, deadline: Deadline) -> None:
        self._allow = allow
        self._resolver = resolver
        self._deadline = deadline
        self.is_public = False

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        addresses = permitted_addresses(
            host, port, allow=self._allow, resolver=self._resolver, deadline=self._deadline
        )
        self.is_public = are_public(addresses)
        sock = connect(addresses, port, deadline=self._deadline)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return _Stream(sock, self._deadline)


class _Stream(httpcore.NetworkStream):
    """A connection on which every operation is limited by the remaining time."""

    def __init__(self, sock: socket.socket, deadline: Deadline) -> None:
        self._sock = sock
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        self._sock.settimeout(self._deadline.remaining())
        return self._sock.recv(max_bytes)

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        if not buffer:  # an empty write would consume the error that explains a failed read
            return
        self._sock.settimeout(self._deadline.remaining())
        try:
            self._sock.sendall(buffer)
        except TimeoutError:
            raise
        except OSError as error:  # the pool then reads what the server sent before it closed the connection
            raise httpcore.WriteError(str(error)) from error

    def close(self) -> None:
        self._sock.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        self._sock.settimeout(self._deadline.remaining())
        try:
            return _Stream(
                ssl_context.wrap_socket(self._sock, server_hostname=server_hostname), self._deadline
            )
        except BaseException:
            self._sock.close()
            raise

    def get_extra_info(self, info: str) -> Any:
        return self._sock if info == "socket" else None


class _Body(httpx.SyncByteStream):
    def __init__(self, stream: Iterable[bytes]) -> None:
        self._stream = stream

    def __iter__(self) -> Iterator[bytes]:
        yield from self._stream

    def close(self) -> None:
        close = getattr(self._stream, "close", None)
        if close is not None:
            close()


class GuardedTransport(httpx.BaseTransport):
    """An httpx transport that connects only to permitted addresses, for one exchange.

    Requests raise `ForbiddenTargetError`, `OSError` (TimeoutError if the deadline expired), and the exceptions of
    httpcore.
    """

    def __init__(self, *, allow: AllowList, deadline: Deadline, resolver: Resolver = resolve) -> None:
        self._backend = _Backend(allow, resolver, deadline)
        self._pool = httpcore.ConnectionPool(ssl_context=_ssl_context(), network_backend=self._backend)

    @property
    def is_public(self) -> bool:
        """Whether the last connection went to a host that needs no allow-list."""
        return self._backend.is_public

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request. Neither this transport nor its client may follow redirects."""
        answer = self._pool.handle_request(
            httpcore.Request(
                method=request.method,
                url=httpcore.URL(
                    scheme=request.url.raw_scheme,
                    host=request.url.raw_host,
                    port=request.url.port,
                    target=request.url.raw_path,
                ),
                headers=request.headers.raw,
                content=request.stream,
            )
        )
        stream = answer.stream
        if not isinstance(stream, Iterable):
            raise TypeError("the connection pool answered with an asynchronous stream")
        return httpx.Response(answer.status, headers=answer.headers, stream=_Body(stream))

    def close(self) -> None:
        """Close the connections."""
        self._pool.close()


def request(
    method: str,
    url: str,
    *,
    headers: dict[str, str],
    body: bytes,
    allow: AllowList,
    deadline: float,
    resolver: Resolver = resolve,
) -> Answer:
    """Send one request and return the response; redirects are returned, not followed.

    Ignores proxies of the environment.

    Args:
        deadline: maximum seconds in total.

    Raises:
        ForbiddenTargetError: the host or one of its addresses is not permitted.
        OSError: the connection failed or broke; TimeoutError: the deadline expired before the response headers.
        httpx.HTTPError, httpx.InvalidURL, httpcore.ProtocolError: the response is not HTTP, or the request cannot be
            expressed in HTTP.
    """
    with Deadline(deadline) as end:
        transport = GuardedTransport(allow=allow, deadline=end, resolver=resolver)
        client = httpx.Client(transport=transport, trust_env=False, follow_redirects=False)
        with client, _in_time(end), client.stream(method, url, headers=headers, content=body) as response:
            return Answer(response.status_code, response.headers, _read(response), transport.is_public)


@contextlib.contextmanager
def _in_time(deadline: Deadline) -> Iterator[None]:
    """Raise TimeoutError if the deadline has expired, whatever error closing the connection caused."""
    try:
        yield
    except (OSError, httpcore.NetworkError, httpcore.ProtocolError, httpx.TransportError) as error:
        if deadline.is_over:
            raise TimeoutError(Reason(Code.NO_ANSWER, {"seconds": deadline.seconds})) from error
        raise


def _read(response: httpx.Response) -> bytes:
    """Return the beginning of the body. The status is known already, so errors here are ignored."""
    parts: list[bytes] = []
    size = 0
    # Raw: compressed data is not decompressed, so it cannot exceed the limit.
    with contextlib.suppress(OSError, httpcore.NetworkError, httpcore.ProtocolError, httpx.TransportError):
        for part in response.iter_raw():
            parts.append(part[: ANSWER_LIMIT - size])
            size += len(parts[-1])
            if size >= ANSWER_LIMIT:
                break
    return b"".join(parts)
