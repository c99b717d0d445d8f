"""The apprise channel: real services against local servers, and what its process must not do."""

from __future__ import annotations

import json
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import apprise
import pytest

from notifications.channels.apprise import services
from notifications.channels.apprise.channel import AppriseChannel
from notifications.channels.apprise.checks import check_url
from notifications.channels.apprise.process import REFUSED_SERVICES
from notifications.channels.apprise.robot_addresses import _BY_END, _BY_HOST
from notifications.channels.apprise.services import missing_in
from notifications.exceptions import SendError
from notifications.messages.context import Facts
from scheduler.engine.reasons import Reason
from tests.notify import FULL
from tests.sinks import PATIENCE, Mailbox, RawSink, Sink, answer, dribble, flood, mail_server, reset, silence
from tests.support.cases import each_case
from tests.unit.corpora import headers, targets

CHANNEL = AppriseChannel()
FACTS = Facts(FULL, "technical_failure", "en")
#: Seconds; the process needs most of it to load the services on a loaded machine.
SHORT = 5.0


@pytest.fixture(autouse=True)
def loopback_is_allowed(settings: Any) -> None:
    settings.SCHEDULER_WEBHOOK_ALLOW = ["127.0.0.1"]


@pytest.fixture
def sink() -> Iterator[Sink]:
    with Sink(answer("200 OK")) as server:
        yield server


def send(*urls: str, deadline: float = PATIENCE, told: Facts = FACTS, **config: Any) -> str:
    config = {"type": "apprise", "urls": list(urls), **config}
    return str(CHANNEL.send(config, CHANNEL.compose(config, told), key="delivery-7", deadline=deadline))


def failure(*urls: str, **options: Any) -> SendError:
    with pytest.raises(SendError) as caught:
        send(*urls, **options)
    return caught.value


def test_json_service_gets_title_text_and_kind(sink: Sink) -> None:
    said = send(
        f"json://127.0.0.1:{sink.port}/hook",
        told=Facts({**FULL, "task_name": "夜间备份"}, "timeout", "zh-hans"),
    )

    body = json.loads(sink.next().body)
    assert said == "sent to json"
    assert body["title"] == "夜间备份 连续 3 次运行超时"
    assert "No space left on device\n" in body["message"]
    assert "https://schedsite.example.org/x/4711" in body["message"]
    assert body["type"] == "failure"


def test_templates_of_the_rule_are_used_and_not_read_as_escapes_or_markup(sink: Sink) -> None:
    send(
        f"json://127.0.0.1:{sink.port}",
        subject_template="{{task_id}}",
        body_template="a\\n<b> :smile: {{reason}}",
        told=Facts({**FULL, "reason": "{{task_id}} ${X} %s"}, "success", "en"),
    )

    body = json.loads(sink.next().body)
    assert body["title"] == "backup"
    assert body["message"] == "a\\n<b> :smile: {{task_id}} ${X} %s"
    assert body["type"] == "success"


def test_composed_message_tells_services_and_nothing_else_of_their_urls() -> None:
    urls = ["slack://T0KENAAAA/B0KENBBBB/T0KENCCCCCCCCCCCCCCCCCCC/#ops", "mailtos://me:pa55word@example.org"]

    content = CHANNEL.compose({"urls": urls}, FACTS)

    stored = json.dumps(content)
    assert [service["kind"] for service in content["services"]] == ["slack", "mailtos"]
    assert not [word for word in ("KEN", "pa55word", "me:", "example.org/x?") if word in stored]


def test_failure_says_what_the_service_answered() -> None:
    with Sink(answer("500 Error", body=b"no")) as sink:
        error = failure(f"json://127.0.0.1:{sink.port}/")

    assert error.reason.startswith("json: ")
    assert "500" in error.reason
    assert not error.is_permanent


