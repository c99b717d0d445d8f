"""The site answers on each page, and its list needs the same queries however long it is."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from scheduler.models import Execution, Task
from scheduler.services.dispatch import dispatch_due
from tests.conftest import NOON


@pytest.fixture
def people(admin_client: Client, make_task: Any) -> Client:
    make_task("a", task_name="<script>alert(1)</script>", task_schedule="* * * * *")
    dispatch_due(NOON + timedelta(minutes=1))
    return admin_client


@pytest.mark.parametrize(
    "page",
    ["index", "scheduler_task_changelist", "scheduler_task_add", "scheduler_execution_changelist"],
)
def test_each_page_answers(people: Client, page: str) -> None:
    assert people.get(reverse(f"admin:{page}")).status_code == 200


def test_a_name_is_text_on_the_pages_of_a_task(people: Client) -> None:
    task, execution = Task.objects.get(), Execution.objects.get()
    pages = [
        reverse("admin:index"),
        reverse("admin:scheduler_task_changelist"),
        reverse("admin:scheduler_task_change", args=[task.pk]),
        reverse("admin:scheduler_task_history_list", args=[task.pk]),
        reverse("admin:scheduler_execution_change", args=[execution.pk]),
    ]

    for page in pages:
        answer = people.get(page)
        assert answer.status_code == 200
        assert b"<script>alert(1)" not in answer.content


def test_run_now_needs_a_post_and_starts_a_run(people: Client, make_task: Any) -> None:
    task = make_task("b")
    url = reverse("admin:scheduler_task_run", args=[task.pk])

    assert people.get(url).status_code == 405
    answer = people.post(url)

    execution = Execution.objects.get(task=task)
    assert answer.headers["Location"] == reverse("admin:scheduler_execution_change", args=[execution.pk])
    assert execution.trigger == "manual"


def test_the_pages_of_django_q2_are_not_there(people: Client) -> None:
    assert people.get("/admin/django_q/schedule/").status_code == 404


def test_everything_is_closed_to_strangers(client: Client, db: None) -> None:
    for path in ("/admin/scheduler/task/", "/api/docs", "/api/schema"):
        assert client.get(path).status_code in (302, 401, 403)
    assert client.get("/api/scheduler/tasks").status_code == 401
