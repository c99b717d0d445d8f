"""Pages of tasks: the list, the page of one, its form, and what their buttons do."""

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
from unfold.admin import ModelAdmin

from scheduler.admin.requests import go_back, now, user_of, with_keys_only
from scheduler.choices import Status, Trigger
from scheduler.config_file import dump_config
from scheduler.exceptions import ConflictError
from scheduler.forms import TaskForm
from scheduler.models import Execution, Task
from scheduler.phrases import retold
from scheduler.services import runs, tasks
from scheduler.services.configuration import export_specs
from scheduler.views import cards
from scheduler.views.graph import graph
from scheduler.views.history import history
from scheduler.views.new_task import new_task
from scheduler.views.overview import overview_part
from scheduler.views.restore import deleted_note, restore
from scheduler.views.schedule_hint import schedule_hint
from scheduler.views.system import system
from scheduler.views.task import task_page
from scheduler.views.timeline import timeline
from scheduler.views.transfer import export_page, import_page

NOTES = 10  # of tasks that were deleted together


@admin.register(Task)
class TaskAdmin(ModelAdmin):
    """Tasks. The list is a page of our own; the admin's search, form and actions serve it."""

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
            {"fields": [("timeout", "retry"), ("retry_interval", "retry_backoff")]},
        ),
        (
            _("Overlap and missed slots"),
            {"fields": [("concurrency", "max_parallel"), ("misfire_policy", "misfire_grace")]},
        ),
        (_("Environment"), {"fields": ["env"]}),
        (_("Notification rules"), {"fields": ["notify"]}),
        (_("Advanced"), {"fields": [("queue", "priority"), "history_days", "seen_revision"]}),
    ]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """Show the list, or do what was asked of the chosen tasks."""
        if request.method != "POST" and "_popup" not in request.GET:
            return cards.task_list(request)
        if request.method == "POST":
            # The admin knows none of our filters and would refuse them; it goes back to the address as it came.
            request.GET = QueryDict()
            request.POST = with_keys_only(request.POST)  # type: ignore[assignment]
        return super().changelist_view(request, extra_context)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """Show the form; those who may not change a task see its page, where nothing secret stands."""
        if not self.has_change_permission(request):
            task = get_object_or_404(Task, pk=object_id)
            return HttpResponseRedirect(reverse("admin:scheduler_task_page", args=[task.pk]))
        return super().change_view(request, object_id, form_url, extra_context)

    def history_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> HttpResponse:
        """Lead to the history of the executions, which is what the site means by the word."""
        task = get_object_or_404(Task, pk=object_id)
        return HttpResponseRedirect(reverse("admin:scheduler_task_history_list", args=[task.pk]))

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Leave out the task that searches for its upstreams."""
        excluded = request.GET.get("exclude", "")
        if request.path.endswith("/autocomplete/") and excluded.isascii() and excluded.isdigit():
            queryset = queryset.exclude(pk=int(excluded[:18]))
        return super().get_search_results(request, queryset, search_term)

    def get_urls(self) -> list[Any]:
        """Add the pages of the site that are about tasks."""
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
            path("<int:pk>/restore/", site(restore), name="scheduler_task_restore"),
            path("<int:pk>/resume/", site(require_POST(self.resume)), name="scheduler_task_resume"),
        ]
        return own + super().get_urls()

    def run_one(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Run one task, with what follows it unless told otherwise, and go to its execution; on a card, stay."""
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
            return self._answer(
                request, task, f"{task.task_id}: {retold(str(error))}", level=messages.WARNING
            )
        link = reverse("admin:scheduler_execution_change", args=[execution.pk])
        if not request.htmx:  # type: ignore[attr-defined]
            return HttpResponseRedirect(link)
        return self._answer(request, task, _("%(task)s was started.") % {"task": task.name}, link=link)

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
        task = tasks.set_enabled(task, enabled, user=user_of(request), now=now())
        text = _("%(task)s is scheduled again.") if enabled else _("%(task)s is paused.")
        return self._answer(request, task, text % {"task": task.name})

    def _answer(
        self, request: HttpRequest, task: Task, text: Any, *, link: str = "", level: int = messages.SUCCESS
    ) -> HttpResponse:
        """Say what was done: beside the card that was clicked, or on the page that the button stood on."""
        if not request.htmx:  # type: ignore[attr-defined]
            messages.add_message(request, level, text)
            return go_back(request)
        note = {
            "text": str(text),
            "link": link,
            "level": "warning" if level == messages.WARNING else "success",
        }
        return trigger_client_event(cards.card_part(request, task), "schedsite:note", note)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Write by the service."""
        saved = tasks.save_task(form.spec, task=obj if change else None, user=user_of(request), now=now())
        obj.pk = saved.pk
        obj.task_id = saved.task_id

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """Nothing is left to write."""

    def response_post_save_change(self, request: HttpRequest, obj: Task) -> HttpResponseRedirect:
        """Go to the page of the task that was saved."""
        return HttpResponseRedirect(reverse("admin:scheduler_task_page", args=[obj.pk]))

    def response_post_save_add(self, request: HttpRequest, obj: Task) -> HttpResponseRedirect:
        """Go to the page of the task that was made."""
        return HttpResponseRedirect(reverse("admin:scheduler_task_page", args=[obj.pk]))

    def response_delete(self, request: HttpRequest, obj_display: str, obj_id: Any) -> HttpResponseRedirect:
        """Go to the list, and offer to have the task back."""
        messages.success(request, deleted_note(Task.all_objects.get(pk=obj_id)))
        return HttpResponseRedirect(reverse("admin:scheduler_task_changelist"))

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        """Delete by the service; the history stays."""
        tasks.delete_task(obj, user=user_of(request), now=now())

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        """Delete by the service."""
        for number, task in enumerate(queryset):
            tasks.delete_task(task, user=user_of(request), now=now())
            if number < NOTES:
                messages.success(request, deleted_note(task))

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> tuple[Any, Any, Any, Any]:
        """Say what deleting means for each task: what stays, what is cut off, what is cancelled."""
        lines = [_fate(task) for task in objs]
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
                messages.warning(request, f"{task.task_id}: {retold(str(error))}")
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
            ngettext(
                "%(count)d task is scheduled again.", "%(count)d tasks are scheduled again.", len(chosen)
            )
            if enabled
            else ngettext("%(count)d task is paused.", "%(count)d tasks are paused.", len(chosen))
        )
        messages.success(request, words % {"count": len(chosen)})

    @admin.action(description=_("Export as config.json"), permissions=["change"])
    def export(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse:
        """Download the chosen tasks."""
        response = HttpResponse(dump_config(export_specs(list(queryset))), content_type="application/json")
        response["Content-Disposition"] = 'attachment; filename="config.json"'
        return response

    def has_run_permission(self, request: HttpRequest) -> bool:
        """Whether the user may run and pause."""
        return bool(request.user.has_perm("scheduler.run_task"))


def _fate(task: Task) -> dict[str, Any]:
    """Return what becomes of a task that is deleted and of what belongs to it."""
    active = Execution.objects.active().filter(task=task).values_list("status", flat=True)
    found = list(active[:1000])
    return {
        "task": task,
        "downstreams": list(task.downstreams.filter(deleted_at=None).order_by("task_id")),
        "queued": found.count(Status.QUEUED),
        "running": found.count(Status.RUNNING),
        "has_history": Execution.objects.filter(task=task).exists(),
    }
