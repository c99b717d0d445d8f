"""An installation in which every route has something to show, and an account for each role."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.contrib.auth.models import Group, User
from django.contrib.contenttypes.models import ContentType
from django.test import Client

from notifications.choices import Scope
from notifications.models import Delivery
from notifications.services.definitions import save_rule, validate_rule
from scheduler.choices import Status, Trigger
from scheduler.config_file import validate_task
from scheduler.models import Execution, Process, Run, Task
from scheduler.services import runs
from scheduler.services.accounts import make_roles
from scheduler.services.tasks import save_task
from scheduler.services.tokens import create_token
from tests.hostile.requests import ROLES
from tests.site_pages import keys

CHANNELS = [
    {"type": "email", "recipients": ["night@example.org"]},
    {"type": "webhook", "url": "https://hook.invalid/night", "secret": "kept-secret"},
]


@dataclass(frozen=True)
class World:
    """Keys of rows by model, and session keys and tokens by role."""

    keys: Mapping[str, Any]
    sessions: Mapping[str, str]
    tokens: Mapping[str, str]


def make_world() -> World:
    """Store tasks with history, rules, messages and accounts; no row of it starts anything."""
    make_roles()
    accounts = {role: _account(role) for role in ROLES if role != "nobody"}
    now = datetime.now(UTC)
    first = _task("night", now, task_schedule="0 3 * * *", task_tags=["night"], task_env={"MODE": "full"})
    _task("after", now, task_dependencies=["night"])
    execution = runs.request_run(first, trigger=Trigger.MANUAL, user=accounts["admin"], now=now)
    Execution.objects.filter(pk=execution.pk).update(
        status=Status.TECHNICAL_FAILURE, is_outcome=True, started_at=now, finished_at=now, exit_code=7
    )
    rule = {"name": "Night", "triggers": ["technical_failure"], "channels": CHANNELS}
    save_rule(validate_rule(rule), scope=Scope.ALL, task=None, tag="", user=None, now=now)
    for ticks, kind in enumerate(("dispatcher", "cluster", "worker")):
        Process.objects.create(
            kind=kind, started_at=now, heartbeat_at=now, queue="default", slots=4,
            host="night-1", host_id="night-1", pid=17, start_ticks=ticks,
        )  # fmt: skip
    tokens = {role: create_token(user, name="fuzz") for role, user in accounts.items()}
    found = keys() | {"task": first.pk, "task_id": first.task_id, "execution": execution.pk}
    found |= {
        "run": Run.objects.latest("pk").pk,
        "user": accounts["viewer"].pk,
        "delivery": Delivery.objects.latest("pk").pk,
    }
    found["contenttype"] = ContentType.objects.get_for_model(Task).pk
    return World(found, {role: _session(user) for role, user in accounts.items()}, tokens)


def _task(task_id: str, now: datetime, **fields: Any) -> Task:
    spec = validate_task(
        {"task_id": task_id, "task_name": task_id.title(), "task_exec": "true", **fields}, known={"night"}
    )
    return save_task(spec, task=None, user=None, now=now)


def _account(role: str) -> User:
    user = User.objects.create_user(f"a-{role}", is_staff=True)  # without a password: to hash one takes long
    if role == "superuser":
        User.objects.filter(pk=user.pk).update(is_superuser=True)
        user.refresh_from_db()
    elif role != "staff":
        user.groups.add(Group.objects.get(name=role.title()))
    return user


def _session(user: User) -> str:
    client = Client()
    client.force_login(user)
    return client.cookies["sessionid"].value
