"""The site: tasks with their history, executions with their logs. Everything it writes goes through services."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from django.contrib import admin, messages
from django.contrib.auth.admin import GroupAdmin as StockGroupAdmin
from django.contrib.auth.admin import UserAdmin as StockUserAdmin
from django.contrib.auth.models import Group, User
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db.models import OuterRef, QuerySet, Subquery
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, render
from django.urls import path, reverse
from django.utils import formats, timezone, translation
from django.utils.functional import cached_property
from django.utils.html import format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST
from django_q import models as queue_models
from unfold.admin import ModelAdmin
from unfold.decorators import display
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from scheduler import selectors
from scheduler.choices import ACTIVE, Status, Trigger
from scheduler.config_file import dump_config
from scheduler.descriptions import describe_schedule
from scheduler.exceptions import ConflictError
from scheduler.forms import TaskForm
from scheduler.models import ApiToken, Execution, Process, Task
from scheduler.services import runs, tasks
from scheduler.services.configuration import export_specs

STATUS_COLOURS = {
    Status.QUEUED: "info",
    Status.RUNNING: "info",
    Status.SUCCESS: "success",
    Status.BUSINESS_FAILURE: "warning",
    Status.TECHNICAL_FAILURE: "danger",
    Status.TIMEOUT: "danger",
    Status.CANCELLED: "default",
    Status.SKIPPED: "default",
    Status.MISSED: "warning",
}
HISTORY_PAGE = 20

for model in (queue_models.Schedule, queue_models.Success, queue_models.Failure, queue_models.OrmQ):
    if admin.site.is_registered(model):
        admin.site.unregister(model)  # whoever may add a django-q2 schedule may run any function


def now() -> datetime:
    """Return the present instant."""
    return datetime.now(UTC)


def _user(request: HttpRequest) -> Any:
    """Return who is logged in; the admin site lets nobody else in."""
    return request.user


class TagFilter(admin.SimpleListFilter):
    """Tasks that carry a tag."""

    title = _("tag")
    parameter_name = "tag"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Return the tags in use."""
        tags = {tag for tags in Task.objects.values_list("tags", flat=True) for tag in tags}
        return [(tag, tag) for tag in sorted(tags)]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        """Keep the tagged."""
        return queryset.tagged(self.value()) if self.value() else queryset


class LatestStatusFilter(admin.SimpleListFilter):
    """Tasks whose latest execution has a status."""

    title = _("latest status")
    parameter_name = "latest"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        """Return all statuses."""
        return list(Status.choices)

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        """Keep those with the status; the list annotates it."""
        return queryset.filter(latest_status=self.value()) if self.value() else queryset


