"""Pages of executions: the list, one execution with its log, cancel."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import path, reverse
from django.utils import timezone
from django.utils.functional import cached_property
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST
from unfold.admin import ModelAdmin
from unfold.contrib.filters.admin import AutocompleteSelectFilter
from unfold.decorators import display

from scheduler.admin.requests import now
from scheduler.choices import Status, Trigger
from scheduler.models import Execution, Task
from scheduler.phrases import retold
from scheduler.services import runs
from scheduler.templatetags.scheduler_site import duration, moment, pill, ticking
from scheduler.views.execution import execution_page, log
from scheduler.views.history import log_pane
from scheduler.views.resume import resume

if TYPE_CHECKING:
    AnyPaginator = Paginator[Any]
else:
    AnyPaginator = Paginator


class InfinitePaginator(AnyPaginator):
    """Never counts: over millions of rows that costs far more than the page."""

    template_name = "unfold/helpers/pagination_infinite.html"
    LAST_PAGE = 2000

    @cached_property
    def count(self) -> int:
        """Return more than any page reaches."""
        return self.LAST_PAGE * self.per_page


class AgeFilter(admin.SimpleListFilter):
    """Executions by the time they were queued."""

    title = _("queued")
    parameter_name = "age"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        """Return spans of time."""
        return [
            ("hour", _("Past hour")),
            ("today", _("Today")),
            ("day", _("Past 24 hours")),
            ("week", _("Past 7 days")),
            ("month", _("Past 30 days")),
        ]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        """Keep what was queued within the span."""
        present = now()
        begins = {
            "hour": present - timedelta(hours=1),
            "today": timezone.localtime(present).replace(hour=0, minute=0, second=0, microsecond=0),
            "day": present - timedelta(days=1),
            "week": present - timedelta(days=7),
            "month": present - timedelta(days=30),
        }
        begin = begins.get(self.value() or "")
        return queryset if begin is None else queryset.filter(queued_at__gte=begin)


def _unbroken(text: str) -> SafeString:
    """Return text that stays on one line, so that the table scrolls before it tears times apart."""
    return format_html('<span class="s-nowrap">{}</span>', text)


@admin.register(Execution)
class ExecutionAdmin(ModelAdmin):
    """Executions: read, follow the log, cancel."""

    list_display = [
        "number",
        "state",
        "of_task",
        "trigger",
        "moment",
        "seconds",
        "attempt",
        "why",
    ]
    list_filter = ["status", "trigger", AgeFilter, ("task", AutocompleteSelectFilter)]
    list_filter_submit = True
    list_fullwidth = True
    sortable_by = ()  # only the order of the history has an index
    list_select_related = ["task"]
    search_fields = ["task__task_id"]
    search_help_text = _("Number of an execution, or part of a task id")
    list_per_page = 30
    list_max_show_all = 0
    show_full_result_count = False
    paginator = InfinitePaginator
    ordering = ["-queued_at", "-id"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Let the indexes of rare statuses and triggers serve the filters for them."""
        rows = super().get_queryset(request)
        status, trigger = request.GET.get("status__exact"), request.GET.get("trigger__exact")
        rows = rows.of_status(status) if status in Status.values else rows
        return rows.of_trigger(trigger) if trigger in Trigger.values else rows

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Executions are made by triggers only."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Executions are history."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Retention deletes."""
        return False

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Find a number among executions, and other words among task ids only: both have an index."""
        word = search_term.strip()
        if not word:
            return queryset, False
        if word.isascii() and word.isdigit() and len(word) < 19:
            return queryset.filter(pk=int(word)), False
        matching = Task.all_objects.filter(task_id__icontains=word).values("pk")
        return queryset.filter(task__in=matching), False

    @display(description=_("Task"))
    def of_task(self, execution: Execution) -> SafeString:
        """Return the task as a link."""
        link = reverse("admin:scheduler_task_page", args=[execution.task_id])
        return format_html('<a class="s-link s-nowrap" href="{}">{}</a>', link, execution.task.task_id)

    @display(description=_("Time"))
    def moment(self, execution: Execution) -> SafeString:
        """Return the slot, else the start, else when it was queued, in the zone of the task."""
        at = execution.scheduled_for or execution.started_at or execution.queued_at
        return _unbroken(moment(at, execution.task.zone))

    @display(description=_("Execution"), ordering="id")
    def number(self, execution: Execution) -> str:
        """Return the id."""
        return f"#{execution.pk}"

    @display(description=_("Status"), ordering="status")
    def state(self, execution: Execution) -> SafeString:
        """Return the status as a coloured label."""
        return pill(execution.status)

    @display(description=_("Duration"))
    def seconds(self, execution: Execution) -> SafeString:
        """Return the duration; the browser counts on while it runs."""
        is_running = execution.status == Status.RUNNING
        return _unbroken(ticking(execution.started_at) if is_running else duration(execution.duration))

    @display(description=_("Reason"))
    def why(self, execution: Execution) -> str:
        """Return the beginning of the reason."""
        return retold(execution.reason)[:80]

    def get_urls(self) -> list[Any]:
        """Add log and cancel."""
        site = self.admin_site.admin_view
        own = [
            path("<int:pk>/log/", site(log), name="scheduler_execution_log"),
            path("<int:pk>/log-pane/", site(log_pane), name="scheduler_execution_log_pane"),
            path("<int:pk>/change/", site(execution_page), name="scheduler_execution_change"),
            path("<int:pk>/cancel/", site(require_POST(self.cancel)), name="scheduler_execution_cancel"),
            path("<int:pk>/resume/", site(resume), name="scheduler_execution_resume"),
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
