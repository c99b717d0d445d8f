"""A sandboxed process that sends through Apprise: `python -m notifications.channels.apprise.process`.

With the argument `check` it sends nothing: it prints, as JSON, the URL schemes of all Apprise services, and then for
each line of standard input (a URL as JSON) whether Apprise can parse it. Otherwise it reads one request as JSON and
writes one line of JSON for each finished service. Once libraries are loaded, an audit hook of the interpreter enforces:

- connections and datagrams go only to permitted numeric addresses; so whichever library a plugin uses (requests,
    smtplib, sockets, MQTT) and whatever a name resolved to before, the checked address is the one connected to;
- only files of Python and its packages are read, and none is written;
- no program is started, and no library is loaded by path.

Redirects are not followed. For robots whose plugins check only the status of a response, the body is checked as well.
The process does not use Django, and its environment contains no secret of the site.
"""

from __future__ import annotations

import gc
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
from typing import Any, NamedTuple, TypedDict

from notifications.channels.apprise.reasons import Code
from notifications.engine.reasons import Code as CommonCode
from notifications.transport import answers
from notifications.transport.targets import AllowList, parse_allow_list, why_forbidden
from scheduler.engine.reasons import Reason, as_reason

#: Services that act on this machine or read its files, by URL scheme.
REFUSED_SERVICES = {
    **dict.fromkeys(
        ("dbus", "kde", "qt", "glib", "gio", "gnome", "macosx", "windows", "blink1"),
        Code.SHOWS_ON_SCREEN,
    ),
    "syslog": Code.WRITES_TO_LOG,
    "rsyslog": Code.SENDS_DATAGRAMS,
    "vapid": Code.READS_KEY_FILES,
    "fcm": Code.READS_KEY_FILES,
}
#: Output of `check` for a URL that no plugin recognises and none logged an error about.
UNKNOWN_FORM = "?"
#: Bytes of a response that a plugin can read.
ANSWER_LIMIT = 4 * 1024 * 1024
MEMORY_LIMIT = 1024 * 1024 * 1024

_NO_PROGRAMS = frozenset(
    {"subprocess.Popen", "os.system", "os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn"}
    | {"os.startfile", "pty.spawn", "ctypes.dlopen"}
)

#: Seconds after which a check process exits by itself, in case its parent was killed.
LONGEST_CHECKS = 3600
#: How services report errors with a good status, by plugin class.
ROBOTS = {
    "NotifyBark": answers.BARK,
    "NotifyDingTalk": answers.DINGTALK,
    "NotifyFeishu": answers.FEISHU,
    "NotifyLark": answers.FEISHU,
    "NotifyPushDeer": answers.PUSHDEER,
    "NotifyPushplus": answers.PUSHPLUS,
    "NotifyServerChan": answers.SERVERCHAN,
    "NotifyWeComBot": answers.WECOM,
    "NotifyWxPusher": answers.WXPUSHER,
}


class Service(TypedDict):
    """One service of a request; the id is opaque."""

    id: str
    url: str


class Request(TypedDict):
    """A message and its recipients."""

    services: list[Service]
    title: str
    body: str
    level: str
    allow: list[str]
    seconds: float


class Outcome(TypedDict):
    """The result for one service; `refused` means permanently, `reason` is a `Reason` as JSON."""

    id: str
    is_sent: bool
    is_refused: bool
    reason: dict[str, Any] | None


