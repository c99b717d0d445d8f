"""The response to server errors, with an error id that is also in the log."""

from __future__ import annotations

import logging
import secrets

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.template.loader import render_to_string
from django.utils.translation import gettext as _

from schedsite.middleware.logged_out import is_of_a_script

ERROR_HEADER = "X-Error-Id"


def server_error(request: HttpRequest) -> HttpResponse:
    """Return a 500 response: a page, an API problem (RFC 9457), or a sentence for a script."""
    error_id = secrets.token_hex(6)
    request.error_id = error_id  # type: ignore[attr-defined]  # read by the filter of the log
    text = _("The server hit an error, logged as error %(id)s.") % {"id": error_id}
    headers = {ERROR_HEADER: error_id, "Cache-Control": "no-store"}
    if request.path.startswith("/api/"):
        problem = {
            "type": "about:blank",
            "title": "Internal Server Error",
            "status": 500,
            "detail": text,
            "errors": [],
            "error_id": error_id,
        }
        return JsonResponse(problem, status=500, content_type="application/problem+json", headers=headers)
    if is_of_a_script(request):
        return HttpResponse(text, status=500, content_type="text/plain; charset=utf-8", headers=headers)
    return HttpResponse(render_to_string("500.html", {"text": text}), status=500, headers=headers)


class ErrorIdFilter(logging.Filter):
    """Adds the error id of the response to log records of failed requests."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Accept every record."""
        error_id = getattr(getattr(record, "request", None), "error_id", None)
        if error_id is not None:
            record.msg, record.args = f"error {error_id}: {record.getMessage()}", ()
        return True
