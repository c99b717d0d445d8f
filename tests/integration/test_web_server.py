"""The server of the site, over real sockets with small limits: slow clients end, and keep nobody waiting."""

from __future__ import annotations

import http.client
import json
import re
import resource
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, closing
from dataclasses import replace
from ipaddress import ip_network
from typing import Any

import pytest

from schedsite.web.connections import Limits
from schedsite.web.server import Server, listen, make_server, open_files
from tests.stack import wait_until
from tests.support.cases import each_case

LIMITS = Limits(
    connections=40,
    connections_of_address=20,
    read_s=1,
    body_rate=1000,
    body_bytes=100_000,
    send_s=1,
)
OTHER = "127.0.0.2"


class Pages:
    """A WSGI application whose pages say what they were asked for, or wait."""

    def __init__(self) -> None:
        self.release = threading.Event()
        self.began: list[str] = []

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        self.began.append(path)
        body = environ["wsgi.input"].read()
        if path.startswith("/wait"):
            self.release.wait(30)
        if path == "/broken":
            raise RuntimeError("a page that breaks")
        if path == "/large":
            start_response("200 OK", [("Content-Type", "text/plain")])
            return [b"x" * 1_000_000] * 30
        if path == "/nothing":
            start_response("204 No Content", [])
            return []
        start_response(
            "200 OK", [("Content-Type", "application/json"), ("Set-Cookie", " a=1"), ("Set-Cookie", "b=2")]
        )
        seen = {key: value for key, value in environ.items() if isinstance(value, str)}
        return [json.dumps({**seen, "body": len(body)}).encode()]


class Site:
    """A server in a thread, with its pages."""

    def __init__(self, server: Server, pages: Pages, port: int) -> None:
        self.server, self.pages, self.port = server, pages, port

    def connect(self, source: str = "127.0.0.1", timeout: float = 10) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=timeout, source_address=(source, 0))

    def get(
        self, path: str, *, source: str = "127.0.0.1", headers: dict[str, str] | None = None
    ) -> tuple[int, str]:
        with closing(
            http.client.HTTPConnection("127.0.0.1", self.port, timeout=10, source_address=(source, 0))
        ) as connection:
            connection.request("GET", path, headers=headers or {})
            answer = connection.getresponse()
            return answer.status, answer.read().decode()

    def environ(self, head: str, body: bytes = b"") -> dict[str, Any]:
        """Return what the page sees of a request given by its head."""
        with self.connect() as client:
            client.sendall(head.replace("\n", "\r\n").encode("latin1") + b"\r\n\r\n" + body)
            answer = http.client.HTTPResponse(client)
            answer.begin()
            assert answer.status == 200, answer.read()
            return dict(json.loads(answer.read()))


@pytest.fixture
def make_site() -> Iterator[Callable[..., Site]]:
    """Return a function that starts a server; all end with the test."""
    with ExitStack() as ending:

        def make(limits: Limits = LIMITS, threads: int = 2) -> Site:
            pages = Pages()
            server = make_server(pages, limits=limits, threads=threads)
            listener = listen("127.0.0.1", 0)
            thread = threading.Thread(target=server.run, args=([listener],))
            port = listener.getsockname()[1]
            thread.start()

            def end() -> None:
                pages.release.set()
                server.should_exit = True
                thread.join(20)

            ending.callback(end)
            wait_until(lambda: server.started, seconds=10)
            return Site(server, pages, port)

        yield make


@pytest.fixture
def site(make_site: Callable[..., Site]) -> Site:
    """Return a server with small limits."""
    return make_site()


def everything(client: socket.socket) -> bytes:
    """Return what the server sends until it ends the connection."""
    found = b""
    try:
        while part := client.recv(65536):
            found += part
    except ConnectionResetError:
        pass
    return found


HEAD = b"GET / HTTP/1.1\r\nHost: here\r\n"
POST = b"POST /post HTTP/1.1\r\nHost: here\r\nContent-Length: 5000\r\n\r\n"


@each_case(
    ("sent", "answered"),
    [
        (b"", b""),
        (HEAD, b""),
        (HEAD + b"\r\n", b"HTTP/1.1 200 "),
        (HEAD + b"\r\n" + HEAD, b"HTTP/1.1 200 "),
        (POST, b"HTTP/1.1 408 "),
        (POST + b"half", b"HTTP/1.1 408 "),
        (
            b"POST /post HTTP/1.1\r\nHost: here\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhalf",
            b"HTTP/1.1 408 ",
        ),
        (
            b"POST /post HTTP/1.1\r\nHost: here\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n",
            b"HTTP/1.1 100 ",
        ),
    ],
    ids=[
        "silent",
        "half head",
        "idle",
        "idle with half a head",
        "no body",
        "half body",
        "half chunk",
        "asks first",
    ],
    together=True,
)
def test_a_connection_that_keeps_others_waiting_is_ended(site: Site, sent: bytes, answered: bytes) -> None:
    began = time.monotonic()
    with site.connect() as client:
        client.sendall(sent)

        found = everything(client)

    assert found.startswith(answered) and bool(found) == bool(answered)
    assert time.monotonic() - began < 5
    assert "/post" not in site.pages.began


