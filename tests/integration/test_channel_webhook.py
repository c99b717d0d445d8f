"""The webhook channel against servers that behave as badly as real ones."""

from __future__ import annotations

import gzip
import hashlib
import hmac
import json
import os
import re
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from notifications.channels.webhook.channel import WebhookChannel
from notifications.exceptions import SendError
from notifications.messages.context import Facts
from notifications.transport.http import ANSWER_LIMIT
from scheduler.config_file.notify_rules import TEMPLATE_NAMES
from tests.sinks import PATIENCE, RawSink, Received, Sink, answer, dribble, flood, reset, silence
from tests.support.cases import each_case
from tests.unit.corpora import headers, targets

FACTS = Facts(
    {
        **dict.fromkeys(TEMPLATE_NAMES),
        "task_id": "backup",
        "task_name": '夜间 "backup" {{task_id}}',
        "threshold_count": 3,
        "exit_code": 2,
        "execution_log_tail": 'line 1\n"quoted" \\ back\ttab\n',
        "execution_duration": 1.5,
    },
    "technical_failure",
    "en",
)
#: Seconds; short enough for a test that waits for its end, long enough for a loaded machine to connect.
SHORT = 1.5


@pytest.fixture(autouse=True)
def loopback_is_allowed(settings: Any) -> None:
    settings.SCHEDULER_WEBHOOK_ALLOW = ["127.0.0.1"]


def send(
    url: str, *, deadline: float = PATIENCE, channel: WebhookChannel | None = None, **config: Any
) -> str:
    channel = channel or WebhookChannel()
    config = {"type": "webhook", "url": url, **config}
    return str(channel.send(config, channel.compose(config, FACTS), key="delivery-7", deadline=deadline))


def failure(url: str, **options: Any) -> SendError:
    with pytest.raises(SendError) as caught:
        send(url, **options)
    return caught.value


@pytest.fixture
def sink() -> Iterator[Sink]:
    with Sink(answer("200 OK", body=b"thanks")) as server:
        yield server


def test_default_body_is_json_with_every_value_under_its_name(sink: Sink) -> None:
    said = send(sink.url)

    request = sink.next()
    body = json.loads(request.body)
    assert said == "HTTP 200"
    assert request.line == "POST /hook HTTP/1.1"
    assert request.header("Content-Type") == "application/json"
    assert request.header("Host") == f"127.0.0.1:{sink.port}"
    assert body["event"] == "technical_failure"
    assert body["text"] == '夜间 "backup" {{task_id}} failed, 3 times in a row'
    assert set(body) == {"event", "text", "reason_code", "reason_params", *TEMPLATE_NAMES}
    assert body["threshold_count"] == 3
    assert body["reason"] is None
    assert body["execution_log_tail"] == 'line 1\n"quoted" \\ back\ttab\n'


def test_signature_covers_timestamp_and_body_and_the_key_names_the_delivery(sink: Sink) -> None:
    send(sink.url, secret="correct horse", channel=WebhookChannel(now=lambda: 1_780_000_000.7))

    request = sink.next()
    digest = hmac.new(b"correct horse", b"1780000000." + request.body, hashlib.sha256).hexdigest()
    assert request.header("X-Schedsite-Timestamp") == "1780000000"
    assert request.header("X-Schedsite-Signature") == f"sha256={digest}"
    assert request.header("Idempotency-Key") == "delivery-7"


def test_request_without_a_secret_has_no_signature(sink: Sink) -> None:
    send(sink.url)

    assert sink.next().header("X-Schedsite-Signature") is None


def test_composed_message_holds_no_secret() -> None:
    config = {
        "type": "webhook",
        "url": "https://user:pa55word@hooks.example.org/services/T0KEN?key=t0ken2",
        "headers": {"Authorization": "Bearer t0ken3"},
        "secret": "t0ken4",
    }

    content = json.dumps(WebhookChannel().compose(config, FACTS))

    assert json.loads(content)["target"] == "https://hooks.example.org"
    assert not [word for word in ("pa55word", "T0KEN", "t0ken") if word in content]


