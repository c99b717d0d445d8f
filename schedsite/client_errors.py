"""The 400 and 404 responses outside of views: a page of the site, or an API problem."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import BadRequest
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.template.loader import render_to_string
from django.utils import translation

from schedsite.middleware.sound_requests import UnreadableRequestError
from scheduler.api.problems import CONTENT_TYPE, REFUSED, error_of, problem_of
from scheduler.wording.reasons import told_error

NOWHERE = "There is nothing under this path; paths have no trailing slash."


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Return 400, with the reason if it may be shown to the client."""
    if _is_of_the_api(request):
        return _problem(400, REFUSED, _errors(exception))
    return _page(request, 400, exception if isinstance(exception, BadRequest) else None)


def page_not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Return 404."""
    return _problem(404, NOWHERE, []) if _is_of_the_api(request) else _page(request, 404, None)


def _errors(exception: Exception) -> list[dict[str, Any]]:
    if isinstance(exception, UnreadableRequestError):
        return [error_of(exception.path, exception.why)]
    return [error_of("", str(exception))] if isinstance(exception, BadRequest) else []


def _is_of_the_api(request: HttpRequest) -> bool:
    return request.path_info.startswith("/api/")


def _problem(status: int, detail: str, errors: list[dict[str, Any]]) -> HttpResponse:
    return JsonResponse(problem_of(status, detail, errors=errors), status=status, content_type=CONTENT_TYPE)


def _page(request: HttpRequest, status: int, refused: BadRequest | None) -> HttpResponse:
    # Rejected requests never reach the locale middleware; this thread may have the language of another request.
    with translation.override(translation.get_language_from_request(request)):
        reason = "" if refused is None else told_error(refused)
        return HttpResponse(render_to_string(f"{status}.html", {"reason": reason}), status=status)
