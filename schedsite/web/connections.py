"""Connections of the site: their number, and how long each may block others.

A connection is *served* while its request waits for a thread, is handled, or was just answered; otherwise it is
*waiting*: silent, idle, or still sending headers or body. At the limit, the longest waiting connection is closed in
favour of the new one, so that silent connections cannot lock anyone out. Connections beyond the limit of one address
get one second each, so that its own requests still pass. At most half of the connections may be served (see
`schedsite.web.application`), so that one can always be closed.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

from schedsite.forwarded import is_proxy, network_of, plain_address

logger = logging.getLogger("schedsite")

LOG_EVERY_S = 10.0
PATIENCE_S = 1.0  # a client with a request has sent its headers by then; otherwise it may reconnect


@dataclass(frozen=True, slots=True)
class Limits:
    """Resource limits of clients.

    Attributes:
        connections: concurrent connections of all clients.
        connections_of_address: concurrent connections per client (IPv6: per /64 network); half as many requests.
            Trusted proxies may have more connections, but their clients not more requests.
        read_s: seconds from the start of a connection, or from its last response, to the end of the next headers; again
            for the body, plus one second per `body_rate` bytes received.
        body_rate: bytes per second.
        body_bytes: largest body; the largest legitimate one is a configuration of 5 MB.
        send_s: seconds within which the client must read 64 KiB of its response.
    """

    connections: int = 1000
    connections_of_address: int = 200
    read_s: float = 10.0
    body_rate: int = 1024
    body_bytes: int = 8 * 1024 * 1024
    send_s: float = 30.0


class Connections:
    """All connections of a process, ordered by the start of their waiting time."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._by_client: dict[tuple[str, int], Connection] = {}
        self._waiting: dict[Connection, float] = {}  # start of the waiting time, in loop time
        self._of_network: dict[str, dict[Connection, None]] = {}
        self._logged_at = -LOG_EVERY_S

    def __len__(self) -> int:
        return len(self._by_client)

    def add(self, connection: Connection) -> None:
        """Add a new connection; at the limit, close the longest waiting ones."""
        self._by_client[connection.peer] = connection
        self._waiting[connection] = connection.loop.time()
        own = self._of_network.setdefault(connection.network, {})
        own[connection] = None
        if len(own) > self.limits.connections_of_address and not is_proxy(connection.address):
            connection.loop.call_later(PATIENCE_S, self._trim, connection.network)
        if len(self) > self.limits.connections:
            self._evict(max(self._of_network.values(), key=len), f"there are {len(self)} connections")

    def discard(self, connection: Connection) -> None:
        """Remove a closed connection."""
        if self._by_client.get(connection.peer) is connection:
            del self._by_client[connection.peer]
        self._waiting.pop(connection, None)
        own = self._of_network.get(connection.network, {})
        own.pop(connection, None)
        if not own:
            self._of_network.pop(connection.network, None)

    @contextmanager
    def serving(self, peer: tuple[str, int]) -> Iterator[None]:
        """Protect the connection of a peer from eviction while its request is handled."""
        connection = self._by_client.get(peer)
        if connection is None:
            yield
            return
        self._waiting.pop(connection, None)
        try:
            yield
        finally:
            if self._by_client.get(peer) is connection:
                self._waiting[connection] = connection.loop.time()
                own = self._of_network[connection.network]
                own[connection] = own.pop(connection)  # back to the end of the order

    def abort(self, peer: tuple[str, int]) -> None:
        """Abort the connection of a peer."""
        connection = self._by_client.get(peer)
        if connection is not None:
            self._close(connection)

    def close_waiting(self) -> None:
        """Close all connections without a request in progress."""
        for connection in list(self._waiting):
            self._close(connection)

    def _trim(self, network: str) -> None:
        """Close a connection of an address above its limit, unless all of them have just begun to wait."""
        own = self._of_network.get(network, {})
        if len(own) > self.limits.connections_of_address:
            self._evict(own, f"{network} has {len(own)} connections", patience=PATIENCE_S)

    def _evict(self, among: dict[Connection, None], reason: str, *, patience: float = 0) -> None:
        oldest = next((connection for connection in among if connection in self._waiting), None)
        if oldest is None or oldest.loop.time() - self._waiting[oldest] < patience:
            return
        self._close(oldest)
        now = time.monotonic()
        if now - self._logged_at >= LOG_EVERY_S:
            self._logged_at = now
            logger.warning("%s, more than are allowed; those that wait longest are closed", reason)

    def _close(self, connection: Connection) -> None:
        self.discard(connection)
        connection.transport.abort()


class Connection(H11Protocol):
    """A connection with deadlines for receiving headers and for sending responses."""

    def __init__(self, connections: Connections, **options: Any) -> None:
        super().__init__(**options)
        self.registry = connections
        self.peer: tuple[str, int] = ("", id(self))
        self.address = self.network = ""
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # always this transport
        """Start the deadline for the headers."""
        super().connection_made(transport)
        # asyncio sets TCP_NODELAY only on sockets that specify their protocol. Without it, the second part of each
        # response waits for the client to acknowledge the first, which takes 40 ms.
        own = transport.get_extra_info("socket")
        if own.family in (socket.AF_INET, socket.AF_INET6):
            own.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.client:
            self.peer = self.client
            self.address = plain_address(self.client[0]) or self.client[0]
            self.network = network_of(self.address)
        self._watch()
        self.registry.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Remove the connection."""
        self._stop_watching()
        self.registry.discard(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Process data; complete headers stop the deadline, as bodies have their own."""
        super().data_received(data)
        self._watch()

    def on_response_complete(self) -> None:
        """Start the deadlines for sending the response and receiving the next headers."""
        super().on_response_complete()
        self._stop_watching()
        self._watch()

    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _watch(self) -> None:
        if self._is_answering():
            self._stop_watching()
        elif self._timer is None:
            limits = self.registry.limits
            seconds = limits.send_s if self.transport.get_write_buffer_size() else limits.read_s
            self._timer = self.loop.call_later(seconds, self.transport.abort)

    def _stop_watching(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def protocol_of(connections: Connections) -> Callable[..., Connection]:
    """Return the protocol factory for uvicorn."""

    def make(**options: Any) -> Connection:
        return Connection(connections, **options)

    return make
