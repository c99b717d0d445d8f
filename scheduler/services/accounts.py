"""Roles, and the first account."""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group, Permission
from django.db import transaction

from scheduler.exceptions import ConflictError

APPS = ("scheduler", "notifications")
VIEW = {
    f"view_{model}"
    for model in (
        *("task", "taskdependency", "taskrevision", "run", "execution", "process"),
        *("notificationrule", "rulechannel", "delivery"),
    )
}
OPERATE = VIEW | {"run_task", "cancel_execution", "test_notificationrule", "resend_delivery"}
EDIT = OPERATE | {
    f"{verb}_{model}"
    for verb in ("add", "change", "delete")
    for model in ("task", "taskdependency", "notificationrule", "rulechannel")
}


@dataclass(frozen=True)
class FirstAdmin:
    """The account that was made; `password` is None when it was given and not generated."""

    username: str
    password: str | None


def make_roles() -> None:
    """Make the groups Viewer, Operator, Editor and Admin with their permissions; existing ones are set again."""
    own = Permission.objects.filter(content_type__app_label__in=APPS)
    everything = Permission.objects.filter(content_type__app_label__in=[*APPS, "auth"])
    roles = {"Viewer": VIEW, "Operator": OPERATE, "Editor": EDIT}
    with transaction.atomic():
        for name, codenames in roles.items():
            group, _ = Group.objects.get_or_create(name=name)
            group.permissions.set(own.filter(codename__in=codenames))
        group, _ = Group.objects.get_or_create(name="Admin")
        group.permissions.set(everything)


def make_first_admin() -> FirstAdmin | None:
    """Make an admin account when there is none; return it, or None when there is one already.

    Name, mail address and password come from DJANGO_SUPERUSER_USERNAME, _EMAIL and _PASSWORD when set.

    Raises:
        ConflictError: the name belongs to an account that is no admin; it is not promoted.
    """
    users = get_user_model().objects
    name = os.environ.get("DJANGO_SUPERUSER_USERNAME") or "admin"
    given = os.environ.get("DJANGO_SUPERUSER_PASSWORD") or None
    with transaction.atomic():
        if users.filter(is_superuser=True).exists():
            return None
        if users.filter(username=name).exists():
            raise ConflictError(
                f'the account "{name}" exists and is no admin; name another one in DJANGO_SUPERUSER_USERNAME'
            )
        password = given or secrets.token_urlsafe(15)
        email = os.environ.get("DJANGO_SUPERUSER_EMAIL", "")
        users.create_superuser(username=name, email=email, password=password)
    return FirstAdmin(name, None if given else password)
