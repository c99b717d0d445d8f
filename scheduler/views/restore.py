"""Restores a deleted task, after a confirmation page."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from scheduler.config_file import ConfigError
from scheduler.exceptions import ConflictError
from scheduler.models import Task
from scheduler.services import tasks
from scheduler.views.frame import now, page, require
from scheduler.wording.reasons import told, told_error


@require_http_methods(["GET", "HEAD", "POST"])
def restore(request: HttpRequest, pk: int) -> HttpResponse:
    """Show what restoring a deleted task includes; POST restores it and redirects to its page."""
    require(request, "add_task", "change_task")
    task = get_object_or_404(Task.all_objects, pk=pk)
    there = HttpResponseRedirect(reverse("admin:scheduler_task_page", args=[task.pk]))
    if task.deleted_at is None:
        return there
    context: dict[str, Any] = {"title": _("Restore %(task)s") % {"task": task.name}, "task": task}
    try:
        if request.method == "POST":
            tasks.restore_task(task, user=request.user, now=now())  # type: ignore[arg-type]  # the page requires a login
            messages.success(request, _("%(task)s is back.") % {"task": task.name})
            return there
        context["plan"] = tasks.plan_restoration(task)
    except ConfigError as error:
        context["problems"] = [told(problem.why) for problem in error.problems]
    except ConflictError as error:
        context["problems"] = [told_error(error)]
    return page(request, "scheduler/restore.html", context)


def deleted_note(task: Task) -> SafeString:
    """Return the notice that a task was deleted, with a link to restore it."""
    link = reverse("admin:scheduler_task_restore", args=[task.pk])
    said = _("%(task)s was deleted; its history stays.") % {"task": task.name}
    return format_html('{} <a class="s-link" href="{}">{}</a>', said, link, _("Restore it"))
