"""What a script of a page is told when its reader is logged out: so, and not the page to log in."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlsplit

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _


class LoggedOutMiddleware:
    """Answers 401 where a script would be led to the page to log in, which it would take for what it asked for."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer."""
        response = self.get_response(request)
        if not _is_of_a_script(request) or not _is_for_members(request, response):
            return response
        text = _("You are logged out.")
        headers = {"Cache-Control": "no-store"}
        return HttpResponse(text, status=401, content_type="text/plain; charset=utf-8", headers=headers)


def _is_of_a_script(request: HttpRequest) -> bool:
    """Tell whether a script of ours or of the admin asks, not the browser for a page."""
    return "HX-Request" in request.headers or request.headers.get("X-Requested-With") == "XMLHttpRequest"


def _is_for_members(request: HttpRequest, response: HttpResponse) -> bool:
    """Tell whether the answer leads to the page to log in, or refuses a visitor whose cookies are all gone."""
    if response.status_code == 302:
        return urlsplit(response.headers["Location"]).path == str(settings.LOGIN_URL)
    return response.status_code == 403 and not request.user.is_authenticated
