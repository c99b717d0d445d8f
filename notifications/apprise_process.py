"""A process that sends by Apprise and can do nothing else: `python -m notifications.apprise_process`.

With the argument `services` it only prints, as JSON, which services Apprise has, by the first words of their URLs.
Otherwise it reads one request as JSON from its standard input and writes one line of JSON for each service as it
ends. Once the libraries are loaded, an audit hook of the interpreter judges what they do:

- a connection or a datagram goes to a permitted address, given as numbers: so whatever a plugin uses (requests,
  smtplib, sockets, MQTT), and whatever a name resolved to before, the address checked is the one connected to;
- no file is read but those of Python and its packages, and none is written;
- no program is started, and no library is loaded by its path.

Redirects are not followed. It knows no Django, and its environment holds no secret of the site.
"""

from __future__ import annotations

import ipaddress
import json
import logging
import mimetypes
import os
import resource
import signal
import socket
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypedDict

from notifications.addresses import AllowList, parse_allow_list, why_forbidden

#: Services that act on this machine or read its files, by the first word of their URLs.
REFUSED_SERVICES = {
    **dict.fromkeys(
        ("dbus", "kde", "qt", "glib", "gio", "gnome", "macosx", "windows", "blink1"),
        "it shows messages on the screen of the server",
    ),
    "syslog": "it writes to the log of the server",
    "rsyslog": "it sends datagrams without knowing whether they arrive",
    "vapid": "it reads key files of the server",
    "fcm": "it reads key files of the server",
}
#: Bytes of an answer that a plugin gets to see.
ANSWER_LIMIT = 4 * 1024 * 1024
MEMORY_LIMIT = 1024 * 1024 * 1024

_NO_PROGRAMS = frozenset(
    {"subprocess.Popen", "os.system", "os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn"}
    | {"os.startfile", "pty.spawn", "ctypes.dlopen"}
)


class Service(TypedDict):
    """One service of a request; the id is opaque."""

    id: str
    url: str


class Request(TypedDict):
    """What to send, and to whom."""

    services: list[Service]
    title: str
    body: str
    level: str
    allow: list[str]
    seconds: float


class Outcome(TypedDict):
    """What became of one service; refused is what this process does not let happen, now or later."""

    id: str
    is_sent: bool
    is_refused: bool
    reason: str


class _Guard:
    """The audit hook."""

    def __init__(self, allow: AllowList) -> None:
        self._allow = allow
        # Addresses that hosts of the allow-list resolved to; by themselves they may be forbidden ones.
        self._by_name: set[tuple[str, int]] = set()
        self._roots = tuple(f"{path}{os.sep}" for path in _package_folders())
        self._files = frozenset(mimetypes.knownfiles)
        self._resolve = socket.getaddrinfo
        self._noted = threading.local()

    def install(self) -> None:
        """Judge everything from now on, until the process ends."""
        socket.getaddrinfo = self._getaddrinfo
        sys.addaudithook(self._judge)

    def refusals(self) -> list[str]:
        """Return what this thread was refused since it was asked last."""
        noted, self._noted.texts = getattr(self._noted, "texts", []), []
        return noted

    def _getaddrinfo(self, host: Any, port: Any, *args: Any, **kwargs: Any) -> Any:
        found = self._resolve(host, port, *args, **kwargs)
        name = host.decode("ascii", "replace") if isinstance(host, bytes) else host
        if name and self._allow.has_host(name):
            self._by_name.update((str(entry[4][0]), int(entry[4][1])) for entry in found)
        return found

    def _judge(self, event: str, args: tuple[Any, ...]) -> None:
        has_address = event == "socket.sendmsg" and args[1] is not None
        if event in {"socket.connect", "socket.sendto"} or has_address:
            self._judge_address(args[1])
        elif event == "open":
            self._judge_file(args[0], args[2])
        elif event in _NO_PROGRAMS:
            self._refuse("programs are not started")

    def _judge_address(self, address: Any) -> None:
        if not isinstance(address, tuple) or len(address) < 2:
            self._refuse("only hosts of the network are reached")
        host, port = address[0], address[1]
        if (host, port) in self._by_name:
            return
        try:
            number = ipaddress.ip_address(host)
        except ValueError:
            # The C library would resolve it, to an address that nobody saw.
            self._refuse(f"{host!r} was not resolved before connecting")
        reason = why_forbidden(number, self._allow)
        if reason is not None:
            self._refuse(
                f"{host} is not a permitted target ({reason}); SCHEDULER_WEBHOOK_ALLOW can permit it"
            )

    def _judge_file(self, path: Any, flags: int) -> None:
        if isinstance(path, int):  # opened before, and judged then
            return
        name = os.path.realpath(os.fsdecode(path))
        if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            self._refuse("files are not written")
        if name not in self._files and not name.startswith(self._roots):
            self._refuse("files of the server are not read")

    def _refuse(self, reason: str) -> Any:
        if not hasattr(self._noted, "texts"):
            self._noted.texts = []
        self._noted.texts.append(reason)
        raise PermissionError(reason)