def test_failure_does_not_tell_the_secrets_of_the_url() -> None:
    with Sink(answer("401 No")) as sink:
        error = failure(f"json://user:pa55word@127.0.0.1:{sink.port}/t0kenInThePath?+X-Key=headerSecret")

    assert not [word for word in ("pa55word", "t0kenInThePath", "headerSecret") if word in error.reason]


@pytest.mark.parametrize(
    ("url", "body", "reason", "is_permanent"),
    [
        (
            "bark://127.0.0.1:{port}/devicekey",
            b'{"code":400,"message":"no such device"}',
            "code 400: no such device",
            True,
        ),
        (
            "bark://127.0.0.1:{port}/devicekey",
            b'{"code":429,"message":"slow down"}',
            "code 429: slow down",
            False,
        ),
        (
            "pushdeer://127.0.0.1:{port}/PDU1Tabc",
            b'{"code":80501,"error":"bad pushkey"}',
            "code 80501: bad pushkey",
            True,
        ),
    ],
)
def test_a_service_that_refuses_with_status_200_is_a_failure(
    url: str, body: bytes, reason: str, is_permanent: bool
) -> None:
    with Sink(answer("200 OK", body=body)) as sink:
        error = failure(url.format(port=sink.port))

    assert error.reason == f"{url.partition(':')[0]}: the response reports a failure: {reason}"
    assert error.is_permanent is is_permanent


def test_a_service_that_takes_the_message_is_a_success() -> None:
    with Sink(answer("200 OK", body=b'{"code":200,"message":"success"}')) as sink:
        assert send(f"bark://127.0.0.1:{sink.port}/devicekey") == "sent to bark"


#: Their addresses are part of their plugins, so these are pointed at a server here first.
FIXED = """
import json, sys
from notifications.channels.apprise import process
send = process._load()
import apprise.plugins.dingtalk, apprise.plugins.wecombot, apprise.plugins.serverchan, apprise.plugins.feishu
url, target = sys.argv[1:]
for module in ("dingtalk", "wecombot", "serverchan", "feishu"):
    for plugin in vars(sys.modules["apprise.plugins." + module]).values():
        if getattr(plugin, "notify_url", "").startswith("https://"):
            plugin.notify_url = target
request = {"title": "t", "body": "b", "level": "failure"}
guard = process._Guard(process.parse_allow_list(["127.0.0.1"]))
print(json.dumps(process._outcome({"id": "1", "url": url}, request, send, guard)))
"""


@pytest.mark.parametrize(
    ("url", "body", "reason", "is_refused"),
    [
        ("dingtalk://" + "0a" * 32, b'{"errcode":310000,"errmsg":"keywords not in content"}', "errcode 310000: keywords not in content", True),
        ("dingtalk://" + "0a" * 32, b'{"errcode":130101,"errmsg":"send too fast"}', "errcode 130101: send too fast", False),
        ("wecombot://693a91f6-7abc-4bc4-97a0-0ec2bifa5aaa", b'{"errcode":93000,"errmsg":"invalid webhook"}', "errcode 93000: invalid webhook", True),
        ("wecombot://693a91f6-7abc-4bc4-97a0-0ec2bifa5aaa", b'{"errcode":45009,"errmsg":"freq"}', "errcode 45009: freq", False),
        ("schan://SCT123TABC", b'{"code":40001,"message":"bad key"}', "code 40001: bad key", True),
        ("feishu://3c0a4c5e-1234-4f6a-9abc-0123456789ab", b'{"code":19024,"msg":"Key Words Not Found"}', "code 19024: Key Words Not Found", True),
        ("dingtalk://" + "0a" * 32, b'{"errcode":0,"errmsg":"ok"}', "", False),
    ],
)  # fmt: skip
def test_a_robot_that_refuses_with_status_200_is_a_failure(
    url: str, body: bytes, reason: str, is_refused: bool
) -> None:
    with Sink(answer("200 OK", body=body)) as sink:
        target = f"http://127.0.0.1:{sink.port}/"
        done = subprocess.run(
            [sys.executable, "-c", FIXED, url, target],
            capture_output=True,
            text=True,
            check=True,
            timeout=PATIENCE,
        )
        assert sink.next().line.startswith("POST /")

    outcome = json.loads(done.stdout)
    assert outcome["is_sent"] is not bool(reason)
    said_no = {"code": "service_says_no", "params": {"answer": reason}}
    assert outcome["reason"] == (said_no if reason else None)
    assert outcome["is_refused"] is is_refused


