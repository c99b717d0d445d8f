"""HTTP requests to hosts that users name: only to permitted addresses, in time, and with a small answer.

The host is resolved once, all its addresses are judged, and the connection goes to one of these; TLS and the Host
header still carry the name. So a name that changes its address between check and connection gains nothing.
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

from notifications.addresses import AllowList
from notifications.connections import Deadline, Resolver, are_public, connect, permitted_addresses, resolve

#: Bytes of an answer that are read.
ANSWER_LIMIT = 64 * 1024


@dataclass(frozen=True, slots=True)
class Answer:
    """What the other side answered.

    Attributes:
        status: HTTP status code.
        headers: names in lower case.
        body: the first `ANSWER_LIMIT` bytes, as they came; fewer when the connection broke or the time was over.
        is_public: it came from an address that needs no allow-list, so it tells nothing of the network here.
    """

    status: int
    headers: httpx.Headers
    body: bytes
    is_public: bool


@functools.cache
def _ssl_context() -> ssl.SSLContext:
    """Return the certificates that are trusted: those of certifi, or of the administrator's SSL_CERT_FILE."""
    return httpx.create_ssl_context()


class _Backend(httpcore.NetworkBackend):
    """Opens the connections of a pool: the one place where a host becomes an address."""

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
    """A connection whose every step gets what is left of the time."""

    def __init__(self, sock: socket.socket, deadline: Deadline) -> None:
        self._sock = sock
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        self._sock.settimeout(self._deadline.remaining())
        return self._sock.recv(max_bytes)

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        if not buffer:  # even sending nothing would take the error that explains why reading fails
            return
        self._sock.settimeout(self._deadline.remaining())
        try:
            self._sock.sendall(buffer)
        except TimeoutError:
            raise
        except OSError as error:  # the pool then reads what the other side said before it hung up
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
    """A transport of httpx that connects to permitted addresses only, for one conversation.

    Raises from a request: `ForbiddenTargetError`, `OSError` (TimeoutError when the deadline is over), and the errors
    of httpcore.
    """

    def __init__(self, *, allow: AllowList, deadline: Deadline, resolver: Resolver = resolve) -> None:
        self._backend = _Backend(allow, resolver, deadline)
        self._pool = httpcore.ConnectionPool(ssl_context=_ssl_context(), network_backend=self._backend)

    @property
    def is_public(self) -> bool:
        """Whether the last connection went to a host that needs no allow-list."""
        return self._backend.is_public

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request. Redirects are not followed here, and the client must not either."""
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
    """Send one request and return the answer; a redirect is an answer like any other.

    Proxies named by the environment are not used.

    Args:
        deadline: seconds that all of it may take.

    Raises:
        ForbiddenTargetError: the host or one of its addresses is not permitted.
        OSError: no connection, or it broke; TimeoutError: the time was over before the head of an answer came.
        httpx.HTTPError, httpx.InvalidURL, httpcore.ProtocolError: the other side does not speak HTTP, or the
            request cannot be expressed in it.
    """
    with Deadline(deadline) as end:
        transport = GuardedTransport(allow=allow, deadline=end, resolver=resolver)
        client = httpx.Client(transport=transport, trust_env=False, follow_redirects=False)
        with client, _in_time(end), client.stream(method, url, headers=headers, content=body) as response:
            return Answer(response.status_code, response.headers, _read(response), transport.is_public)


@contextlib.contextmanager
def _in_time(deadline: Deadline) -> Iterator[None]:
    """Say that the time is over, whatever error the end of the connection caused."""
    try:
        yield
    except (OSError, httpcore.NetworkError, httpcore.ProtocolError, httpx.TransportError) as error:
        if deadline.is_over:
            raise TimeoutError(f"no answer within {deadline.seconds:g} s") from error
        raise


def _read(response: httpx.Response) -> bytes:
    """Return the begin of the body. The status has been said: what happens to the body changes nothing."""
    parts: list[bytes] = []
    size = 0
    # Raw: what is compressed stays so, and cannot unfold to more than was read.
    with contextlib.suppress(OSError, httpcore.NetworkError, httpcore.ProtocolError, httpx.TransportError):
        for part in response.iter_raw():
            parts.append(part[: ANSWER_LIMIT - size])
            size += len(parts[-1])
            if size >= ANSWER_LIMIT:
                break
    return b"".join(parts)