def test_a_client_is_told_that_its_body_came_too_slowly(site: Site) -> None:
    with site.connect() as client:
        client.sendall(POST)

        found = everything(client)

    assert found.endswith(b"\r\n\r\nThe body came too slowly.\n")
    assert b"connection: close" in found and b"cache-control: no-store" in found


@each_case("sent", [HEAD, POST], ids=["head", "body"], together=True)
def test_a_client_that_dribbles_is_ended(site: Site, sent: bytes) -> None:
    began = time.monotonic()
    with site.connect(timeout=0.2) as client:
        client.sendall(sent)
        is_open = True
        while is_open and time.monotonic() - began < 8:
            try:
                client.sendall(b"a")
                is_open = bool(client.recv(1000)) and sent is HEAD
            except TimeoutError:
                continue
            except OSError:
                is_open = False

    assert not is_open and time.monotonic() - began < 5
    assert site.pages.began == []


def test_a_body_that_comes_slowly_but_steadily_is_accepted(site: Site) -> None:
    with site.connect() as client:
        client.sendall(b"POST / HTTP/1.1\r\nHost: here\r\nContent-Length: 5000\r\nConnection: close\r\n\r\n")
        for _ in range(10):  # 500 bytes give half a second more than they take
            time.sleep(0.25)
            client.sendall(b"x" * 500)

        found = everything(client)

    assert found.startswith(b"HTTP/1.1 200 ") and b'"body": 5000' in found


@pytest.mark.parametrize(
    "head",
    [
        b"Content-Length: 100001\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n" + b"c350\r\n" + b"x" * 50_000 + b"\r\n",
    ],
)
def test_a_body_that_is_too_large_is_refused(site: Site, head: bytes) -> None:
    with site.connect() as client:
        client.sendall(b"POST / HTTP/1.1\r\nHost: here\r\n" + head)
        if b"chunked" in head:
            client.sendall(b"c350\r\n" + b"x" * 50_000 + b"\r\n1\r\nx\r\n")

        found = everything(client)

    assert found.startswith(b"HTTP/1.1 413 ")
    assert found.endswith(b"The body is too large; at most 100000 bytes are allowed.\n")
    assert site.pages.began == []


def test_bodies_that_are_announced_far_too_large_cost_nothing(make_site: Callable[..., Site]) -> None:
    site = make_site(replace(LIMITS, read_s=60))  # who waited for the body would have no answer in time

    def used() -> float:
        usage = resource.getrusage(resource.RUSAGE_SELF)
        return usage.ru_utime + usage.ru_stime

    before = used()
    for _ in range(20):
        with closing(http.client.HTTPConnection("127.0.0.1", site.port, timeout=10)) as client:
            client.putrequest("POST", "/")
            client.putheader("Content-Length", str(10**12))
            client.endheaders()
            assert client.getresponse().status == 413

    assert site.pages.began == []
    assert (
        used() - before < 2
    )  # seconds of the processor; a tenth of a second for each, and hundredths are used


def test_a_client_that_sends_somewhat_too_much_gets_its_answer(site: Site) -> None:
    with closing(http.client.HTTPConnection("127.0.0.1", site.port, timeout=10)) as connection:
        connection.request("POST", "/", body=b"x" * 390_000)
        answer = connection.getresponse()

        assert answer.status == 413
        assert answer.read() == b"The body is too large; at most 100000 bytes are allowed.\n"
    assert site.pages.began == []


def test_a_client_that_does_not_read_its_answer_is_ended(site: Site) -> None:
    with site.connect() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.sendall(b"GET /large HTTP/1.1\r\nHost: here\r\n\r\n")

        wait_until(lambda: site.pages.began == ["/large"], seconds=10)
        wait_until(lambda: len(site.server.connections) == 0, seconds=10, what="the end of the connection")

    assert site.get("/", source=OTHER)[0] == 200


def test_slow_clients_of_all_kinds_take_no_thread(site: Site) -> None:
    with ExitStack() as slow:
        for n in range(30):
            slow.enter_context(client := site.connect(f"127.0.0.{10 + n // 10}"))
            client.sendall((b"", HEAD, POST + b"half")[n % 3])

        began = time.monotonic()
        statuses = [site.get(path, source=OTHER)[0] for path in ("/", "/healthz") * 10]

    assert set(statuses) == {200}
    assert time.monotonic() - began < 2


