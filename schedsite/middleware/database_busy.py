"""The response while the database is busy or the disk is full: 503 with instructions instead of a server
error."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from http import HTTPStatus

from django.db import OperationalError
from django.http import HttpRequest, HttpResponse
from django.templatetags.static import static
from django.utils.html import format_html
from django.utils.safestring import mark_safe
from django.utils.translation import get_language
from django.utils.translation import gettext as _

from schedsite import server_errors
from scheduler.selectors.storage import is_disk_full

logger = logging.getLogger("scheduler")

PAGE = """<!doctype html><html lang="{}"><head><meta charset="utf-8"><title>{}</title>{}
<meta name="viewport" content="width=device-width, initial-scale=1"><link rel="icon" type="image/svg+xml" href="{}">
<link rel="stylesheet" href="{}"></head>
<body class="s-alone"><main class="s-card"><h1>{}</h1><p>{}</p></main></body></html>"""
AGAIN = mark_safe('<meta http-equiv="refresh" content="5">')


class BusyDatabaseMiddleware:
    """Returns 503 when a view could not access the database in time."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Return the response."""
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        """Return 503 if the database is busy or the disk full; the submitted data stays in the user's form."""
        return _answer(request, exception)


def server_error(request: HttpRequest) -> HttpResponse:
    """Handle errors outside of views, for example while saving the session."""
    error = sys.exc_info()[1]
    answer = _answer(request, error) if isinstance(error, Exception) else None
    return answer or server_errors.server_error(request)


def _answer(request: HttpRequest, error: Exception) -> HttpResponse | None:
    """Return the page for a database or disk error, or None for other errors."""
    is_read = request.method in ("GET", "HEAD")
    if is_disk_full(error):
        title, status = _("The disk is full"), HTTPStatus.INSUFFICIENT_STORAGE
        text = _(
            "Nothing can be written until space is freed on the server; the System page lists the folders."
        )
        again = mark_safe("")
        if not is_read:
            text += " " + _("Nothing was changed. Go back and send it again; what you typed is still there.")
    elif isinstance(error, OperationalError):
        title, status = _("The database is busy"), HTTPStatus.SERVICE_UNAVAILABLE
        again = AGAIN if is_read else mark_safe("")
        if is_read:
            text = _("This page tries again in five seconds.")
        else:  # a reload would not submit the data again
            text = _("Nothing was changed. Go back and send it again; what you typed is still there.")
    else:
        return None
    logger.warning("%s %s: %s", request.method, request.path, error)
    icon, style = static("scheduler/favicon.svg"), static("scheduler/site.css")
    page = format_html(PAGE, get_language() or "en", title, again, icon, style, title, text)
    return HttpResponse(page, status=status, headers={"Retry-After": "5"})
