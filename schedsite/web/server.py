"""The server process, from listening to shutdown."""

from __future__ import annotations

import asyncio
import logging
import resource
import signal
import socket

import uvicorn

from schedsite.web.application import Application, WsgiApplication
from schedsite.web.connections import Connections, Limits, protocol_of

BACKLOG = 2048
KEEP_ALIVE_S = 5
STOP_S = 3  # `manage.py start` kills processes after five seconds
LARGEST_HEAD = 32 * 1024
OTHER_FILES = 128  # reserve for threads, database and log


class Server(uvicorn.Server):
    """A server that is still while nobody asks, and closes idle connections first on shutdown.

    The stock loop looks for a stop, and at the clock, ten times a second. Here a stop wakes the loop.
    """

    def __init__(self, config: uvicorn.Config, connections: Connections) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopped = asyncio.Event()
        super().__init__(config)
        self.connections = connections

    @property
    def should_exit(self) -> bool:
        """Whether the server was asked to stop; may be set in a signal handler and by any thread."""
        return self._should_exit

    @should_exit.setter
    def should_exit(self, value: bool) -> None:
        self._should_exit = value
        if value and self._loop is not None:
            self._loop.call_soon_threadsafe(self._stopped.set)

    async def main_loop(self) -> None:
        """Wait until the server is asked to stop."""
        self._loop = asyncio.get_running_loop()
        if not self.should_exit:
            await self._stopped.wait()
        self._loop = None

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Shut down; requests in progress get `STOP_S` seconds."""
        for server in self.servers:
            server.close()
        self.connections.close_waiting()
        await super().shutdown(sockets)


def listen(host: str, port: int) -> socket.socket:
    """Return a listening socket; port 0 selects a free port.

    Raises:
        OSError: the address is in use or not local.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family, backlog=BACKLOG)


def make_server(pages: WsgiApplication, *, limits: Limits, threads: int) -> Server:
    """Return a server for a WSGI application; `run([listener])` returns after SIGTERM, SIGINT or `should_exit`."""
    connections = Connections(limits)
    config = uvicorn.Config(
        Application(pages, connections, threads=threads),
        http=protocol_of(connections),  # type: ignore[arg-type]  # a factory, which uvicorn takes as well
        ws="none",
        loop="asyncio",
        lifespan="off",
        interface="asgi3",
        proxy_headers=False,
        server_header=False,
        date_header=False,  # the stock loop would renew it every second; the application sends it
        access_log=False,
        log_config=None,
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=STOP_S,
        h11_max_incomplete_event_size=LARGEST_HEAD,
    )
    # Client errors must not fill the log; the application logs its own errors.
    logging.getLogger("uvicorn").setLevel(logging.CRITICAL)
    return Server(config, connections)


def serve(pages: WsgiApplication, listener: socket.socket, *, limits: Limits, threads: int) -> None:
    """Serve a WSGI application until SIGTERM or SIGINT."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)  # the server re-raises captured signals after shutdown
    make_server(pages, limits=limits, threads=threads).run([listener])


def open_files(wanted: int) -> int:
    """Return the number of connections the system allows, at most `wanted`; raises the limit of open files."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = wanted + OTHER_FILES
    if soft != resource.RLIM_INFINITY and soft < needed:
        soft = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return wanted if soft == resource.RLIM_INFINITY else min(wanted, soft - OTHER_FILES)