def test_an_address_keeps_no_more_connections_than_it_may(
    make_site: Callable[..., Site], caplog: pytest.LogCaptureFixture
) -> None:
    site = make_site(Limits(connections=100, connections_of_address=20, read_s=30))
    with ExitStack() as clients:
        for _ in range(50):
            clients.enter_context(site.connect("127.0.0.3"))
        clients.enter_context(site.connect(OTHER))

        wait_until(lambda: len(site.server.connections) == 21, seconds=10)

        assert site.get("/", source="127.0.0.3")[0] == 200  # its own requests pass, too
    assert (
        "127.0.0.3 has 50 connections, more than are allowed; those that wait longest are closed"
        in caplog.messages
    )


def test_when_there_are_too_many_connections_the_one_that_waits_longest_makes_room(
    make_site: Callable[..., Site],
) -> None:
    site = make_site(Limits(connections=20, connections_of_address=20, read_s=30))
    with ExitStack() as clients:
        for n in range(60):
            clients.enter_context(site.connect(f"127.0.0.{10 + n % 30}"))
        wait_until(lambda: len(site.server.connections) == 20, seconds=10)

        assert [site.get("/", source=OTHER)[0] for _ in range(5)] == [200] * 5


def test_a_trusted_proxy_may_have_more_connections_than_a_client(
    make_site: Callable[..., Site], settings: Any
) -> None:
    settings.TRUST_PROXY_HEADERS, settings.TRUSTED_PROXIES = ("X-Forwarded-For",), (ip_network("127.0.0.4"),)
    site = make_site(Limits(connections=100, connections_of_address=10, read_s=30))
    with ExitStack() as clients:
        for _ in range(30):
            clients.enter_context(site.connect("127.0.0.4"))
        for _ in range(30):
            clients.enter_context(site.connect("127.0.0.5"))

        wait_until(lambda: len(site.server.connections) == 40, seconds=10)


def _asked(site: Site, path: str, source: str, more: str = "") -> socket.socket:
    client = site.connect(source)
    client.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{more}\r\n".encode())
    return client


def test_one_client_cannot_have_all_requests_and_health_is_answered(site: Site) -> None:
    with ExitStack() as clients:
        for _ in range(10):
            clients.enter_context(_asked(site, "/wait", "127.0.0.3"))
        wait_until(
            lambda: site.server.connections is not None and site.pages.began.count("/wait") == 2, seconds=10
        )
        wait_until(lambda: site.get("/more", source="127.0.0.3")[0] == 429, seconds=10)

        answers = [site.get("/healthz", source=source)[0] for source in ("127.0.0.3", OTHER)]
        _, text = site.get("/more", source="127.0.0.3")

        assert answers == [200, 200]
        assert text == "There are too many requests from this address at once.\n"


def test_clients_of_a_proxy_are_counted_each_for_itself(
    make_site: Callable[..., Site], settings: Any
) -> None:
    settings.TRUST_PROXY_HEADERS, settings.TRUSTED_PROXIES = ("X-Forwarded-For",), (ip_network("127.0.0.1"),)
    site = make_site(threads=30)
    with ExitStack() as clients:
        for _ in range(10):
            clients.enter_context(_asked(site, "/wait", "127.0.0.1", "X-Forwarded-For: 203.0.113.9\r\n"))
        wait_until(lambda: site.pages.began.count("/wait") == 10, seconds=10)

        ways = ("203.0.113.9", "198.51.100.1, 203.0.113.9", "203.0.113.10", "203.0.113.9, 203.0.113.10")
        statuses = [site.get("/", headers={"X-Forwarded-For": way})[0] for way in ways]

    assert statuses == [429, 429, 200, 200]


def test_all_clients_together_cannot_have_all_requests(site: Site) -> None:
    with ExitStack() as clients:
        for n in range(20):
            clients.enter_context(_asked(site, "/wait", f"127.0.0.{10 + n % 4}"))
        wait_until(lambda: site.get("/more", source=OTHER)[0] == 503, seconds=10)

        assert site.get("/more", source=OTHER) == (503, "There are too many requests at once.\n")
        assert site.get("/healthz", source=OTHER)[0] == 200


def test_a_page_whose_reader_went_away_is_not_made(site: Site) -> None:
    waiting = [_asked(site, "/wait", "127.0.0.3") for _ in range(2)]
    wait_until(lambda: site.pages.began == ["/wait", "/wait"], seconds=10)
    requests = site.server.config.app.requests
    with _asked(site, "/abandoned", "127.0.0.3"):
        wait_until(lambda: requests["127.0.0.3"] == 3, seconds=10)
    wait_until(lambda: len(site.server.connections) == 2, seconds=10)

    site.pages.release.set()
    for client in waiting:
        assert client.recv(1000).startswith(b"HTTP/1.1 200 ")
        client.close()

    assert site.get("/", source=OTHER)[0] == 200
    assert "/abandoned" not in site.pages.began


