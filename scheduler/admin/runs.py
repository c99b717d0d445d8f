"""Pages of runs: the list, one run with its graph, cancel."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import path, reverse
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST

from scheduler.admin.read_only import ReadOnlyAdmin
from scheduler.admin.requests import now
from scheduler.models import Run
from scheduler.services import runs
from scheduler.views.runs import run_list, run_page


@admin.register(Run)
class RunAdmin(ReadOnlyAdmin):
    """Runs; list and page are our own views."""

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return False: retention deletes them."""
        return False

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """Show the list."""
        return run_list(request)

    def get_urls(self) -> list[Any]:
        """Add the run page and cancel URLs."""
        site = self.admin_site.admin_view
        own = [
            path("<int:pk>/change/", site(run_page), name="scheduler_run_change"),
            path("<int:pk>/cancel/", site(require_POST(self.cancel)), name="scheduler_run_cancel"),
        ]
        return own + super().get_urls()

    def cancel(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Cancel all queued and running executions of a run."""
        if not request.user.has_perm("scheduler.run_task"):
            raise PermissionDenied
        run = get_object_or_404(Run, pk=pk)
        if runs.cancel_run(run, by=request.user.get_username(), now=now()):
            messages.success(request, _("The run is being cancelled."))
        else:
            messages.warning(request, _("The run had already ended."))
        return HttpResponseRedirect(reverse("admin:scheduler_run_change", args=[pk]))
