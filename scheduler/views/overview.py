"""The overview: the start page of the site, with automatic refresh."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.core.cache import cache
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from scheduler.charts import Bucket, day_strip
from scheduler.choices import WEEKDAYS, Status
from scheduler.models import Execution, Task
from scheduler.selectors.executions import counts_since, recent_executions, running_now
from scheduler.selectors.health import Health, health
from scheduler.selectors.statistics import BucketLoad, DurationPercentiles, day_load, typical, unindexed
from scheduler.selectors.storage import FULL
from scheduler.selectors.tasks import failing_tasks, next_up
from scheduler.templatetags.scheduler_site import bytes_text
from scheduler.views.extension_points import collect, overview_attention
from scheduler.views.frame import known_failing_pks, live_part, now, query
from scheduler.wording.changed_days import tasks_with_changed_days
from scheduler.wording.times import axis_time, sentence_duration

SPAN, WIDTH = timedelta(hours=24), timedelta(minutes=30)
CROWD = 5
LATE, STUCK = timedelta(minutes=1), 3


def overview(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Add the overview to the context of the admin index."""
    html, _digest = _render(request, _read(request))
    return {
        **context,
        "title": _("Overview"),
        "is_fullwidth": True,
        "overview_html": html,
    }


def overview_part(request: HttpRequest) -> HttpResponse:
    """Return the overview, or 204 if it is unchanged, so that the page keeps focus and does not flicker."""
    html, digest = _render(request, _read(request))
    return HttpResponse(status=204) if request.GET.get("seen") == digest else HttpResponse(html)


def _read(request: HttpRequest) -> dict[str, Any]:
    """Return the data of the page, in a fixed number of queries."""
    if not request.user.has_perms(["scheduler.view_task", "scheduler.view_execution"]):
        return {"is_closed": True}
    present = now()
    midnight = timezone.localtime(present).replace(hour=0, minute=0, second=0, microsecond=0)
    counts = counts_since(midnight)
    link = reverse("admin:scheduler_execution_changelist") + "?age=today&status="
    running = list(running_now())
    upcoming = list(next_up())
    usual = _usual(running)
    failing = known_failing_pks()
    attention: dict[str, list[Any]] = {
        "troubles": health_problems(health(present)),
        "failing": list(failing_tasks(failing)),
        "concerns": [c for some in collect(overview_attention, request, now=present) for c in some],
        "broken": list(Task.objects.exclude(schedule_error="")[:10]),
        "moved": [task for task, _days in islice(tasks_with_changed_days(present), 10)],
        "waiting": list(_waiting(present)),
        "stuck": [row for row in running if _is_stuck(row, usual.get(row.task_id), present)],
    }
    more_failing = len(failing) - len(attention["failing"])
    return {
        **attention,
        "attention_count": sum(map(len, attention.values())) + more_failing,
        "more_failing": more_failing,
        "running": [_running_row(row, usual.get(row.task_id), present) for row in running],
        "upcoming": upcoming,
        "counts": [(s.value, s.label, counts[s], link + s.value) for s in Status if s in counts],
        "day": _day(present),
        "has_tasks": bool(upcoming or running) or Task.objects.exists(),
        "may_add": request.user.has_perm("scheduler.add_task"),
    }


def _usual(running: list[Execution]) -> dict[int, DurationPercentiles]:
    """Return the typical durations of the running tasks, by task; two queries."""
    recent = recent_executions([row.task_id for row in running])
    found = {pk: typical(rows) for pk, rows in recent.items()}
    return {pk: value for pk, value in found.items() if value is not None}


def _running_row(
    row: Execution, usual: DurationPercentiles | None, present: datetime
) -> tuple[Execution, DurationPercentiles | None, datetime | None]:
    """Return an execution with its typical duration and its expected end, to the minute; None if it is overdue."""
    ends = row.started_at + timedelta(seconds=usual.p50) if usual and row.started_at else None
    return row, usual, ends.replace(second=0, microsecond=0) if ends and ends > present else None


def _waiting(present: datetime) -> Any:
    """Return the executions that should have started a minute ago."""
    due = Execution.objects.filter(status=Status.QUEUED).exclude(not_before__gt=present)
    dated = due.annotate(at=unindexed("queued_at")).filter(at__lt=present - LATE)
    pks = list(dated.order_by("at").values_list("pk", flat=True)[:10])
    return Execution.objects.filter(pk__in=pks).select_related("task").order_by("queued_at", "pk")


