"""Permissions on the pages of this app."""

from __future__ import annotations

from dataclasses import dataclass

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest

from notifications.choices import Scope

CHANGE_TASK = "scheduler.change_task"


def require(request: HttpRequest, *permissions: str) -> None:
    """Require `permissions` of this app.

    Raises:
        PermissionDenied: one is missing.
    """
    if not request.user.has_perms([f"notifications.{name}" for name in permissions]):
        raise PermissionDenied


@dataclass(frozen=True)
class Rights:
    """What the user may do with rules and deliveries."""

    view: bool
    add: bool
    change: bool
    delete: bool
    change_task: bool
    test: bool
    view_deliveries: bool
    resend: bool

    def changes(self, scope: str) -> bool:
        """Return whether rules of a scope may be changed; a rule of a task is part of the task."""
        return self.change and (self.change_task or scope != Scope.TASK)


def rights_of(request: HttpRequest) -> Rights:
    """Return the rights of the user."""

    def may(name: str) -> bool:
        return bool(request.user.has_perm(f"notifications.{name}"))

    return Rights(
        view=may("view_notificationrule"),
        add=may("add_notificationrule"),
        change=may("change_notificationrule"),
        delete=may("delete_notificationrule"),
        change_task=bool(request.user.has_perm(CHANGE_TASK)),
        test=may("test_notificationrule"),
        view_deliveries=may("view_delivery"),
        resend=may("resend_delivery"),
    )
