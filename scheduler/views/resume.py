"""Going on with a run from an execution: what would happen first, then, when it is confirmed, doing it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from scheduler.choices import Trigger
from scheduler.exceptions import ConflictError
from scheduler.models import Execution
from scheduler.services import runs
from scheduler.views.frame import is_htmx, page, require
from scheduler.wording.reasons import told_error


@require_http_methods(["GET", "HEAD", "POST"])
def resume(request: HttpRequest, pk: int) -> HttpResponse:
    """Name what will run again and what keeps its result; a POST does it and goes to the run."""
    require(request, "run_task", "view_execution")
    execution = get_object_or_404(Execution.objects.select_related("task", "run"), pk=pk)
    if request.method == "POST":
        return _resume(request, execution)
    context: dict[str, Any] = {
        "title": _("Retry from %(task)s") % {"task": execution.task.name},
        "execution": execution,
        "task": execution.task,
        "is_dialog": is_htmx(request),
    }
    try:
        context["plan"] = runs.plan_resume(execution, now=datetime.now(UTC))
    except ConflictError as error:
        context["refusal"] = told_error(error)
    if context["is_dialog"]:
        return render(request, "scheduler/_resume.html", context)
    return page(request, "scheduler/resume.html", context)


def _resume(request: HttpRequest, execution: Execution) -> HttpResponse:
    try:
        again = runs.resume(execution, trigger=Trigger.MANUAL, now=datetime.now(UTC))
    except ConflictError as error:
        messages.warning(request, told_error(error))
        return HttpResponseRedirect(reverse("admin:scheduler_execution_change", args=[execution.pk]))
    text = _("Run %(run)d is retried from %(task)s.")
    messages.success(request, text % {"run": again.run_id, "task": execution.task.name})
    return HttpResponseRedirect(reverse("admin:scheduler_run_change", args=[again.run_id]))
