"""Helpers for requests of the admin pages."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django.http import HttpRequest, HttpResponseRedirect, QueryDict
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme

from scheduler.views.frame import key_in


def now() -> datetime:
    """Return the present instant."""
    return datetime.now(UTC)


def user_of(request: HttpRequest) -> Any:
    """Return the logged-in user; the admin site admits no others."""
    return request.user


def go_back(request: HttpRequest) -> HttpResponseRedirect:
    """Redirect to the referring page of this site, or to the list of tasks."""
    before = request.headers.get("Referer", "")
    if url_has_allowed_host_and_scheme(before, {request.get_host()}, require_https=request.is_secure()):
        return HttpResponseRedirect(before)
    return HttpResponseRedirect(reverse("admin:scheduler_task_changelist"))


def with_keys_only(data: QueryDict) -> QueryDict:
    """Return the form data without selected rows that are not primary keys, on which the admin fails."""
    kept = data.copy()
    kept.setlist("_selected_action", list(filter(key_in, data.getlist("_selected_action"))))
    return kept
