"""The 400 and 404 responses outside of views: a page of the site, or an API problem."""

from __future__ import annotations

from django.core.exceptions import BadRequest
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.template.loader import render_to_string
from django.utils import translation

from schedsite.middleware.sound_requests import UnreadableRequestError
from scheduler.api.problems import CONTENT_TYPE, REFUSED, error_of, problem_of

NOWHERE = "There is nothing under this path; paths have no trailing slash."


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Return 400, with the reason if it may be shown to the client."""
    reason = exception if isinstance(exception, BadRequest) else ""
    if _is_of_the_api(request):
        path = exception.path if isinstance(exception, UnreadableRequestError) else ""
        return _problem(400, REFUSED, [error_of(path, str(reason))] if reason else [])
    return _page(request, 400, reason)


def page_not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Return 404."""
    return _problem(404, NOWHERE, []) if _is_of_the_api(request) else _page(request, 404, "")


def _is_of_the_api(request: HttpRequest) -> bool:
    return request.path_info.startswith("/api/")


def _problem(status: int, detail: str, errors: list[dict[str, str]]) -> HttpResponse:
    return JsonResponse(problem_of(status, detail, errors=errors), status=status, content_type=CONTENT_TYPE)


def _page(request: HttpRequest, status: int, reason: object) -> HttpResponse:
    # Rejected requests never reach the locale middleware; this thread may have the language of another request.
    with translation.override(translation.get_language_from_request(request)):
        return HttpResponse(render_to_string(f"{status}.html", {"reason": reason}), status=status)
