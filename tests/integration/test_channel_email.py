"""The email channel against mail servers that behave as badly as real ones."""

from __future__ import annotations

import json
import re
import smtplib
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.smtp import AuthResult

from notifications.channels.email.advice import PLAIN_TO_TLS, TLS_TO_PLAIN, Situation, Step, advice
from notifications.channels.email.channel import EmailChannel, message_id
from notifications.exceptions import SendError
from notifications.messages.context import Facts
from notifications.messages.default_texts import EVENTS
from notifications.models import Delivery
from notifications.services.send_threads import send_due
from scheduler.engine.reasons import Reason
from tests.notify import FULL, finish_all
from tests.sinks import PATIENCE, Mailbox, RawSink, dribble, free_port, mail_server, silence
from tests.support.cases import each_case
from tests.unit.corpora import headers

#: Seconds; short enough for a test that waits for its end, long enough for a loaded machine to connect.
SHORT = 1.0
WANTS_TLS, WANTS_PLAIN = str(Reason(PLAIN_TO_TLS)), str(Reason(TLS_TO_PLAIN))
CHANNEL = EmailChannel()
HEADERS = sorted(
    "Auto-Submitted Content-Type Date From MIME-Version Message-ID Subject To X-Auto-Response-Suppress".split()  # noqa: SIM905
)


@pytest.fixture(autouse=True)
def real_backend(settings: Any) -> None:
    settings.EMAIL_BACKEND = "notifications.channels.email.smtp.EmailBackend"
    settings.EMAIL_HOST = "127.0.0.1"
    settings.DEFAULT_FROM_EMAIL = "Schedsite <schedsite@example.org>"


@pytest.fixture
def mailbox(settings: Any) -> Iterator[Mailbox]:
    box = Mailbox()
    with mail_server(box) as port:
        settings.EMAIL_PORT = port
        yield box


def facts(event: str = "technical_failure", language: str = "en", **values: Any) -> Facts:
    return Facts({**FULL, **values}, event, language)


def send(
    told: Facts | None = None,
    *,
    recipients: tuple[str, ...] = ("ops@example.org",),
    key: str = "delivery-7",
    deadline: float = PATIENCE,
    **config: Any,
) -> str:
    config = {"type": "email", "recipients": list(recipients), **config}
    return str(CHANNEL.send(config, CHANNEL.compose(config, told or facts()), key=key, deadline=deadline))


def failure(**options: Any) -> SendError:
    with pytest.raises(SendError) as caught:
        send(**options)
    return caught.value


def test_mail_arrives_as_text_and_html(mailbox: Mailbox) -> None:
    said = send(recipients=("ops@example.org", "boss@example.org"))

    [(envelope, mail)] = mailbox.mails
    text = mail.get_body(("plain",))
    html = mail.get_body(("html",))
    assert said == "accepted for 2 of 2 recipients"
    assert envelope == ["ops@example.org", "boss@example.org"]
    assert mail["To"] == "ops@example.org, boss@example.org"
    assert mail["From"] == "Schedsite <schedsite@example.org>"
    assert mail["Subject"] == "Nightly backup failed, 3 times in a row"
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail.get_content_type() == "multipart/alternative"
    assert text is not None
    assert html is not None
    assert "No space left on device" in text.get_content()
    assert '<a href="https://schedsite.example.org/x/4711">' in html.get_content()


@each_case("language", ["en", "zh-hans"])
@each_case("event", EVENTS)
def test_mail_of_each_event_holds_what_one_needs_to_know(mailbox: Mailbox, event: str, language: str) -> None:
    send(facts(event, language, task_name="夜间备份"))

    [(_envelope, mail)] = mailbox.mails
    for part in ("plain", "html"):
        body = mail.get_body((part,))
        assert body is not None
        content = body.get_content()
        assert "No space left on device" in content
        assert "https://schedsite.example.org/x/4711" in content
        assert "exit code 28" in content
        assert "夜间备份" in content or event == "digest"


