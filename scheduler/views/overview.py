"""The overview: the first page of the site, which refreshes itself."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from scheduler import selectors
from scheduler.choices import Status
from scheduler.models import Task


def overview(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Add the overview to the context of the admin index."""
    found = _read(request)
    html, _digest = _render(request, found)
    return {**context, "title": _("Overview"), "failing": found.get("failing"), "overview_html": html}


def overview_part(request: HttpRequest) -> HttpResponse:
    """Return the overview, or 204 when the reader has it already, so that nothing flickers or loses focus."""
    html, digest = _render(request, _read(request))
    return HttpResponse(status=204) if request.GET.get("seen") == digest else HttpResponse(html)


def _read(request: HttpRequest) -> dict[str, Any]:
    """Return what the page shows, in a fixed number of queries."""
    if not request.user.has_perms(["scheduler.view_task", "scheduler.view_execution"]):
        return {"is_closed": True}
    now = datetime.now(UTC)
    midnight = timezone.localtime(now).replace(hour=0, minute=0, second=0, microsecond=0)
    counts = selectors.counts_since(midnight)
    link = reverse("admin:scheduler_execution_changelist") + "?age=today&status__exact="
    return {
        "troubles": _troubles(selectors.health(now)),
        "failing": list(selectors.failing_tasks()),
        "broken": list(Task.objects.exclude(schedule_error="")[:10]),
        "running": list(selectors.running_now()),
        "upcoming": list(selectors.next_up()),
        "counts": [(s.value, s.label, counts[s], link + s.value) for s in Status if s in counts],
        "has_tasks": Task.objects.exists(),
        "may_add": request.user.has_perm("scheduler.add_task"),
    }


def _render(request: HttpRequest, found: dict[str, Any]) -> tuple[str, str]:
    """Return the part of the page and its digest; times count in the browser, so it changes only with events."""
    body = render_to_string("scheduler/_overview.html", found, request)
    digest = hashlib.sha256(body.encode()).hexdigest()[:16]
    context = {"body": body, "digest": digest}
    return render_to_string("scheduler/_overview_frame.html", context, request), digest


def _troubles(health: selectors.Health) -> list[str]:
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
