"""Import and export of the configuration, with a preview of the plan before anything is written."""

from __future__ import annotations

import hashlib
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from scheduler.config_file import ConfigError, ConfigProblem, parse_config
from scheduler.forms.changes import ShownChange, shown_change
from scheduler.models import Task
from scheduler.selectors.tasks import task_ids
from scheduler.services.configuration import (
    ImportPlan,
    TaskChange,
    apply_import,
    plan_import,
    shared_config,
    stored_specs,
)
from scheduler.views.frame import now, page, require, text_of
from scheduler.wording.import_plan import plan_lines
from scheduler.wording.reasons import told

NAME = "config.json"
LARGEST = 5 * 1024 * 1024
PREVIEW = 100  # tasks
LONGEST_PREVIEW = 100_000  # characters
SHOWN = 200


class ImportForm(forms.Form):
    """A configuration as a file or as text."""

    file = forms.FileField(required=False)
    text = forms.CharField(required=False, widget=forms.Textarea, strip=False)
    prune = forms.BooleanField(required=False)

    def given(self) -> str:
        """Return the text; a file takes precedence. Invalid UTF-8 bytes are preserved for the parser to report."""
        file = self.cleaned_data.get("file")
        if file is not None:
            return str(file.read(LARGEST + 1).decode("utf-8-sig", "surrogateescape"))
        return str(self.cleaned_data.get("text") or "")


def import_page(request: HttpRequest) -> HttpResponse:
    """Show the import form, preview the plan, and apply it."""
    require(request, "add_task", "change_task", "delete_task")
    form = ImportForm(request.POST or None, request.FILES or None)
    context: dict[str, Any] = {"title": _("Import"), "text": "", "prune": False}
    if request.method != "POST" or not form.is_valid():
        context["text"] = _installed_config() if request.GET.get("from") == "folder" else ""
        context["has_file"] = (settings.SCHEDULER_TASKS_DIR / NAME).is_file()
        return page(request, "scheduler/import.html", context)
    text, prune = form.given(), form.cleaned_data["prune"]
    # Invalid UTF-8 bytes stay in the checked text, which reports them, but cannot be displayed.
    context.update(text=text.encode("utf-8", "replace").decode(), prune=prune)
    try:
        document = parse_config(text, file=NAME, known=task_ids(), stored=stored_specs)
        plan = plan_import(document, prune=prune, now=now())
        if request.POST.get("action") == "apply" and request.POST.get("plan") == digest_of(plan):
            plan = apply_import(document, prune=prune, user=request.user, now=now())  # type: ignore[arg-type]  # the page requires a login
            return _done(request, plan)
    except ConfigError as error:
        context.update(problems=_problems(error.problems), problem_count=len(error.problems))
        return page(request, "scheduler/import.html", context)
    is_stale = request.POST.get("action") == "apply"
    context.update(plan=plan, digest=digest_of(plan), is_stale=is_stale, shown=SHOWN, changed=_changed(plan))
    return page(request, "scheduler/import.html", context)


def _installed_config() -> str:
    """Return the configuration in the tasks directory, or nothing if it is unreadable."""
    try:
        return (settings.SCHEDULER_TASKS_DIR / NAME).read_text(encoding="utf-8")[:LARGEST]
    except (OSError, UnicodeDecodeError):
        return ""


def digest_of(plan: ImportPlan) -> str:
    """Return a digest of the plan without next-run times."""
    lines = [line for line in plan_lines(plan) if not line.startswith("    next runs")]
    return hashlib.sha256("\n".join(lines).encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _changed(plan: ImportPlan) -> list[tuple[TaskChange, list[ShownChange], str, str]]:
    """Return the displayed changes, each with its fields and the zones of the task before and after it."""
    zones = {spec["task_id"]: spec["task_timezone"] or "" for spec in plan.document.specs}
    rows = []
    for change in plan.changed[:SHOWN]:
        after = zones[change.task_id]
        before = next((field.old for field in change.changes if field.field == "task_timezone"), after)
        rows.append((change, list(map(shown_change, change.changes)), str(before or ""), after))
    return rows


def _problems(problems: list[ConfigProblem]) -> list[dict[str, Any]]:
    return [
        {
            "line": problem.line,
            "column": problem.column,
            "path": problem.path,
            "message": told(problem.why),
            "found": told(problem.what),
            "allowed": told(problem.wanted),
        }
        for problem in problems[:SHOWN]
    ]


def _done(request: HttpRequest, plan: ImportPlan) -> HttpResponse:
    words = _("Imported: %(created)d created, %(changed)d changed, %(removed)d removed, %(same)d unchanged.")
    counts = {
        "created": len(plan.created),
        "changed": len(plan.changed),
        "removed": len(plan.removed),
        "same": len(plan.unchanged),
    }
    messages.success(request, words % counts)
    return HttpResponseRedirect(reverse("admin:scheduler_task_changelist"))


def export_page(request: HttpRequest) -> HttpResponse:
    """Show the configuration without the secrets of rules, or download it."""
    require(request, "view_task", "change_task")
    tag = text_of(request, "tag", 64)
    rows: QuerySet[Task] = Task.objects.tagged(tag) if tag else Task.objects.all()
    rows = rows.order_by("task_id")
    wanted = rows if "download" in request.GET else rows[:PREVIEW]
    text = shared_config(list(wanted))
    if "download" in request.GET:
        response = HttpResponse(text, content_type="application/json")
        response["Content-Disposition"] = f'attachment; filename="{NAME}"'
        return response
    count = rows.count()
    context = {
        "title": _("Export"),
        "tag": tag,
        "text": text[:LONGEST_PREVIEW],
        "is_cut": count > PREVIEW or len(text) > LONGEST_PREVIEW,
        "count_text": ngettext("%(count)d task", "%(count)d tasks", count) % {"count": count},
        "tags": sorted({name for tags in Task.objects.values_list("tags", flat=True) for name in tags})[:200],
    }
    return page(request, "scheduler/export.html", context)