# --- addresses of which Apprise makes no service ----------------------------------------------------


@each_case(
    ("url", "reason"),
    [
        ("slack://notenough", "slack://•••••• is not an Apprise URL: An invalid Slack"),
        ("tgram://hush", "tgram://•••••• is not an Apprise URL: Unparseable"),
        ("https://hooks.example.org/hush", "https://•••••• is not an Apprise URL; use a webhook channel for your own web address"),
        ("https://oapi.dingtalk.com/robot/send?access_token=hush", "https://•••••• is not an Apprise URL; for DingTalk use dingtalk://ACCESS_TOKEN"),
        ("https://open.feishu.cn/open-apis/bot/v2/hook/hush", "https://•••••• is not an Apprise URL; for Feishu use feishu://TOKEN"),
        ("https://api.telegram.org/bot1:hush/sendMessage", "https://•••••• is not an Apprise URL; for Telegram use tgram://BOT_TOKEN/CHAT_ID"),
        ("https://hooks.slack.com/services/hush", "for Slack use slack://TOKEN_A/TOKEN_B/TOKEN_C"),
        ("https://discord.com/api/webhooks/hush", "for Discord use discord://WEBHOOK_ID/WEBHOOK_TOKEN"),
        ("https://t.webhook.office.com/webhookb2/hush", "for Microsoft Teams use workflows://HOST/WORKFLOW/SIGNATURE"),
        ("https://qyapi.weixin.qq.com/cgi-bin/webhook/hush", "for WeCom use wecombot://KEY"),
        ("https://sctapi.ftqq.com/hush.send", "for ServerChan use schan://SEND_KEY"),
        ("https://api.day.app/hush", "for Bark use barks://api.day.app/DEVICE_KEY"),
    ],
)  # fmt: skip
def test_an_address_of_which_apprise_makes_no_service_is_refused_without_its_secret(
    url: str, reason: str
) -> None:
    with pytest.raises(ValueError) as caught:
        check_url(url)

    assert reason in str(caught.value)
    assert "hush" not in str(caught.value)


@each_case(
    "url",
    [
        "dingtalk://" + "0a" * 32,
        "ntfy://topic",
        "mailto://user:password@example.org",
        "https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=693a91f6-7abc-4bc4-97a0-0ec2bifa5aaa",
        "https://hooks.slack.com/services/T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ",
    ],
)
def test_an_address_of_which_apprise_makes_a_service_is_taken(url: str) -> None:
    check_url(url)


#: A value for each word in capitals of an offered form.
WORDS = {
    "pushplus://TOKEN": "pushplus://" + "0a" * 16,
    "WEBHOOK_TOKEN": "JHMHI8qBe7bk2ZwO5U711o3dV_js",
    "ACCESS_TOKEN": "0a" * 32,
    "APP_TOKEN": "AT_abc123abc123abc123abc123",
    "BOT_TOKEN/CHANNEL": "xoxb-1234-1234-4ddbc191d40ee098cbaae6f3523ada2d/#general",
    "BOT_TOKEN": "123456789:abcdefg_hijklmnop",
    "CHAT_ID": "12315544",
    "DEVICE_KEY": "abcdefgh",
    "HOST": "prod-1.westeurope.logic.azure.com:443",
    "SEND_KEY": "SCT123TABC",
    "PUSH_KEY": "PDU1Tabc",
    "TOKEN_A": "T1JJ3T3L2",
    "TOKEN_B": "A1BRTD4JD",
    "TOKEN_C": "TIiajkdnlazkcOXrIdevi7FQ",
    "TOPIC_ID": "123",
    "USER_KEY": "uQiRzpo4DXghDmr9QzzfQu27cmVRsG",
    "WEBHOOK_ID": "4174216298",
}