class _Guard:
    """The audit hook."""

    def __init__(self, allow: AllowList) -> None:
        self._allow = allow
        # Addresses resolved from allow-listed hosts; the addresses themselves may be forbidden.
        self._by_name: set[tuple[str, int]] = set()
        self._roots = tuple(f"{path}{os.sep}" for path in _package_folders())
        self._files = frozenset(mimetypes.knownfiles)
        self._resolve = socket.getaddrinfo
        self._noted = threading.local()

    def install(self) -> None:
        """Enforce the restrictions from now on, until the process exits."""
        socket.getaddrinfo = self._getaddrinfo
        sys.addaudithook(self._judge)

    def refusals(self) -> list[Reason]:
        """Return what this thread was refused since the last call, and reset it."""
        noted, self._noted.reasons = getattr(self._noted, "reasons", []), []
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
            self._refuse(Reason(Code.PROGRAM_REFUSED))

    def _judge_address(self, address: Any) -> None:
        if not isinstance(address, tuple) or len(address) < 2:
            self._refuse(Reason(Code.SOCKET_REFUSED))
        host, port = address[0], address[1]
        if (host, port) in self._by_name:
            return
        try:
            number = ipaddress.ip_address(host)
        except ValueError:
            # The C library would resolve it, to an address that was never checked.
            self._refuse(Reason(Code.HOST_NOT_RESOLVED, {"host": repr(host)}))
        why = why_forbidden(number, self._allow)
        if why is not None:
            self._refuse(Reason(CommonCode.TARGET_FORBIDDEN, {"host": host, "what": Reason(why)}))

    def _judge_file(self, path: Any, flags: int) -> None:
        if isinstance(path, int):  # a descriptor, checked when it was opened
            return
        name = os.path.realpath(os.fsdecode(path))
        if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            self._refuse(Reason(Code.FILE_NOT_WRITTEN))
        if name not in self._files and not name.startswith(self._roots):
            self._refuse(Reason(Code.FILE_NOT_READ))

    def _refuse(self, reason: Reason) -> Any:
        if not hasattr(self._noted, "reasons"):
            self._noted.reasons = []
        self._noted.reasons.append(reason)
        raise PermissionError(str(reason.code))


def _package_folders() -> set[str]:
    """Return the directories of Python and its packages; the project directory is excluded, as it holds other files."""
    own = Path(__file__).resolve().parents[1]
    found = {Path(path).resolve() for path in sys.path if path} - {own.parent}
    return {str(path) for path in (found | {own}) if path.is_dir()}


def main() -> None:
    """Handle the request on standard input."""
    request: Request = json.load(sys.stdin)
    # The parent kills this process in time, unless the parent itself was killed.
    signal.setitimer(signal.ITIMER_REAL, request["seconds"] + 1)
    # Output of libraries must not mix with the results.
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

    # Concurrently: a hanging service does not delay the others.
    with ThreadPoolExecutor(max_workers=len(request["services"])) as threads:
        list(threads.map(serve, request["services"]))


class _Reading(threading.local):
    """The error that the service of this thread reported in a response body.

    Attributes:
        rule: how the service reports errors; None: by the status alone, or the plugin parses the body itself.
    """

    def __init__(self) -> None:
        self.rule: answers.Rule | None = None
        self.refusals: list[answers.Refusal] = []

    def read(self, status: int, body: bytes) -> None:
        """Record a response with a good status whose body reports an error."""
        found = answers.refusal_by(self.rule, body) if self.rule and 200 <= status < 300 else None
        if found is not None:
            self.refusals.append(found)


class Sent(NamedTuple):
    """The result of Apprise for one message: whether it was sent, the logged causes, and the refusals in bodies."""

    is_sent: bool
    logs: list[str]
    refusals: list[answers.Refusal]


Sender = Callable[[str, Request], Sent]


def _load() -> Sender:
    """Import everything that sending needs while files can still be read, and return the function that sends."""
    import encodings.idna  # noqa: F401 - the first look-up would import it otherwise

    import apprise
    import requests
    from apprise.manager_plugins import NotificationManager

    mimetypes.init()
    NotificationManager().load_modules()
    logging.getLogger("apprise").setLevel(logging.WARNING)
    plain_send = requests.Session.send
    reading = _Reading()

    def send_without_redirects(
        self: requests.Session, request: requests.PreparedRequest, **options: Any
    ) -> requests.Response:
        """Send one request; read at most `ANSWER_LIMIT` of the response."""
        options |= {"stream": True, "allow_redirects": False}
        answer = plain_send(self, request, **options)
        try:
            answer._content = answer.raw.read(ANSWER_LIMIT, decode_content=True)
            reading.read(answer.status_code, answer.content)
        finally:
            answer.close()
        return answer

    requests.Session.send = send_without_redirects  # type: ignore[method-assign]  # replaced in this process only
    asset = _asset()

    def send(url: str, request: Request) -> Sent:
        service = apprise.Apprise.instantiate(url, asset=asset, suppress_exceptions=False)
        if service is None:
            return Sent(False, [], [])
        reading.rule, reading.refusals = ROBOTS.get(type(service).__name__), []
        carrier = apprise.Apprise(asset=asset)
        carrier.add(service)
        result = carrier.notify(
            body=request["body"],
            title=request["title"],
            notify_type=request["level"],
            body_format=apprise.NotifyFormat.TEXT,
        )
        return Sent(bool(result), [str(entry.message) for entry in result.logs()], reading.refusals)

    return send


