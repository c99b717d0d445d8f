"""Logins, bad tokens, test messages and runs by API: so many, then a wait; and nobody is kept out for good."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any

import pytest
import time_machine
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connection
from django.test import Client

from scheduler.models import ApiToken, AttemptCount, AuditEvent
from scheduler.services import audit, limits
from scheduler.services.tokens import create_token
from tests.api_client import API, TokenClient, user_of
from tests.notify import finish_all, rule

START = datetime(2026, 11, 27, 12, 0, tzinfo=UTC)
PASSWORD = "correct horse battery"
HOME, ELSEWHERE = "198.51.100.7", "203.0.113.9"


@pytest.fixture(autouse=True)
def forgotten_sums() -> None:
    audit._sums.clear()


@pytest.fixture(autouse=True)
def fast_passwords(settings: Any) -> None:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture
def clock() -> Iterator[Any]:
    with time_machine.travel(START, tick=False) as traveller:
        yield traveller


@pytest.fixture
def owner(db: None) -> User:
    return User.objects.create_superuser("alice", password=PASSWORD)


def log_in(password: str, *, name: str = "alice", address: str = HOME, client: Client | None = None) -> Any:
    return (client or Client()).post(
        "/admin/login/",
        {"username": name, "password": password, "next": "/admin/"},
        REMOTE_ADDR=address,
        HTTP_USER_AGENT="Firefox",
    )


def guess(times: int, **more: Any) -> list[int]:
    return [log_in(f"wrong {number}", **more).status_code for number in range(times)]


def test_thirty_wrong_passwords_are_not_all_looked_at(owner: User, clock: Any) -> None:
    assert guess(30) == [200] * 5 + [429] * 25
    assert AuditEvent.objects.filter(kind="login", outcome="failure").count() == 5


def test_right_password_during_the_wait_is_refused_with_the_seconds_left(owner: User, clock: Any) -> None:
    guess(5)
    clock.shift(2)

    refused = log_in(PASSWORD)

    assert (refused.status_code, refused["Retry-After"]) == (429, "3")
    page = refused.content.decode()
    assert "Too many attempts. Try again in 3 s." in page and 'class="s-alone"' in page


def test_refusal_is_told_in_chinese(owner: User, clock: Any) -> None:
    guess(5)

    page = Client(headers={"Accept-Language": "zh-hans"}).post(
        "/admin/login/", {"username": "alice", "password": PASSWORD}, REMOTE_ADDR=HOME
    )

    assert page.status_code == 429 and "尝试次数过多，请在 5 秒后重试。" in page.content.decode()


def test_right_password_after_the_wait_works_and_begins_anew(owner: User, clock: Any) -> None:
    guess(5)
    clock.shift(5)

    assert log_in(PASSWORD).status_code == 302
    assert guess(5) == [200] * 5


def test_waits_grow_to_the_longest_and_not_beyond(owner: User, clock: Any, settings: Any) -> None:
    settings.SCHEDULER_LOGIN_WAIT = 60
    guess(5)
    waits = []
    for _ in range(8):
        waits.append(int(log_in(PASSWORD)["Retry-After"]))
        clock.shift(waits[-1])
        guess(1)

    assert waits[:4] == [5, 10, 20, 40] and max(waits) <= 60
    clock.shift(60)
    assert log_in(PASSWORD).status_code == 302


def test_refused_attempts_do_not_put_the_end_of_the_wait_off(owner: User, clock: Any) -> None:
    guess(5)
    for _ in range(4):
        clock.shift(1)
        assert guess(3) == [429] * 3
    clock.shift(1)

    assert log_in(PASSWORD).status_code == 302


def test_owner_gets_in_from_home_while_others_hammer_the_account(owner: User, clock: Any) -> None:
    for number in range(60):
        guess(2, address=f"203.0.113.{number}")

    assert log_in(PASSWORD).status_code == 302


def test_owner_whose_browser_is_known_gets_in_beside_an_attacker_of_the_same_address(
    owner: User, clock: Any
) -> None:
    browser = Client()
    log_in(PASSWORD, client=browser)
    browser.post("/admin/logout/")
    guess(200)

    assert log_in(PASSWORD).status_code == 429
    assert log_in(PASSWORD, client=browser).status_code == 302


def test_known_browser_has_a_limit_of_its_own(owner: User, clock: Any) -> None:
    browser = Client()
    log_in(PASSWORD, client=browser)

    assert guess(10, client=browser) == [200] * 5 + [429] * 5


def test_browser_of_one_account_is_not_known_for_another(owner: User, clock: Any) -> None:
    User.objects.create_superuser("mallory", password="mallorys own password")
    browser = Client()
    log_in("mallorys own password", name="mallory", client=browser)
    guess(5)

    assert log_in(PASSWORD, client=browser).status_code == 429


def test_forged_device_cookie_is_worth_nothing(owner: User, clock: Any) -> None:
    browser = Client()
    browser.cookies["device"] = "WyJhbGljZSIsIngiXQ:1abcde:forged"
    guess(5)

    assert log_in(PASSWORD, client=browser).status_code == 429


def test_guesses_from_many_addresses_are_slowed_for_those_that_failed_before(owner: User, clock: Any) -> None:
    addresses = [f"203.0.113.{number}" for number in range(40)]
    for address in addresses:
        guess(1, address=address)

    looked_at = [log_in("again", address=address).status_code for address in addresses].count(200)

    assert looked_at <= 1


def test_one_address_cannot_try_one_password_on_many_accounts(owner: User, clock: Any) -> None:
    tried = [log_in("summer", name=f"user{number}", address=ELSEWHERE).status_code for number in range(60)]

    assert tried == [200] * 30 + [429] * 30
    assert log_in(PASSWORD).status_code == 302


def test_an_own_account_does_not_reset_the_count_of_an_address(owner: User, clock: Any) -> None:
    User.objects.create_superuser("mallory", password="mallorys own password")
    tried = []
    for number in range(60):
        tried.append(log_in("summer", name=f"user{number}", address=ELSEWHERE).status_code)
        if number % 5 == 4:
            log_in("mallorys own password", name="mallory", address=ELSEWHERE)

    assert tried.count(200) == 30


def test_networks_of_ipv6_are_counted_as_one_host(owner: User, clock: Any) -> None:
    tried = [guess(1, address=f"2001:db8:0:1::{number:x}")[0] for number in range(1, 11)]

    assert tried == [200] * 5 + [429] * 5


def test_unknown_accounts_cost_and_say_the_same(owner: User, clock: Any, monkeypatch: Any) -> None:
    from django.contrib.auth.hashers import MD5PasswordHasher

    hashed: list[str] = []
    encode = MD5PasswordHasher.encode
    monkeypatch.setattr(
        MD5PasswordHasher,
        "encode",
        lambda self, password, salt: hashed.append(password) or encode(self, password, salt),
    )

    known, unknown = log_in("wrong"), log_in("wrong", name="nobody", address=ELSEWHERE)

    assert hashed == ["wrong", "wrong"]
    assert known.content.count(b"correct username and password") == 1
    assert unknown.content.count(b"correct username and password") == 1
    assert guess(10, name="nobody", address=ELSEWHERE) == [200] * 4 + [429] * 6


def test_refusals_are_one_line_each_and_few_rows(owner: User, clock: Any, caplog: Any) -> None:
    with caplog.at_level(logging.INFO, logger="scheduler.security"):
        guess(50, name="eve\r\nlogin success: account='alice'\x1b[2J")

    refused = [record for record in caplog.records if "refused" in record.getMessage()]
    assert len(refused) == 45
    lines = [record.getMessage() for record in caplog.records]
    assert all(line.isprintable() for line in lines)
    assert not any("wrong" in line for line in lines)
    assert AuditEvent.objects.filter(outcome="refused").count() == 1


def test_sum_of_refusals_is_written_after_a_minute(
    owner: User, clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    guess(8)
    monkeypatch.setattr(audit, "SUMMED_UP_FOR", 0.0)

    guess(1)

    assert list(
        AuditEvent.objects.filter(outcome="refused").order_by("pk").values_list("count", flat=True)
    ) == [1, 3]


def test_storm_of_names_and_addresses_leaves_a_bounded_table(owner: User, clock: Any) -> None:
    for number in range(100):
        log_in("x", name=f"user{number}", address=ELSEWHERE)

    assert AttemptCount.objects.count() <= 2 * 30 + 1
    assert AuditEvent.objects.filter(outcome="failure").count() == 30
    clock.shift(timedelta(days=2))
    limits.prune(datetime.now(UTC))
    assert not AttemptCount.objects.exists()


def test_audit_is_kept_as_long_as_the_settings_say(owner: User, clock: Any, settings: Any) -> None:
    settings.SCHEDULER_AUDIT_DAYS = 30
    guess(1)
    clock.shift(timedelta(days=29))
    guess(1)
    clock.shift(timedelta(days=2))

    audit.prune(datetime.now(UTC))

    assert AuditEvent.objects.count() == 1


def test_audit_never_grows_beyond_its_bound(owner: User, clock: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "MOST_ROWS", 10)
    for number in range(15):
        guess(1, name=f"user{number}")

    audit.prune(datetime.now(UTC))

    assert AuditEvent.objects.count() == 10
    assert AuditEvent.objects.order_by("pk").first().account == "user5"  # type: ignore[union-attr]


@pytest.mark.parametrize("name", ["alice", HOME, ""])
def test_unlock_lets_somebody_try_at_once(owner: User, clock: Any, name: str) -> None:
    guess(5)
    out = StringIO()

    call_command("unlock", *([name] if name else []), stdout=out)

    assert "forgotten" in out.getvalue()
    assert log_in(PASSWORD).status_code == 302
    assert AuditEvent.objects.get(kind="unlock").object == (name or "all")


def test_unlock_of_somebody_else_changes_nothing(owner: User, clock: Any) -> None:
    guess(5)

    call_command("unlock", "bob", stdout=StringIO())

    assert log_in(PASSWORD).status_code == 429


def test_logins_are_audited_with_address_and_browser(owner: User, clock: Any) -> None:
    log_in(PASSWORD)

    event = AuditEvent.objects.get(kind="login")
    assert (event.outcome, event.account, event.address, event.user_agent) == (
        "success",
        "alice",
        HOME,
        "Firefox",
    )


def test_names_that_no_database_takes_are_refused_like_others(owner: User, clock: Any) -> None:
    assert log_in("x", name="a\0b").status_code == 400
    assert log_in("x", name="n" * 100_000).status_code == 200


def test_bad_tokens_are_refused_and_a_good_one_of_the_same_address_is_not(owner: User, clock: Any) -> None:
    good, bad = TokenClient(create_token(owner)), TokenClient("bad-token")

    answers = [bad.get("tasks") for _ in range(25)]

    assert [answer.status_code for answer in answers] == [401] * 20 + [429] * 5
    refused = answers[-1]
    assert refused["Content-Type"] == "application/problem+json" and refused["Retry-After"] == "2"
    assert refused.json()["detail"] == "Too many attempts; try again in 2 s."
    assert good.get("tasks").status_code == 200
    assert AuditEvent.objects.filter(kind="token", outcome="refused").count() == 1


def test_bad_tokens_of_one_address_do_not_hurt_another(owner: User, clock: Any) -> None:
    bad = TokenClient("bad-token")
    for _ in range(25):
        bad.get("tasks")

    elsewhere = Client().get(f"{API}/tasks", headers={"Authorization": "Bearer x"}, REMOTE_ADDR=ELSEWHERE)

    assert elsewhere.status_code == 401


def test_refused_token_is_a_page_where_a_browser_asks(owner: User, clock: Any) -> None:
    bad = TokenClient("bad-token")
    for _ in range(20):
        bad.get("tasks")

    assert bad.get("tasks", Accept="text/html").status_code == 429


def test_runs_by_api_have_a_limit_of_their_account(
    owner: User, make_task: Any, clock: Any, settings: Any
) -> None:
    settings.SCHEDULER_RUN_LIMIT = 3
    make_task("backup", task_concurrency="allow")
    client = TokenClient(create_token(owner))

    answers = [client.post("tasks/backup/execute") for _ in range(5)]

    assert [answer.status_code for answer in answers] == [202] * 3 + [429] * 2
    assert answers[-1]["Retry-After"] == "20"
    clock.shift(20)
    assert client.post("tasks/backup/execute").status_code == 202
    assert AuditEvent.objects.filter(kind="run", outcome="refused", account="alice").count() == 1


def test_test_messages_have_a_limit_of_their_account(
    owner: User, clock: Any, settings: Any, notebook: Any
) -> None:
    from notifications.models import NotificationRule

    settings.SCHEDULER_TEST_LIMIT = 2
    client = TokenClient(create_token(owner))
    channels = [{"type": "webhook", "url": "https://chat.example.org/hook"}]
    made = client.post(
        "notification-rules",
        {"scope": "all", "name": "night", "triggers": ["timeout"], "channels": channels},
    )
    assert made.status_code == 201, made.content
    rule = NotificationRule.objects.get()

    answers = [client.post(f"notification-rules/{rule.pk}/test").status_code for _ in range(3)]

    assert answers == [200, 200, 429]
    site = Client()
    site.force_login(owner)
    page = site.post(f"/admin/notifications/notificationrule/{rule.pk}/test/")
    assert "Too many attempts. Try again in 30 min." in page.content.decode()


@pytest.fixture
def delivery(owner: User, make_task: Any, notebook: Any) -> Any:
    """Return a delivery that failed."""
    from notifications.models import Delivery

    finish_all(make_task("backup", task_notify=[rule("technical_failure")]), "F")
    Delivery.objects.update(state="failed")
    return Delivery.objects.get()


def test_resent_deliveries_and_tests_share_the_limit_of_their_account(
    owner: User, delivery: Any, clock: Any, settings: Any, caplog: Any
) -> None:
    settings.SCHEDULER_TEST_LIMIT = 3
    client, other = TokenClient(create_token(owner)), TokenClient(create_token(user_of("Operator")))

    tested = client.post(f"notification-rules/{delivery.rule_id}/test").status_code
    with caplog.at_level(logging.INFO, logger="scheduler.security"):
        answers = [client.post(f"deliveries/{delivery.pk}/resend") for _ in range(4)]

    assert (tested, [answer.status_code for answer in answers]) == (200, [202, 202, 429, 429])
    assert answers[-1]["Retry-After"] == "1200"
    assert answers[-1]["Content-Type"] == "application/problem+json"
    assert other.post(f"deliveries/{delivery.pk}/resend").status_code == 202
    refused = [record.getMessage() for record in caplog.records if "test refused" in record.getMessage()]
    assert len(refused) == 2 and "account='alice'" in refused[0]
    assert AuditEvent.objects.filter(kind="test", outcome="refused", account="alice").count() == 1
    clock.shift(1200)
    assert client.post(f"deliveries/{delivery.pk}/resend").status_code == 202


def test_page_of_a_delivery_refuses_to_resend_too_often(
    owner: User, delivery: Any, clock: Any, settings: Any
) -> None:
    settings.SCHEDULER_TEST_LIMIT = 1
    site = Client()
    site.force_login(owner)
    path = f"/admin/notifications/delivery/{delivery.pk}"

    first = site.post(f"{path}/resend/", follow=True).content.decode()
    type(delivery).objects.update(state="failed")
    second = site.post(f"{path}/resend/", follow=True).content.decode()

    assert "A worker will send it shortly." in first
    assert "Too many attempts. Try again in 1 h." in second
    delivery.refresh_from_db()
    assert delivery.state == "failed"
    assert AuditEvent.objects.filter(kind="test", outcome="refused", account="alice").count() == 1


@pytest.mark.django_db(transaction=True)
def test_of_guesses_sent_at_once_no_more_are_looked_at_than_are_free(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    User.objects.create_superuser("alice", password=PASSWORD)
    gate, codes = threading.Barrier(12), []

    def send(number: int) -> None:
        gate.wait()
        codes.append(log_in(f"wrong {number}").status_code)
        connection.close()

    threads = [threading.Thread(target=send, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(codes) == [200] * 5 + [429] * 7
    assert not ApiToken.objects.exists()
