"""Admin of tasks: the list, the task page, its form, and actions."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.shortcuts import get_object_or_404
from django.urls import path, reverse
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_POST
from django_htmx.http import trigger_client_event

from scheduler.admin.base import SiteModelAdmin
from scheduler.admin.requests import go_back, now, user_of
from scheduler.choices import Status, Trigger
from scheduler.exceptions import ConflictError
from scheduler.forms.task import TaskForm
from scheduler.models import Execution, Task
from scheduler.services import rescheduling, runs, tasks
from scheduler.services.configuration import shared_config
from scheduler.services.folders import folder_error
from scheduler.views.frame import is_htmx
from scheduler.views.graph import graph
from scheduler.views.history import history
from scheduler.views.import_export import export_page, import_page
from scheduler.views.new_task import new_task
from scheduler.views.overview import overview_part
from scheduler.views.restore import deleted_note, restore
from scheduler.views.schedule_hint import schedule_hint
from scheduler.views.system import system
from scheduler.views.task import task_page
from scheduler.views.tasks import card_part, task_list
from scheduler.views.timeline import timeline
from scheduler.wording.reasons import told, told_error

NOTES = 10  # of tasks that were deleted together


@admin.register(Task)
class TaskAdmin(SiteModelAdmin):
    """Tasks. The list is `views/tasks.py`, with the admin's actions; `list_display` is seen only in popups."""

    form = TaskForm
    list_display = ["task_id", "name"]
    search_fields = ["task_id", "name", "description", "command"]
    actions = ["run_now", "enable", "disable", "export"]
    fieldsets = [
        (_("Task"), {"fields": [("task_id", "name"), "command", "description", ("tags", "enabled")]}),
        (_("Schedule"), {"fields": ["schedule", ("timezone", "deadline")]}),
        (_("Dependencies"), {"fields": ["depends_on", "trigger_rule"]}),
        (
            _("Retries and time limits"),
            {"fields": [("timeout", "retry"), ("retry_interval", "retry_backoff"), "exit_codes"]},
        ),
        (
            _("Overlap and missed slots"),
            {
                "fields": [
                    "concurrency",
                    ("max_parallel", "max_waiting"),
                    ("misfire_policy", "misfire_grace"),
                ]
            },
        ),
        (_("Environment"), {"fields": [("shell", "python"), "encoding", "env"]}),
        (_("Notification rules"), {"fields": ["notify"]}),
        (_("Advanced"), {"fields": [("queue", "priority"), "history_days", "seen_revision"]}),
    ]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """Show the list, or apply an action to the selected tasks."""
        if request.method != "POST" and "_popup" not in request.GET:
            return task_list(request)
        if request.method == "POST":
            # The admin would reject our filters; it redirects to the original URL.
            request.GET = QueryDict()
        return super().changelist_view(request, extra_context)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """Show the form; users without change permission get the task page, which shows no secrets."""
        if not self.has_view_or_change_permission(request):
            raise PermissionDenied
        if not self.has_change_permission(request):
            task = get_object_or_404(Task, pk=object_id)
            return HttpResponseRedirect(reverse("admin:scheduler_task_page", args=[task.pk]))
        return super().change_view(request, object_id, form_url, extra_context)

    def history_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> HttpResponse:
        """Redirect to the history of executions, which is what the site calls history."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        task = get_object_or_404(Task, pk=object_id)
        return HttpResponseRedirect(reverse("admin:scheduler_task_history_list", args=[task.pk]))

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Exclude the task whose upstreams are being searched."""
        excluded = request.GET.get("exclude", "")
        if request.path.endswith("/autocomplete/") and excluded.isascii() and excluded.isdigit():
            queryset = queryset.exclude(pk=int(excluded[:18]))
        return super().get_search_results(request, queryset, search_term)

    def get_urls(self) -> list[Any]:
        """Add the task pages of the site."""
        site = self.admin_site.admin_view
        own = [
            path("overview/", site(overview_part), name="scheduler_overview"),
            path("graph/", site(graph), name="scheduler_graph"),
            path("timeline/", site(timeline), name="scheduler_timeline"),
            path("system/", site(system), name="scheduler_system"),
            path("import/", site(import_page), name="scheduler_import"),
            path("export/", site(export_page), name="scheduler_export"),
            path("new/", site(new_task), name="scheduler_task_new"),
            path("schedule-hint/", site(schedule_hint), name="scheduler_schedule_hint"),
            path("<int:pk>/", site(task_page), name="scheduler_task_page"),
            path("<int:pk>/executions/", site(history), name="scheduler_task_history_list"),
            path("<int:pk>/run/", site(require_POST(self.run_one)), name="scheduler_task_run"),
            path("<int:pk>/pause/", site(require_POST(self.pause)), name="scheduler_task_pause"),
            path("<int:pk>/days/", site(require_POST(self.accept_days)), name="scheduler_task_accept_days"),
            path("<int:pk>/restore/", site(restore), name="scheduler_task_restore"),
            path("<int:pk>/resume/", site(require_POST(self.resume)), name="scheduler_task_resume"),
        ]
        return own + super().get_urls()

    def run_one(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Run one task, with its downstreams unless disabled, and redirect to the execution; from a card, stay."""
        if not self.has_run_permission(request):
            raise PermissionDenied
        task = get_object_or_404(Task, pk=pk)
        with_downstream = request.POST.get("downstream") != "0"
        try:
            execution = runs.request_run(
                task,
                trigger=Trigger.MANUAL,
                user=user_of(request),
                downstream=with_downstream,
                now=now(),
            )
        except ConflictError as error:
            return self._answer(request, task, f"{task.task_id}: {told_error(error)}", level=messages.WARNING)
        link = reverse("admin:scheduler_execution_change", args=[execution.pk])
        if not is_htmx(request):
            return HttpResponseRedirect(link)
        return self._answer(request, task, _("%(task)s was started.") % {"task": task.name}, link=link)

    def pause(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Switch the schedule of one task off."""
        return self._switch(request, pk, enabled=False)

    def resume(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Switch the schedule of one task on."""
        return self._switch(request, pk, enabled=True)

    def accept_days(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Stop naming the days of one task that an upgrade changed."""
        if not self.has_change_permission(request):
            raise PermissionDenied
        rescheduling.accept_changed_days(get_object_or_404(Task, pk=pk))
        return go_back(request)

    def _switch(self, request: HttpRequest, pk: int, *, enabled: bool) -> HttpResponse:
        if not self.has_run_permission(request):
            raise PermissionDenied
        task = get_object_or_404(Task, pk=pk)
        task = tasks.set_enabled(task, enabled, user=user_of(request), now=now())
        text = _("%(task)s was resumed.") if enabled else _("%(task)s was paused.")
        return self._answer(request, task, text % {"task": task.name})

    def _answer(
        self, request: HttpRequest, task: Task, text: Any, *, link: str = "", level: int = messages.SUCCESS
    ) -> HttpResponse:
        """Return the result message: next to the clicked card, or on the page of the button."""
        if not is_htmx(request):
            messages.add_message(request, level, text)
            return go_back(request)
        note = {
            "text": str(text),
            "link": link,
            "level": "warning" if level == messages.WARNING else "success",
        }
        return trigger_client_event(card_part(request, task), "schedsite:note", note)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Save through the service."""
        saved = tasks.save_task(form.spec, task=obj if change else None, user=user_of(request), now=now())
        obj.pk = saved.pk
        obj.task_id = saved.task_id
        missing = folder_error(saved)
        if missing:
            messages.warning(request, _("This task would not start: %(why)s.") % {"why": told(missing)})

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """No-op: the service has written everything."""

    def response_post_save_change(self, request: HttpRequest, obj: Task) -> HttpResponseRedirect:
        """Redirect to the page of the saved task."""
        return HttpResponseRedirect(reverse("admin:scheduler_task_page", args=[obj.pk]))

    def response_post_save_add(self, request: HttpRequest, obj: Task) -> HttpResponseRedirect:
        """Redirect to the page of the created task."""
        return HttpResponseRedirect(reverse("admin:scheduler_task_page", args=[obj.pk]))

    def response_delete(self, request: HttpRequest, obj_display: str, obj_id: Any) -> HttpResponseRedirect:
        """Redirect to the list, with an offer to restore the task."""
        messages.success(request, deleted_note(Task.all_objects.get(pk=obj_id)))
        return HttpResponseRedirect(reverse("admin:scheduler_task_changelist"))

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        """Delete through the service; the history is kept."""
        tasks.delete_task(obj, user=user_of(request), now=now())

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        """Delete through the service."""
        for number, task in enumerate(queryset):
            tasks.delete_task(task, user=user_of(request), now=now())
            if number < NOTES:
                messages.success(request, deleted_note(task))

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> tuple[Any, Any, Any, Any]:
        """Return the effects of deleting each task: what is kept, disconnected, and cancelled."""
        lines = [_deletion_summary(task) for task in objs]
        missing = set() if self.has_delete_permission(request) else {_("task")}
        return lines, {str(_("tasks")): len(lines)}, missing, []

    @admin.action(description=_("Run now"), permissions=["run"])
    def run_now(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        """Run the selected tasks."""
        started = 0
        for task in queryset:
            try:
                runs.request_run(task, trigger=Trigger.MANUAL, user=user_of(request), now=now())
                started += 1
            except ConflictError as error:
                messages.warning(request, f"{task.task_id}: {told_error(error)}")
        words = ngettext("%(count)d task was started.", "%(count)d tasks were started.", started)
        messages.success(request, words % {"count": started})

    @admin.action(description=_("Resume"), permissions=["run"])
    def enable(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        """Switch schedules on."""
        self._switch_all(request, queryset, enabled=True)

    @admin.action(description=_("Pause"), permissions=["run"])
    def disable(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        """Switch schedules off."""
        self._switch_all(request, queryset, enabled=False)

    def _switch_all(self, request: HttpRequest, queryset: QuerySet[Any], *, enabled: bool) -> None:
        chosen = list(queryset.exclude(enabled=enabled))
        for task in chosen:
            tasks.set_enabled(task, enabled, user=user_of(request), now=now())
        words = (
            ngettext("%(count)d task was resumed.", "%(count)d tasks were resumed.", len(chosen))
            if enabled
            else ngettext("%(count)d task was paused.", "%(count)d tasks were paused.", len(chosen))
        )
        messages.success(request, words % {"count": len(chosen)})

    @admin.action(description=_("Export as config.json"), permissions=["change"])
    def export(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse:
        """Download the selected tasks."""
        response = HttpResponse(shared_config(list(queryset)), content_type="application/json")
        response["Content-Disposition"] = 'attachment; filename="config.json"'
        return response

    def has_run_permission(self, request: HttpRequest) -> bool:
        """Return whether the user may run and pause tasks."""
        return bool(request.user.has_perm("scheduler.run_task"))


def _deletion_summary(task: Task) -> dict[str, Any]:
    """Return the effects of deleting a task."""
    active = Execution.objects.active().filter(task=task).values_list("status", flat=True)
    found = list(active[:1000])
    return {
        "task": task,
        "downstreams": list(task.downstreams.filter(deleted_at=None).order_by("task_id")),
        "queued": found.count(Status.QUEUED),
        "running": found.count(Status.RUNNING),
        "has_history": Execution.objects.filter(task=task).exists(),
    }
