"""The response to requests by scripts after logout: 401 instead of a redirect to the login page."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlsplit

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _


class LoggedOutMiddleware:
    """Returns 401 where a script would follow a redirect to the login page and insert it as content."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Return the response."""
        response = self.get_response(request)
        if not is_of_a_script(request) or not _is_for_members(request, response):
            return response
        text = _("You are logged out.")
        headers = {"Cache-Control": "no-store"}
        return HttpResponse(text, status=401, content_type="text/plain; charset=utf-8", headers=headers)


def is_of_a_script(request: HttpRequest) -> bool:
    """Return whether the request comes from a script of ours or of the admin rather than from navigation."""
    return "HX-Request" in request.headers or request.headers.get("X-Requested-With") == "XMLHttpRequest"


def _is_for_members(request: HttpRequest, response: HttpResponse) -> bool:
    """Return whether the response redirects to the login page or rejects a visitor without cookies."""
    if response.status_code == 302:
        return urlsplit(response.headers["Location"]).path == str(settings.LOGIN_URL)
    return response.status_code == 403 and not request.user.is_authenticated