def _package_folders() -> set[str]:
    """Return where Python and its packages lie; the folder of the project, which has more in it, is not one."""
    own = Path(__file__).resolve().parent
    found = {Path(path).resolve() for path in sys.path if path} - {own.parent}
    return {str(path) for path in (found | {own}) if path.is_dir()}


def main() -> None:
    """Do what the request on standard input asks for."""
    request: Request = json.load(sys.stdin)
    # Whoever started this process kills it in time, unless they were killed themselves.
    signal.setitimer(signal.ITIMER_REAL, request["seconds"] + 1)
    # What libraries print must not mix with the outcomes.
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_LIMIT, MEMORY_LIMIT))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    send = _load()
    guard = _Guard(parse_allow_list(request["allow"]))
    guard.install()

    lock = threading.Lock()

    def serve(service: Service) -> None:
        outcome = _outcome(service, request, send, guard)
        with lock:
            print(json.dumps(outcome), file=out, flush=True)

    # Side by side: one that hangs does not keep the message from the others.
    with ThreadPoolExecutor(max_workers=len(request["services"])) as threads:
        list(threads.map(serve, request["services"]))


Sender = Callable[[str, Request], tuple[bool, list[str]]]


def _load() -> Sender:
    """Import all that sending needs, as long as files may be read, and return the function that sends."""
    import encodings.idna  # noqa: F401  # imported by the first look-up otherwise

    import apprise
    import requests
    from apprise.manager_plugins import NotificationManager

    mimetypes.init()
    NotificationManager().load_modules()  # type: ignore[no-untyped-call]
    logging.getLogger("apprise").setLevel(logging.WARNING)
    plain_send = requests.Session.send

    def send_without_redirects(
        self: requests.Session, request: requests.PreparedRequest, **options: Any
    ) -> requests.Response:
        """Send one request; keep of the answer no more than `ANSWER_LIMIT`."""
        options |= {"stream": True, "allow_redirects": False}
        answer = plain_send(self, request, **options)
        try:
            answer._content = answer.raw.read(ANSWER_LIMIT, decode_content=True)
        finally:
            answer.close()
        return answer

    requests.Session.send = send_without_redirects  # type: ignore[method-assign]
    asset = apprise.AppriseAsset(
        app_id="Schedsite",
        app_desc="Schedsite",
        app_url="",
        async_mode=False,
        http_redirects=False,
        pgp_autogen=False,
        pem_autogen=False,
        storage_mode="memory",
        allow_templates=False,
        service_timeout=0,
        interpret_emojis=False,
    )

    def send(url: str, request: Request) -> tuple[bool, list[str]]:
        service = apprise.Apprise.instantiate(url, asset=asset, suppress_exceptions=False)
        if service is None:
            return False, []
        carrier = apprise.Apprise(asset=asset)
        carrier.add(service)
        result = carrier.notify(
            body=request["body"],
            title=request["title"],
            notify_type=request["level"],
            body_format=apprise.NotifyFormat.TEXT,
        )
        return bool(result), [str(entry.message) for entry in result.logs()]

    return send


def _outcome(service: Service, request: Request, send: Sender, guard: _Guard) -> Outcome:
    kind = service["url"].partition("://")[0].lower()
    if kind in REFUSED_SERVICES:
        return {"id": service["id"], "is_sent": False, "is_refused": True, "reason": REFUSED_SERVICES[kind]}
    try:
        is_sent, logs = send(service["url"], request)
    except Exception as error:  # a plugin may raise anything, and the others go on
        is_sent, logs = False, [f"{type(error).__name__}: {error}"]
    refusals = guard.refusals()
    reason = " ".join(dict.fromkeys(refusals or logs)) or "the service did not accept it"
    return {
        "id": service["id"],
        "is_sent": is_sent,
        "is_refused": bool(refusals),
        "reason": "" if is_sent else _masked(reason, service["url"]),
    }


def _masked(text: str, url: str) -> str:
    """Return the text without parts of the URL that could be secrets, and not longer than a sentence or two."""
    rest = url.partition("://")[2]
    host = rest.partition("?")[0].partition("/")[0].rpartition("@")[2]
    for part in sorted(_parts(rest), key=len, reverse=True):
        if len(part) >= 4 and part not in host:
            text = text.replace(part, "…")
    return text[:500]


def _parts(text: str) -> set[str]:
    from urllib.parse import unquote

    parts = {text}
    for separator in "/?&=:@,":
        parts = {piece for part in parts for piece in part.split(separator)}
    return parts | {unquote(part) for part in parts}


def print_services() -> None:
    """Print the services that Apprise has, as a JSON list."""
    from apprise.manager_plugins import NotificationManager

    manager = NotificationManager()  # type: ignore[no-untyped-call]
    manager.load_modules()  # type: ignore[no-untyped-call]
    json.dump(sorted(manager.schemas()), sys.stdout)  # type: ignore[no-untyped-call]


if __name__ == "__main__":
    if sys.argv[1:] == ["services"]:
        print_services()
    else:
        main()