@admin.register(Task)
class TaskAdmin(ModelAdmin):
    """Tasks."""

    form = TaskForm
    list_display = ["title", "latest", "schedule_words", "next_run", "enabled", "buttons"]
    list_filter = ["enabled", LatestStatusFilter, TagFilter, "queue"]
    search_fields = ["task_id", "name", "description", "command"]
    list_per_page = 50
    actions = ["run_now", "enable", "disable", "export"]
    change_list_template = "admin/scheduler/task/change_list.html"
    fieldsets = [
        (None, {"fields": ["task_id", "name", "description", "command", "enabled", "tags"]}),
        (_("Schedule"), {"fields": ["schedule", "timezone", "misfire_policy", "misfire_grace", "deadline"]}),
        (_("Dependencies"), {"fields": ["depends_on", "trigger_rule"]}),
        (_("Retries and timeout"), {"fields": ["timeout", "retry", "retry_interval", "retry_backoff"]}),
        (_("Overlap and queue"), {"fields": ["concurrency", "max_parallel", "queue", "priority"]}),
        (_("Environment"), {"fields": ["env"]}),
        (_("Notification rules"), {"fields": ["notify"]}),
        (_("History"), {"fields": ["history_days"]}),
    ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Add the latest execution, so that the list needs no query a row."""
        latest = Execution.objects.filter(task=OuterRef("pk")).newest_first()
        return (
            super()
            .get_queryset(request)
            .annotate(
                latest_status=Subquery(latest.values("status")[:1]),
                latest_pk=Subquery(latest.values("pk")[:1]),
            )
        )

    @display(description=_("Task"), header=True, ordering="task_id")
    def title(self, task: Task) -> list[str]:
        """Return name and id."""
        return [task.name, task.task_id]

    @display(description=_("Latest"), label=STATUS_COLOURS, ordering="latest_status")
    def latest(self, task: Any) -> tuple[str, Any] | str:
        """Return the status of the latest execution."""
        return (task.latest_status, Status(task.latest_status).label) if task.latest_status else "-"

    @display(description=_("Schedule"), ordering="schedule")
    def schedule_words(self, task: Task) -> str:
        """Return the schedule in words, or what is wrong with it."""
        return (
            task.schedule_error or describe_schedule(task.schedule, translation.get_language() or "en") or "-"
        )

    @display(description=_("Next run"), ordering="next_run_at")
    def next_run(self, task: Task) -> str:
        """Return the next slot."""
        return "-" if task.next_run_at is None else formats.localize(timezone.localtime(task.next_run_at))

    @display(description="")
    def buttons(self, task: Task) -> SafeString:
        """Return the links of a row; what changes something asks first, by its own form."""
        links = [
            (reverse("admin:scheduler_task_history_list", args=[task.pk]), _("History"), "schedsite-dialog"),
            (reverse("admin:scheduler_task_confirm", args=[task.pk, "run"]), _("Run"), "schedsite-dialog"),
        ]
        return format_html_join(
            " ",
            '<a href="{}" class="{} font-medium text-primary-600 dark:text-primary-500">{}</a>',
            ((url, css, label) for url, label, css in links),
        )

    def get_urls(self) -> list[Any]:
        """Add history and running."""
        site = self.admin_site.admin_view
        own = [
            path("<int:pk>/executions/", site(self.history_list), name="scheduler_task_history_list"),
            path("<int:pk>/confirm/<slug:what>/", site(self.confirm), name="scheduler_task_confirm"),
            path("<int:pk>/run/", site(require_POST(self.run_one)), name="scheduler_task_run"),
        ]
        return own + super().get_urls()

    def history_list(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Show the executions of a task by pages, in the dialog or as a page of its own."""
        if not request.user.has_perm("scheduler.view_execution"):
            raise PermissionDenied
        task = get_object_or_404(Task, pk=pk)
        number = request.GET.get("page", "1")
        page = int(number) if number.isascii() and number.isdigit() and len(number) < 7 else 1
        rows: QuerySet[Any] = Execution.objects.filter(task=task).newest_first()
        status = request.GET.get("status", "")
        if status in Status.values:
            rows = rows.filter(status=status)
        start = (max(page, 1) - 1) * HISTORY_PAGE
        found = list(rows[start : start + HISTORY_PAGE + 1])
        context = {
            **self.admin_site.each_context(request),
            "title": _("History of %(task)s") % {"task": task.name},
            "task": task,
            "executions": found[:HISTORY_PAGE],
            "page": page,
            "has_next": len(found) > HISTORY_PAGE,
            "statuses": Status.choices,
            "status": status,
        }
        is_part = request.headers.get("X-Requested-With") == "dialog"
        template = "scheduler/_history.html" if is_part else "scheduler/history.html"
        return render(request, template, context)

    def confirm(self, request: HttpRequest, pk: int, what: str) -> HttpResponse:
        """Ask before a task is run."""
        task = get_object_or_404(Task, pk=pk)
        context = {**self.admin_site.each_context(request), "task": task, "title": task.name}
        is_part = request.headers.get("X-Requested-With") == "dialog"
        return render(request, "scheduler/_run.html" if is_part else "scheduler/run.html", context)

    def run_one(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Run one task and go to its execution."""
        if not request.user.has_perm("scheduler.run_task"):
            raise PermissionDenied
        task = get_object_or_404(Task, pk=pk)
        try:
            execution = runs.request_run(task, trigger=Trigger.MANUAL, user=_user(request), now=now())
        except ConflictError as error:
            messages.warning(request, str(error))
            return HttpResponseRedirect(reverse("admin:scheduler_task_changelist"))
        return HttpResponseRedirect(reverse("admin:scheduler_execution_change", args=[execution.pk]))

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Write by the service."""
        saved = tasks.save_task(form.spec, task=obj if change else None, user=_user(request), now=now())
        obj.pk = saved.pk
        obj.task_id = saved.task_id

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """Nothing is left to write."""

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        """Delete by the service; the history stays."""
        tasks.delete_task(obj, user=_user(request), now=now())

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        """Delete by the service."""
        for task in queryset:
            tasks.delete_task(task, user=_user(request), now=now())

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> tuple[Any, Any, Any, Any]:
        """Say what deleting means: the history stays, the downstreams lose an edge."""
        lines = []
        for task in objs:
            names = ", ".join(task.downstreams.values_list("task_id", flat=True))
            lines.append(
                f"{task.task_id}" + (str(_(" (upstream of %(names)s)") % {"names": names}) if names else "")
            )
        missing = set() if self.has_delete_permission(request) else {_("task")}
        return lines, {str(_("tasks")): len(lines)}, missing, []

    @admin.action(description=_("Run now"), permissions=["run"])
    def run_now(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        """Run the chosen tasks."""
        started = 0
        for task in queryset:
            try:
                runs.request_run(task, trigger=Trigger.MANUAL, user=_user(request), now=now())
                started += 1
            except ConflictError as error:
                messages.warning(request, f"{task.task_id}: {error}")
        messages.success(request, _("%(count)d started") % {"count": started})

    @admin.action(description=_("Enable"), permissions=["run"])
    def enable(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        """Switch schedules on."""
        for task in queryset:
            tasks.set_enabled(task, True, user=_user(request), now=now())

    @admin.action(description=_("Disable"), permissions=["run"])
    def disable(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        """Switch schedules off."""
        for task in queryset:
            tasks.set_enabled(task, False, user=_user(request), now=now())

    @admin.action(description=_("Export as config.json"), permissions=["change"])
    def export(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse:
        """Download the chosen tasks."""
        response = HttpResponse(dump_config(export_specs(list(queryset))), content_type="application/json")
        response["Content-Disposition"] = 'attachment; filename="config.json"'
        return response

    def has_run_permission(self, request: HttpRequest) -> bool:
        """Whether the user may run and pause."""
        return bool(request.user.has_perm("scheduler.run_task"))


if TYPE_CHECKING:
    AnyPaginator = Paginator[Any]
else:
    AnyPaginator = Paginator


class UncountedPaginator(AnyPaginator):
    """Counts no further than needed: a count over millions of rows costs more than the page."""

    LIMIT = 10_000

    @cached_property
    def count(self) -> int:
        """Return the count, at most LIMIT."""
        rows: Any = self.object_list
        return int(rows.order_by()[: self.LIMIT].count())


@admin.register(Execution)
class ExecutionAdmin(ModelAdmin):
    """Executions: read, follow the log, cancel."""

    list_display = [
        "number",
        "task",
        "state",
        "trigger",
        "scheduled_for",
        "started_at",
        "seconds",
        "attempt",
        "why",
    ]
    list_filter = ["status", "trigger"]
    list_select_related = ["task"]
    search_fields = ["=id", "task__task_id"]
    list_per_page = 50
    show_full_result_count = False
    paginator = UncountedPaginator
    ordering = ["-queued_at", "-id"]
    change_form_template = "admin/scheduler/execution/change_form.html"
    fields = [
        ("task", "state"),
        ("trigger", "attempt"),
        ("scheduled_for", "queued_at"),
        ("started_at", "finished_at"),
        ("exit_code", "seconds"),
        ("worker", "run"),
        "reason",
    ]

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Executions are made by triggers only."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Executions are history."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Retention deletes."""
        return False

    @display(description=_("Execution"), ordering="id")
    def number(self, execution: Execution) -> str:
        """Return the id."""
        return str(execution.pk)

    @display(description=_("Status"), label=STATUS_COLOURS, ordering="status")
    def state(self, execution: Execution) -> tuple[str, Any]:
        """Return the status as a coloured label."""
        return execution.status, Status(execution.status).label

    @display(description=_("Duration"))
    def seconds(self, execution: Execution) -> str:
        """Return the duration in seconds."""
        elapsed = execution.elapsed(now())
        return "-" if elapsed is None else f"{elapsed:.1f} s"

    @display(description=_("Reason"))
    def why(self, execution: Execution) -> str:
        """Return the beginning of the reason."""
        return execution.reason[:80]

    def get_urls(self) -> list[Any]:
        """Add log and cancel."""
        site = self.admin_site.admin_view
        own = [
            path("<int:pk>/log/", site(self.log), name="scheduler_execution_log"),
            path("<int:pk>/cancel/", site(require_POST(self.cancel)), name="scheduler_execution_cancel"),
        ]
        return own + super().get_urls()

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Show one execution with its log."""
        execution = Execution.objects.filter(pk=object_id).first() if object_id.isdigit() else None
        context: dict[str, Any] = {**(extra_context or {})}
        if execution is not None:
            context["part"] = selectors.read_log(execution)
            context["is_active"] = execution.status in ACTIVE
            context["may_cancel"] = execution.status in ACTIVE and self._may_cancel(request)
        return super().change_view(request, object_id, form_url, context)

    def log(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Return the log as text: all of it as a download, or what is new from an offset."""
        if not request.user.has_perm("scheduler.view_execution"):
            raise PermissionDenied
        execution = get_object_or_404(Execution, pk=pk)
        text = request.GET.get("offset", "0")
        offset = int(text) if text.isascii() and text.isdigit() and len(text) < 16 else 0
        part = selectors.read_log(execution, offset=offset)
        response = HttpResponse(part.text, content_type="text/plain; charset=utf-8")
        response["X-Content-Type-Options"] = "nosniff"
        response["X-Next-Offset"] = str(part.next_offset)
        response["X-Is-Active"] = "1" if execution.status in ACTIVE else "0"
        if "offset" not in request.GET:
            response["Content-Disposition"] = f'attachment; filename="execution-{execution.pk}.log"'
        return response

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
        return bool(request.user.has_perm("scheduler.cancel_execution"))


class ReadOnlyAdmin(ModelAdmin):
    """Rows that people only look at."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Refuse."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Refuse."""
        return False


@admin.register(ApiToken)
class ApiTokenAdmin(ReadOnlyAdmin):
    """Tokens: seen and revoked here, made by `manage.py create_token`."""

    list_display = ["__str__", "user", "created_at", "last_used_at", "expires_at"]
    fields = ["user", "name", "created_at", "last_used_at", "expires_at"]


@admin.register(Process)
class ProcessAdmin(ReadOnlyAdmin):
    """Dispatchers, clusters and worker processes."""

    list_display = ["__str__", "kind", "queue", "slots", "started_at", "heartbeat_at", "stopped_at"]
    list_filter = ["kind"]
    ordering = ["-heartbeat_at"]

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """They go by themselves."""
        return False


admin.site.unregister(User)
admin.site.unregister(Group)


@admin.register(User)
class UserAdmin(StockUserAdmin, ModelAdmin):  # type: ignore[type-arg]
    """Accounts."""

    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm


@admin.register(Group)
class GroupAdmin(StockGroupAdmin, ModelAdmin):
    """Roles."""