def test_each_form_that_is_offered_is_one_of_apprise() -> None:
    forms = {form for _name, form in (*_BY_HOST.values(), *_BY_END.values())}

    wrong = {}
    for form in forms:
        url = form
        for word, value in WORDS.items():
            url = url.replace(word, value)
        if missing_in(url):
            wrong[url] = missing_in(url)
    assert len(forms) > 15 and wrong == {}


def test_a_url_is_checked_again_after_the_process_ended_or_was_killed() -> None:
    assert missing_in("ntfy://first") == ""
    process = services._checker._process
    assert process is not None
    process.kill()
    process.wait()

    assert missing_in("ntfy://second") == ""
    services._checker.end()
    assert missing_in("ntfy://third") == ""


def test_a_url_is_taken_unchecked_when_apprise_does_not_answer(monkeypatch: Any, caplog: Any) -> None:
    services._checker.end()
    monkeypatch.setattr(services, "_PROCESS", ["/bin/false"])

    assert missing_in("slack://unchecked") == ""
    assert "could not be asked about a URL" in caplog.text


def test_one_failing_service_does_not_keep_the_message_from_the_others_nor_repeat_it(sink: Sink) -> None:
    with Sink(answer("503 Later")) as broken:
        urls = [f"json://127.0.0.1:{broken.port}/", f"json://127.0.0.1:{sink.port}/", "form://127.0.0.1:1/"]
        error = failure(*urls)

    assert sink.connections == 1
    assert error.reason.endswith("(sent to json)")
    assert error.content is not None
    assert [service["kind"] for service in error.content["services"]] == ["json", "form"]
    with pytest.raises(SendError) as again:
        CHANNEL.send({"urls": urls}, error.content, key="delivery-7", deadline=PATIENCE)
    assert again.value.content is None
    assert sink.connections == 1


def test_service_that_was_taken_out_of_the_rule_gets_nothing(sink: Sink) -> None:
    content = CHANNEL.compose({"urls": [f"json://127.0.0.1:{sink.port}/"]}, FACTS)

    with pytest.raises(SendError, match="the services of this message are no longer in the rule") as caught:
        CHANNEL.send({"urls": ["json://127.0.0.1:1/"]}, content, key="k", deadline=PATIENCE)

    assert caught.value.is_permanent
    assert sink.connections == 0


@each_case(
    "behave",
    [silence, dribble(b"HTTP/1.1 200 OK\r\nX-A: ", b"a"), dribble(b"HTTP/1.1 200 OK\r\n\r\n", b"x")],
    ids=["silent", "head", "body"],
    together=True,
)
def test_service_that_never_finishes_ends_with_the_deadline_and_the_others_got_theirs(behave: Any) -> None:
    with Sink(behave) as slow, Sink(answer("200 OK")) as sink:
        error = failure(
            f"json://127.0.0.1:{slow.port}/?rto=600", f"json://127.0.0.1:{sink.port}/", deadline=SHORT
        )

        assert error.reason == "json: not finished within 5 s (sent to json)"
        assert not error.is_permanent
        assert behave is silence or slow.hung_up.wait(PATIENCE)
        assert sink.connections == 1


def test_answer_of_a_gigabyte_is_left() -> None:
    size = 1024**3
    with Sink(flood(f"HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n".encode(), size)) as sink:
        said = send(f"json://127.0.0.1:{sink.port}/")

        assert said == "sent to json"
        assert sink.hung_up.wait(PATIENCE)