def _asset() -> Any:
    import apprise

    return apprise.AppriseAsset(
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


def _outcome(service: Service, request: Request, send: Sender, guard: _Guard) -> Outcome:
    kind = service["url"].partition("://")[0].lower()
    if kind in REFUSED_SERVICES:
        refused = Reason(REFUSED_SERVICES[kind]).as_json()
        return {"id": service["id"], "is_sent": False, "is_refused": True, "reason": refused}
    try:
        sent = send(service["url"], request)
    except Exception as error:  # a plugin may raise anything; the other services continue
        sent = Sent(False, [f"{type(error).__name__}: {error}"], [])
    refusals = guard.refusals()
    said_no = [Reason(Code.SERVICE_SAYS_NO, {"answer": refusal.text}) for refusal in sent.refusals]
    is_sent = sent.is_sent and not said_no
    reason = _reason(refusals or said_no, sent.logs).mapped(lambda text: _masked(text, service["url"]))
    is_final = bool(said_no) and not any(refusal.is_temporary for refusal in sent.refusals)
    return {
        "id": service["id"],
        "is_sent": is_sent,
        "is_refused": bool(refusals) or is_final,
        "reason": None if is_sent else reason.as_json(),
    }


def _reason(reasons: list[Reason], logs: list[str]) -> Reason:
    """Return why a service failed; plugin logs are used only if no other cause is known."""
    distinct = [reason for place, reason in enumerate(reasons) if reason not in reasons[:place]]
    if len(distinct) > 1:
        return Reason(CommonCode.SEVERAL, {"parts": distinct})
    if distinct:
        return distinct[0]
    text = " ".join(dict.fromkeys(logs))
    return as_reason(text) if text else Reason(Code.SERVICE_REFUSED)


def _masked(text: str, url: str) -> str:
    """Return the text without parts of the URL that could be secrets, truncated to a sentence or two."""
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


def check() -> None:
    """Print the services of Apprise, then the problem of each URL on standard input; "" if it is valid."""
    from apprise.manager_plugins import NotificationManager

    signal.alarm(LONGEST_CHECKS)
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    manager = NotificationManager()
    manager.load_modules()
    gc.enable()
    print(json.dumps(sorted(manager.schemas())), file=out, flush=True)
    asset = _asset()
    mimetypes.init()
    _Guard(AllowList()).install()
    for line in sys.stdin:
        url = json.loads(line)
        print(json.dumps(_without(_missing(url, asset), url)), file=out, flush=True)


def _missing(url: str, asset: Any) -> str:
    """Return why Apprise cannot parse a URL, in Apprise's words; "" if it can."""
    import apprise

    captured = apprise.LogCapture(level=logging.WARNING, fmt="%(message)s")
    with captured as said:
        try:
            if apprise.Apprise.instantiate(url, asset=asset, suppress_exceptions=False):
                return ""
        except Exception as error:  # a plugin may raise anything
            return str(error) or type(error).__name__
        return said.getvalue().strip() or UNKNOWN_FORM


def _without(reason: str, url: str) -> str:
    """Return a reason on one line without the values of the URL that may be secret, including the host."""
    for part in sorted(_parts(url.partition("://")[2]), key=len, reverse=True):
        if len(part) >= 3:
            reason = reason.replace(part, "…")
    return answers.one_line(reason)


if __name__ == "__main__":
    gc.disable()  # loading leaves no garbage, and a search for it takes a sixth of the time
    if sys.argv[1:] == ["check"]:
        check()
    else:
        main()
