"""Who may read `/metrics`."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from scheduler.services.tokens import create_token
from tests.api_client import user_of
from tests.support.cases import each_case

ELSEWHERE = "203.0.113.9"


def ask(token: str = "", *, peer: str = ELSEWHERE, host: str = "localhost", **headers: str) -> int:
    """Return the status for a request from `peer`."""
    if token:
        headers["Authorization"] = f"Bearer {token}"
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    answer = Client().get("/metrics", headers=named, REMOTE_ADDR=peer, HTTP_HOST=host)
    assert answer.status_code == 200 or b"schedsite_" not in answer.content
    return int(answer.status_code)


def token_of(role: str) -> str:
    return create_token(user_of(role), name="prometheus")


@each_case("role", ["Viewer", "Operator", "Editor", "Admin"])
@pytest.mark.django_db
def test_a_token_with_the_right_to_read_is_enough_from_anywhere(role: str) -> None:
    assert ask(token_of(role)) == 200


def test_from_elsewhere_nobody_reads_it_without_a_token(db: None) -> None:
    assert ask() == 401
    assert ask("wrong") == 401
    assert ask(create_token(User.objects.create_user("nobody", is_staff=True), name="")) == 403


def test_an_expired_token_and_one_of_a_disabled_account_are_refused(db: None) -> None:
    viewer = user_of("Viewer")
    expired = create_token(viewer, expires_at=datetime.now(UTC) - timedelta(minutes=1))
    token = create_token(viewer)
    User.objects.update(is_active=False)

    assert [ask(expired), ask(token)] == [401, 401]


def test_bad_tokens_are_slowed_down_as_those_of_the_api(db: None, settings: Any) -> None:
    settings.SCHEDULER_TOKEN_ATTEMPTS = 3

    statuses = [ask(f"guess{number}") for number in range(5)]

    assert statuses == [401, 401, 401, 429, 429]
    assert ask(token_of("Viewer")) == 200


@each_case("peer", ["127.0.0.1", "127.8.9.1", "::1", "::ffff:127.0.0.1"])
@each_case("host", ["localhost", "127.0.0.1:8000", "[::1]:8000"])
@pytest.mark.django_db
def test_a_program_on_this_host_needs_no_token(peer: str, host: str) -> None:
    assert ask(peer=peer, host=host) == 200


@each_case(
    ("header", "value"),
    [
        ("X_Forwarded_For", "203.0.113.9"),
        ("X_Forwarded_For", "127.0.0.1"),
        ("X_Forwarded_For", ""),
        ("X_Forwarded_Proto", "https"),
        ("X_Forwarded_Host", "localhost"),
        ("X_Forwarded_Anything", "1"),
        ("Forwarded", "for=127.0.0.1"),
        ("X_Real_IP", "127.0.0.1"),
        ("Via", "1.1 proxy"),
        ("CF_Connecting_IP", "127.0.0.1"),
    ],
)
@each_case("is_trusted", [True, False], ids=["trusted", "not trusted"])
@pytest.mark.django_db
def test_what_a_proxy_on_this_host_forwards_is_not_from_this_host(
    header: str, value: str, is_trusted: bool, settings: Any
) -> None:
    settings.TRUST_PROXY_HEADERS = ("X-Forwarded-For", "X-Forwarded-Host") if is_trusted else ()

    assert ask(peer="127.0.0.1", **{header: value}) == 401


def test_a_proxy_without_headers_is_known_by_the_host_that_it_passes_on_or_its_protocol(
    db: None, settings: Any
) -> None:
    settings.ALLOWED_HOSTS = ["schedsite.example.org", "127.0.0.1"]

    assert ask(peer="127.0.0.1", host="schedsite.example.org") == 401
    assert ask(peer="127.0.0.1", host="127.0.0.1") == 200
    old = Client().get("/metrics", HTTP_HOST="127.0.0.1", SERVER_PROTOCOL="HTTP/1.0")
    assert old.status_code == 401


def test_a_host_that_claims_to_be_this_one_is_not(db: None) -> None:
    assert ask(peer=ELSEWHERE, host="127.0.0.1") == 401
    assert ask(peer="", host="localhost") == 401  # a Unix socket has no address


def test_the_setting_demands_a_token_of_everybody(db: None, settings: Any) -> None:
    settings.SCHEDULER_METRICS = "token"

    assert ask(peer="127.0.0.1") == 401
    assert ask(token_of("Viewer"), peer="127.0.0.1") == 200


def test_the_setting_switches_it_off(db: None, settings: Any) -> None:
    settings.SCHEDULER_METRICS = "off"

    assert ask(peer="127.0.0.1") == 404
    assert ask(token_of("Admin")) == 404


def test_a_session_reads_it_too_and_nothing_is_written(admin_client: Client) -> None:
    assert admin_client.get("/metrics", REMOTE_ADDR=ELSEWHERE).status_code == 200
    assert Client(SERVER_NAME="localhost").head("/metrics").status_code == 200
    for method in ("post", "put", "patch", "delete"):
        assert getattr(Client(enforce_csrf_checks=True), method)("/metrics").status_code == 405


def test_without_tls_only_what_did_not_come_through_a_proxy_is_answered(db: None, settings: Any) -> None:
    settings.SECURE_SSL_REDIRECT, settings.TRUST_PROXY_HEADERS = True, ("X-Forwarded-Proto",)
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    token = token_of("Viewer")

    assert ask(token, peer="127.0.0.1", X_Forwarded_Proto="http") == 301
    assert ask(token, peer="127.0.0.1", X_Forwarded_Proto="https") == 200
    assert ask(peer="127.0.0.1") == 200
    assert ask(token) == 200