def test_every_name_of_a_template_is_filled(mailbox: Mailbox) -> None:
    template = "\n".join(f"{name}=<{{{{{name}}}}}>" for name in FULL)

    send(body_template=template, subject_template="{{task_id}} {{threshold_count}}")

    [(_envelope, mail)] = mailbox.mails
    body = mail.get_body(("plain",))
    assert mail["Subject"] == "backup 3"
    assert body is not None
    content = body.get_content().replace("\r\n", "\n")
    assert not [name for name, value in FULL.items() if f"{name}=<{value}>" not in content]


def test_chinese_subject_and_body_arrive_intact(mailbox: Mailbox) -> None:
    send(facts("technical_failure", "zh-hans", task_name="夜间备份 🌙", execution_log_tail="磁盘已满\n"))

    [(_envelope, mail)] = mailbox.mails
    body = mail.get_body(("plain",))
    assert mail["Subject"] == "夜间备份 🌙 连续 3 次运行失败"
    assert body is not None
    assert "磁盘已满" in body.get_content()


@each_case(
    "subject",
    [
        "夜间备份" * 50,
        "a" * 200,
        "=?utf-8?b?ZXZpbA==?=",
        "word " * 39 + "word",
        "Bücher 🌙 " * 19 + "x",
        "x" * 70 + " 备份",
    ],
)
def test_subject_of_any_length_arrives_intact_and_begins_on_its_line(mailbox: Mailbox, subject: str) -> None:
    send(subject_template="{{task_name}}", told=facts(task_name=subject))

    [(_envelope, mail)] = mailbox.mails
    assert mail["Subject"] == subject
    assert not re.search(rb"^Subject: *\r\n", mailbox.raw[0], re.MULTILINE)


def test_long_lines_and_lone_dots_arrive_intact(mailbox: Mailbox) -> None:
    log = "x" * 5000 + "\n.\n..\nFrom here\n" + "é" * 3000

    send(body_template="{{execution_log_tail}}", told=facts(execution_log_tail=log))

    [(_envelope, mail)] = mailbox.mails
    body = mail.get_body(("plain",))
    assert body is not None
    assert body.get_content().replace("\r\n", "\n").rstrip("\n") == log
    assert max(len(line) for line in mailbox.raw[0].split(b"\r\n")) <= 998


def test_message_id_is_that_of_the_delivery(mailbox: Mailbox) -> None:
    send(key="delivery-7")
    send(key="delivery-7")
    send(key="delivery-8")

    first, again, other = (mail["Message-ID"] for _envelope, mail in mailbox.mails)
    assert first == again == message_id("delivery-7")
    assert other != first
    assert re.fullmatch(r"<[0-9a-f]{40}@example\.org>", first)


@each_case("text", headers.TEXTS)
def test_value_adds_no_header_and_no_recipient(mailbox: Mailbox, text: str) -> None:
    values = dict.fromkeys(FULL, text)
    send(facts(**values), subject_template="{{task_name}}" + text, body_template="{{reason}}" + text)

    [(envelope, mail)] = mailbox.mails
    assert envelope == ["ops@example.org"]
    assert sorted(mail.keys()) == HEADERS
    assert mail["To"] == "ops@example.org"
    assert [part.get_content_type() for part in mail.iter_parts()] == ["text/plain", "text/html"]
    assert mail["Subject"].startswith("Backup")


@each_case("address", headers.RECIPIENTS)
def test_malformed_recipient_is_left_out_and_the_others_get_the_mail(mailbox: Mailbox, address: str) -> None:
    said = send(recipients=(address, "good@example.org"))

    [(envelope, mail)] = mailbox.mails
    assert envelope == ["good@example.org"]
    assert mail["To"] == "good@example.org"
    assert said.startswith("accepted for 1 of 2 recipients; malformed: ")


def test_nothing_is_sent_when_every_recipient_is_malformed(mailbox: Mailbox) -> None:
    error = failure(recipients=("a@b@c", "x\ny@example.org"))

    assert error.reason == "no valid recipient; malformed: a@b@c, x\ny@example.org"
    assert error.is_permanent
    assert mailbox.mails == []


