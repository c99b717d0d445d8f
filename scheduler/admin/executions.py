"""Pages of executions: the list, one execution with its log, cancel."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import path, reverse
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST

from scheduler.admin.base import SiteModelAdmin
from scheduler.admin.requests import now
from scheduler.models import Execution
from scheduler.services import runs
from scheduler.views.execution import execution_page, log
from scheduler.views.executions import execution_list
from scheduler.views.hints import count_as_technical
from scheduler.views.history import log_pane
from scheduler.views.resume import resume


@admin.register(Execution)
class ExecutionAdmin(SiteModelAdmin):
    """Executions, read-only except for cancelling. The list is our own view."""

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """Show the list."""
        return execution_list(request)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Return False: executions are created by triggers."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return False: executions are immutable history."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return False: retention deletes them."""
        return False

    def get_urls(self) -> list[Any]:
        """Add the log and cancel URLs."""
        site = self.admin_site.admin_view
        own = [
            path("<int:pk>/log/", site(log), name="scheduler_execution_log"),
            path("<int:pk>/log-pane/", site(log_pane), name="scheduler_execution_log_pane"),
            path("<int:pk>/change/", site(execution_page), name="scheduler_execution_change"),
            path("<int:pk>/cancel/", site(require_POST(self.cancel)), name="scheduler_execution_cancel"),
            path("<int:pk>/resume/", site(resume), name="scheduler_execution_resume"),
            path(
                "<int:pk>/count-as-technical/",
                site(count_as_technical),
                name="scheduler_execution_count_as_technical",
            ),
        ]
        return own + super().get_urls()

    def cancel(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Cancel one execution."""
        if not self._may_cancel(request):
            raise PermissionDenied
        execution = get_object_or_404(Execution, pk=pk)
        if runs.cancel_execution(execution, by=request.user.get_username(), now=now()):
            messages.success(request, _("The execution is being cancelled."))
        else:
            messages.warning(request, _("The execution had already ended."))
        return HttpResponseRedirect(reverse("admin:scheduler_execution_change", args=[pk]))

    def _may_cancel(self, request: HttpRequest) -> bool:
        return any(request.user.has_perm(f"scheduler.{name}") for name in ("cancel_execution", "run_task"))
