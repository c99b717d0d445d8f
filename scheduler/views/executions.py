"""The list of executions of all tasks, newest first, with automatic refresh."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from scheduler.choices import Status, Trigger
from scheduler.models import Execution, Task
from scheduler.selectors.keyset import BadCursorError, KeysetPage
from scheduler.views.frame import choice, key_in, live_part, now, page, query, require, text_of

PAGE = 30
TRIGGERS = (Trigger.SCHEDULE, Trigger.MANUAL, Trigger.API, Trigger.DEPENDENCY, Trigger.RETRY)  # in use
AGES = {
    "hour": gettext_lazy("Past hour"),
    "today": gettext_lazy("Today"),
    "week": gettext_lazy("Past 7 days"),
}
SPANS = {"hour": timedelta(hours=1), "week": timedelta(days=7)}


def execution_list(request: HttpRequest) -> HttpResponse:
    """Show executions, newest first."""
    require(request, "view_execution")
    asked = {
        "status": choice(request, "status", Status.values),
        "trigger": choice(request, "trigger", Trigger.values),
        "age": choice(request, "age", list(AGES)),
        "task": text_of(request, "task", 64),
        "q": text_of(request, "q", 100),
    }
    part, digest = _list_part(request, asked)
    if request.GET.get("seen") is not None:
        return HttpResponse(status=204) if request.GET["seen"] == digest else HttpResponse(part)
    context = {
        "title": _("Executions"),
        "asked": asked,
        "frame": part,
        "statuses": _links(asked, "status", [("", _("All")), *Status.choices], is_kept=True),
        "ages": _links(asked, "age", AGES.items()),
        "triggers": _links(asked, "trigger", [(trigger.value, trigger.label) for trigger in TRIGGERS]),
        "without_task": query(**{**asked, "task": ""}),
    }
    return page(request, "scheduler/executions.html", context)


def _links(asked: dict[str, str], name: str, choices: Any, *, is_kept: bool = False) -> list[Any]:
    """Return label, URL and whether it is selected for each choice; a selected one links back to all."""
    return [
        (
            label,
            query(**{**asked, name: "" if value == asked[name] and not is_kept else value}),
            value == asked[name],
        )
        for value, label in choices
    ]


def _list_part(request: HttpRequest, asked: dict[str, str]) -> tuple[str, str]:
    cursor = request.GET.get("cursor", "")
    try:
        found: KeysetPage[Execution] = KeysetPage(_found(asked), size=PAGE, cursor=cursor)
    except BadCursorError:
        cursor = ""
        found = KeysetPage(_found(asked), size=PAGE)
    context = {
        "rows": found.rows,
        "newer": query(**asked, cursor=found.newer) if found.newer else "",
        "older": query(**asked, cursor=found.older) if found.older else "",
        "is_filtered": any(asked.values()),
    }
    body, digest = live_part(request, "scheduler/_execution_list.html", context)
    url = reverse("admin:scheduler_execution_changelist") + query(**asked, cursor=cursor, seen=digest)
    frame = {"id": "executions", "url": url, "body": body, "every": 5}
    return render_to_string("scheduler/_live.html", frame), digest


def _found(asked: dict[str, str]) -> Any:
    """Return the matching executions; every filter except text search has an index."""
    # No join: SQLite would start with the tasks and sort all executions.
    rows: Any = Execution.objects.prefetch_related("task")
    if asked["status"]:
        rows = rows.of_status(asked["status"])
    if asked["trigger"]:
        rows = rows.of_trigger(asked["trigger"])
    if asked["age"]:
        rows = rows.filter(queued_at__gte=_begin(asked["age"], now()))
    if asked["task"]:
        rows = rows.filter(task=Task.all_objects.filter(task_id=asked["task"]).values("pk")[:1])
    words = asked["q"].removeprefix("#")
    if key_in(words):
        return rows.filter(pk=int(words))
    if words:
        tasks = Task.all_objects.filter(Q(task_id__icontains=words) | Q(name__icontains=words))
        rows = rows.filter(task__in=tasks.values("pk"))
    return rows


def _begin(age: str, present: datetime) -> datetime:
    if age == "today":
        return timezone.localtime(present).replace(hour=0, minute=0, second=0, microsecond=0)
    return present - SPANS[age]
