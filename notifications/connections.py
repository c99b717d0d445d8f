"""Connections that end in time: one deadline covers look-up, connecting, and every word that is exchanged.

Time limits of sockets start anew with each byte, so a server that dribbles holds its client for ever. Here a timer
shuts the connection down when the time of the whole conversation is over.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable
from types import TracebackType

from notifications.addresses import AllowList, parse_literal, why_forbidden, why_host_forbidden
from notifications.exceptions import ForbiddenTargetError

#: Returns the addresses of a host as texts; raises OSError when there are none.
Resolver = Callable[[str, int], list[str]]


def resolve(host: str, port: int) -> list[str]:
    """Return what the system's resolver says of a host."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in found))


class Deadline:
    """The end of a conversation. As a context it shuts down the sockets given to `watch` when the time is over.

    Shutting down works on a second descriptor of the same connection, so it reaches a socket that meanwhile was
    wrapped for TLS, and wakes whoever waits on it.
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
        """Whether no time is left."""
        return time.monotonic() >= self._end

    def remaining(self) -> float:
        """Return the seconds left.

        Raises:
            TimeoutError: none are.
        """
        left = self._end - time.monotonic()
        if left <= 0:
            raise TimeoutError(f"not finished within {self.seconds:g} s")
        return left

    def watch(self, sock: socket.socket) -> None:
        """Shut this connection down when the time is over."""
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
    """Return the addresses of a host, waiting no longer than the deadline.

    The system's resolver cannot be interrupted: one that hangs is left behind in a thread that dies with it.

    Raises:
        OSError: there are none; TimeoutError: no answer came in time.
    """
    if parse_literal(host) is not None:
        return resolver(host, port)
    answer: list[list[str] | OSError] = []

    def ask() -> None:
        try:
            answer.append(resolver(host, port))
        except OSError as error:
            answer.append(error)
        except UnicodeError as error:  # a name the encoding of host names cannot express
            answer.append(OSError(f"{host!r} is no host name: {error}"))

    thread = threading.Thread(target=ask, daemon=True, name="resolve")
    thread.start()
    thread.join(deadline.remaining())
    if not answer:
        raise TimeoutError(f"the name {host} was not resolved within {deadline.seconds:g} s")
    if isinstance(answer[0], OSError):
        raise answer[0]
    if not answer[0]:
        raise OSError(f"the name {host} has no address")
    return answer[0]


def permitted_addresses(
    host: str, port: int, *, allow: AllowList, resolver: Resolver, deadline: Deadline
) -> list[str]:
    """Return the addresses of a host when messages may be sent to every one of them.

    To be connected to as they are: asking the resolver again could give another answer.

    Raises:
        ForbiddenTargetError: the host or one of its addresses is not permitted.
        OSError: it has no address, or none was found in time.
    """
    reason = why_host_forbidden(host, allow)
    if reason is not None:
        raise ForbiddenTargetError(refusal(host, reason))
    found = addresses_in_time(host, port, resolver=resolver, deadline=deadline)
    if allow.has_host(host):
        return found
    for text in found:
        address = parse_literal(text)
        reason = "no address" if address is None else why_forbidden(address, allow)
        if reason is not None:
            raise ForbiddenTargetError(refusal(host, reason, text))
    return found


def are_public(addresses: list[str]) -> bool:
    """Tell whether all of these could be connected to without an allow-list."""
    found = [parse_literal(text) for text in addresses]
    return all(address is not None and why_forbidden(address, AllowList()) is None for address in found)


def refusal(host: str, reason: str, address: str = "") -> str:
    """Return the sentence that refuses a host."""
    where = f"{host} leads to {address}, which" if address and address != host else host
    return f"{where} is not a permitted target ({reason}); SCHEDULER_WEBHOOK_ALLOW can permit it"


def connect(addresses: list[str], port: int, *, deadline: Deadline) -> socket.socket:
    """Return a connection to the first of the addresses that answers; it is watched by the deadline.

    Raises:
        OSError: none answered in time; that of the last one.
    """
    failure: OSError | None = None
    for number, address in enumerate(addresses):
        # A dead address leaves a share of the time to those after it.
        seconds = deadline.remaining() / (len(addresses) - number)
        try:
            sock = socket.create_connection((address, port), timeout=seconds)
        except OSError as error:
            failure = error
            continue
        deadline.watch(sock)
        sock.settimeout(deadline.remaining())
        return sock
    raise failure or OSError("there is no address to connect to")
