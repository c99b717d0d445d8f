"""Delegation limits: users can change only accounts and grant only roles with permissions that they have."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import Group, Permission, User
from django.db.models import Q, QuerySet


def permissions_of(user: Any) -> QuerySet[Permission]:
    """Return the permissions of an account, even if it is disabled."""
    if user.is_superuser:
        return Permission.objects.all()
    return Permission.objects.filter(Q(user=user) | Q(group__user=user)).distinct()


def may_manage(actor: Any, target: User) -> bool:
    """Return whether `actor` has all permissions of `target`, and so may change, delete or set the password of it."""
    if actor.is_superuser:
        return True
    if target.is_superuser:
        return False
    return not permissions_of(target).exclude(pk__in=_keys(permissions_of(actor))).exists()


def grantable_groups(actor: Any) -> QuerySet[Group]:
    """Return the roles all of whose permissions `actor` has."""
    if actor.is_superuser:
        return Group.objects.all()
    beyond = Permission.objects.exclude(pk__in=_keys(permissions_of(actor)))
    return Group.objects.exclude(permissions__in=beyond)


def may_manage_group(actor: Any, group: Group) -> bool:
    """Return whether `actor` may change or delete a role."""
    return grantable_groups(actor).filter(pk=group.pk).exists()


def _keys(permissions: QuerySet[Permission]) -> list[int]:
    return list(permissions.values_list("pk", flat=True))
