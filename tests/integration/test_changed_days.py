"""Tasks whose days an upgrade changed are named until somebody confirms or edits them."""

from __future__ import annotations

import importlib
from io import StringIO
from typing import Any

import pytest
from django.apps import apps
from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import Client
from django.urls import reverse

from scheduler.models import Task
from scheduler.services import tasks
from scheduler.task_mapping import task_to_spec
from tests.conftest import NOON
from tests.support.cases import each_case

pytestmark = pytest.mark.django_db
NOTICE = b"is due on other days since the upgrade"


def upgrade() -> None:
    importlib.import_module("scheduler.migrations.0013_day_rule").note_changed_days(apps, None)


def marked() -> list[str]:
    return list(Task.objects.exclude(days_changed_at=None).values_list("task_id", flat=True))


@each_case(
    ("schedule", "is_marked"),
    [
        ("0 0 */2 * 1", True),
        ("0 0 13 * */2", True),
        ("30 0 0 */1 * MON", True),
        ("0 0 22,* * mon", True),
        ("0 0 *,22 * mon", False),
        ("0 0 13 * 5", False),
        ("0 0 */2 * *", False),
        ("0 0 ? * 1", False),
        ("0 0 L * *", False),
        ("@daily", False),
        ("", False),
    ],
)
def test_the_migration_marks_the_schedules_whose_days_are_joined_otherwise(
    schedule: str, is_marked: bool
) -> None:
    rule = importlib.import_module("scheduler.migrations.0013_day_rule")

    assert rule.was_joined_otherwise(schedule) is is_marked


def test_changed_days_are_named_by_setup_on_the_overview_and_on_the_page(
    admin_client: Client, make_task: Any
) -> None:
    task = make_task("odd_mondays", task_schedule="0 0 */2 * 1")
    make_task("daily", task_schedule="0 0 * * *")
    out = StringIO()

    upgrade()
    call_command("setup", stdout=out, stderr=StringIO())

    assert marked() == ["odd_mondays"]
    assert "note: odd_mondays (0 0 */2 * 1): An upgrade changed the days of its schedule" in out.getvalue()
    assert "days no longer (" in out.getvalue()
    assert NOTICE in admin_client.get(reverse("admin:index")).content
    page = admin_client.get(reverse("admin:scheduler_task_page", args=[task.pk])).content
    assert b"An upgrade changed the days of its schedule" in page
    assert page.count(b"<del>") > 150


def test_confirmed_days_are_no_longer_named(admin_client: Client, make_task: Any) -> None:
    task = make_task("odd_mondays", task_schedule="0 0 */2 * 1")
    upgrade()
    reader = Client()
    reader.force_login(User.objects.create_user("reader", password="pw", is_staff=True))
    address = reverse("admin:scheduler_task_accept_days", args=[task.pk])

    refused = reader.post(address).status_code
    still_marked = marked()
    admin_client.post(address)

    assert (refused, still_marked, marked()) == (403, ["odd_mondays"], [])
    assert NOTICE not in admin_client.get(reverse("admin:index")).content


def test_days_are_named_until_the_schedule_itself_is_edited(make_task: Any) -> None:
    task = make_task("odd_mondays", task_schedule="0 0 */2 * 1")
    upgrade()

    tasks.set_enabled(task, False, user=None, now=NOON)
    paused = marked()
    spec = {**task_to_spec(Task.objects.get()), "task_schedule": "0 0 */2 * 2"}
    tasks.save_task(spec, task=Task.objects.get(), user=None, now=NOON)  # type: ignore[arg-type]  # a whole spec

    assert (paused, marked()) == (["odd_mondays"], [])
