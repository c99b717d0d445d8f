"""The overview: the first page of the site, which refreshes itself."""

from __future__ import annotations

from datetime import datetime, timedelta
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

from scheduler import selectors
from scheduler.charts import Bucket, day_strip
from scheduler.choices import WEEKDAYS, Status
from scheduler.models import Execution, Task
from scheduler.statistics import Load, Typical, day_load, typical, unindexed
from scheduler.views.places import asked, overview_concerns
from scheduler.views.shell import failing_pks, live_part, now, query

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
    """Return the overview, or 204 when the reader has it already, so that nothing flickers or loses focus."""
    html, digest = _render(request, _read(request))
    return HttpResponse(status=204) if request.GET.get("seen") == digest else HttpResponse(html)


def _read(request: HttpRequest) -> dict[str, Any]:
    """Return what the page shows, in a fixed number of queries."""
    if not request.user.has_perms(["scheduler.view_task", "scheduler.view_execution"]):
        return {"is_closed": True}
    present = now()
    midnight = timezone.localtime(present).replace(hour=0, minute=0, second=0, microsecond=0)
    counts = selectors.counts_since(midnight)
    link = reverse("admin:scheduler_execution_changelist") + "?age=today&status="
    running = list(selectors.running_now())
    upcoming = list(selectors.next_up())
    usual = _usual(running)
    failing = failing_pks()
    attention: dict[str, list[Any]] = {
        "troubles": troubles_of(selectors.health(present)),
        "failing": list(selectors.failing_tasks(failing)),
        "concerns": [c for some in asked(overview_concerns, request, now=present) for c in some],
        "broken": list(Task.objects.exclude(schedule_error="")[:10]),
        "waiting": list(_waiting(present)),
        "stuck": [row for row in running if _is_stuck(row, usual.get(row.task_id), present)],
    }
    more_failing = len(failing) - len(attention["failing"])
    return {
        **attention,
        "attention_count": sum(map(len, attention.values())) + more_failing,
        "more_failing": more_failing,
        "running": [_going(row, usual.get(row.task_id), present) for row in running],
        "upcoming": upcoming,
        "counts": [(s.value, s.label, counts[s], link + s.value) for s in Status if s in counts],
        "day": _day(present),
        "has_tasks": bool(upcoming or running) or Task.objects.exists(),
        "may_add": request.user.has_perm("scheduler.add_task"),
    }


def _usual(running: list[Execution]) -> dict[int, Typical]:
    """Return what is typical of the tasks that run, by task; two queries."""
    recent = selectors.recent_executions([row.task_id for row in running])
    found = {pk: typical(rows) for pk, rows in recent.items()}
    return {pk: value for pk, value in found.items() if value is not None}


def _going(
    row: Execution, usual: Typical | None, present: datetime
) -> tuple[Execution, Typical | None, datetime | None]:
    """Return an execution with what is typical of it, and when it ends then; None when it should have ended."""
    ends = row.started_at + timedelta(seconds=usual.p50) if usual and row.started_at else None
    return row, usual, ends if ends and ends > present else None


def _waiting(present: datetime) -> Any:
    """Return what should have begun a minute ago."""
    due = Execution.objects.filter(status=Status.QUEUED).exclude(not_before__gt=present)
    dated = due.annotate(at=unindexed("queued_at")).filter(at__lt=present - LATE)
    pks = list(dated.order_by("at").values_list("pk", flat=True)[:10])
    return Execution.objects.filter(pk__in=pks).select_related("task").order_by("queued_at", "pk")


def _is_stuck(row: Execution, usual: Typical | None, present: datetime) -> bool:
    """Whether an execution runs far longer than is typical of its task."""
    elapsed = row.elapsed(present) or 0.0
    return usual is not None and elapsed > 60 and elapsed > STUCK * usual.p95


def _render(request: HttpRequest, found: dict[str, Any]) -> tuple[str, str]:
    body, digest = live_part(request, "scheduler/_overview.html", found)
    url = reverse("admin:scheduler_overview") + query(seen=digest)
    frame = {"id": "overview", "url": url, "body": body, "every": 5}
    return render_to_string("scheduler/_live.html", frame), digest


def troubles_of(health: selectors.Health) -> list[str]:
    """Say what is wrong with the installation, in the language of the reader."""
    if not health.database:
        return [_("The database does not answer.")]
    found = []
    if not health.dispatchers:
        found.append(
            _("No dispatcher is alive: nothing is started by schedule. Start “manage.py dispatcher”.")
        )
    if not health.workers:
        found.append(_("No worker is alive: what is queued waits. Start “manage.py worker”."))
    elif health.reasons and health.dispatchers:
        words = ngettext(
            "%(count)d execution is waiting.", "%(count)d executions are waiting.", health.backlog
        )
        found.append(words % {"count": health.backlog})
    return found


def _day(present: datetime) -> SafeString:
    """Return the strip of the last and the next 24 hours; it is read once a minute for all readers."""
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


def _bucket(at: datetime, load: Load, zone: ZoneInfo, page: str) -> Bucket:
    local = at.astimezone(zone)
    words = [f"{WEEKDAYS[local.weekday()]} {local:%H:%M}–{local + WIDTH:%H:%M}"]
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
        together = {"count": load.fullest, "time": f"{load.fullest_at.astimezone(zone):%H:%M}"}
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
        label=f"{local:%H:%M}" if has_label else "",
    )