@each_case(
    ("template", "expected"),
    [
        ('{"text": "{{task_name}}"}', {"text": '夜间 "backup" {{task_id}}'}),
        (
            '{"a": {{threshold_count}}, "b": {{execution_duration}}, "c": {{reason}}}',
            {"a": 3, "b": 1.5, "c": None},
        ),
        ('{"a": {{task_name}}}', {"a": '夜间 "backup" {{task_id}}'}),
        ('{"{{task_id}}": "x\\"{{exit_code}}"}', {"backup": 'x"2'}),
        ('["{{execution_log_tail}}"]', ['line 1\n"quoted" \\ back\ttab\n']),
        ('{"reason": "{{reason}}"}', {"reason": ""}),
    ],
)
def test_values_cannot_break_a_json_body(sink: Sink, template: str, expected: Any) -> None:
    send(sink.url, body_template=template)

    assert json.loads(sink.next().body) == expected


@each_case(
    ("content_type", "template", "expected"),
    [
        ("text/plain", "{{task_id}}: {{exit_code}}", b"backup: 2"),
        (
            "application/x-www-form-urlencoded",
            "n={{task_name}}&c=1",
            b"n=%E5%A4%9C%E9%97%B4+%22backup%22+%7B%7Btask_id%7D%7D&c=1",
        ),
        ("application/xml", "<n>{{task_name}}</n>", "<n>夜间 &quot;backup&quot; {{task_id}}</n>".encode()),
        (
            "application/vnd.api+json; charset=utf-8",
            '["{{execution_log_tail}}"]',
            b'["line 1\\n\\"quoted\\" \\\\ back\\ttab\\n"]',
        ),
    ],
)
def test_values_are_encoded_for_the_content_type(
    sink: Sink, content_type: str, template: str, expected: bytes
) -> None:
    send(sink.url, headers={"Content-Type": content_type}, body_template=template)

    request = sink.next()
    assert request.body == expected
    assert request.header("Content-Type") == content_type


def test_template_that_makes_no_json_is_refused_with_the_place() -> None:
    with pytest.raises(ValueError, match=r"the body template is not a JSON document: .*line 1 column"):
        WebhookChannel().compose({"url": "https://example.org", "body_template": '{"a": "{{task_id}}'}, FACTS)


def test_get_has_no_body(sink: Sink) -> None:
    send(sink.url, method="GET", body_template="{{task_id}}")

    request = sink.next()
    assert request.line == "GET /hook HTTP/1.1"
    assert request.body == b""


def test_headers_of_the_rule_are_sent(sink: Sink) -> None:
    send(sink.url, headers={"X-Team": "ops", "User-Agent": "mine", "Authorization": "Bearer abc"})

    request = sink.next()
    assert request.header("X-Team") == "ops"
    assert request.header("User-Agent") == "mine"
    assert request.header("Authorization") == "Bearer abc"


@each_case(
    "name",
    [
        "Host",
        "content-length",
        "Transfer-Encoding",
        "CONNECTION",
        "Idempotency-Key",
        "X-Schedsite-Signature",
        "Expect",
    ],
)
def test_headers_of_the_connection_cannot_be_set(sink: Sink, name: str) -> None:
    error = failure(sink.url, headers={name: "1"})

    assert error.reason == f"the header {name} is set by Schedsite and cannot be changed"
    assert error.is_permanent
    assert sink.connections == 0


@each_case("text", [t for t in headers.TEXTS if not t.isascii() or not t.isprintable()])
def test_header_of_more_than_one_line_is_refused(sink: Sink, text: str) -> None:
    value = failure(sink.url, headers={"X-Note": text})
    name = failure(sink.url, headers={text: "1"})

    assert value.reason == "the header X-Note must have one line of printable ASCII characters"
    assert name.reason.endswith("must have letters, digits, - and _ only")
    assert sink.connections == 0


@each_case("text", [t for t in headers.TEXTS if t.isascii() and t.isprintable()])
def test_header_that_only_looks_like_several_lines_stays_one(sink: Sink, text: str) -> None:
    send(sink.url, headers={"X-Note": text})

    request = sink.next()
    assert request.header("X-Note") == text
    assert request.header("X-Injected") is None