def test_broken_connection_is_tried_again() -> None:
    with Sink(reset) as sink:
        error = failure(f"json://127.0.0.1:{sink.port}/")

    assert error.reason.startswith("json: ")
    assert not error.is_permanent


def test_redirect_is_not_followed() -> None:
    statuses = (301, 302, 303, 307, 308)
    with Sink(answer("200 OK")) as canary, ExitStack() as stack:
        sinks = [
            stack.enter_context(Sink(answer(f"{status} Moved", f"Location: {canary.url}")))
            for status in statuses
        ]
        error = failure(
            *(f"json://127.0.0.1:{sink.port}/{option}" for sink in sinks for option in ("", "?redirect=yes"))
        )

        assert [error.reason.count(f"error={status}") for status in statuses] == [2] * 5, error.reason
        assert canary.connections == 0


# --- what the process must not do -------------------------------------------------------------------


@pytest.fixture
def canary(settings: Any) -> Iterator[Sink]:
    settings.SCHEDULER_WEBHOOK_ALLOW = []
    with Sink(answer("200 OK")) as server:
        yield server


def test_no_spelling_reaches_the_canary(canary: Sink) -> None:
    """All at once, as far as Apprise takes them for hosts: each rule has up to 20 services."""
    hosts = list(targets.LITERALS)
    for begin in range(0, len(hosts), 20):
        error = failure(*(f"json://{host}:{canary.port}/" for host in hosts[begin : begin + 20]))

        assert "(sent to" not in error.reason
    assert canary.connections == 0


KINDS = (
    "json://{host}/",
    "xml://{host}/",
    "form://{host}/",
    "ntfy://{host}/topic",
    "gotify://{host}/aaaaaaaaaaaaaaa",
    "apprise://{host}/token",
    "matrix://user:pass@{host}/#room",
    "rocket://user:password@{host}/#channel",
    "mmost://{host}/aaaaaaaaaaaaaaaaaaaaaaaa",
    "hassio://{host}/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "kodi://{host}",
    "emby://user:password@{host}",
    "synology://{host}/token",
    "mailto://{host}?from=a@example.org&to=b@example.org&smtp=127.0.0.1",
    "irc://{host}/%23channel",
)


def test_no_kind_of_service_reaches_the_canary(canary: Sink) -> None:
    urls = [url.format(host=f"127.0.0.1:{canary.port}") for url in KINDS]

    error = failure(*urls)

    said = error.reason.split("; ")
    assert error.reason.count("is not a permitted target (loopback)") == len(KINDS), said
    assert canary.connections == 0


def test_reason_of_a_refused_connection_names_the_address_and_the_setting(canary: Sink) -> None:
    error = failure(f"json://127.0.0.1:{canary.port}/")

    assert error.reason == (
        "json: 127.0.0.1 is not a permitted target (loopback); SCHEDULER_WEBHOOK_ALLOW can permit it"
    )
    assert error.is_permanent


def test_name_of_the_allow_list_reaches_whatever_it_resolves_to(canary: Sink, settings: Any) -> None:
    settings.SCHEDULER_WEBHOOK_ALLOW = ["localhost"]

    said = send(f"json://localhost:{canary.port}/")

    assert said == "sent to json"
    assert canary.connections == 1


def test_mail_service_reaches_a_permitted_server() -> None:
    box = Mailbox()
    with mail_server(box) as port:
        said = send(f"mailto://127.0.0.1:{port}?from=a@example.org&to=b@example.org&smtp=127.0.0.1")

    assert said == "sent to mailto"
    assert [envelope for envelope, _mail in box.mails] == [["b@example.org"]]


def test_mail_service_that_dribbles_ends_with_the_deadline() -> None:
    with RawSink(dribble(b"220-hello\r\n", b"220-more\r\n")) as sink:
        error = failure(
            f"mailto://127.0.0.1:{sink.port}?from=a@example.org&to=b@example.org&smtp=127.0.0.1",
            deadline=SHORT,
        )

        assert error.reason == "mailto: not finished within 5 s"
        assert sink.hung_up.wait(PATIENCE)


