"""The list of tasks as cards or a table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.core.paginator import Paginator
from django.db.models import Count, Exists, OuterRef, Q
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from scheduler.choices import FAILED, Status
from scheduler.models import Execution, Task
from scheduler.models.querysets import TaskQuerySet
from scheduler.selectors.executions import recent_executions
from scheduler.selectors.tasks import find_tasks, with_last_status
from scheduler.templatetags.scheduler_site import STRIP, strip
from scheduler.views.frame import (
    choice,
    keep_failing,
    live_part,
    now,
    page,
    query,
    require,
    text_of,
    whole_number,
)
from scheduler.wording.task_status import Sentence, status_sentence

PAGE = 24
TAGS_SHOWN = 15
VIEW_COOKIE = "task-view"
VIEWS = ("cards", "table")
STATES = ("failing", "running", "waiting", "ok", "paused", "never", "broken")


@dataclass(frozen=True)
class TaskCard:
    """A task as a list item."""

    task: Task
    sentence: Sentence
    strip: SafeString
    is_running: bool


def task_cards(tasks: Sequence[Task], present: datetime, *, bars: int = STRIP) -> list[TaskCard]:
    """Return the cards of `tasks` with their latest `bars` executions; two queries."""
    recent = recent_executions([task.pk for task in tasks], bars)
    return [_card(task, recent[task.pk], present, bars) for task in tasks]


def _card(task: Task, rows: Sequence[Execution], present: datetime, bars: int) -> TaskCard:
    is_running = any(row.status == Status.RUNNING for row in rows)
    return TaskCard(task, status_sentence(task, rows, present), strip(rows, bars, zone=task.zone), is_running)


def state_filter(state: str) -> Q:
    """Return the filter for a state of the list; it uses the annotations of `with_state`."""
    return {
        "failing": Q(enabled=True, last_status__in=sorted(FAILED)),
        "running": Q(is_running=True),
        "waiting": Q(is_waiting=True),
        "ok": Q(enabled=True, last_status=Status.SUCCESS),
        "paused": Q(enabled=False),
        "never": Q(last_status=None),
        "broken": ~Q(schedule_error=""),
    }.get(state, Q())


def with_state(rows: TaskQuerySet) -> Any:
    """Annotate `last_status`, and whether an execution runs or waits: for a worker, or for its next attempt."""
    own = Execution.objects.filter(task=OuterRef("pk"))
    running, waiting = own.filter(status=Status.RUNNING), own.filter(status=Status.QUEUED)
    with_status: Any = with_last_status(rows)
    return with_status.annotate(is_running=Exists(running), is_waiting=Exists(waiting))


def _states_of(
    last_status: str | None, enabled: bool, schedule_error: str, is_running: bool, is_waiting: bool
) -> list[str]:
    """Return the states whose `state_filter` matches a task."""
    holds = {
        "all": True,
        "failing": enabled and last_status in FAILED,
        "running": is_running,
        "waiting": is_waiting,
        "ok": enabled and last_status == Status.SUCCESS,
        "paused": not enabled,
        "never": last_status is None,
        "broken": schedule_error != "",
    }
    return [state for state, is_so in holds.items() if is_so]


def _counts(rows: TaskQuerySet) -> Counter[str]:
    """Return the number of tasks per state, in one query."""
    told = ("last_status", "enabled", "schedule_error", "is_running", "is_waiting")
    kinds = with_state(rows).order_by().values_list(*told)
    counts: Counter[str] = Counter()
    for *kind, count in kinds.annotate(count=Count("pk")):
        counts.update(dict.fromkeys(_states_of(*kind), count))
    return counts


def _states(counts: Counter[str], chosen: str, base: dict[str, str]) -> list[dict[str, Any]]:
    """Return the states with their counts; empty states are omitted unless selected."""
    labels = {
        "": _("All"),
        "failing": _("Failing"),
        "running": _("Running"),
        "waiting": _("Waiting"),
        "ok": _("Succeeding"),
        "paused": _("Paused"),
        "never": _("Never ran"),
        "broken": _("Broken schedule"),
    }
    return [
        {
            "value": name,
            "label": label,
            "count": counts[name or "all"],
            "href": query(**base, state=name),
            "is_chosen": name == chosen,
        }
        for name, label in labels.items()
        if counts[name or "all"] or name in ("", chosen)
    ]


def tag_links(chosen: str, base: dict[str, str]) -> list[dict[str, Any]]:
    """Return the most used tags, and the selected one."""
    # Distinct tag lists are far fewer than tasks.
    counts: Counter[str] = Counter()
    for tags, count in Task.objects.order_by().values_list("tags").annotate(count=Count("pk")):
        counts.update(dict.fromkeys(tags, count))
    shown = dict(counts.most_common(TAGS_SHOWN))
    if chosen:
        shown.setdefault(chosen, counts[chosen])
    return [
        {
            "label": tag,
            "count": count,
            "href": query(**base, tag="" if tag == chosen else tag),
            "is_chosen": tag == chosen,
        }
        for tag, count in shown.items()
    ]


def _found(request: HttpRequest) -> tuple[dict[str, Any], TaskQuerySet]:
    """Return the filters of the request and the matching tasks."""
    state = choice(request, "state", STATES)
    tag, text = text_of(request, "tag", 64), text_of(request, "q", 100)
    rows: Any = find_tasks(is_enabled=None, tag=tag or None, text=text or None, statuses=())
    asked = {"state": state, "tag": tag, "q": text}
    return asked, rows


def task_list(request: HttpRequest) -> HttpResponse:
    """Show the tasks; a cookie stores the choice between cards and table."""
    require(request, "view_task", "view_execution")
    remembered = request.COOKIES.get(VIEW_COOKIE, "")
    shape = choice(request, "view", VIEWS, remembered if remembered in VIEWS else VIEWS[0])
    if request.GET.get("seen") is not None:
        part, digest = _list_part(request, shape)
        if request.GET["seen"] == digest:
            return HttpResponse(status=204)
        return HttpResponse(_frame(request, part, digest))
    asked, rows = _found(request)
    counts = _counts(rows)
    if not asked["tag"] and not asked["q"]:
        keep_failing(counts["failing"])
    part, digest = _list_part(request, shape)
    without = {key: value for key, value in asked.items() if key != "state"}
    context = {
        **asked,
        "title": _("Tasks"),
        "states": _states(counts, asked["state"], without),
        "tags": tag_links(asked["tag"], {k: v for k, v in asked.items() if k != "tag"}),
        "shape": shape,
        "shapes": [(name, query(**asked, view=name)) for name in VIEWS],
        "frame": _frame(request, part, digest),
        "may_run": request.user.has_perm("scheduler.run_task"),
        "may_add": request.user.has_perm("scheduler.add_task"),
        "may_delete": request.user.has_perm("scheduler.delete_task"),
        "may_change": request.user.has_perm("scheduler.change_task"),
        "is_filtered": any(asked.values()),
    }
    response = page(request, "scheduler/tasks.html", context)
    if request.GET.get("view") in VIEWS:
        response.set_cookie(VIEW_COOKIE, shape, max_age=365 * 86_400, samesite="Lax", httponly=True)
    return response


def _list_part(request: HttpRequest, shape: str) -> tuple[str, str]:
    asked, rows = _found(request)
    if asked["state"]:
        rows = with_state(rows).filter(state_filter(asked["state"]))
    paginator = Paginator(rows.order_by("task_id"), PAGE)
    shown = paginator.get_page(whole_number(request, "page", 1, least=1, most=100_000))
    context = {
        "cards": task_cards(list(shown), now()),
        "shape": shape,
        "page": shown,
        "count_text": ngettext("%(count)d task", "%(count)d tasks", paginator.count)
        % {"count": paginator.count},
        "newer": query(**asked, page=shown.previous_page_number()) if shown.has_previous() else "",
        "older": query(**asked, page=shown.next_page_number()) if shown.has_next() else "",
        "may_run": request.user.has_perm("scheduler.run_task"),
        "may_change": request.user.has_perm("scheduler.change_task"),
        "is_filtered": any(asked.values()),
    }
    return live_part(request, "scheduler/_task_list.html", context)


def _frame(request: HttpRequest, part: str, digest: str) -> str:
    asked, _rows = _found(request)
    number = whole_number(request, "page", 1, least=1, most=100_000)
    url = reverse("admin:scheduler_task_changelist") + query(**asked, page=number, seen=digest)
    return render_to_string("scheduler/_live.html", {"id": "tasks", "url": url, "body": part, "every": 10})


def card_part(request: HttpRequest, task: Task) -> HttpResponse:
    """Return the card or row of one task, as the response to its buttons."""
    shape = request.COOKIES.get(VIEW_COOKIE, "")
    card = task_cards([task], now())[0]
    context = {
        "card": card,
        "may_run": request.user.has_perm("scheduler.run_task"),
        "may_change": request.user.has_perm("scheduler.change_task"),
    }
    template = "scheduler/_task_row.html" if shape == "table" else "scheduler/_task_card.html"
    return HttpResponse(render_to_string(template, context, request))
