"""Admin of the audit log."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from scheduler.admin.read_only import ReadOnlyAdmin
from scheduler.models import AuditEvent


@admin.register(AuditEvent)
class AuditEventAdmin(ReadOnlyAdmin):
    """Audit events, newest first; read-only."""

    list_display = ["at", "kind", "outcome", "account", "address", "object", "count"]
    list_filter = ["kind", "outcome"]
    search_fields = ["account", "address", "object"]
    fields = ["at", "kind", "outcome", "account", "address", "user_agent", "object", "count"]
    ordering = ["-at", "-id"]
    show_full_result_count = False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return False: retention deletes them."""
        return False