def test_service_that_acts_on_this_machine_is_refused() -> None:
    kinds = sorted(REFUSED_SERVICES)

    error = failure(*(f"{kind}://example.org/x" for kind in kinds))

    assert error.reason == "; ".join(f"{kind}: {Reason(REFUSED_SERVICES[kind])}" for kind in kinds)
    assert error.is_permanent


def test_no_service_reads_files_of_the_server(tmp_path: Path, sink: Sink) -> None:
    secret = tmp_path / "secret.json"
    secret.write_text('{"text": "CANARY-IN-A-FILE"}')
    content = str(secret)
    urls = [
        f"slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/?template={content}",
        f"workflow://127.0.0.1:{sink.port}/workflowid/signature/?template={content}",
        f"discord://i{'a' * 24}/t{'b' * 64}/?template={content}",
        f"tgram://123456789:abcdefg_hijklmnop/12315544/?template={content}",
    ]

    error = failure(*urls)

    assert error.reason.count("files of the server are not read") >= 3
    assert "CANARY" not in error.reason
    assert sink.received.empty()


def test_process_has_neither_secrets_nor_proxies_of_the_site(
    sink: Sink, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_KEY", "CANARY")
    with Sink(answer("200 OK")) as proxy:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")

        send(f"json://127.0.0.1:{sink.port}/")

        assert proxy.connections == 0
    assert sink.connections == 1


def test_certificates_of_the_administrator_are_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    settings.SCHEDULER_WEBHOOK_ALLOW = ["localhost"]
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", tmp_path / "key.pem", "-out",
         tmp_path / "cert.pem", "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"],
        check=True,
        capture_output=True,
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")

    with Sink(answer("200 OK"), tls=context) as sink:
        stranger = failure(f"jsons://localhost:{sink.port}/")
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "cert.pem"))
        said = send(f"jsons://localhost:{sink.port}/")

    assert not stranger.is_permanent
    assert said == "sent to jsons"


@each_case("text", headers.TEXTS[::12])
def test_value_adds_no_header(sink: Sink, text: str) -> None:
    send(f"json://127.0.0.1:{sink.port}/", told=Facts({**FULL, "task_name": text}, "success", "en"))

    request = sink.next()
    assert {"x-injected", "bcc", "to"}.isdisjoint(name.lower() for name, _value in request.headers)
    assert len(json.loads(request.body)["title"].splitlines()) == 1


# Plugins that open connections by something else than requests, or act on the machine. A new version of Apprise that
# brings another one must be looked at; the audit hook judges it in any case.
KNOWN_OTHERS = {
    *("dbus", "glib", "gnome", "macosx", "windows", "blink1", "syslog", "rsyslog", "vapid"),  # refused
    *(
        "amqp",
        "aprs",
        "email",
        "groundmail",
        "growl",
        "irc",
        "mqtt",
        "nostr",
        "smpp",
        "xmpp",
    ),  # judged by the hook
}


def test_every_plugin_that_does_not_use_requests_is_known() -> None:
    folder = Path(apprise.__file__).parent / "plugins"
    others = set()
    for path in folder.iterdir():
        files = list(path.glob("*.py")) if path.is_dir() else [path]
        text = "\n".join(file.read_text(encoding="utf-8") for file in files if file.suffix == ".py")
        name = path.stem
        if name.startswith("_") or name == "base" or not text:
            continue
        if "requests.post" not in text and "requests.get" not in text and "requests.request" not in text:
            others.add(name)

    assert others - KNOWN_OTHERS - {"guilded", "jellyfin", "deltachat", "fcm"} == set()


# --- the hook itself, in a process of its own -------------------------------------------------------