def test_recipient_refused_for_good_does_not_keep_the_mail_from_the_others(mailbox: Mailbox) -> None:
    mailbox.refuse = {"gone@example.org": "550 5.1.1 no such user"}

    said = send(recipients=("gone@example.org", "ops@example.org"))

    assert said == "accepted for 1 of 2 recipients; refused: gone@example.org (550 5.1.1 no such user)"
    assert [envelope for envelope, _mail in mailbox.mails] == [["ops@example.org"]]


def test_recipient_refused_for_now_is_tried_again_alone(mailbox: Mailbox) -> None:
    mailbox.refuse = {"grey@example.org": "451 4.7.1 come back later"}

    error = failure(recipients=("grey@example.org", "ops@example.org"))
    mailbox.refuse = {}
    assert error.content is not None
    CHANNEL.send(
        {"recipients": ["grey@example.org", "ops@example.org"]}, error.content, key="k", deadline=PATIENCE
    )

    assert (
        error.reason
        == "accepted for 1 of 2 recipients; refused: grey@example.org (451 4.7.1 come back later)"
    )
    assert not error.is_permanent
    assert [envelope for envelope, _mail in mailbox.mails] == [["ops@example.org"], ["grey@example.org"]]


@pytest.mark.parametrize(
    ("reply", "is_permanent"), [("550 5.1.1 no such user", True), ("450 4.2.1 busy", False)]
)
def test_all_recipients_refused(mailbox: Mailbox, reply: str, is_permanent: bool) -> None:
    mailbox.refuse = {"a@example.org": reply, "b@example.org": reply}

    error = failure(recipients=("a@example.org", "b@example.org"))

    assert error.reason == f"all refused; refused: a@example.org ({reply}), b@example.org ({reply})"
    assert error.is_permanent is is_permanent


def test_recipient_with_an_international_domain_is_recognised_in_the_refusal(mailbox: Mailbox) -> None:
    mailbox.refuse = {"ops@xn--bcher-kva.example": "550 no"}

    said = send(recipients=("ops@bücher.example", "ops@example.org"))

    assert said == "accepted for 1 of 2 recipients; refused: ops@bücher.example (550 no)"


@pytest.mark.parametrize(
    ("reply", "is_permanent"), [("554 5.7.1 spam", True), ("552 too large", True), ("451 later", False)]
)
def test_reply_to_the_message_decides_whether_to_try_again(
    mailbox: Mailbox, reply: str, is_permanent: bool
) -> None:
    mailbox.reply = reply

    error = failure()

    assert error.reason == f"the mail server said {reply}"
    assert error.is_permanent is is_permanent


def test_connection_dropped_after_the_message_is_tried_again_with_the_same_id(mailbox: Mailbox) -> None:
    mailbox.is_dropping = True

    error = failure()
    mailbox.is_dropping = False
    send()

    assert "Connection unexpectedly closed" in error.reason
    assert not error.is_permanent
    assert len({mail["Message-ID"] for _envelope, mail in mailbox.mails}) == 1


def test_server_that_never_replies_to_the_message_ends_with_the_deadline(mailbox: Mailbox) -> None:
    mailbox.is_hanging = True

    error = failure(deadline=SHORT)

    assert error.reason.endswith("the mail server did not finish within 1 s")
    assert not error.is_permanent


def greet_then_dribble(sock: socket.socket, end: threading.Event) -> None:
    """Get as far as a reply to EHLO that has one more line, and one more, for ever."""
    sock.sendall(b"220 ready\r\n")
    sock.recv(1000)
    dribble(b"250-first\r\n", b"250-more\r\n")(sock, end)


def start_tls_then_dribble(sock: socket.socket, end: threading.Event) -> None:
    """Begin a TLS handshake that never ends."""
    sock.sendall(b"220 ready\r\n")
    sock.recv(1000)
    sock.sendall(b"250-x\r\n250 STARTTLS\r\n")
    sock.recv(1000)
    sock.sendall(b"220 go\r\n")
    sock.recv(1000)
    dribble(b"\x16\x03\x03\x40\x00\x02", b"\x00")(sock, end)


