"""The state of the installation: live processes, queue, delays and database size."""

from __future__ import annotations

import platform
import shutil
from datetime import datetime, timedelta
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from django.conf import settings
from django.db import connection
from django.db.models import Count, Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.utils.translation import pgettext

from schedsite import __version__
from scheduler.choices import Status
from scheduler.models import ClockStep, Process
from scheduler.selectors import statistics
from scheduler.selectors.health import health
from scheduler.services.clock import held_until
from scheduler.views.frame import live_part, now, page, query, require
from scheduler.views.overview import health_problems
from scheduler.wording.zone_tables import describe_zone_tables

STEPS_SHOWN = timedelta(days=7)
LIBRARIES = ("Django", "django-q2", "croniter", "django-unfold", "djangorestframework")


def system(request: HttpRequest) -> HttpResponse:
    """Show the state of the installation, with automatic refresh."""
    require(request, "view_process")
    present = now()
    queues = statistics.queues(present)
    may_list = request.user.has_perm("scheduler.view_execution")
    found = health(present)
    context: dict[str, Any] = {
        "troubles": health_problems(found),
        "steps": _steps(present),
        "held_until": held_until(present),
        "processes": _processes(present),
        "queues": queues,
        "may_list": may_list,
        "links": may_list and len(queues) == 1,  # the list has no filter by queue
        "lateness": statistics.lateness(),
        "backlog": found.backlog,
        "size": statistics.database_size(),
        "made": statistics.largest_ids(),
        "free": _free_bytes(),
        "vendor": "PostgreSQL" if connection.vendor == "postgresql" else "SQLite",
        "broker": "Redis" if settings.REDIS_URL else _("database"),
        "versions": [
            ("Schedsite", __version__),
            ("Python", platform.python_version()),
            (_("Time zone tables"), describe_zone_tables()),
            *((name, _version(name)) for name in LIBRARIES),
        ],
        "facts": [
            (_("Time zone"), settings.SCHEDULER_TIME_ZONE),
            (_("Scripts"), settings.SCHEDULER_TASKS_DIR),
            (_("Data"), settings.DATA_DIR),
            (_("History is kept for"), _("%(count)d days") % {"count": settings.SCHEDULER_HISTORY_DAYS}),
            (_("Worker processes"), settings.SCHEDULER_WORKERS),
            (_("Concurrent executions per process"), settings.SCHEDULER_SLOTS),
        ],
    }
    body, digest = live_part(request, "scheduler/_system.html", context)
    if request.GET.get("seen") == digest:
        return HttpResponse(status=204)
    frame = {"id": "system", "url": query(seen=digest), "body": body, "every": 5}
    if "seen" in request.GET:
        return render(request, "scheduler/_live.html", frame)
    return page(request, "scheduler/system.html", {"title": pgettext("page", "System"), "frame": frame})


def _processes(present: Any) -> list[tuple[Process, int]]:
    """Return the live processes with their numbers of running executions, by kind and host."""
    running = Count("executions", filter=Q(executions__status=Status.RUNNING))
    rows = Process.objects.alive(present).annotate(running=running).order_by("kind", "host", "pid")
    return [(row, row.running) for row in rows[:100]]  # type: ignore[attr-defined]  # annotated


def _steps(present: datetime) -> list[tuple[ClockStep, float]]:
    """Return the recent backward clock steps, in seconds."""
    rows = ClockStep.objects.filter(at__gte=present - STEPS_SHOWN, seconds__lt=0).order_by("-at")
    return [(row, -row.seconds) for row in rows[:5]]


def _free_bytes() -> int | None:
    try:
        return shutil.disk_usage(settings.DATA_DIR).free
    except OSError:
        return None


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "–"