SCRIPT = """
import asyncio, http.client, os, smtplib, socket, subprocess, sys, urllib.request
from notifications.transport.targets import parse_allow_list
from notifications.channels.apprise.process import _Guard
port = int(sys.argv[1])
actions = {
    "connect": lambda: socket.socket().connect(("127.0.0.1", port)),
    "connect_ex": lambda: socket.socket().connect_ex(("127.0.0.1", port)),
    "connect by name": lambda: socket.socket().connect(("localhost", port)),
    "connect by number": lambda: socket.socket().connect(("2130706433", port)),
    "create_connection": lambda: socket.create_connection(("localhost", port)),
    "IPv6": lambda: socket.socket(socket.AF_INET6).connect(("::ffff:127.0.0.1", port)),
    "IPv6 scope": lambda: socket.socket(socket.AF_INET6).connect(("fe80::1%lo", port)),
    "unix socket": lambda: socket.socket(socket.AF_UNIX).connect("/tmp/x"),
    "abstract socket": lambda: socket.socket(socket.AF_UNIX).connect(b"\\0x"),
    "datagram": lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("127.0.0.1", port)),
    "datagram by name": lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("localhost", port)),
    "sendmsg": lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendmsg([b"x"], [], 0, ("127.0.0.1", port)),
    "http": lambda: http.client.HTTPConnection("127.0.0.1", port).request("GET", "/"),
    "urllib": lambda: urllib.request.urlopen(f"http://127.0.0.1:{port}/"),
    "smtp": lambda: smtplib.SMTP("127.0.0.1", port),
    "asyncio": lambda: asyncio.run(asyncio.open_connection("127.0.0.1", port)),
    "subprocess": lambda: subprocess.run(["true"]),
    "system": lambda: os.system("true"),
    "fork": lambda: os.fork(),
    "exec": lambda: os.execv("/bin/true", ["true"]),
    "spawn": lambda: os.posix_spawn("/bin/true", ["true"], {}),
    "read": lambda: open("/etc/passwd"),
    "read by os": lambda: os.open("/etc/passwd", os.O_RDONLY),
    "read around": lambda: open(sys.prefix + "/lib/../../../../../../../etc/passwd"),
    "settings": lambda: open("manage.py"),
    "write": lambda: open(sys.prefix + "/x", "w"),
    "write in tmp": lambda: open("/tmp/x", "a"),
}
_Guard(parse_allow_list([])).install()
for name, action in actions.items():
    try:
        action()
    except OSError as error:
        print(name, "refused:" if isinstance(error.__cause__ or error, PermissionError) or "refused" in str(error)
              or "target_forbidden" in str(error) else "other:", error)
    else:
        print(name, "DONE")
"""


def test_hook_refuses_every_way_to_a_forbidden_address_a_program_or_a_file(canary: Sink) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
        datagrams.bind(("127.0.0.1", canary.port))
        datagrams.setblocking(False)
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT, str(canary.port)],
            cwd=Path(__file__).parents[2],
            capture_output=True,
            text=True,
            timeout=PATIENCE * 3,
            check=False,
        )
        with pytest.raises(BlockingIOError):
            datagrams.recv(10)

    lines = done.stdout.splitlines()
    assert len(lines) == 27, done.stderr
    assert [line for line in lines if " refused: " not in line] == []
    assert canary.connections == 0


def test_process_ends_by_itself_when_nobody_is_left_to_kill_it() -> None:
    with Sink(silence) as slow:
        request = {
            "services": [{"id": "a", "url": f"json://127.0.0.1:{slow.port}/?rto=600"}],
            "title": "t",
            "body": "b",
            "level": "info",
            "allow": ["127.0.0.1"],
            "seconds": 2,
        }
        process = subprocess.Popen(
            [sys.executable, "-m", "notifications.channels.apprise.process"],
            stdin=subprocess.PIPE,
            cwd=Path(__file__).parents[2],
        )
        process.communicate(json.dumps(request).encode(), timeout=PATIENCE * 3)

    assert process.returncode == -signal.SIGALRM
