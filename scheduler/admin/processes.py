"""Admin of dispatchers and workers."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from scheduler.admin.read_only import ReadOnlyAdmin
from scheduler.models import Process


@admin.register(Process)
class ProcessAdmin(ReadOnlyAdmin):
    """Dispatchers, clusters and worker processes."""

    list_display = ["__str__", "kind", "queue", "slots", "started_at", "heartbeat_at", "stopped_at"]
    list_filter = ["kind"]
    ordering = ["-heartbeat_at"]

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return False: rows are removed automatically."""
        return False
