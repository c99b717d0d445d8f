"""What a page says while the database is busy: that it is, and to try again; never an error of the server."""

from __future__ import annotations

import logging
from collections.abc import Callable

from django.db import OperationalError
from django.http import HttpRequest, HttpResponse
from django.templatetags.static import static
from django.utils.html import format_html
from django.utils.safestring import mark_safe
from django.utils.translation import get_language
from django.utils.translation import gettext as _

logger = logging.getLogger("scheduler")

PAGE = """<!doctype html><html lang="{}"><head><meta charset="utf-8"><title>{}</title>{}
<meta name="viewport" content="width=device-width, initial-scale=1"><link rel="icon" type="image/svg+xml" href="{}">
<link rel="stylesheet" href="{}"></head>
<body class="s-alone"><main class="s-card"><h1>{}</h1><p>{}</p></main></body></html>"""
AGAIN = mark_safe('<meta http-equiv="refresh" content="5">')


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
        again = AGAIN if request.method == "GET" else ""
        if again:
            text = _("This page tries again in five seconds.")
        else:  # asking for its address again would not send what was sent
            text = _("Nothing was changed. Go back and send it again; what you typed is still there.")
        icon, style = static("scheduler/favicon.svg"), static("scheduler/site.css")
        page = format_html(PAGE, get_language() or "en", title, again, icon, style, title, text)
        return HttpResponse(page, status=503, headers={"Retry-After": "5"})
