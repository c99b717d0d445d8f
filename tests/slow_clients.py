"""Clients that keep a server waiting: silent, half a head, half a body, idle, and those that send a byte now and then."""

from __future__ import annotations

import asyncio
import http.client
import json
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress

HEAD = b"GET /admin/login/ HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Filler: aaaa"
BODY = (  # with a cookie, or the page is refused before its body is asked for
    b"POST /admin/login/ HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/x-www-form-urlencoded\r\n"
    b"Cookie: csrftoken=" + b"a" * 32 + b"\r\nContent-Length: 5000\r\n\r\nusername="
)
WHOLE = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
STARTS = {"silent": b"", "half head": HEAD, "half body": BODY, "idle": WHOLE}
DRIBBLES = ("half head", "half body")


class SlowClients:
    """So many connections of each kind, each opened again when the server ends it.

    Attributes:
        ended: how many connections the server has ended, by kind.
        lasted: the longest that a connection lasted, seconds, by kind.
    """

    def __init__(self, port: int, *, silent: int, dribbling: int, source: str) -> None:
        self.port, self.source = port, source
        self.silent, self.dribbling = silent, dribbling
        self.ended: Counter[str] = Counter()
        self.lasted: dict[str, float] = {}

    async def run(self) -> None:
        """Keep all connections open until standard input ends."""
        kinds = list(STARTS)
        tasks = [asyncio.ensure_future(self._keep(kinds[n % len(kinds)], False)) for n in range(self.silent)]
        tasks += [
            asyncio.ensure_future(self._keep(DRIBBLES[n % len(DRIBBLES)], True))
            for n in range(self.dribbling)
        ]
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _keep(self, kind: str, is_dribbling: bool) -> None:
        while True:
            with suppress(OSError):
                await self._one(kind, is_dribbling)
            await asyncio.sleep(random.uniform(1, 3))

    async def _one(self, kind: str, is_dribbling: bool) -> None:
        name = f"{kind}, dribbling" if is_dribbling else kind
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, local_addr=(self.source, 0))
        began = time.monotonic()
        feeder = None
        try:
            writer.write(STARTS[kind])
            await writer.drain()
            if is_dribbling:
                feeder = asyncio.ensure_future(_dribble(writer))
            while await reader.read(65536):
                pass
            self.ended[name] += 1
        except ConnectionError:
            self.ended[name] += 1
        finally:
            if feeder is not None:
                feeder.cancel()
            self.lasted[name] = max(self.lasted.get(name, 0), time.monotonic() - began)
            writer.transport.abort()


async def _dribble(writer: asyncio.StreamWriter) -> None:
    while not writer.is_closing():
        await asyncio.sleep(1)
        writer.write(b"a")


@contextmanager
def slow_clients(
    port: int, *, silent: int, dribbling: int, source: str = "127.0.0.1"
) -> Iterator[dict[str, tuple[int, float]]]:
    """Keep slow clients going in a process of their own.

    Yields what is filled when they have ended: how many connections of each kind the server ended, and the longest that
    one lasted, in seconds.
    """
    command = [sys.executable, __file__, str(port), str(silent), str(dribbling), source]
    found: dict[str, tuple[int, float]] = {}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as clients:
        try:
            yield found
        finally:
            printed, _ = clients.communicate(timeout=60)
            found.update({kind: (count, lasted) for kind, (count, lasted) in json.loads(printed).items()})


def seconds_for(port: int, path: str, *, source: str = "127.0.0.1", timeout: float = 10) -> tuple[float, int]:
    """Return how long one page takes on a connection of its own, and its status; 0 when there is no answer."""
    began = time.monotonic()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout, source_address=(source, 0))
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        answer.read()
        status = answer.status
    except OSError:
        status = 0
    finally:
        connection.close()
    return time.monotonic() - began, status


def main() -> None:
    """Be slow clients until standard input ends, then print what became of the connections."""
    port, silent, dribbling, source = sys.argv[1:]
    clients = SlowClients(int(port), silent=int(silent), dribbling=int(dribbling), source=source)
    asyncio.run(clients.run())
    print(
        json.dumps({kind: (count, round(clients.lasted[kind], 1)) for kind, count in clients.ended.items()})
    )


if __name__ == "__main__":
    main()
