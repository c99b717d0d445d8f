"""Two web processes on one database: whoever guesses at both is counted once, by both."""

from __future__ import annotations

import http.client
import re
from collections.abc import Callable
from contextlib import closing
from itertools import cycle, islice
from urllib.parse import urlencode

import pytest
from django.contrib.auth.hashers import PBKDF2SHA1PasswordHasher
from django.contrib.auth.models import User

from scheduler.models import AttemptCount, AuditEvent
from scheduler.services.tokens import create_token
from tests.stack import Stack, wait_until

PASSWORD = "correct horse battery"
ATTEMPTS = 8  # free ones, fewer than both processes together would allow if each counted for itself
SOURCE, ELSEWHERE = "127.0.0.1", "127.0.0.2"
CSRF = "c" * 32  # a cookie and a header that are the same are a valid pair


@pytest.fixture
def ports(stack: Stack) -> list[int]:
    """Return the ports of two web processes."""
    limits = {"SCHEDULER_LOGIN_ATTEMPTS": str(ATTEMPTS), "SCHEDULER_TOKEN_ATTEMPTS": str(ATTEMPTS)}
    for _ in range(2):
        stack.start("web", "--bind", "127.0.0.1:0", **limits)

    def found() -> list[int]:
        return [int(port) for port in re.findall(r"listens on http://127\.0\.0\.1:(\d+)", stack.output())]

    wait_until(lambda: len(found()) == 2, what="both processes")
    return found()


def ask(port: int, method: str, path: str, *, source: str, body: str = "", **headers: str) -> tuple[int, str]:
    """Return the status, and how long to wait."""
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    with closing(
        http.client.HTTPConnection("127.0.0.1", port, timeout=60, source_address=(source, 0))
    ) as connection:
        connection.request(method, path, body=body or None, headers=names)
        answer = connection.getresponse()
        answer.read()
        return answer.status, answer.headers.get("Retry-After", "")


def log_in(port: int, password: str, *, source: str = SOURCE) -> tuple[int, str]:
    return ask(
        port, "POST", "/admin/login/", source=source,
        body=urlencode({"username": "alice", "password": password, "next": "/admin/"}),
        Content_Type="application/x-www-form-urlencoded", Cookie=f"csrftoken={CSRF}", X_CSRFToken=CSRF,
    )  # fmt: skip


def use_token(port: int, token: str, *, source: str = SOURCE) -> tuple[int, str]:
    return ask(port, "GET", "/api/scheduler/tasks", source=source, Authorization=f"Bearer {token}")


def refusals(ports: list[int], attempt: Callable[[int], tuple[int, str]], *, looked_at: int) -> set[int]:
    """Use up what is free in turns, and return which processes refuse then.

    More than one try may be needed on a machine on which the first wait, of seconds, passes between two of them; all
    tries together are fewer than a process would allow that knew only of its own.
    """
    answers = [attempt(port)[0] for port in islice(cycle(ports), ATTEMPTS)]
    assert answers == [looked_at] * ATTEMPTS
    refused = set()
    for port in islice(cycle(ports), ATTEMPTS - 2):
        status, wait = attempt(port)
        assert (status, bool(wait)) in [(429, True), (looked_at, False)]
        if status == 429:
            refused.add(port)
    return refused


def test_wrong_passwords_at_two_processes_share_their_count(stack: Stack, ports: list[int]) -> None:
    alice = User.objects.create_superuser("alice")
    # Of another algorithm than that of the sites, which make a wrong password of their own take a second of work.
    alice.password = PBKDF2SHA1PasswordHasher().encode(PASSWORD, "salt", iterations=1)
    alice.save()

    refused = refusals(ports, lambda port: log_in(port, "wrong"), looked_at=200)

    assert refused == set(ports)
    assert AttemptCount.objects.filter(scope="login", account="alice", address=SOURCE).count() == 1
    assert AuditEvent.objects.filter(kind="login", outcome="refused").count() == 2  # a row of each process
    assert [log_in(port, PASSWORD, source=ELSEWHERE)[0] for port in ports] == [302, 302]
    stack.start("unlock", "alice").wait(60)
    assert log_in(ports[0], PASSWORD)[0] == 302


def test_bad_tokens_at_two_processes_share_their_count(ports: list[int]) -> None:
    good = create_token(User.objects.create_superuser("alice", password=PASSWORD))

    refused = refusals(ports, lambda port: use_token(port, "bad"), looked_at=401)

    assert refused == set(ports)
    assert AttemptCount.objects.get(scope="token").address == SOURCE
    assert [use_token(port, good)[0] for port in ports] == [200, 200]
