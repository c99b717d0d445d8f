"""The API from outside: tokens, tasks, history by cursor, errors."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from scheduler.models import Execution, Task
from scheduler.services.dispatch import dispatch_due
from scheduler.services.tokens import create_token
from tests.conftest import NOON


@pytest.fixture
def api(admin_user: User) -> Client:
    return Client(headers={"Authorization": f"Bearer {create_token(admin_user)}"})


def post(api: Client, path: str, body: Any = None) -> Any:
    text = body if isinstance(body, str) else json.dumps(body or {})
    return api.post(f"/api/scheduler/{path}", text, content_type="application/json")


TASK = {"task_id": "a", "task_name": "A", "task_exec": "true", "task_schedule": "0 3 * * *"}


def test_a_task_is_created_read_changed_and_deleted(api: Client) -> None:
    created = post(api, "tasks", TASK)
    assert created.status_code == 201
    assert created.json()["schedule_description"] == "At 03:00"
    assert created.json()["last_execution"] is None

    changed = api.patch(
        "/api/scheduler/tasks/a", json.dumps({"task_retry": 2}), content_type="application/json"
    )
    assert (changed.status_code, changed.json()["task_retry"]) == (200, 2)

    assert api.delete("/api/scheduler/tasks/a").status_code == 204
    assert api.get("/api/scheduler/tasks/a").status_code == 404


def test_a_bad_task_names_the_fields_and_changes_nothing(api: Client) -> None:
    answer = post(api, "tasks", {**TASK, "task_timeout": -1, "task_nam": "x"})

    assert answer.status_code == 400
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert [error["path"] for error in answer.json()["errors"]] == ["task_nam", "task_timeout"]
    assert not Task.objects.exists()


@pytest.mark.parametrize(
    "body",
    [
        "{",
        "[" * 2000,
        '{"a": NaN}',
        '{"a": 1, "a": 2}',
        '{"task_id": "\\ud800"}',
        '{"task_id": "\\u0000"}',
        "5",
        "[]",
    ],
)
def test_no_body_makes_it_fall_over(api: Client, body: str) -> None:
    assert post(api, "tasks", body).status_code == 400


def test_execute_answers_at_once_and_refuses_an_overlap_with_a_row(api: Client) -> None:
    post(api, "tasks", TASK)

    first, second = post(api, "tasks/a/execute"), post(api, "tasks/a/execute")

    assert (first.status_code, first.json()["status"]) == (202, "queued")
    assert second.status_code == 409
    assert f"execution {first.json()['execution_id']} is still queued" in second.json()["detail"]
    assert Execution.objects.get(pk=second.json()["execution_id"]).status == "skipped"


def test_history_pages_by_cursor_back_and_forth_in_a_fixed_number_of_queries(
    api: Client, make_task: Any, django_assert_num_queries: Any
) -> None:
    make_task("a", task_schedule="* * * * *", task_concurrency="queue")
    for minute in range(1, 8):
        dispatch_due(NOON + timedelta(minutes=minute))
    api.get("/api/scheduler/tasks/a")  # the token notes its use once a minute

    seen, url = [], "/api/scheduler/tasks/a/history?page_size=3"
    for expected in (3, 3, 1):
        with django_assert_num_queries(4):
            page = api.get(url).json()
        assert len(page["results"]) == expected
        seen += [row["scheduled_for"] for row in page["results"]]
        last, url = page, page["next"]

    assert url is None
    assert seen == sorted(seen, reverse=True) and len(set(seen)) == 7
    back = api.get(last["previous"]).json()
    assert [row["scheduled_for"] for row in back["results"]] == seen[3:6]


@pytest.mark.parametrize(
    ("query", "path"),
    [
        ("status=no", "status"),
        ("since=yesterday", "since"),
        ("page_size=501", "page_size"),
        ("cursor=x", "cursor"),
        ("x=1", "x"),
    ],
)
def test_a_bad_parameter_is_named(api: Client, make_task: Any, query: str, path: str) -> None:
    make_task("a")

    answer = api.get(f"/api/scheduler/tasks/a/history?{query}")

    assert (answer.status_code, answer.json()["errors"][0]["path"]) == (400, path)


def test_a_viewer_reads_and_sees_no_values_of_the_environment(db: None, make_task: Any) -> None:
    from django.contrib.auth.models import Group

    from scheduler.services.accounts import make_roles

    make_roles()
    viewer = User.objects.create_user("v")
    viewer.groups.add(Group.objects.get(name="Viewer"))
    api = Client(headers={"Authorization": f"Bearer {create_token(viewer)}"})
    make_task("a", task_env={"KEY": "secret"})

    assert api.get("/api/scheduler/tasks/a").json()["task_env"] == {"KEY": "••••••"}
    assert post(api, "tasks/a/execute").status_code == 403
    assert post(api, "tasks", TASK).status_code == 403


def test_a_wrong_token_is_401(client: Client, db: None) -> None:
    answer = client.get("/api/scheduler/tasks", headers={"Authorization": "Bearer x"})

    assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Bearer")


def test_the_health_check_says_why_it_is_not_healthy(client: Client, db: None) -> None:
    answer = client.get("/healthz")

    assert answer.status_code == 503
    assert answer.json()["reasons"] == [
        "no dispatcher gave a heartbeat in the last 30 s",
        "no worker gave a heartbeat in the last 30 s",
    ]
