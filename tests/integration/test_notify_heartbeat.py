"""The dead man's switch: a URL is asked for while Schedsite is healthy, and not otherwise."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from notifications.services import dead_mans_switch
from schedsite import environment
from scheduler.models import Process
from scheduler.signals import dispatcher_swept
from tests.conftest import NOON
from tests.sinks import Sink, answer, free_port

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def forgetful(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget the ping of the test before."""
    monkeypatch.setattr(dead_mans_switch, "_pinged_at", None)
    monkeypatch.setattr(dead_mans_switch, "_thread", None)


def beat(kind: Process.Kind) -> None:
    Process.objects.create(
        kind=kind, host_id="h", host="h", pid=1, start_ticks=1, started_at=NOON, heartbeat_at=NOON
    )


def end_of_ping() -> None:
    assert dead_mans_switch._thread is not None
    dead_mans_switch._thread.join(30)
    assert not dead_mans_switch._thread.is_alive()


def test_the_url_is_asked_for_at_a_sweep_and_again_after_30_seconds(settings: Any) -> None:
    beat(Process.Kind.DISPATCHER)
    beat(Process.Kind.CLUSTER)
    with Sink(answer("200 OK")) as sink:
        settings.SCHEDULER_HEARTBEAT_URL = sink.url
        dispatcher_swept.send(None, now=NOON)
        assert sink.next().line == "GET /hook HTTP/1.1"
        end_of_ping()

        assert not dead_mans_switch.ping_when_due(NOON + timedelta(seconds=29))
        assert dead_mans_switch.ping_when_due(NOON + timedelta(seconds=30))
        sink.next()
        end_of_ping()


def test_without_a_worker_nothing_is_sent_and_the_reason_is_logged(settings: Any, caplog: Any) -> None:
    settings.SCHEDULER_HEARTBEAT_URL = f"http://127.0.0.1:{free_port()}/"
    beat(Process.Kind.DISPATCHER)

    assert not dead_mans_switch.ping_when_due(NOON)

    assert "no heartbeat is sent: no worker gave a heartbeat in the last 30 s" in caplog.text


def test_without_a_url_nothing_is_looked_at(django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(0):
        assert not dead_mans_switch.ping_when_due(NOON)


@pytest.mark.parametrize("status", ["500 Broken", "302 Found"])
def test_an_answer_that_is_no_success_is_logged_without_the_url(
    settings: Any, caplog: Any, status: str
) -> None:
    beat(Process.Kind.DISPATCHER)
    beat(Process.Kind.CLUSTER)
    with Sink(answer(status, "Location: http://127.0.0.1:1/")) as sink:
        settings.SCHEDULER_HEARTBEAT_URL = sink.url
        assert dead_mans_switch.ping_when_due(NOON)
        end_of_ping()

    assert "the heartbeat was not received: HTTPStatusError" in caplog.text
    assert sink.url not in "".join(
        r.getMessage() for r in caplog.records if r.name == dead_mans_switch.__name__
    )


@pytest.mark.parametrize(
    "value", ["example.org/ping", "ftp://example.org/", "https://", "https://a b/", "http://[::1"]
)
def test_a_url_that_is_none_stops_the_start(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCHEDULER_HEARTBEAT_URL", value)

    with pytest.raises(
        environment.ImproperlyConfigured, match="SCHEDULER_HEARTBEAT_URL must be an http or https URL such as"
    ):
        environment.web_address("SCHEDULER_HEARTBEAT_URL")


def test_a_url_may_come_from_a_file(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "url").write_text("https://hc.example.org/ping/7d\n")
    monkeypatch.setenv("SCHEDULER_HEARTBEAT_URL_FILE", str(tmp_path / "url"))

    assert environment.web_address("SCHEDULER_HEARTBEAT_URL") == "https://hc.example.org/ping/7d"
