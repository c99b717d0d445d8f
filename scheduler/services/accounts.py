"""Roles, and the first account."""

from __future__ import annotations

import os
import secrets

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group, Permission
from django.db import transaction

MODELS = ("task", "taskdependency", "taskrevision", "run", "execution", "executionlog", "process", "apitoken")
VIEW = {
    f"view_{model}" for model in ("task", "taskdependency", "taskrevision", "run", "execution", "process")
}
OPERATE = VIEW | {"run_task", "cancel_execution"}
EDIT = OPERATE | {
    f"{verb}_{model}" for verb in ("add", "change", "delete") for model in ("task", "taskdependency")
}


def make_roles() -> None:
    """Make the groups Viewer, Operator, Editor and Admin with their permissions; existing ones are set again."""
    own = Permission.objects.filter(content_type__app_label="scheduler")
    everything = Permission.objects.filter(content_type__app_label__in=["scheduler", "auth"])
    roles = {"Viewer": VIEW, "Operator": OPERATE, "Editor": EDIT}
    with transaction.atomic():
        for name, codenames in roles.items():
            group, _ = Group.objects.get_or_create(name=name)
            group.permissions.set(own.filter(codename__in=codenames))
        group, _ = Group.objects.get_or_create(name="Admin")
        group.permissions.set(everything)


def make_first_admin() -> tuple[str, str | None] | None:
    """Make an admin account when there is none.

    Name, mail address and password come from DJANGO_SUPERUSER_USERNAME, _EMAIL and _PASSWORD when set.

    Returns:
        the name and the generated password (None when it was given), or None when there is an admin already.
    """
    users = get_user_model().objects
    if users.filter(is_superuser=True).exists():
        return None
    name = os.environ.get("DJANGO_SUPERUSER_USERNAME", "admin")
    given = os.environ.get("DJANGO_SUPERUSER_PASSWORD")
    password = given or secrets.token_urlsafe(15)
    users.create_superuser(
        username=name, email=os.environ.get("DJANGO_SUPERUSER_EMAIL", ""), password=password
    )
    return name, None if given else password
