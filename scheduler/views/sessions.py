"""The page of sessions: one's own, or all for administrators, each with a button to end it."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.contrib.auth import logout
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import pgettext

from scheduler.models import AccountSession
from scheduler.services import sessions
from scheduler.services.origin import origin_of
from scheduler.views.frame import now, page

SHOWN = 200


def sessions_page(request: HttpRequest) -> HttpResponse:
    """List the sessions that the user may end, the most recently used first."""
    rows = _visible(request).select_related("user").order_by("-seen_at")[:SHOWN]
    context = {
        "title": pgettext("page", "Sessions"),
        "rows": rows,
        "own_key": request.session.session_key,
        "shows_all": _sees_all(request),
        "idle_hours": sessions.idle_hours(),
    }
    response = page(request, "scheduler/sessions.html", context)
    response["Cache-Control"] = "no-store"
    return response


def end_session(request: HttpRequest) -> HttpResponse:
    """End a session immediately; ending the current one logs the user out.

    Raises:
        PermissionDenied: it belongs to another user, and the user is not an administrator.
    """
    handle = request.POST.get("session", "").replace("\0", "")[:16]
    row = AccountSession.objects.filter(handle=handle).select_related("user").first()
    if row is not None and row.user != request.user and not request.user.has_perm(DELETE):
        raise PermissionDenied
    if row is None:
        messages.info(request, _("That session has already ended."))
    elif row.session_key == request.session.session_key:
        logout(request)
    else:
        account = request.user.get_username()
        sessions.end_session(row, by=account, origin=origin_of(request), now=now())
        messages.success(request, _("The session was ended."))
    return HttpResponseRedirect(reverse("admin:scheduler_sessions"))


VIEW, DELETE = "scheduler.view_accountsession", "scheduler.delete_accountsession"


def _sees_all(request: HttpRequest) -> bool:
    return request.user.has_perms([VIEW, DELETE])


def _visible(request: HttpRequest) -> QuerySet[AccountSession]:
    rows = AccountSession.objects.filter(expire_date__gt=now(), user__isnull=False)
    reader: Any = request.user
    return rows if _sees_all(request) else rows.filter(user=reader)
