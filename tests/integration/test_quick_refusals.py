"""What is refused costs little: queries and time of the processor, which a busy machine does not change."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any

import pytest
from django.conf.global_settings import PASSWORD_HASHERS
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from scheduler.services import audit
from scheduler.services.tokens import create_token
from tests.api_client import API, TokenClient

PASSWORD = "correct horse battery"
QUICK = 0.2  # seconds of the processor; what is measured takes a tenth of it
LARGE = b"a" * (6 * 1024 * 1024 + 1)  # one more than a body may have


@pytest.fixture(autouse=True)
def forgotten_sums() -> None:
    audit._sums.clear()


def cost_of(work: Callable[[], Any]) -> tuple[Any, float, list[str]]:
    """Return the result of `work`, the least seconds of the processor of three times, and the queries of the last."""
    seconds = []
    for _ in range(3):
        before = time.thread_time()
        with CaptureQueriesContext(connection) as queries:
            result = work()
        seconds.append(time.thread_time() - before)
    return result, min(seconds), [query["sql"] for query in queries]


def log_in(password: str, **more: Any) -> Any:
    return Client().post(
        "/admin/login/", {"username": "alice", "password": password, "next": "/admin/"}, **more
    )


def test_a_login_that_has_to_wait_costs_two_looks_at_its_counts_and_hashes_nothing(
    db: None, settings: Any
) -> None:
    settings.PASSWORD_HASHERS = PASSWORD_HASHERS  # those of the product, not the quick one of the tests
    User.objects.create_superuser("alice", password=PASSWORD)
    settings.SCHEDULER_LOGIN_ATTEMPTS = 1
    before = time.thread_time()
    assert log_in("wrong").status_code == 200
    hashed = time.thread_time() - before

    assert log_in(PASSWORD).status_code == 429  # it is written to the audit; those that follow are summed up
    refused, seconds, queries = cost_of(lambda: log_in(PASSWORD))

    assert refused.status_code == 429
    assert len(queries) == 2, queries
    assert all(re.match('SELECT .*FROM "scheduler_attemptcount"', sql) for sql in queries), queries
    assert seconds < min(QUICK, hashed / 2)


def test_a_bad_token_that_has_to_wait_costs_a_look_at_it_and_at_its_count(db: None, settings: Any) -> None:
    settings.SCHEDULER_TOKEN_ATTEMPTS = 1
    bad = TokenClient("bad-token")
    assert [bad.get("tasks").status_code for _ in range(2)] == [401, 429]

    refused, seconds, queries = cost_of(lambda: bad.get("tasks"))

    assert refused.status_code == 429
    assert [sql.partition(" ")[0] for sql in queries] == ["SELECT", "SELECT"], queries
    assert seconds < QUICK


@pytest.mark.parametrize("path", ["/admin/login/", "/admin/scheduler/task/", f"{API}/tasks", "/healthz"])
def test_a_host_that_is_not_ours_costs_no_query(db: None, path: str) -> None:
    refused, seconds, queries = cost_of(lambda: Client().get(path, headers={"Host": "evil.example.org"}))

    assert (refused.status_code, queries) == (400, [])
    assert seconds < QUICK


def test_a_body_that_is_too_large_is_not_read_by_the_api(db: None) -> None:
    client = TokenClient(create_token(User.objects.create_superuser("alice", password=PASSWORD)))
    client.get("tasks")

    _page, _seconds, known = cost_of(lambda: client.get("no-such-page"))
    refused, seconds, queries = cost_of(lambda: client.call("POST", "tasks", LARGE))

    assert refused.status_code == 413
    assert all(sql.startswith("SELECT") for sql in queries) and len(queries) <= len(known) + 3, queries
    assert seconds < QUICK


def test_a_body_that_is_too_large_is_not_read_by_the_login(db: None) -> None:
    refused, seconds, queries = cost_of(
        lambda: Client().post("/admin/login/", LARGE, content_type="application/x-www-form-urlencoded")
    )

    assert (refused.status_code, queries) == (400, [])
    assert seconds < QUICK
