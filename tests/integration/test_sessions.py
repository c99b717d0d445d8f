"""Sessions: their limits, their list, and their end."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.contrib.auth.models import User
from django.test import Client

from scheduler.models import AccountSession, AuditEvent
from scheduler.services import sessions
from tests.api_client import user_of

START = datetime(2026, 11, 27, 12, 0, tzinfo=UTC)


@pytest.fixture
def clock() -> Iterator[Any]:
    with time_machine.travel(START, tick=False) as traveller:
        yield traveller


def member(role: str) -> User:
    user = user_of(role)
    user.is_staff = True
    user.save()
    return user


def site_of(user: User, *, agent: str = "Firefox", address: str = "198.51.100.7") -> Client:
    user.set_password("correct horse battery")
    User.objects.filter(pk=user.pk).update(password=user.password)
    client = Client(HTTP_USER_AGENT=agent, REMOTE_ADDR=address)
    logged_in = client.post("/admin/login/", {"username": user.username, "password": "correct horse battery"})
    assert logged_in.status_code == 302
    return client


def is_in(client: Client) -> bool:
    return bool(client.get("/admin/").status_code == 200)


@pytest.fixture(autouse=True)
def fast_passwords(settings: Any, db: None) -> None:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


def test_session_nobody_uses_is_over(clock: Any) -> None:
    client = site_of(member("Viewer"))
    clock.shift(timedelta(hours=11, minutes=59))
    assert is_in(client)
    clock.shift(timedelta(hours=11, minutes=59))
    assert is_in(client)
    clock.shift(timedelta(hours=12))

    assert not is_in(client)


def test_session_in_use_is_over_after_its_days(clock: Any) -> None:
    client = site_of(member("Viewer"))
    for _ in range(27):
        clock.shift(timedelta(hours=12) - timedelta(seconds=1))
        assert is_in(client)
    clock.shift(timedelta(hours=12))

    assert not is_in(client)


def test_what_a_page_reads_by_itself_is_no_use(clock: Any) -> None:
    client = site_of(member("Viewer"))
    for _ in range(11):
        clock.shift(timedelta(hours=1))
        client.get("/admin/scheduler/task/overview/", headers={"HX-Request": "true"})
    clock.shift(timedelta(hours=1))

    assert not is_in(client)


def test_limits_are_settings(clock: Any, settings: Any) -> None:
    settings.SCHEDULER_SESSION_IDLE_HOURS = 0.5
    client = site_of(member("Viewer"))
    clock.shift(timedelta(minutes=31))

    assert not is_in(client)


def test_list_of_a_viewer_has_its_own_sessions_alone(clock: Any) -> None:
    viewer = member("Viewer")
    site_of(member("Editor"), agent="Chrome")
    site_of(viewer, agent="Phone", address="2001:db8::7")

    page = site_of(viewer).get("/admin/scheduler/apitoken/sessions/").content.decode()

    assert "Phone" in page and "2001:db8::7" in page and "Firefox" in page and "this session" in page
    assert "Chrome" not in page
    assert not any(row.session_key in page for row in AccountSession.objects.all())


def test_list_of_an_admin_has_all_sessions(clock: Any) -> None:
    site_of(member("Viewer"), agent="Phone")

    page = site_of(member("Admin")).get("/admin/scheduler/apitoken/sessions/").content.decode()

    assert "a-viewer" in page and "Phone" in page


def test_button_ends_a_session_at_once(clock: Any) -> None:
    viewer = member("Viewer")
    lost, client = site_of(viewer, agent="Phone"), site_of(viewer)
    row = AccountSession.objects.get(user_agent="Phone")

    client.post("/admin/scheduler/apitoken/sessions/end/", {"session": row.handle})

    assert not is_in(lost) and is_in(client)
    event = AuditEvent.objects.get(kind="session")
    assert (event.account, event.object) == ("a-viewer", "session of a-viewer from 198.51.100.7")


def test_sessions_of_others_are_ended_by_admins_alone(clock: Any) -> None:
    other = site_of(member("Viewer"), agent="Phone")
    row = AccountSession.objects.get(user_agent="Phone")
    address, data = "/admin/scheduler/apitoken/sessions/end/", {"session": row.handle}

    assert site_of(member("Editor")).post(address, data).status_code == 403
    assert is_in(other)
    assert site_of(member("Admin")).post(address, data).status_code == 302
    assert not is_in(other)


def test_ending_ones_own_session_logs_out(clock: Any) -> None:
    client = site_of(member("Viewer"))

    client.post("/admin/scheduler/apitoken/sessions/end/", {"session": AccountSession.objects.get().handle})

    assert not is_in(client)


@pytest.mark.parametrize("handle", ["", "nothing", "x" * 10_000])
def test_handle_of_no_session_is_told(clock: Any, handle: str) -> None:
    client = site_of(member("Viewer"))

    page = client.post("/admin/scheduler/apitoken/sessions/end/", {"session": handle}, follow=True)

    assert "That session has already ended." in page.content.decode()


def test_ending_needs_a_post(clock: Any) -> None:
    assert site_of(member("Viewer")).get("/admin/scheduler/apitoken/sessions/end/").status_code == 405


def test_logout_removes_the_session(clock: Any) -> None:
    client = site_of(member("Viewer"))

    client.post("/admin/logout/")

    assert not AccountSession.objects.exists()
    assert AuditEvent.objects.filter(kind="logout", account="a-viewer").exists()


def test_own_new_password_keeps_this_session_and_ends_the_others(clock: Any) -> None:
    viewer = member("Viewer")
    other, client = site_of(viewer, agent="Phone"), site_of(viewer)
    new = "another long horse"
    data = {"old_password": "correct horse battery", "new_password1": new, "new_password2": new}

    assert client.post("/admin/password_change/", data).status_code == 302

    assert is_in(client) and not is_in(other)
    row = AccountSession.objects.get(user=viewer)
    assert (row.user_agent, row.created_at) == ("Firefox", START)


def test_sessions_that_are_over_are_removed(clock: Any) -> None:
    site_of(member("Viewer"))
    clock.shift(timedelta(days=1))

    sessions.prune(datetime.now(UTC))

    assert not AccountSession.objects.exists()


def test_use_is_written_once_a_minute(clock: Any, django_assert_num_queries: Any) -> None:
    client = site_of(member("Viewer"))
    clock.shift(timedelta(seconds=59))
    is_in(client)
    assert AccountSession.objects.get().seen_at == START
    clock.shift(timedelta(seconds=1))
    is_in(client)

    assert AccountSession.objects.get().seen_at == START + timedelta(minutes=1)