@pytest.mark.parametrize(
    ("behave", "options", "hint"),
    [
        (silence, {}, WANTS_TLS),
        (dribble(b"220", b"-"), {}, WANTS_TLS),
        (dribble(b"220-hello\r\n", b"220-more\r\n"), {}, WANTS_TLS),
        (greet_then_dribble, {}, ""),
        (start_tls_then_dribble, {"EMAIL_USE_TLS": True}, ""),
        (silence, {"EMAIL_USE_SSL": True}, WANTS_PLAIN),
        (dribble(b"\x16\x03\x03\x40\x00\x02", b"\x00"), {"EMAIL_USE_SSL": True}, WANTS_PLAIN),
    ],
    ids=["silent", "bytes", "lines", "lines after EHLO", "STARTTLS", "silent TLS", "TLS"],
)
def test_server_that_dribbles_cannot_hold_the_sender(
    behave: Any, options: dict[str, Any], hint: str, settings: Any
) -> None:
    for name, value in options.items():
        setattr(settings, name, value)
    with RawSink(behave) as sink:
        settings.EMAIL_PORT = sink.port

        error = failure(deadline=SHORT)

        said = f"mail server 127.0.0.1:{sink.port}: the mail server did not finish within 1 s"
        assert error.reason == f"{said}; {hint}" if hint else said
        assert not error.is_permanent


def test_no_server_is_tried_again(settings: Any) -> None:
    settings.EMAIL_PORT = free_port()

    error = failure()

    assert error.reason == (
        f"mail server 127.0.0.1:{settings.EMAIL_PORT}: [Errno 111] Connection refused; "
        "see EMAIL_HOST and EMAIL_PORT"
    )
    assert not error.is_permanent


def test_server_that_does_not_want_us_is_tried_again(settings: Any) -> None:
    def refuse(sock: socket.socket, _end: threading.Event) -> None:
        sock.sendall(b"554 no service\r\n")
        sock.recv(100)

    with RawSink(refuse) as sink:
        settings.EMAIL_PORT = sink.port

        error = failure()

    assert error.reason == "the mail server said 554 no service"
    assert not error.is_permanent


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tls")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", folder / "key.pem", "-out", folder / "cert.pem",
         "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"],
        check=True,
        capture_output=True,
    )  # fmt: skip
    path = folder / "both.pem"
    path.write_text((folder / "cert.pem").read_text() + (folder / "key.pem").read_text())
    return path


