"""Protection of the last owner. Owners are active superusers that can log in.

Both guards are called from Django's model signals, so that they cover forms, bulk actions, commands and any later code.
They lock the rows of all owners first: otherwise two concurrent deletions could each rely on the other owner.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.contrib.auth.hashers import UNUSABLE_PASSWORD_PREFIX
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import QuerySet

from scheduler.exceptions import ConflictError

if TYPE_CHECKING:
    from collections.abc import Collection

DECISIVE = {"is_superuser", "is_staff", "is_active", "password"}


class LastOwnerError(ConflictError):
    """The change would leave the installation without an owner."""

    def __init__(self) -> None:
        super().__init__(
            "the last owner (an active superuser who can log in) cannot be removed; add another one first"
        )


def owners() -> QuerySet[User]:
    """Return the active superusers that can log in."""
    able = User.objects.filter(is_superuser=True, is_staff=True, is_active=True)
    return able.exclude(password__startswith=UNUSABLE_PASSWORD_PREFIX)


def is_owner(user: User) -> bool:
    """Return whether an account, in its unsaved state, is an owner."""
    return user.is_superuser and user.is_staff and user.is_active and user.has_usable_password()


def lock_owners() -> set[int]:
    """Lock the rows of all owners until the transaction ends; return their primary keys."""
    return {owner.pk for owner in owners().select_for_update().order_by("pk")}


def guard_change(user: User, *, fields: Collection[str] | None) -> None:
    """Refuse to save the last owner as an account that is not an owner. Call it before the change.

    Args:
        fields: names of the saved fields; None: all.

    Raises:
        LastOwnerError: nothing was saved.
    """
    if user.pk is None or is_owner(user) or (fields is not None and not DECISIVE & set(fields)):
        return
    with transaction.atomic():
        if lock_owners() == {user.pk}:
            raise LastOwnerError


def guard_deletion(user: User) -> None:
    """Refuse to delete the last owner. Call it after the deletion, in the same transaction.

    Raises:
        LastOwnerError: the deletion must be rolled back.
    """
    if is_owner(user) and not owners().exists():
        raise LastOwnerError
