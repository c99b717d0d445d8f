"""The timeline: a lane per task over some hours, with executions and planned slots."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.core.paginator import Paginator
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.translation import gettext as _

from scheduler.charts import Lane, Mark, lanes_chart
from scheduler.choices import Status
from scheduler.engine.schedules import parse_schedule, slots_between
from scheduler.exceptions import InvalidScheduleError
from scheduler.models import Execution, Task
from scheduler.selectors.statistics import typical
from scheduler.selectors.tasks import find_tasks
from scheduler.templatetags.scheduler_site import in_words
from scheduler.views.frame import now, page, query, require, text_of, whole_number
from scheduler.wording.times import axis_time, exact_instant, list_duration, span

LANES = 40
MOST_MARKS = 1200
MOST_SLOTS_A_LANE = 300
NEAR, FEW = (
    1 / 120,
    3,
)  # of the span; slots nearer to each other are drawn as one when there are more than a few
ZOOMS = (1, 3, 6, 12, 24)
LONGEST = timedelta(days=2)  # executions that started earlier are ignored


def timeline(request: HttpRequest) -> HttpResponse:
    """Show one page of tasks over a span of hours."""
    require(request, "view_task", "view_execution")
    present = now()
    hours = whole_number(request, "hours", 24, least=1, most=24)
    length = timedelta(hours=hours)
    begin = _begin(request.GET.get("at", ""), present, length)
    tag, text = text_of(request, "tag", 64), text_of(request, "q", 100)
    rows = find_tasks(is_enabled=None, tag=tag or None, text=text or None, statuses=())
    paginator = Paginator(rows.order_by("task_id"), LANES)
    shown = paginator.get_page(whole_number(request, "page", 1, least=1, most=100_000))
    tasks = list(shown)
    executions = list(_executions(tasks, begin, begin + length))
    lanes = [
        Lane(task.name, reverse("admin:scheduler_task_page", args=[task.pk]), marks)
        for task, marks in _marks(tasks, executions[:MOST_MARKS], begin, length, present)
    ]
    asked = {"tag": tag, "q": text}

    def link(at: datetime, length: int = hours, number: object = shown.number) -> str:
        return query(at=f"{at:%Y-%m-%dT%H:%M}Z", hours=length, page=number, **asked)

    zone = ZoneInfo(settings.SCHEDULER_TIME_ZONE)
    context: dict[str, Any] = {
        "title": _("Timeline"),
        "chart": lanes_chart(
            lanes,
            ticks=_ticks(begin, length, zone),
            now_at=(present - begin) / length if begin <= present <= begin + length else None,
            label=_("Executions and slots by task"),
        ),
        "span": span(begin, begin + length, zone),
        "zone": settings.SCHEDULER_TIME_ZONE,
        "is_cut": len(executions) > MOST_MARKS,
        "most": MOST_MARKS,
        "zooms": [(zoom, link(_middle(begin, length, zoom), zoom), zoom == hours) for zoom in ZOOMS],
        "earlier": link(begin - length),
        "later": link(begin + length),
        "today": query(hours=hours, page=shown.number, **asked),
        "page": shown,
        "previous_page": link(begin, number=shown.number - 1) if shown.has_previous() else "",
        "next_page": link(begin, number=shown.number + 1) if shown.has_next() else "",
        "has_tasks": bool(tasks),
        **asked,
    }
    return page(request, "scheduler/timeline.html", context)


def _begin(text: str, present: datetime, length: timedelta) -> datetime:
    """Return the start of the span: as requested, else the day or the hours around the present."""
    try:
        at = datetime.strptime(text, "%Y-%m-%dT%H:%MZ").replace(tzinfo=UTC)
    except ValueError:
        if length < timedelta(days=1):
            return present.replace(minute=0, second=0, microsecond=0) - length // 2
        local = present.astimezone(ZoneInfo(settings.SCHEDULER_TIME_ZONE))
        return local.replace(hour=0, minute=0, second=0, microsecond=0).astimezone(UTC)
    return at if 2000 <= at.year <= 2100 else present - length // 2


def _middle(begin: datetime, length: timedelta, hours: int) -> datetime:
    """Return the start of a span of another length with the same middle."""
    return begin + length / 2 - timedelta(hours=hours) / 2


def _executions(tasks: Sequence[Task], begin: datetime, end: datetime) -> Any:
    """Return the executions queued in the span or reaching into it, newest first, a few more than are drawn."""
    rows = Execution.objects.filter(task__in=tasks, queued_at__gte=begin - LONGEST, queued_at__lt=end)
    reached = Q(finished_at__gte=begin) | Q(finished_at=None)
    return rows.filter(reached).order_by("-queued_at", "-id")[: MOST_MARKS + 1]


def _marks(
    tasks: Sequence[Task],
    executions: Sequence[Execution],
    begin: datetime,
    length: timedelta,
    present: datetime,
) -> list[tuple[Task, list[Mark]]]:
    by_task: dict[int, list[Execution]] = defaultdict(list)
    for row in executions:
        by_task[row.task_id].append(row)
    found = []
    for task in tasks:
        own = by_task[task.pk]
        usual = typical(own)
        length_of_slot = timedelta(seconds=usual.p50 if usual else 0)
        marks = [_mark(row, task, begin, length, present) for row in reversed(own)]
        marks += _planned(task, begin, length, present, length_of_slot)
        found.append((task, marks))
    return found


def _mark(row: Execution, task: Task, begin: datetime, length: timedelta, present: datetime) -> Mark:
    start = row.started_at or row.not_before or row.scheduled_for or row.queued_at
    if row.covers_until is not None:
        end = row.covers_until
    else:
        end = row.finished_at or (present if row.started_at else start)
    parts = [str(Status(row.status).label), exact_instant(start, task.zone)]
    if row.duration is not None:
        parts.append(list_duration(row.duration))
    if row.run_id is not None:
        parts.append(_("Run %(number)d") % {"number": row.run_id})
    href = reverse("admin:scheduler_execution_change", args=[row.pk])
    return Mark((start - begin) / length, (end - begin) / length, row.status, " · ".join(parts), href)


def _planned(
    task: Task, begin: datetime, length: timedelta, present: datetime, usual: timedelta
) -> list[Mark]:
    """Return the future slots within the span, with the typical duration of the task."""
    end = begin + length
    if not task.enabled or not task.schedule or task.schedule_error or end <= present:
        return []
    try:
        schedule = parse_schedule(task.schedule, task.zone)
    except InvalidScheduleError:  # the dispatcher will mark the task
        return []
    slots = slots_between(schedule, max(begin, present), end, limit=MOST_SLOTS_A_LANE)
    groups = _neighbours(slots, length * NEAR)
    if len(slots) == MOST_SLOTS_A_LANE:
        groups[-1].append(end)  # later slots are not computed
    return [mark for group in groups for mark in _slots(task, group, begin, length, usual)]


def _neighbours(slots: Sequence[datetime], near: timedelta) -> list[list[datetime]]:
    """Group ascending slots that are too close to be distinguished."""
    groups: list[list[datetime]] = []
    for slot in slots:
        if groups and slot - groups[-1][-1] < near:
            groups[-1].append(slot)
        else:
            groups.append([slot])
    return groups


def _slots(
    task: Task, group: Sequence[datetime], begin: datetime, length: timedelta, usual: timedelta
) -> list[Mark]:
    """Return a mark per slot for a small group, and a single one for a large group."""
    first, last = group[0], group[-1]
    if len(group) > FEW:
        words = [
            _("Planned"),
            in_words(task),
            f"{exact_instant(first, task.zone)} – {exact_instant(last, task.zone)}",
        ]
        places = (first - begin) / length, (last - begin) / length
        return [Mark(*places, status="planned", title=" · ".join(words), is_many=True)]
    return [
        Mark(
            (slot - begin) / length,
            (slot + usual - begin) / length,
            "planned",
            f"{_('Planned')} · {exact_instant(slot, task.zone)}",
        )
        for slot in group
    ]


def _ticks(begin: datetime, length: timedelta, zone: ZoneInfo) -> list[tuple[float, str]]:
    """Return axis ticks at round times of the zone."""
    step = timedelta(minutes={1: 10, 2: 15, 3: 30}.get(length // timedelta(hours=1), 60))
    if length > timedelta(hours=12):
        step = timedelta(hours=2)
    first = begin.astimezone(zone).replace(minute=0, second=0, microsecond=0).astimezone(UTC)
    found = []
    at = first
    while at < begin + length:
        if at >= begin:
            found.append(((at - begin) / length, axis_time(at, zone)))
        at += step
    return found
