"""Base of read-only admins."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest

from scheduler.admin.base import SiteModelAdmin


class ReadOnlyAdmin(SiteModelAdmin):
    """Admin of rows that cannot be added or changed."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Return False."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return False."""
        return False
