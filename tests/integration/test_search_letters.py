"""A search finds letters of all alphabets, whatever their case, on every database and behind every search box."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.db import connection
from django.test import Client

from scheduler.choices import Trigger
from scheduler.models import Task
from scheduler.services.runs import request_run
from tests.notify import finish_all, rule
from tests.support.cases import each_case

NAME = "Äpfel ÉTÉ Яблоко Ωmega"
WORDS = ["äpfel", "ÄPFEL", "été", "яблоко", "ЯБЛОКО", "ωMEGA", "el ét"]


@pytest.fixture
def admin(client: Client, db: None) -> Client:
    """Return a client that may see everything."""
    client.force_login(User.objects.create_superuser("ada", "", "a pass phrase"))
    return client


@each_case("words", WORDS)
def test_a_task_is_found_whatever_the_case_of_its_letters(words: str, make_task: Any) -> None:
    make_task("fruit", task_name=NAME)
    make_task("other", task_name="Apfel")

    assert [task.task_id for task in Task.objects.filter(name__icontains=words)] == ["fruit"]


@each_case(
    "address",
    [
        "/admin/scheduler/task/",
        "/admin/scheduler/execution/",
        "/admin/scheduler/run/",
        "/admin/scheduler/task/graph/",
        "/admin/scheduler/task/timeline/",
        "/admin/notifications/notificationrule/",
        "/admin/notifications/delivery/",
        "/api/scheduler/tasks",
    ],
)
def test_every_search_finds_it(address: str, admin: Client, make_task: Any) -> None:
    task = make_task(
        "fruit", task_name=NAME, task_schedule="0 * * * *", task_notify=[rule("success", name=NAME)]
    )
    make_task("other", task_name="Birne")
    finish_all(task, "S", begin=datetime.now(UTC))
    request_run(task, trigger=Trigger.MANUAL, user=None, now=datetime.now(UTC))

    found = {
        q: admin.get(address, {"q": q, "around": q} if "graph" in address else {"q": q})
        .content.decode()
        .count("Яблоко")
        for q in ("äpfel", "ÉTÉ", "birne")
    }

    assert found["äpfel"] and found["ÉTÉ"] and not found["birne"], found


@each_case(
    ("pattern", "found"),
    [("100%", ["a 100% b"]), ("a_b", ["a_b"]), ("a\\b", ["a\\b"]), ("'", ["it's"]), ("%", ["a 100% b"])],
)
def test_what_is_a_wildcard_elsewhere_is_a_letter_here(
    pattern: str, found: list[str], make_task: Any
) -> None:
    for number, name in enumerate(["a 100% b", "a 100 b", "a_b", "axb", "a\\b", "it's"]):
        make_task(f"task{number}", task_name=name)

    assert [task.name for task in Task.objects.filter(name__icontains=pattern)] == found


def test_the_other_questions_of_like_have_their_answers(make_task: Any) -> None:
    make_task("one", task_name="Äpfel und Birnen")

    assert Task.objects.filter(name__istartswith="äPF").exists()
    assert Task.objects.filter(name__iendswith="BIRNEN").exists()
    assert Task.objects.filter(name__iexact="äpfel UND birnen").exists()
    assert not Task.objects.filter(name__iexact="äpfel").exists()
    assert not Task.objects.filter(name__istartswith="pfel").exists()


def test_lists_of_the_admin_find_it_too(admin: Client) -> None:
    User.objects.create_user("Ärger")
    Group.objects.create(name="Übersicht")

    assert "Ärger" in admin.get("/admin/auth/user/?q=ärger").content.decode()
    assert "Übersicht" in admin.get("/admin/auth/group/?q=übersicht").content.decode()


@pytest.mark.django_db
def test_null_matches_nothing() -> None:
    if connection.vendor != "sqlite":
        pytest.skip("of SQLite")
    with connection.cursor() as cursor:
        cursor.execute(
            r"SELECT NULL LIKE '%a%' ESCAPE '\', 12 LIKE '%2%' ESCAPE '\', 'a' LIKE 'A' ESCAPE '\'"
        )

        assert cursor.fetchone() == (None, 1, 1)
