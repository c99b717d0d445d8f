"""Hints about often misunderstood results on the execution page, and the action they offer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from scheduler.choices import FAILED, Status
from scheduler.engine.exit_codes import outcome_named
from scheduler.engine.log_ends import missing_module, uncaught_exception
from scheduler.models import Execution
from scheduler.services.tasks import set_outcome_of_exit
from scheduler.views.frame import now, require

UNCAUGHT = 1  # exit code of Python after an uncaught exception


@dataclass(frozen=True)
class Hint:
    """A hint, with a button if there is a remedy.

    Attributes:
        key: identifier on the page.
        action: URL that the button posts to; "" without a button.
        confirm: confirmation question of the button.
    """

    key: str
    text: str
    action: str = ""
    button: str = ""
    confirm: str = ""


def hints_of(request: HttpRequest, execution: Execution, log_end: str) -> list[Hint]:
    """Return the hints about the result of `execution`.

    Args:
        log_end: the last lines of its log.
    """
    found = [_of_missing_module(execution, log_end), _of_exception(request, execution, log_end)]
    return [hint for hint in found if hint is not None]


def _of_exception(request: HttpRequest, execution: Execution, log_end: str) -> Hint | None:
    if execution.status != Status.BUSINESS_FAILURE or execution.exit_code != UNCAUGHT:
        return None
    exception = uncaught_exception(log_end)
    if not exception:
        return None
    text = _(
        "The log ends with an uncaught exception (%(exception)s). Python exits with 1 then, and exit code 1 "
        "is a business failure: the script counts as having worked, and it was not tried again."
    ) % {"exception": exception[:200]}
    task = execution.task
    is_changed = outcome_named(UNCAUGHT, task.exit_codes) != Status.BUSINESS_FAILURE
    if is_changed or task.deleted_at is not None or not request.user.has_perm("scheduler.change_task"):
        return Hint("uncaught", text)
    return Hint(
        "uncaught",
        text,
        action=reverse("admin:scheduler_execution_count_as_technical", args=[execution.pk]),
        button=_("Count exit code 1 as a technical failure"),
        confirm=_(
            "From its next execution on, exit code 1 of this task is a technical failure, and is tried again as often "
            "as its retries say. A script that means a business failure then needs another exit code in "
            "task_exit_codes."
        ),
    )


def _of_missing_module(execution: Execution, log_end: str) -> Hint | None:
    module = missing_module(log_end) if execution.status in FAILED else ""
    if not module:
        return None
    python = execution.task.python
    text = (
        _(
            "The Python of this task (task_python is %(python)s) has no module %(module)s. Install the package that "
            "has it with the pip of that virtual environment."
        )
        if python
        else _(
            "The Python that runs Schedsite has no module %(module)s, and packages of scripts do not belong there. "
            "Make a virtual environment in the folder of the task (python3 -m venv .venv), install what the script "
            "needs (.venv/bin/pip install …), and set “Python” of the task (task_python) to .venv."
        )
    )
    return Hint("module", text % {"module": module, "python": python})


@require_POST
def count_as_technical(request: HttpRequest, pk: int) -> HttpResponse:
    """Make exit code 1 a technical failure for the task of an execution."""
    require(request, "view_execution", "change_task")
    execution = get_object_or_404(Execution.objects.select_related("task"), pk=pk, task__deleted_at=None)
    user: Any = request.user
    set_outcome_of_exit(execution.task, UNCAUGHT, Status.TECHNICAL_FAILURE, user=user, now=now())
    text = _("Exit code 1 of %(task)s is a technical failure from its next execution on.")
    messages.success(request, text % {"task": execution.task.name})
    return HttpResponseRedirect(reverse("admin:scheduler_execution_change", args=[pk]))
