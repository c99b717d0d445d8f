"""What the pages of the site ask of a request."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django.http import HttpRequest, HttpResponseRedirect, QueryDict
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme

from scheduler.views.shell import key_in


def now() -> datetime:
    """Return the present instant."""
    return datetime.now(UTC)


def user_of(request: HttpRequest) -> Any:
    """Return who is logged in; the admin site lets nobody else in."""
    return request.user


def go_back(request: HttpRequest) -> HttpResponseRedirect:
    """Return to the page of this site that a button stood on, or to the list of tasks."""
    before = request.headers.get("Referer", "")
    if url_has_allowed_host_and_scheme(before, {request.get_host()}, require_https=request.is_secure()):
        return HttpResponseRedirect(before)
    return HttpResponseRedirect(reverse("admin:scheduler_task_changelist"))


def with_keys_only(data: QueryDict) -> QueryDict:
    """Return a form without chosen rows that are no primary keys, at which the admin fails."""
    kept = data.copy()
    kept.setlist("_selected_action", list(filter(key_in, data.getlist("_selected_action"))))
    return kept