@each_case("text", headers.TEXTS)
def test_value_cannot_leave_the_body(sink: Sink, text: str) -> None:
    channel = WebhookChannel()
    config = {"url": sink.url, "body_template": '{"a": "{{task_name}}", "b": {{reason}}}'}
    facts = Facts({**FACTS.values, "task_name": text, "reason": text}, "success", "en")

    channel.send(config, channel.compose(config, facts), key="k", deadline=PATIENCE)

    request = sink.next()
    assert {"x-injected", "bcc", "to"}.isdisjoint(name.lower() for name, _value in request.headers)
    assert set(json.loads(request.body)) == {"a", "b"}


@each_case(
    ("status", "is_permanent"),
    [
        ("400 Bad Request", True),
        ("401 Unauthorized", True),
        ("404 Not Found", True),
        ("410 Gone", True),
        ("413 Too Large", True),
        ("408 Timeout", False),
        ("425 Too Early", False),
        ("429 Too Many", False),
        ("500 Error", False),
        ("502 Bad Gateway", False),
        ("503 Unavailable", False),
        ("504 Timeout", False),
    ],
)
def test_error_status_is_a_failure_that_says_whether_to_try_again(status: str, is_permanent: bool) -> None:
    with Sink(answer(status, body=b"why")) as sink:
        error = failure(sink.url)

    assert error.reason == f"HTTP {status[:3]}"
    assert error.is_permanent is is_permanent


@each_case("status", ["429 Too Many", "503 Unavailable"])
@each_case(
    ("value", "seconds"),
    [
        ("120", 120.0),
        ("0", 0.0),
        ("Fri, 29 May 2026 12:00:30 GMT", 30.0),
        ("Fri, 29 May 2026 11:00:00 GMT", 0.0),
        ("99999999999999", 86400.0),
        ("Fri, 29 May 2099 11:00:00 GMT", 86400.0),
        ("-5", None),
        ("soon", None),
        ("1e400", None),
        ("", None),
    ],
)
def test_retry_after_is_read_as_seconds_or_date(status: str, value: str, seconds: float | None) -> None:
    noon = WebhookChannel(now=lambda: 1_780_056_000.0)

    with Sink(answer(status, f"Retry-After: {value}")) as sink:
        error = failure(sink.url, channel=noon)

    assert error.retry_after == seconds
    assert not error.is_permanent


@each_case(("status", "is_permanent"), [(301, True), (302, False), (303, False), (307, False), (308, True)])
def test_redirect_is_a_failure_and_nobody_goes_there(status: int, is_permanent: bool) -> None:
    with Sink(answer("200 OK")) as canary, Sink(answer(f"{status} Moved", f"Location: {canary.url}")) as sink:
        error = failure(sink.url)

        assert error.reason == f"HTTP {status}: redirects are not followed; the rule must have the final URL"
        assert error.is_permanent is is_permanent
        assert canary.connections == 0


@each_case(
    "behave",
    [
        silence,
        dribble(b"HTTP/1.1 200 OK\r\nX-A: ", b"a"),
        dribble(b"H", b""),
        dribble(b"HTTP/1.1 100 Continue\r\n\r\n", b""),
    ],
    ids=["silent", "dribbling header", "half a word", "only continue"],
    together=True,
)
def test_server_that_never_finishes_its_answer_ends_with_the_deadline(behave: Any) -> None:
    with Sink(behave) as sink:
        error = failure(sink.url, deadline=SHORT)

        assert error.reason == f"http://127.0.0.1:{sink.port}: no response within 1.5 s"
        assert not error.is_permanent


