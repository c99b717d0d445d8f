"""The admin site, as a browser without scripts sees it."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from scheduler.models import Task, TaskDependency

FORM = {
    "task_id": "b",
    "name": "B",
    "description": "",
    "command": "true",
    "schedule": "",
    "timezone": "",
    "enabled": "on",
    "timeout": "",
    "retry": "0",
    "retry_interval": "60",
    "retry_backoff": "1",
    "env": "{}",
    "notify": "[]",
    "tags": "",
    "queue": "",
    "priority": "0",
    "concurrency": "skip",
    "max_parallel": "",
    "misfire_policy": "run_once",
    "misfire_grace": "60",
    "trigger_rule": "all_success",
    "deadline": "",
    "history_days": "",
}


@pytest.fixture
def site(admin_client: Client) -> Client:
    return admin_client


def field_errors(response: Any) -> dict[str, list[str]]:
    return dict(response.context["adminform"].form.errors)


def test_a_task_is_made_and_changed_through_the_form(site: Client, make_task: Any) -> None:
    upstream = make_task("a")

    added = site.post(
        reverse("admin:scheduler_task_add"),
        {**FORM, "depends_on": [upstream.pk], "tags": "x, y", "deadline": "06:00"},
    )
    task = Task.objects.get(task_id="b")
    changed = site.post(reverse("admin:scheduler_task_change", args=[task.pk]), {**FORM, "name": "New"})
    again = Task.objects.get(task_id="b")

    assert (added.status_code, changed.status_code) == (302, 302)
    assert (task.tags, task.deadline, task.env) == (["x", "y"], "06:00", {})
    assert again.name == "New" and not again.upstreams.exists()
    assert again.revision is not None and again.revision.number == 2


def test_a_cycle_is_refused_beside_the_upstreams_and_nothing_typed_is_lost(
    site: Client, make_task: Any
) -> None:
    a = make_task("a")
    b = make_task("b", task_dependencies=["a"])

    url = reverse("admin:scheduler_task_change", args=[a.pk])
    response = site.post(url, {**FORM, "task_id": "a", "name": "Typed", "depends_on": [b.pk]})

    errors = field_errors(response)
    assert list(errors) == ["depends_on"]
    assert "b → a → b" in errors["depends_on"][0] or "a → b → a" in errors["depends_on"][0]
    assert "Typed" in response.content.decode()
    assert TaskDependency.objects.count() == 1


@pytest.mark.parametrize(
    ("field", "value", "shown"),
    [
        ("schedule", "0 0 30 2 *", "schedule"),
        ("timeout", "-1", "timeout"),
        ("env", '{"A": 1}', "env"),
        ("env", "{", "env"),
        ("notify", '[{"triggers": []}]', "notify"),
        ("tags", "two words", "tags"),
        ("deadline", "25:00", "deadline"),
        ("task_id", "with space", "task_id"),
        ("max_parallel", "2", "max_parallel"),
    ],
)
def test_each_error_stands_beside_its_field(site: Client, field: str, value: str, shown: str) -> None:
    response = site.post(reverse("admin:scheduler_task_add"), {**FORM, field: value})

    assert response.status_code == 200
    assert list(field_errors(response)) == [shown]
    assert not Task.objects.exists()
