"""Tracks user activity for the idle timeout of sessions."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from django.http import HttpRequest, HttpResponse

from scheduler.models.session_store import USER, SessionStore
from scheduler.services.sessions import record_use


class SessionActivityMiddleware:
    """Extends the session on user activity. Requests of self-refreshing parts do not count."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Return the response."""
        response = self.get_response(request)
        session = request.session
        is_by_itself = request.method == "GET" and "HX-Request" in request.headers
        if isinstance(session, SessionStore) and session.accessed and not is_by_itself and USER in session:
            record_use(session, now=datetime.now(UTC))
        return response