def test_server_that_dribbles_the_body_has_taken_the_message_and_is_left() -> None:
    with Sink(dribble(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n", b"x")) as sink:
        said = send(sink.url, deadline=SHORT)

        assert said == "HTTP 200"
        assert sink.hung_up.wait(PATIENCE)


def test_answer_of_a_gigabyte_is_left_after_64_kilobytes() -> None:
    size = 1024**3
    with Sink(flood(f"HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n".encode(), size)) as sink:
        said = send(sink.url)

        assert said == "HTTP 200"
        assert sink.hung_up.wait(PATIENCE)
    assert ANSWER_LIMIT == 65536


def test_head_without_end_is_refused() -> None:
    with Sink(flood(b"HTTP/1.1 200 OK\r\nX-Long: ", 64 * 1024**2)) as sink:
        error = failure(sink.url)

    assert "invalid response" in error.reason
    assert not error.is_permanent


def test_compressed_answer_is_not_unfolded() -> None:
    bomb = gzip.compress(b"\0" * 50_000_000)
    with Sink(answer("500 Error", "Content-Encoding: gzip", body=bomb)) as sink:
        error = failure(sink.url)

    assert error.reason == "HTTP 500"


def say_nothing(_sock: socket.socket, _end: threading.Event) -> None:
    """Close the connection at once."""


def speak_another_protocol(sock: socket.socket, _end: threading.Event) -> None:
    sock.sendall(b"SSH-2.0-OpenSSH_9\r\n\r\n")


@pytest.mark.parametrize(
    ("behave", "reason"),
    [
        (reset, "Connection reset by peer"),
        (say_nothing, "disconnected without sending a response"),
        (speak_another_protocol, "invalid response"),
    ],
    ids=["reset", "closed", "another protocol"],
)
def test_broken_connection_is_tried_again(behave: Any, reason: str) -> None:
    with Sink(behave) as sink:
        error = failure(sink.url)

    assert reason in error.reason
    assert not error.is_permanent


def refuse_early(sock: socket.socket, _end: threading.Event) -> None:
    """Answer and hang up while the request is still coming."""
    sock.recv(1)
    sock.sendall(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")


def test_answer_given_before_the_request_was_read_is_understood() -> None:
    with RawSink(refuse_early) as sink, pytest.raises(SendError) as caught:
        WebhookChannel().send(
            {"url": sink.url},
            {"method": "POST", "content_type": "text/plain", "body": "x" * 20_000_000},
            key="k",
            deadline=PATIENCE,
        )

    assert caught.value.reason == "HTTP 413"


def test_nobody_listening_is_tried_again() -> None:
    with Sink(reset) as sink:
        url = sink.url
    error = failure(url)

    assert "refused" in error.reason
    assert not error.is_permanent


def test_name_that_does_not_exist_is_tried_again() -> None:
    def unknown(_host: str, _port: int) -> list[str]:
        raise OSError("Name or service not known")

    error = failure("https://nowhere.example.org/x?token=secret", channel=WebhookChannel(resolver=unknown))

    assert error.reason == "https://nowhere.example.org: Name or service not known"
    assert not error.is_permanent


def test_resolver_that_hangs_ends_with_the_deadline() -> None:
    release = threading.Event()

    def hanging(_host: str, _port: int) -> list[str]:
        release.wait(PATIENCE * 3)
        return []

    error = failure("https://slow.example.org/x", deadline=SHORT, channel=WebhookChannel(resolver=hanging))
    release.set()

    assert error.reason == "https://slow.example.org: no response within 1.5 s"


# --- answers with a good status that say no --------------------------------------------------------


def ask(host: str, body: bytes, settings: Any, *, status: str = "200 OK", **config: Any) -> str:
    """Send to a name that leads to a server here, which answers with this body."""
    settings.SCHEDULER_WEBHOOK_ALLOW = [host]
    channel = WebhookChannel(resolver=lambda _host, _port: ["127.0.0.1"])
    with Sink(answer(status, body=body)) as sink:
        return send(f"http://{host}:{sink.port}/robot?token=hush", channel=channel, **config)


def test_a_robot_that_refuses_the_message_is_a_failure_with_its_text(settings: Any) -> None:
    with pytest.raises(SendError) as caught:
        ask("oapi.dingtalk.com", b'{"errcode":310000,"errmsg":"keywords not in content"}', settings)

    assert caught.value.reason == (
        "HTTP 200, but the response reports a failure: errcode 310000: keywords not in content"
    )
    assert caught.value.is_permanent


def test_a_robot_that_was_asked_too_often_is_tried_again(settings: Any) -> None:
    with pytest.raises(SendError) as caught:
        ask("qyapi.weixin.qq.com", b'{"errcode":45009,"errmsg":"api freq out of limit"}', settings)

    assert "errcode 45009: api freq out of limit" in caught.value.reason
    assert not caught.value.is_permanent


def test_a_robot_that_asks_to_wait_is_tried_again_after_that_time(settings: Any) -> None:
    body = b'{"ok":false,"error_code":429,"description":"Too Many Requests","parameters":{"retry_after":31}}'

    with pytest.raises(SendError) as caught:
        ask("api.telegram.org", body, settings)

    assert (caught.value.retry_after, caught.value.is_permanent) == (31.0, False)


def test_a_robot_that_takes_the_message_is_a_success(settings: Any) -> None:
    assert ask("oapi.dingtalk.com", b'{"errcode":0,"errmsg":"ok"}', settings) == "HTTP 200"
    assert ask("oapi.dingtalk.com", b"", settings, status="204 No Content") == "HTTP 204"


def test_the_answer_of_another_host_is_judged_by_its_status(settings: Any) -> None:
    assert ask("hooks.example.org", b'{"errcode":310000,"errmsg":"no"}', settings) == "HTTP 200"


WANTED = {"path": "result.code", "equals": 0}


def test_the_answer_of_any_host_must_have_what_the_channel_says(settings: Any) -> None:
    assert ask("h.example.org", b'{"result": {"code": 0}}', settings, success_when=WANTED) == "HTTP 200"
    for body, reason in (
        (b'{"result": {"code": 7}}', "HTTP 200, but result.code of the response is not 0"),
        (b'{"result": null}', "HTTP 200, but the response has no result.code; it must be 0"),
        (b"ok", "HTTP 200, but the response is not JSON; its result.code must be 0"),
    ):
        with pytest.raises(SendError) as caught:
            ask("h.example.org", body, settings, success_when=WANTED)
        # What an allowed inner host answers is not shown, and what it means is not known: it is tried again.
        assert (caught.value.reason, caught.value.is_permanent) == (reason, False)


def test_what_the_channel_says_counts_in_the_place_of_what_is_known_of_the_host(settings: Any) -> None:
    own = {"path": "errcode", "equals": 7}

    assert ask("oapi.dingtalk.com", b'{"errcode":7}', settings, success_when=own) == "HTTP 200"


def test_of_an_answer_without_end_only_the_begin_is_read_and_judged(settings: Any) -> None:
    settings.SCHEDULER_WEBHOOK_ALLOW = ["oapi.dingtalk.com"]
    channel = WebhookChannel(resolver=lambda _host, _port: ["127.0.0.1"])
    size = 64 * 1024**2

    with Sink(flood(f"HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n".encode(), size)) as sink:
        assert send(f"http://oapi.dingtalk.com:{sink.port}/", channel=channel) == "HTTP 200"
        assert sink.hung_up.wait(PATIENCE)


# --- the guard, with a canary on loopback -----------------------------------------------------------


@pytest.fixture
def canary(settings: Any) -> Iterator[Sink]:
    settings.SCHEDULER_WEBHOOK_ALLOW = []
    with Sink(answer("200 OK")) as server:
        yield server


@each_case("host", targets.LITERALS)
def test_no_spelling_reaches_the_canary(canary: Sink, host: str) -> None:
    error = failure(f"http://{host}:{canary.port}/")

    assert "is not a permitted target" in error.reason
    assert error.is_permanent
    assert canary.connections == 0


@each_case("answers", targets.ANSWERS, ids=" ".join)
def test_no_name_reaches_the_canary(canary: Sink, answers: tuple[str, ...]) -> None:
    channel = WebhookChannel(resolver=lambda _host, _port: list(answers))

    error = failure(f"http://hooks.example.org:{canary.port}/", channel=channel)

    assert error.reason.startswith("hooks.example.org resolves to ")
    assert error.is_permanent
    assert canary.connections == 0


def test_name_that_changes_its_address_after_the_check_gains_nothing(canary: Sink, settings: Any) -> None:
    """Rebinding: the first answer is permitted, and nobody listens there; any later one is the canary."""
    settings.SCHEDULER_WEBHOOK_ALLOW = ["127.0.0.2"]
    asked: list[str] = []

    def rebinding(host: str, _port: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.2"] if len(asked) == 1 else ["127.0.0.1"]

    error = failure(f"http://rebind.example.org:{canary.port}/", channel=WebhookChannel(resolver=rebinding))

    assert asked == ["rebind.example.org"]
    assert "Connection refused" in error.reason
    assert canary.connections == 0


def test_connection_goes_to_the_checked_address_with_the_name_in_host(sink: Sink, settings: Any) -> None:
    settings.SCHEDULER_WEBHOOK_ALLOW = ["127.0.0.0/8"]
    asked: list[str] = []

    def once(host: str, _port: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"]

    send(f"http://hooks.example.org:{sink.port}/hook", channel=WebhookChannel(resolver=once))

    assert asked == ["hooks.example.org"]
    assert sink.next().header("Host") == f"hooks.example.org:{sink.port}"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tls")
    path = folder / "hooks.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", folder / "key.pem", "-out", folder / "cert.pem",
         "-days", "2", "-subj", "/CN=hooks.example.org", "-addext", "subjectAltName=DNS:hooks.example.org"],
        check=True,
        capture_output=True,
    )  # fmt: skip
    path.write_text((folder / "cert.pem").read_text() + (folder / "key.pem").read_text())
    return path


def test_tls_is_checked_against_the_name_although_the_connection_goes_to_an_address(
    certificate: Path, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from notifications.transport import http

    settings.SCHEDULER_WEBHOOK_ALLOW = ["127.0.0.1"]
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificate)
    seen: list[str | None] = []
    server.sni_callback = lambda _sock, name, _context: seen.append(name)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    http._ssl_context.cache_clear()
    channel = WebhookChannel(resolver=lambda _host, _port: ["127.0.0.1"])

    with Sink(answer("200 OK"), tls=server) as sink:
        said = send(f"https://hooks.example.org:{sink.port}/", channel=channel)
        wrong = failure(f"https://other.example.org:{sink.port}/", channel=channel)
    http._ssl_context.cache_clear()

    assert said == "HTTP 200"
    assert seen == ["hooks.example.org", "other.example.org"]
    assert "certificate verify failed" in wrong.reason


def test_tls_handshake_that_dribbles_ends_with_the_deadline() -> None:
    with RawSink(dribble(b"\x16\x03\x03\x40\x00\x02", b"\x00")) as sink:
        error = failure(f"https://127.0.0.1:{sink.port}/", deadline=SHORT)

    assert "no response within 1.5 s" in error.reason


def test_proxies_of_the_environment_are_not_used(sink: Sink, monkeypatch: pytest.MonkeyPatch) -> None:
    with Sink(answer("200 OK")) as proxy:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        send(sink.url)

        assert proxy.connections == 0
    assert isinstance(sink.next(), Received)


# --- what the documentation tells receivers ---------------------------------------------------------


def _example(language: str) -> str:
    page = (Path(__file__).parents[2] / "docs" / "channels.md").read_text(encoding="utf-8")
    [block] = re.findall(rf"```{language}\n(.*?)```", page, re.DOTALL)
    return str(block)


def test_documented_python_accepts_genuine_requests_only(sink: Sink) -> None:
    send(sink.url, secret="correct horse")
    request = sink.next()
    names: dict[str, Any] = {}
    exec(_example("python"), names)
    is_genuine = names["is_genuine"]
    timestamp, signature = request.header("X-Schedsite-Timestamp"), request.header("X-Schedsite-Signature")

    assert is_genuine("correct horse", timestamp, signature, request.body)
    assert not is_genuine("other secret", timestamp, signature, request.body)
    assert not is_genuine("correct horse", timestamp, signature, request.body + b" ")
    assert not is_genuine("correct horse", "1780000000", signature, request.body)


@pytest.mark.parametrize(("more", "said"), [(b"", "genuine\n"), (b" ", "")])
def test_documented_shell_accepts_genuine_requests_only(
    sink: Sink, tmp_path: Path, more: bytes, said: str
) -> None:
    send(sink.url, secret="correct horse")
    request = sink.next()
    (tmp_path / "body.bin").write_bytes(request.body + more)

    done = subprocess.run(
        ["sh", "-c", _example("sh")],
        cwd=tmp_path,
        env={
            "PATH": os.environ["PATH"],
            "secret": "correct horse",
            "timestamp": request.header("X-Schedsite-Timestamp") or "",
            "signature": request.header("X-Schedsite-Signature") or "",
        },
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.stdout == said
    assert done.stderr == ""
