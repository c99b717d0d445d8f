"""Connects connections to the WSGI application: a request occupies a thread only after it was received completely.

ASGI outside, WSGI inside (PEP 3333). Slow senders and slow readers occupy a coroutine, never a thread.
"""

from __future__ import annotations

import asyncio
import io
import logging
import secrets
import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from email.utils import formatdate
from http import HTTPStatus
from tempfile import SpooledTemporaryFile
from typing import IO, Any
from urllib.parse import unquote_to_bytes, urlsplit

from django.conf import settings
from django.http.request import split_domain_port, validate_host

from schedsite.forwarded import address_behind, is_proxy, network_of
from schedsite.web.connections import Connections, Limits

logger = logging.getLogger("schedsite")

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
WsgiApplication = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

HEALTH = "/healthz"
CHUNK = 64 * 1024
IN_MEMORY = 256 * 1024  # bytes of a request or response body kept in memory; larger ones go to a file
RETRY_AFTER_S = 5
READ_TO_REFUSE = 4  # factor of the largest body, up to which an oversized one is read before it is rejected


class RefusedError(Exception):
    """A request that is rejected before it reaches the WSGI application.

    Attributes:
        status: HTTP status of the response.
        text: the problem, as a sentence.
    """

    def __init__(self, status: HTTPStatus, text: str) -> None:
        super().__init__(text)
        self.status, self.text = status, text


class DisconnectedError(Exception):
    """The client closed the connection."""


@dataclass
class Answer:
    """The response of the application; its content is read from `body`."""

    status: int = 500
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    body: IO[bytes] = field(default_factory=io.BytesIO)
    size: int = 0

    def content(self) -> bytes:
        """Return the whole body; can be called repeatedly."""
        self.body.seek(0)
        return self.body.read()

    def start(self, status: str, headers: list[tuple[str, str]], exc_info: object = None) -> None:
        """Store status and headers; the `start_response` of WSGI."""
        self.status = int(status.split(" ", 1)[0])
        self.headers = [
            (name.lower().encode("latin1"), value.strip().encode("latin1")) for name, value in headers
        ]


