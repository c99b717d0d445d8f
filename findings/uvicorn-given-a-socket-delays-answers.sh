#!/bin/sh
# uvicorn 0.54.0: TCP_NODELAY is off on connections when the server is given a listening socket that was made by
# socket.create_server(), and on when it opens the address itself. asyncio turns it on only for sockets whose protocol
# number is that of TCP, and create_server() leaves the number at 0, which accepted sockets inherit. The second answer
# on a kept connection then waits for a delayed acknowledgement, some 40 ms on Linux, if it is sent in two parts.
#
# Seen:
#   opened by uvicorn: TCP_NODELAY on
#   socket.create_server: TCP_NODELAY off
set -eu
script=$(cd "$(dirname "$0")" && pwd)/$(basename "$0")
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT; cd "$folder"
python3 -m venv v
v/bin/pip install --quiet --disable-pip-version-check uvicorn==0.54.0 2>/dev/null
cat >look.py <<'PY'
import asyncio
import socket

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

connected = None


class Noting(H11Protocol):
    def connection_made(self, transport):
        super().connection_made(transport)
        made = transport.get_extra_info("socket")
        connected.set_result(made.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0)


async def look(name, listener):
    global connected
    connected = asyncio.get_running_loop().create_future()
    config = uvicorn.Config(None, host="127.0.0.1", port=0, http=Noting, loop="asyncio", lifespan="off", log_config=None)
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    await server.startup(sockets=listener and [listener])
    address = server.servers[0].sockets[0].getsockname()
    _, writer = await asyncio.open_connection(*address)
    print(f"{name}: TCP_NODELAY {'on' if await connected else 'off'}")
    writer.close()
    await server.shutdown(sockets=listener and [listener])


asyncio.run(look("opened by uvicorn", None))
asyncio.run(look("socket.create_server", socket.create_server(("127.0.0.1", 0))))
PY
v/bin/python look.py 2>errors >seen || { cat errors; exit 1; }
sed -n 's/^#   //p' "$script" | diff - seen
