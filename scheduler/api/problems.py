"""Errors as problem details (RFC 9457) with the path of each field."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.db import DataError, OperationalError
from django.http import Http404
from rest_framework.exceptions import APIException, PermissionDenied
from rest_framework.renderers import JSONRenderer
from rest_framework.response import Response
from rest_framework.views import exception_handler as default_handler

from scheduler.api.reasons import Code as RequestCode
from scheduler.api.serializers.problems import ProblemSerializer
from scheduler.config_file import ConfigError, ConfigProblem
from scheduler.config_file.problems import Words
from scheduler.engine.reasons import Code, Reason, as_reason, reason_of
from scheduler.exceptions import ConflictError, LimitReachedError
from scheduler.selectors.storage import is_disk_full
from scheduler.services.runs import OverlapError
from scheduler.wording.reasons import told_error

CONTENT_TYPE = "application/problem+json"
REFUSED = "The request was refused; nothing was changed."
DISK_FULL = "The disk is full; nothing was changed. Free space on the server and send it again."
KEPT_HEADERS = ("WWW-Authenticate", "Retry-After", "Allow", "Vary")


class RequestRefusedError(APIException):
    """A parameter or a field of the body is rejected: a 400 with the value found and what is allowed.

    Args:
        path: name of the parameter or path of the field.
        found: the value as it was sent; cut to 200 characters.
    """

    status_code = 400

    def __init__(self, path: str, why: Reason, *, found: str = "", allowed: Words = "") -> None:
        super().__init__(str(why))
        self.errors = [error_of(path, why, found=found, allowed=str(allowed))]


class NotFoundError(APIException):
    """There is no such object: a 404 that says which."""

    status_code = 404


def exception_handler(error: Exception, context: dict[str, Any]) -> Response | None:
    """Return the answer for an error that a client can act on; None lets others become a 500."""
    answer = _own_answer(error) or _framework_answer(error, context)
    if answer is None:
        return None
    request = context.get("request")
    renderer = getattr(request, "accepted_renderer", None)
    if renderer is not None and renderer.format == "api":
        answer.content_type = None  # a page for people, its own type
    elif request is not None:
        # An error is JSON also where a log was asked for as text.
        request.accepted_renderer, request.accepted_media_type = JSONRenderer(), JSONRenderer.media_type
    return answer


def _own_answer(error: Exception) -> Response | None:
    if isinstance(error, ConfigError):
        return problem(400, REFUSED, errors=[_of_config(one) for one in error.problems])
    if isinstance(error, RequestDataTooBig):
        return problem(
            413, f"The body is longer than {settings.DATA_UPLOAD_MAX_MEMORY_SIZE:,} bytes; nothing was read."
        )
    if isinstance(error, RequestRefusedError):
        return problem(400, REFUSED, errors=error.errors)
    if isinstance(error, OverlapError):
        return problem(409, told_error(error), execution_id=error.execution.pk, **_code_of(error))
    if isinstance(error, ConflictError):
        return problem(409, told_error(error), **_code_of(error))
    if isinstance(error, LimitReachedError):
        refused = problem(429, str(error))
        refused["Retry-After"] = str(error.seconds)
        return refused
    if isinstance(error, DataError):
        return problem(400, REFUSED, errors=[error_of("", Reason(RequestCode.VALUE_NOT_STORABLE))])
    if is_disk_full(error):
        return problem(507, DISK_FULL)
    if isinstance(error, OperationalError):
        response = problem(503, "The database is busy; try again.")
        response["Retry-After"] = "1"
        return response
    return None


def _framework_answer(error: Exception, context: dict[str, Any]) -> Response | None:
    known: Response | None = default_handler(error, context)
    if known is None:
        return None
    is_plain = isinstance(error, Http404 | PermissionDenied) or not isinstance(error, APIException)
    phrase = HTTPStatus(known.status_code).phrase
    answer = problem(known.status_code, phrase if is_plain else str(getattr(error, "detail", phrase)))
    for name in KEPT_HEADERS:
        if name in known:
            answer[name] = known[name]
    return answer


def problem(status: int, detail: str, *, errors: Sequence[dict[str, Any]] = (), **more: Any) -> Response:
    """Return a problem details response."""
    return Response(
        problem_of(status, detail, errors=errors, **more), status=status, content_type=CONTENT_TYPE
    )


def problem_of(
    status: int, detail: str, *, errors: Sequence[dict[str, Any]] = (), **more: Any
) -> dict[str, Any]:
    """Return the fields of problem details."""
    title = HTTPStatus(status).phrase
    fields = {"type": "about:blank", "title": title, "status": status, "detail": detail, "errors": errors}
    return dict(ProblemSerializer({**fields, **more}).data)


def error_of(path: str, why: Words, *, place: str = "", found: str = "", allowed: str = "") -> dict[str, Any]:
    """Return one entry of `errors`; `found` is cut to 200 characters.

    Args:
        place: line and column, which precede the reason in the message.
    """
    reason = as_reason(why)
    return {
        "path": path,
        "message": f"{place}{reason}",
        "found": found[:200],
        "allowed": allowed,
        "code": reason.code,
        "params": reason.params_json(),
    }


def _code_of(error: Exception) -> dict[str, Any]:
    """Return why something was refused as a value, where that is known."""
    reason = reason_of(error)
    return {} if reason.code == Code.OTHER else {"code": reason.code, "params": reason.params_json()}


def _of_config(one: ConfigProblem) -> dict[str, Any]:
    place = "" if one.line is None else f"line {one.line}, column {one.column}: "
    return error_of(one.path, one.why, place=place, found=one.found, allowed=one.allowed)
