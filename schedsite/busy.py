"""What a page says while the database is busy: that it is, and to try again; never an error of the server."""

from __future__ import annotations

import logging
from collections.abc import Callable

from django.db import OperationalError
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html
from django.utils.translation import get_language
from django.utils.translation import gettext as _

logger = logging.getLogger("scheduler")

PAGE = """<!doctype html><html lang="{}"><meta charset="utf-8"><meta http-equiv="refresh" content="5">
<title>{}</title><h1>{}</h1><p>{}</p></html>"""


class BusyDatabaseMiddleware:
    """Answers 503 when a page could not reach the database in time."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer."""
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        """Say that the database is busy; what was typed is still in the form of the reader."""
        if not isinstance(exception, OperationalError):
            return None
        logger.warning("%s %s: %s", request.method, request.path, exception)
        title = _("The database is busy")
        text = _("Nothing was changed. This page tries again in five seconds; go back to send a form again.")
        page = format_html(PAGE, get_language() or "en", title, title, text)
        return HttpResponse(page, status=503, headers={"Retry-After": "5"})