def _server_context(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


def _authenticate(_server: Any, _session: Any, _envelope: Any, _mechanism: str, data: Any) -> AuthResult:
    return AuthResult(success=(data.login, data.password) == (b"me", b"secret"), handled=False)


def test_login_over_tls(certificate: Path, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    settings.EMAIL_HOST, settings.EMAIL_USE_TLS = "localhost", True
    settings.EMAIL_HOST_USER, settings.EMAIL_HOST_PASSWORD = "me", "secret"
    box = Mailbox()
    with mail_server(
        box,
        tls_context=_server_context(certificate),
        require_starttls=True,
        auth_required=True,
        authenticator=_authenticate,
    ) as port:
        settings.EMAIL_PORT = port
        said = send()
        settings.EMAIL_HOST_PASSWORD = "wrong"
        wrong = failure()
        settings.EMAIL_HOST_PASSWORD, settings.EMAIL_HOST = "secret", "127.0.0.1"
        stranger = failure()

    assert said == "accepted for 1 of 1 recipients"
    assert len(box.mails) == 1
    assert wrong.reason.startswith("the mail server said 535 ")
    assert not wrong.is_permanent
    assert "secret" not in wrong.reason + stranger.reason
    assert "certificate verify failed" in stranger.reason


def test_tls_from_the_start(certificate: Path, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    settings.EMAIL_HOST, settings.EMAIL_USE_SSL = "localhost", True
    box = Mailbox()
    with mail_server(box, ssl_context=_server_context(certificate)) as port:
        settings.EMAIL_PORT = port
        said = send()

    assert said == "accepted for 1 of 1 recipients"
    assert len(box.mails) == 1


# --- a server that cannot do what is configured -----------------------------------------------------


def tried_again(hint: str, **values: Any) -> str:
    """Return why a mail was not sent, for now, with the settings to look at."""
    error = failure(**values)
    assert not error.is_permanent
    assert error.reason.endswith(f"; {hint}"), error.reason
    return error.reason


def test_a_server_without_starttls_names_the_setting(mailbox: Mailbox, settings: Any) -> None:
    settings.EMAIL_USE_TLS = True

    reason = tried_again("set EMAIL_USE_TLS=0, or EMAIL_PORT to a port with STARTTLS, usually 587")

    assert reason.startswith("the mail server cannot do this: STARTTLS extension not supported by server.")
    assert mailbox.mails == []


def test_a_server_without_login_names_the_settings(mailbox: Mailbox, settings: Any) -> None:
    settings.EMAIL_HOST_USER, settings.EMAIL_HOST_PASSWORD = "me", "hush"

    reason = tried_again(
        "leave EMAIL_HOST_USER and EMAIL_HOST_PASSWORD empty, or encrypt first with EMAIL_USE_TLS=1"
    )

    assert reason.startswith("the mail server cannot do this: SMTP AUTH extension not supported by server.")
    assert mailbox.mails == []


def test_a_server_whose_logins_are_not_known_names_the_settings(settings: Any) -> None:
    settings.EMAIL_HOST_USER, settings.EMAIL_HOST_PASSWORD = "me", "hush"

    def kerberos_only(sock: socket.socket, _end: threading.Event) -> None:
        sock.sendall(b"220 ready\r\n")
        sock.recv(1000)
        sock.sendall(b"250-x\r\n250 AUTH GSSAPI\r\n")
        sock.recv(1000)

    with RawSink(kerberos_only) as sink:
        settings.EMAIL_PORT = sink.port
        reason = tried_again(
            "leave EMAIL_HOST_USER and EMAIL_HOST_PASSWORD empty, or encrypt first with EMAIL_USE_TLS=1"
        )

    assert "No suitable authentication method found" in reason


@pytest.mark.parametrize(
    ("user", "password", "name"),
    [("me", "geheim-ü", "EMAIL_HOST_PASSWORD"), ("管理员", "secret", "EMAIL_HOST_USER")],
)
def test_a_login_that_is_not_ascii_names_the_setting_and_not_the_value(
    mailbox: Mailbox, settings: Any, user: str, password: str, name: str
) -> None:
    settings.EMAIL_HOST_USER, settings.EMAIL_HOST_PASSWORD = user, password

    error = failure()

    assert error.reason == f"{name} must have ASCII characters only to log in; it has others"
    assert not error.is_permanent


def test_a_server_that_wants_a_login_names_the_settings(settings: Any) -> None:
    with mail_server(
        Mailbox(), auth_required=True, auth_require_tls=False, authenticator=_authenticate
    ) as port:
        settings.EMAIL_PORT = port
        reason = tried_again("see EMAIL_HOST_USER and EMAIL_HOST_PASSWORD")

    assert reason.startswith("the mail server said 530 5.7.0 Authentication required")


def test_a_wrong_password_names_the_settings(settings: Any) -> None:
    settings.EMAIL_HOST_USER, settings.EMAIL_HOST_PASSWORD = "me", "wrong"
    with mail_server(
        Mailbox(), auth_required=True, auth_require_tls=False, authenticator=_authenticate
    ) as port:
        settings.EMAIL_PORT = port
        reason = tried_again("see EMAIL_HOST_USER and EMAIL_HOST_PASSWORD")

    assert reason.startswith("the mail server said 535 ") and "wrong" not in reason


def test_a_server_that_wants_encryption_names_the_setting(certificate: Path, settings: Any) -> None:
    with mail_server(Mailbox(), tls_context=_server_context(certificate), require_starttls=True) as port:
        settings.EMAIL_PORT = port
        reason = tried_again("set EMAIL_USE_TLS=1")

    assert "530 Must issue a STARTTLS command first" in reason


def test_encryption_from_the_start_at_a_port_without_it_names_the_settings(
    mailbox: Mailbox, settings: Any
) -> None:
    settings.EMAIL_USE_SSL = True

    reason = tried_again(WANTS_PLAIN)

    assert "SSL" in reason


def test_no_encryption_at_a_port_that_begins_with_it_names_the_settings(
    certificate: Path, settings: Any
) -> None:
    with mail_server(Mailbox(), ssl_context=_server_context(certificate)) as port:
        settings.EMAIL_PORT = port

        reason = tried_again(WANTS_TLS, deadline=SHORT)

    assert "did not finish within 1 s" in reason


def test_a_port_of_something_else_names_the_settings(settings: Any) -> None:
    with RawSink(dribble(b"SSH-2.0-OpenSSH_9\r\n", b"")) as sink:
        settings.EMAIL_PORT = sink.port
        reason = tried_again("see EMAIL_HOST and EMAIL_PORT")

    assert reason.startswith(f"mail server 127.0.0.1:{sink.port}: its reply is not from a mail server")


def test_a_certificate_of_another_name_names_the_settings(certificate: Path, settings: Any) -> None:
    settings.EMAIL_USE_SSL = True
    with mail_server(Mailbox(), ssl_context=_server_context(certificate)) as port:
        settings.EMAIL_PORT = port
        reason = tried_again(
            "EMAIL_HOST must be a name in its certificate, and SSL_CERT_FILE must contain the issuer"
        )

    assert "certificate verify failed" in reason


def test_a_sender_that_the_server_does_not_take_names_the_setting(settings: Any) -> None:
    class Picky(Mailbox):
        async def handle_MAIL(self, *_args: Any) -> str:
            return "553 5.7.1 Sender address rejected: not owned by user"

    with mail_server(Picky()) as port:
        settings.EMAIL_PORT = port
        error = failure()

    assert error.reason == (
        "the mail server said 553 5.7.1 Sender address rejected: not owned by user; see DEFAULT_FROM_EMAIL"
    )


def test_advice_is_none_for_what_is_not_about_a_setting() -> None:
    for error in (
        smtplib.SMTPDataError(554, b"spam"),
        smtplib.SMTPServerDisconnected("closed"),
        smtplib.SMTPSenderRefused(552, b"too large", "a@b"),
        TimeoutError("late"),
    ):
        assert advice(error, Situation(Step.SEND, is_ssl=False, is_tls=False)) is None


@pytest.mark.django_db
def test_a_mail_that_the_server_cannot_take_is_tried_again_as_often_as_any_other(
    mailbox: Mailbox, settings: Any, make_task: Any
) -> None:
    settings.EMAIL_USE_TLS, settings.SCHEDULER_NOTIFY_ATTEMPTS = True, 3
    mail = {"type": "email", "recipients": ["ops@example.org"]}
    task = make_task("a", task_notify=[{"triggers": ["technical_failure"], "channels": [mail]}])
    finish_all(task, "F")
    later = datetime.now(UTC) + timedelta(hours=1)

    states = []
    for number in range(5):
        send_due(clock=lambda number=number: later + timedelta(hours=2 * number))
        delivery = Delivery.objects.get()
        states.append((delivery.state, delivery.attempts))

    assert states == [("pending", 1), ("pending", 2), *[("failed", 3)] * 3]
    assert "EMAIL_USE_TLS=0" in delivery.reason


def test_composed_message_can_be_stored() -> None:
    content = CHANNEL.compose({"recipients": ["a@example.org", "a@example.org"]}, facts())

    assert json.loads(json.dumps(content)) == content
    assert content["recipients"] == ["a@example.org"]
