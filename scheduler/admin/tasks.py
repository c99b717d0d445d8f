"""Pages of tasks: the list, the form, and what their buttons do."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, render
from django.urls import path, reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST
from unfold.admin import ModelAdmin
from unfold.decorators import display
from unfold.views import ChangeList

from scheduler import selectors, views
from scheduler.admin.requests import go_back, now, user_of
from scheduler.choices import ACTIVE, RAN, Status, Trigger
from scheduler.config_file import dump_config
from scheduler.exceptions import ConflictError
from scheduler.forms import TaskForm
from scheduler.models import Execution, Task
from scheduler.services import runs, tasks
from scheduler.services.configuration import export_specs
from scheduler.templatetags.scheduler_site import in_words, instant, pill, relative, strip

HISTORY_PAGE = 20


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


class LastStatusFilter(admin.SimpleListFilter):
    """Tasks whose latest outcome has a status."""

    title = _("last outcome")
    parameter_name = "last"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        """Return the statuses that an outcome can have."""
        return [(status.value, status.label) for status in Status if status in RAN]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        """Keep those with the status; the list annotates it."""
        return queryset.filter(last_status=self.value()) if self.value() else queryset


class TaskList(ChangeList):
    """The list with what each row shows of the history, read for the whole page at once."""

    def get_results(self, request: HttpRequest) -> None:
        """Read the page, then the latest executions of its tasks in two queries."""
        super().get_results(request)
        rows: list[Any] = list(self.result_list)  # type: ignore[has-type]
        self.result_list = rows
        recent = selectors.recent_executions([task.pk for task in rows])
        may_run = request.user.has_perm("scheduler.run_task")
        for task in rows:
            task.recent = recent[task.pk]
            task.may_run = may_run


@admin.register(Task)
class TaskAdmin(ModelAdmin):
    """Tasks."""

    form = TaskForm
    list_display = ["title", "last_outcome", "history_strip", "schedule_words", "next_run", "buttons"]
    list_filter = ["enabled", LastStatusFilter, TagFilter, ("queue", admin.AllValuesFieldListFilter)]
    list_fullwidth = True
    search_fields = ["task_id", "name", "description", "command"]
    list_per_page = 50
    actions = ["run_now", "enable", "disable", "export"]
    change_list_template = "admin/scheduler/task/change_list.html"
    fieldsets = [
        (_("Task"), {"fields": [("task_id", "name"), "command", "description", ("tags", "enabled")]}),
        (_("Schedule"), {"fields": [("schedule", "timezone"), "deadline"]}),
        (_("Dependencies"), {"fields": ["depends_on", "trigger_rule"]}),
        (
            _("Retries and time limits"),
            {"fields": [("timeout", "retry"), ("retry_interval", "retry_backoff")]},
        ),
        (
            _("Overlap and missed slots"),
            {"fields": [("concurrency", "max_parallel"), ("misfire_policy", "misfire_grace")]},
        ),
        (_("Environment"), {"fields": ["env"]}),
        (_("Notification rules"), {"fields": ["notify"]}),
        (_("Advanced"), {"fields": [("queue", "priority"), "history_days"]}),
    ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Add the last outcome."""
        return selectors.with_last_status(super().get_queryset(request))

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[TaskList]:
        """Return the list that reads the history of its rows."""
        return TaskList

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Leave out the task that searches for its upstreams."""
        excluded = request.GET.get("exclude", "")
        if request.path.endswith("/autocomplete/") and excluded.isascii() and excluded.isdigit():
            queryset = queryset.exclude(pk=int(excluded[:18]))
        return super().get_search_results(request, queryset, search_term)

    @display(description=_("Task"), ordering="task_id")
    def title(self, task: Task) -> SafeString:
        """Return name, id and tags."""
        tags = format_html_join("", '<span class="s-tag">{}</span>', ((tag,) for tag in task.tags))
        return format_html(
            '<span class="s-stack"><strong>{}</strong><span class="s-quiet">{} {}</span></span>',
            task.name,
            task.task_id,
            tags,
        )

    @display(description=_("Last outcome"), ordering="last_status")
    def last_outcome(self, task: Any) -> SafeString:
        """Return the last outcome, and what goes on now."""
        active = next((row.status for row in reversed(task.recent) if row.status in ACTIVE), None)
        paused = "" if task.enabled else format_html('<span class="s-pill s-none">{}</span>', _("Paused"))
        return format_html(
            '<span class="s-row">{}{}{}</span>',
            pill(task.last_status),
            pill(active) if active else "",
            paused,
        )

    @display(description=_("History"))
    def history_strip(self, task: Any) -> SafeString:
        """Return the latest executions as bars, each a link."""
        return strip(task.recent)

    @display(description=_("Schedule"), ordering="schedule")
    def schedule_words(self, task: Task) -> SafeString:
        """Return the schedule in words, or what is wrong with it."""
        if task.schedule_error:
            return format_html('<span class="s-error">{}</span>', task.schedule_error)
        if not task.schedule:
            return format_html('<span class="s-quiet">{}</span>', _("By dependency or by hand"))
        return format_html('<span title="{}">{}</span>', task.schedule, in_words(task))

    @display(description=_("Next run"), ordering="next_run_at")
    def next_run(self, task: Task) -> SafeString:
        """Return the next slot in the zone of the task, and how far away it is."""
        return format_html(
            '<span class="s-stack">{} {}</span>',
            instant(task.next_run_at, task.zone),
            relative(task.next_run_at),
        )

    @display(description=_("Actions"))
    def buttons(self, task: Any) -> SafeString:
        """Return the buttons of a row; those that change something post the form of the list, with its token."""
        history = format_html(
            '<a href="{}" class="schedsite-dialog s-button">{}</a>',
            reverse("admin:scheduler_task_history_list", args=[task.pk]),
            _("History"),
        )
        if not task.may_run:
            return history
        verb = ("pause", _("Pause")) if task.enabled else ("resume", _("Resume"))
        posts = [("run", _("Run now")), verb]
        buttons = format_html_join(
            "",
            '<button type="submit" formmethod="post" formaction="{}" class="s-button" aria-label="{}">{}</button>',
            (
                (reverse(f"admin:scheduler_task_{name}", args=[task.pk]), f"{label}: {task.task_id}", label)
                for name, label in posts
            ),
        )
        return format_html('<span class="s-row s-buttons">{}{}</span>', history, buttons)

    def get_urls(self) -> list[Any]:
        """Add history and running."""
        site = self.admin_site.admin_view
        own = [
            path("overview/", site(views.overview_part), name="scheduler_overview"),
            path("<int:pk>/executions/", site(self.history_list), name="scheduler_task_history_list"),
            path("<int:pk>/run/", site(require_POST(self.run_one)), name="scheduler_task_run"),
            path("<int:pk>/pause/", site(require_POST(self.pause)), name="scheduler_task_pause"),
            path("<int:pk>/resume/", site(require_POST(self.resume)), name="scheduler_task_resume"),
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

    def run_one(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Run one task and go to its execution."""
        if not self.has_run_permission(request):
            raise PermissionDenied
        task = get_object_or_404(Task, pk=pk)
        try:
            execution = runs.request_run(task, trigger=Trigger.MANUAL, user=user_of(request), now=now())
        except ConflictError as error:
            messages.warning(request, f"{task.task_id}: {error}")
            return go_back(request)
        return HttpResponseRedirect(reverse("admin:scheduler_execution_change", args=[execution.pk]))

    def pause(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Switch the schedule of one task off."""
        return self._switch(request, pk, enabled=False)

    def resume(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Switch the schedule of one task on."""
        return self._switch(request, pk, enabled=True)

    def _switch(self, request: HttpRequest, pk: int, *, enabled: bool) -> HttpResponse:
        if not self.has_run_permission(request):
            raise PermissionDenied
        task = get_object_or_404(Task, pk=pk)
        tasks.set_enabled(task, enabled, user=user_of(request), now=now())
        text = _("%(task)s is scheduled again.") if enabled else _("%(task)s is paused.")
        messages.success(request, text % {"task": task.name})
        return go_back(request)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Write by the service."""
        saved = tasks.save_task(form.spec, task=obj if change else None, user=user_of(request), now=now())
        obj.pk = saved.pk
        obj.task_id = saved.task_id

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """Nothing is left to write."""

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        """Delete by the service; the history stays."""
        tasks.delete_task(obj, user=user_of(request), now=now())

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        """Delete by the service."""
        for task in queryset:
            tasks.delete_task(task, user=user_of(request), now=now())

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
                runs.request_run(task, trigger=Trigger.MANUAL, user=user_of(request), now=now())
                started += 1
            except ConflictError as error:
                messages.warning(request, f"{task.task_id}: {error}")
        messages.success(request, _("%(count)d started") % {"count": started})

    @admin.action(description=_("Enable"), permissions=["run"])
    def enable(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        """Switch schedules on."""
        for task in queryset:
            tasks.set_enabled(task, True, user=user_of(request), now=now())

    @admin.action(description=_("Disable"), permissions=["run"])
    def disable(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        """Switch schedules off."""
        for task in queryset:
            tasks.set_enabled(task, False, user=user_of(request), now=now())

    @admin.action(description=_("Export as config.json"), permissions=["change"])
    def export(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse:
        """Download the chosen tasks."""
        response = HttpResponse(dump_config(export_specs(list(queryset))), content_type="application/json")
        response["Content-Disposition"] = 'attachment; filename="config.json"'
        return response

    def has_run_permission(self, request: HttpRequest) -> bool:
        """Whether the user may run and pause."""
        return bool(request.user.has_perm("scheduler.run_task"))