class Application:
    """An ASGI application that runs a WSGI application in threads."""

    def __init__(self, pages: WsgiApplication, connections: Connections, *, threads: int) -> None:
        """Create the threads.

        Args:
            pages: the WSGI application.
            threads: number of requests handled concurrently; /healthz has its own thread.
        """
        self.pages, self.connections = pages, connections
        self.threads = ThreadPoolExecutor(threads, thread_name_prefix="page")
        self.health_thread = ThreadPoolExecutor(1, thread_name_prefix="healthz")
        self.requests: Counter[str] = Counter()
        self.health: dict[tuple[str, bytes], asyncio.Future[Answer]] = {}

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Handle one request."""
        peer = tuple(scope["client"] or ("", 0))
        try:
            try:
                answer = await self._answer(scope, receive, peer)
            except RefusedError as refused:
                answer = refusal(refused)
            except DisconnectedError:
                return
            except Exception:
                answer = refusal(failure(scope))
            with answer.body:
                await self._send(answer, send)
        except TimeoutError:
            self.connections.abort(peer)
        except Exception:
            failure(scope)
            self.connections.abort(peer)

    async def _answer(self, scope: Message, receive: Receive, peer: tuple[str, int]) -> Answer:
        body = await read_body(scope, receive, self.connections)
        with body:
            health = health_scope(scope)
            if health is not None:
                return await self._health(health, body)
            with self._counted(scope), self.connections.serving(peer):
                return await self._run(self.threads, scope, receive, body)

    async def _health(self, scope: Message, body: IO[bytes]) -> Answer:
        """Handle /healthz in its own thread; concurrent requests share one response."""
        key = (scope["method"], scope["headers"][-1][1])
        work = self.health.get(key)
        if work is None:
            work = asyncio.get_running_loop().run_in_executor(
                self.health_thread, self._call, environ_of(scope, body)
            )
            self.health[key] = work
            work.add_done_callback(lambda _: self.health.pop(key, None))
        answer = await asyncio.shield(work)
        return replace(answer, body=io.BytesIO(answer.content()))

    @contextmanager
    def _counted(self, scope: Message) -> Iterator[None]:
        """Count a request of its client while it is handled.

        Raises:
            RefusedError: too many requests of the client or in total.
        """
        limits = self.connections.limits
        address = network_of(client_of(scope))
        if self.requests[address] >= max(1, limits.connections_of_address // 2):
            raise RefusedError(
                HTTPStatus.TOO_MANY_REQUESTS, "There are too many requests from this address at once."
            )
        if self.requests.total() >= max(1, limits.connections // 2):
            raise RefusedError(HTTPStatus.SERVICE_UNAVAILABLE, "There are too many requests at once.")
        self.requests[address] += 1
        try:
            yield
        finally:
            self.requests[address] -= 1
            if not self.requests[address]:
                del self.requests[address]

    async def _run(
        self, threads: ThreadPoolExecutor, scope: Message, receive: Receive, body: IO[bytes]
    ) -> Answer:
        """Run the application in a thread, unless the client disconnects before it starts."""
        work = threads.submit(self._call, environ_of(scope, body))
        answer = asyncio.wrap_future(work)
        if scope["method"] not in ("GET", "HEAD"):
            return await asyncio.shield(answer)
        gone = asyncio.ensure_future(receive())
        try:
            await asyncio.wait((answer, gone), return_when=asyncio.FIRST_COMPLETED)
            if work.cancel():
                raise DisconnectedError
            return await asyncio.shield(answer)
        finally:
            gone.cancel()

    def _call(self, environ: dict[str, Any]) -> Answer:
        """Run the application to completion, in a thread."""
        answer = Answer()
        answer.body = SpooledTemporaryFile(max_size=IN_MEMORY)  # noqa: SIM115 - the sender closes it
        parts = self.pages(environ, answer.start)
        try:
            for part in parts:
                answer.body.write(part)
        finally:
            close = getattr(parts, "close", None)
            if close is not None:
                close()
        answer.size = answer.body.tell()
        answer.body.seek(0)
        return answer

    async def _send(self, answer: Answer, send: Send) -> None:
        """Send a response at the speed of the client.

        Raises:
            TimeoutError: the client does not read it.
        """
        headers = [(b"date", formatdate(usegmt=True).encode()), *answer.headers]
        is_sized = any(name == b"content-length" for name, _ in headers)
        if not is_sized and answer.status >= 200 and answer.status not in (204, 304):
            headers = [*headers, (b"content-length", str(answer.size).encode())]
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        left = answer.size
        while True:
            part = answer.body.read(CHUNK)
            left -= len(part)
            message = {"type": "http.response.body", "body": part, "more_body": left > 0}
            await asyncio.wait_for(send(message), self.connections.limits.send_s)
            if left <= 0:
                return


async def read_body(scope: Message, receive: Receive, connections: Connections) -> IO[bytes]:
    """Return the whole body of a request.

    Raises:
        RefusedError: too large or too slow.
        DisconnectedError: the client closed the connection.
    """
    limits = connections.limits
    too_large = RefusedError(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        f"The body is too large; at most {limits.body_bytes} bytes are allowed.",
    )
    declared = max((int(value) for name, value in scope["headers"] if name == b"content-length"), default=0)
    if declared > limits.body_bytes * READ_TO_REFUSE:
        raise too_large
    body: IO[bytes] = SpooledTemporaryFile(max_size=IN_MEMORY)  # noqa: SIM115 - the caller closes it
    try:
        size = await _receive_all(receive, body, limits)
        if size > limits.body_bytes:
            raise too_large
    except TimeoutError:
        body.close()
        if declared > limits.body_bytes:
            raise too_large from None
        raise RefusedError(HTTPStatus.REQUEST_TIMEOUT, "The body came too slowly.") from None
    except BaseException:
        body.close()
        raise
    body.seek(0)
    return body


async def _receive_all(receive: Receive, body: IO[bytes], limits: Limits) -> int:
    """Read a body, keep at most the permitted size, and return its full size.

    A slightly oversized body is read as well: a browser shows no response before it has sent everything.

    Raises:
        TimeoutError: the body arrives too slowly.
        DisconnectedError: the client closed the connection.
    """
    clock = asyncio.get_running_loop().time
    size, is_whole = 0, False
    ends_at = first_end = clock() + limits.read_s
    while not is_whole and size <= limits.body_bytes * READ_TO_REFUSE:
        try:
            message = await asyncio.wait_for(receive(), max(ends_at - clock(), 0))
        except TimeoutError:
            if size > limits.body_bytes:
                return size
            raise
        if message["type"] == "http.disconnect":
            raise DisconnectedError
        part = message.get("body", b"")
        size += len(part)
        if size <= limits.body_bytes:
            body.write(part)
            ends_at = first_end + size / limits.body_rate
        elif size - len(part) <= limits.body_bytes:
            ends_at = clock() + limits.read_s  # for the excess
        is_whole = not message.get("more_body", False)
    return size


def health_scope(scope: Message) -> Message | None:
    """Return a normalised /healthz request, so that concurrent ones can be merged, or None for other paths."""
    if target_path(scope) != HEALTH or scope["method"] not in ("GET", "HEAD"):
        return None
    headers = dict(scope["headers"])
    domain, _ = split_domain_port(headers.get(b"host", b"").decode("latin1"))
    if not validate_host(domain, settings.ALLOWED_HOSTS):
        return None
    is_chinese = headers.get(b"accept-language", b"").lower().startswith(b"zh")
    kept = [(b"host", headers[b"host"]), (b"accept-language", b"zh-hans" if is_chinese else b"en")]
    return {**scope, "headers": kept}


def refusal(refused: RefusedError) -> Answer:
    """Return the response to a rejected request; it closes the connection."""
    text = f"{refused.text}\n".encode()
    headers = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"cache-control", b"no-store"),
        (b"connection", b"close"),
    ]
    if refused.status in (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE):
        headers.append((b"retry-after", str(RETRY_AFTER_S).encode()))
    return Answer(refused.status, headers, io.BytesIO(text), len(text))


def failure(scope: Message) -> RefusedError:
    """Log an error outside of the application, which handles its own, and return the error for the client."""
    error_id = secrets.token_hex(6)
    logger.exception("error %s: %s %s", error_id, scope["method"], scope["path"])
    return RefusedError(
        HTTPStatus.INTERNAL_SERVER_ERROR, f"The server hit an error, logged as error {error_id}."
    )


def client_of(scope: Message) -> str:
    """Return the client address of a request, like `schedsite.forwarded.client_address`."""
    forwarded = b",".join(value for name, value in scope["headers"] if name == b"x-forwarded-for")
    peer = scope["client"][0] if scope["client"] else ""
    return address_behind(peer, forwarded.decode("latin1"), is_trusted=is_proxy)


def target_path(scope: Message) -> str:
    """Return the path of a request in WSGI form: bytes decoded as latin-1.

    Source: RFC 9112, 3.2.2: a server must accept the absolute form, too.
    """
    raw: bytes = scope["raw_path"]
    if not raw.startswith(b"/") and b"://" in raw:
        raw = urlsplit(raw).path or b"/"
    return unquote_to_bytes(raw).decode("latin1")


def environ_of(scope: Message, body: IO[bytes]) -> dict[str, Any]:
    """Return the WSGI environment (PEP 3333).

    Headers with an underscore are dropped: they would be confused with hyphenated ones set by a proxy.
    """
    size = body.seek(0, io.SEEK_END)
    body.seek(0)
    host, port = scope["server"] or ("localhost", 0)
    environ: dict[str, Any] = {
        "REQUEST_METHOD": scope["method"],
        "SCRIPT_NAME": "",
        "PATH_INFO": target_path(scope),
        "QUERY_STRING": scope["query_string"].decode("latin1"),
        "SERVER_NAME": host,
        "SERVER_PORT": str(port or 0),
        "SERVER_PROTOCOL": f"HTTP/{scope['http_version']}",
        "REMOTE_ADDR": scope["client"][0] if scope["client"] else "",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope["scheme"],
        "wsgi.input": body,
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    for name, value in scope["headers"]:
        if b"_" in name:
            continue
        key, text = name.decode("latin1").upper().replace("-", "_"), value.decode("latin1")
        if key not in ("CONTENT_TYPE", "CONTENT_LENGTH"):
            key = f"HTTP_{key}"
        separator = "; " if key == "HTTP_COOKIE" else ","
        environ[key] = f"{environ[key]}{separator}{text}" if key in environ else text
    environ["CONTENT_LENGTH"] = str(size)
    return environ
