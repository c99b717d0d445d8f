"""Who may do what: the permissions of the roles, by action of a view."""

from __future__ import annotations

from typing import Any

from rest_framework.permissions import BasePermission
from rest_framework.request import Request

VIEW_TASK, RUN_TASK = "scheduler.view_task", "scheduler.run_task"
VIEW_EXECUTION = "scheduler.view_execution"


class RolePermission(BasePermission):
    """A view names the permission each of its actions needs in `permissions_by_action`; others are refused."""

    def has_permission(self, request: Request, view: Any) -> bool:
        """Return whether the user has the permission that the action needs."""
        if not request.user or not request.user.is_authenticated:
            return False
        action = getattr(view, "action", str(request.method).lower())
        if action is None or request.method == "OPTIONS":
            return True  # a method without an action becomes a 405
        needed = getattr(view, "permissions_by_action", {}).get(action)
        return needed is not None and request.user.has_perm(needed)