def _is_stuck(row: Execution, usual: DurationPercentiles | None, present: datetime) -> bool:
    """Return whether an execution runs far longer than is typical of its task."""
    elapsed = row.elapsed(present) or 0.0
    return usual is not None and elapsed > 60 and elapsed > STUCK * usual.p95


def _render(request: HttpRequest, found: dict[str, Any]) -> tuple[str, str]:
    body, digest = live_part(request, "scheduler/_overview.html", found)
    url = reverse("admin:scheduler_overview") + query(seen=digest)
    frame = {"id": "overview", "url": url, "body": body, "every": 5}
    return render_to_string("scheduler/_live.html", frame), digest


def health_problems(found: Health) -> list[str]:
    """Return present and imminent problems of the installation, in the language of the reader."""
    told = [_disk_trouble(*place) for place in found.scarce]
    if not found.database:
        return [*told, _("The database does not respond.")]
    if found.ahead:
        words = _("The clock was set back by about %(time)s. A dispatcher rebuilds the plan.")
        told.append(words % {"time": sentence_duration(found.ahead)})
    if not found.dispatchers:
        told.append(
            _("No dispatcher is running, so nothing starts by schedule. Start “manage.py dispatcher”.")
        )
    if not found.workers:
        told.append(_("No worker is running, so queued executions wait. Start “manage.py worker”."))
    elif found.is_late and found.dispatchers:
        words = ngettext(
            "%(count)d execution is waiting.", "%(count)d executions are waiting.", found.backlog
        )
        told.append(words % {"count": found.backlog})
    return told


def _disk_trouble(name: str, folder: Path, free: int) -> str:
    values = {"name": name, "folder": folder, "free": bytes_text(free)}
    if free < FULL:
        return (
            _("The disk of %(folder)s is full (%(name)s): nothing can be written. Free space there.") % values
        )
    return _("Only %(free)s are free on the disk of %(folder)s (%(name)s).") % values


def _day(present: datetime) -> SafeString:
    """Return the strip of the last and the next 24 hours, cached for one minute."""
    middle = present - (present - datetime(2000, 1, 1, tzinfo=present.tzinfo)) % WIDTH
    begin, end = middle - SPAN, middle + SPAN
    loads = cache.get_or_set(
        f"day-load-{present:%Y%m%d%H%M}", lambda: day_load(begin, present, end, WIDTH), 120
    )
    zone = ZoneInfo(settings.SCHEDULER_TIME_ZONE)
    page = reverse("admin:scheduler_timeline")
    buckets = [_bucket(begin + index * WIDTH, load, zone, page) for index, load in enumerate(loads or [])]
    return day_strip(
        buckets,
        now_at=(present.replace(second=0, microsecond=0) - begin) / (end - begin),
        label=_("The last and the next 24 hours of all tasks"),
    )


def _bucket(at: datetime, load: BucketLoad, zone: ZoneInfo, page: str) -> Bucket:
    local = at.astimezone(zone)
    words = [f"{WEEKDAYS[local.weekday()]} {axis_time(local, zone)}–{axis_time(local + WIDTH, zone)}"]
    if load.succeeded:
        words.append(_("%(count)d succeeded") % {"count": load.succeeded})
    if load.failed:
        words.append(_("%(count)d failed") % {"count": load.failed})
    if load.other:
        words.append(_("%(count)d skipped, missed or cancelled") % {"count": load.other})
    if load.planned:
        words.append(_("%(count)d planned") % {"count": load.planned})
    is_crowded = load.fullest >= CROWD
    if is_crowded and load.fullest_at is not None:
        together = {"count": load.fullest, "time": axis_time(load.fullest_at, zone)}
        words.append(_("%(count)d start together at %(time)s") % together)
    has_label = local.minute == 0 and local.hour % 6 == 0
    return Bucket(
        href=page + query(at=f"{at:%Y-%m-%dT%H:%M}Z", hours=3),
        title=" · ".join(words),
        succeeded=load.succeeded,
        failed=load.failed,
        other=load.other,
        planned=load.planned,
        crowded=is_crowded,
        label=axis_time(at, zone) if has_label else "",
    )