def test_what_breaks_outside_of_the_pages_is_told_with_its_id(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    status, text = site.get("/broken")

    found = re.fullmatch(r"The server hit an error, logged as error ([0-9a-f]{12})\.\n", text)
    assert status == 500 and found is not None
    assert f"error {found[1]}: GET /broken" in caplog.messages and "a page that breaks" in caplog.text
    assert site.get("/")[0] == 200


def test_a_page_sees_the_request_as_wsgi_says(site: Site) -> None:
    seen = site.environ(
        "POST /a%C3%A9%2Fb//c?x=%C3%A9&y HTTP/1.1\nHost: here:81\nCookie: a=1\nX-A: 1\nCookie: b=2\nX-A: 2\n"
        "Content-Type: text/plain\nContent-Length: 3",
        b"abc",
    )

    wanted = {
        "REQUEST_METHOD": "POST",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/aÃ©/b//c",
        "QUERY_STRING": "x=%C3%A9&y",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "HTTP_HOST": "here:81",
        "HTTP_COOKIE": "a=1; b=2",
        "HTTP_X_A": "1,2",
        "CONTENT_TYPE": "text/plain",
        "CONTENT_LENGTH": "3",
        "wsgi.url_scheme": "http",
        "body": 3,
    }
    assert {key: seen.get(key) for key in wanted} == wanted


def test_a_body_in_chunks_is_whole(site: Site) -> None:
    seen = site.environ(
        "POST / HTTP/1.1\nHost: here\nTransfer-Encoding: chunked", b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    )

    assert (seen["CONTENT_LENGTH"], seen["body"]) == ("5", 5)


def test_headers_of_clients_change_neither_script_name_nor_those_with_a_hyphen(site: Site) -> None:
    seen = site.environ(
        "GET /x HTTP/1.1\nHost: here\nSCRIPT_NAME: /x\nScript-Name: /x\nPATH_INFO: /y\nX_Forwarded_Proto: https\n"
        "X_FORWARDED_FOR: 203.0.113.9\nREMOTE_ADDR: 203.0.113.9\nREMOTE_USER: admin\nContent_Length: 7"
    )

    assert (seen["SCRIPT_NAME"], seen["PATH_INFO"], seen["REMOTE_ADDR"]) == ("", "/x", "127.0.0.1")
    assert not {"HTTP_X_FORWARDED_PROTO", "HTTP_X_FORWARDED_FOR", "REMOTE_USER", "HTTP_REMOTE_USER"} & set(
        seen
    )
    assert seen["CONTENT_LENGTH"] == "0"


def test_the_whole_address_of_a_page_may_be_asked_for(site: Site) -> None:
    assert site.environ("GET http://here/page?x HTTP/1.1\nHost: here")["PATH_INFO"] == "/page"


@pytest.mark.parametrize(
    "sent",
    [
        b"GARBAGE\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 100_000,  # and no end
    ],
)
def test_what_is_no_http_is_refused(site: Site, sent: bytes) -> None:
    with site.connect() as client:
        client.sendall(sent)

        assert everything(client).startswith(b"HTTP/1.1 400 ")
    assert site.pages.began == []


def test_an_answer_without_content_has_no_length(site: Site) -> None:
    with site.connect() as client:
        client.sendall(b"GET /nothing HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n")

        found = everything(client)

    assert found.startswith(b"HTTP/1.1 204 ") and b"content-length" not in found.lower()


def test_head_is_answered_without_content_and_the_connection_is_used_again(site: Site) -> None:
    with closing(http.client.HTTPConnection("127.0.0.1", site.port, timeout=10)) as connection:
        for method in ("HEAD", "GET", "HEAD", "GET"):
            connection.request(method, "/")
            answer = connection.getresponse()
            content = answer.read()
            assert (answer.status, bool(content)) == (200, method == "GET")
            assert answer.headers.get_all("set-cookie") == ["a=1", "b=2"]


def test_an_answer_waits_for_no_acknowledgement(site: Site) -> None:
    took = []
    with closing(http.client.HTTPConnection("127.0.0.1", site.port, timeout=10)) as connection:
        for _ in range(20):
            began = time.monotonic()
            connection.request("GET", "/")
            connection.getresponse().read()
            took.append(time.monotonic() - began)

    assert min(took) < 0.03  # the kernel delays them by 40 ms


def test_the_limit_of_open_files_bounds_connections() -> None:
    assert open_files(10) == 10
    assert open_files(10**9) < 10**9
