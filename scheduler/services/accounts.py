"""Roles and the first admin account."""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass

from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import Group, Permission, User
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
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
    """The created account; `password` is set only if it was generated."""

    username: str
    password: str | None


def make_roles() -> None:
    """Create the groups Viewer, Operator, Editor and Admin with their permissions; existing groups are reset."""
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
    """Create an admin account unless one exists; return it, or None if one exists already.

    Name, mail address and password come from DJANGO_SUPERUSER_USERNAME, _EMAIL and _PASSWORD if set.

    Raises:
        ConflictError: the name belongs to a non-admin account, which is not promoted; or the password is weak and the
            site is reachable from other machines.
    """
    users = get_user_model().objects
    name = os.environ.get("DJANGO_SUPERUSER_USERNAME") or "admin"
    given = os.environ.get("DJANGO_SUPERUSER_PASSWORD") or None
    with transaction.atomic():
        if users.filter(is_superuser=True).exists():
            return None
        if users.filter(username=name).exists():
            raise ConflictError(
                f'the account "{name}" exists and is not an admin; set another name in DJANGO_SUPERUSER_USERNAME'
            )
        password = given or secrets.token_urlsafe(15)
        email = os.environ.get("DJANGO_SUPERUSER_EMAIL", "")
        if not settings.SERVES_THIS_MACHINE_ONLY:
            _refuse_weak(password, User(username=name, email=email))
        users.create_superuser(username=name, email=email, password=password)
    return FirstAdmin(name, None if given else password)


def _refuse_weak(password: str, user: User) -> None:
    """Reject a password that the password form would reject.

    Raises:
        ConflictError: lists the reasons.
    """
    try:
        validate_password(password, user)
    except ValidationError as error:
        raise ConflictError(f"DJANGO_SUPERUSER_PASSWORD is weak: {' '.join(error.messages)}") from error


def accounts_named_by_their_password(most: int = 20) -> list[str]:
    """Return the names of active superusers whose password is their name; checks at most `most`, as hashing is slow."""
    users = get_user_model().objects.filter(is_superuser=True, is_active=True).order_by("pk")[:most]
    return [user.get_username() for user in users if _is_named_by_password(user)]


def _is_named_by_password(user: AbstractBaseUser) -> bool:
    name = user.get_username()
    return any(user.check_password(word) for word in {name, name.lower()})
