"""Connections with a total deadline that covers name resolution, connecting, and all reads and writes.

Socket timeouts restart with each byte, so a server that sends slowly can hold its client forever. Here a timer shuts
the connection down at the deadline of the whole exchange.
"""

from __future__ import annotations

import contextlib
import errno
import socket
import threading
import time
from collections.abc import Callable
from types import TracebackType

from notifications.engine.reasons import Code
from notifications.exceptions import ForbiddenTargetError
from notifications.transport.targets import AllowList, parse_literal, why_forbidden, why_host_forbidden
from scheduler.engine.reasons import Reason, reason_of

#: Returns the addresses of a host as strings; raises OSError if there are none.
Resolver = Callable[[str, int], list[str]]


def resolve(host: str, port: int) -> list[str]:
    """Return the addresses of a host from the system's resolver."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in found))


class Deadline:
    """A total deadline. As a context manager it shuts down the sockets passed to `watch` when the deadline expires.

    The shutdown uses a duplicate descriptor of the same connection, so it reaches a socket that was wrapped for TLS
    meanwhile, and unblocks any thread waiting on it.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._end = time.monotonic() + seconds
        self._lock = threading.Lock()
        self._watched: list[socket.socket] = []
        self._timer = threading.Timer(max(0.0, seconds), self._shut_down)
        self._timer.daemon = True

    def __enter__(self) -> Deadline:
        self._timer.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._timer.cancel()
        with self._lock:
            for sock in self._watched:
                sock.close()
            self._watched.clear()

    @property
    def is_over(self) -> bool:
        """Whether the deadline has expired."""
        return time.monotonic() >= self._end

    def remaining(self) -> float:
        """Return the seconds left.

        Raises:
            TimeoutError: the deadline has expired.
        """
        left = self._end - time.monotonic()
        if left <= 0:
            raise TimeoutError(Reason(Code.NOT_FINISHED, {"seconds": self.seconds}))
        return left

    def watch(self, sock: socket.socket) -> None:
        """Shut this connection down at the deadline."""
        with self._lock:
            self._watched.append(sock.dup())
        if self.is_over:
            self._shut_down()

    def _shut_down(self) -> None:
        with self._lock:
            for sock in self._watched:
                with contextlib.suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)


def addresses_in_time(host: str, port: int, *, resolver: Resolver, deadline: Deadline) -> list[str]:
    """Return the addresses of a host, waiting at most until the deadline.

    The system's resolver cannot be interrupted: if it hangs, it is abandoned in a daemon thread.

    Raises:
        OSError: the host has no address; TimeoutError: the lookup took too long.
    """
    if parse_literal(host) is not None:
        return resolver(host, port)
    answer: list[list[str] | OSError] = []

    def ask() -> None:
        try:
            answer.append(resolver(host, port))
        except OSError as error:
            answer.append(error)
        except UnicodeError as error:  # a name that the IDNA codec rejects
            answer.append(OSError(f"{host!r} is not a host name: {error}"))

    thread = threading.Thread(target=ask, daemon=True, name="resolve")
    thread.start()
    thread.join(deadline.remaining())
    if not answer:
        raise TimeoutError(Reason(Code.NAME_NOT_RESOLVED, {"host": host, "seconds": deadline.seconds}))
    if isinstance(answer[0], OSError):
        raise answer[0]
    if not answer[0]:
        raise OSError(Reason(Code.NAME_WITHOUT_ADDRESS, {"host": host}))
    return answer[0]


def permitted_addresses(
    host: str, port: int, *, allow: AllowList, resolver: Resolver, deadline: Deadline
) -> list[str]:
    """Return the addresses of a host if all of them are permitted targets.

    Connect to these addresses directly: a second lookup could return others.

    Raises:
        ForbiddenTargetError: the host or one of its addresses is not permitted.
        OSError: no address, or no response in time.
    """
    reason = why_host_forbidden(host, allow)
    if reason is not None:
        raise ForbiddenTargetError(refusal(host, reason))
    found = addresses_in_time(host, port, resolver=resolver, deadline=deadline)
    if allow.has_host(host):
        return found
    for text in found:
        address = parse_literal(text)
        reason = Code.NO_ADDRESS if address is None else why_forbidden(address, allow)
        if reason is not None:
            raise ForbiddenTargetError(refusal(host, reason, text))
    return found


def are_public(addresses: list[str]) -> bool:
    """Return whether all addresses are permitted without an allow-list."""
    found = [parse_literal(text) for text in addresses]
    return all(address is not None and why_forbidden(address, AllowList()) is None for address in found)


def refusal(host: str, why: Code, address: str = "") -> Reason:
    """Return the reason for rejecting a host."""
    what = Reason(why)
    if address and address != host:
        return Reason(Code.TARGET_LEADS_ASTRAY, {"host": host, "address": address, "what": what})
    return Reason(Code.TARGET_FORBIDDEN, {"host": host, "what": what})


def reason_of_connection(error: Exception) -> Reason:
    """Return why a connection failed; common system errors have codes of their own."""
    if isinstance(error, ConnectionRefusedError) and error.errno == errno.ECONNREFUSED:
        return Reason(Code.CONNECTION_REFUSED)
    if isinstance(error, TimeoutError) and error.args == ("timed out",):  # raised by a socket
        return Reason(Code.CONNECTION_TIMED_OUT)
    return reason_of(error)


def connect(addresses: list[str], port: int, *, deadline: Deadline) -> socket.socket:
    """Return a connection to the first address that accepts; the deadline watches it.

    Raises:
        OSError: no address accepted in time; the last error.
    """
    failure: OSError | None = None
    for number, address in enumerate(addresses):
        # Each address gets a share of the remaining time, so that a dead one leaves time for the next.
        seconds = deadline.remaining() / (len(addresses) - number)
        try:
            sock = socket.create_connection((address, port), timeout=seconds)
        except OSError as error:
            failure = error
            continue
        deadline.watch(sock)
        sock.settimeout(deadline.remaining())
        return sock
    raise failure or OSError(Reason(Code.NO_ADDRESS_LEFT))
