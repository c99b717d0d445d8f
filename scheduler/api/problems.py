"""Errors as problem details (RFC 9457) with the path of each field."""

from __future__ import annotations

from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

from django.db import OperationalError
from rest_framework.exceptions import APIException, ValidationError
from rest_framework.response import Response
from rest_framework.views import exception_handler as default_handler

from scheduler.config_file import ConfigError
from scheduler.exceptions import ConflictError
from scheduler.services.runs import OverlapError


def exception_handler(error: Exception, context: dict[str, Any]) -> Response | None:
    """Return the answer for an error that a client can act on; None lets others become a 500."""
    if isinstance(error, ConfigError):
        errors = [
            {"path": p.path, "message": p.message, "found": p.found, "allowed": p.allowed}
            for p in error.problems
        ]
        return problem(400, "The task was refused; nothing was changed.", errors=errors)
    if isinstance(error, OverlapError):
        return problem(409, str(error), execution_id=error.execution.pk)
    if isinstance(error, ConflictError):
        return problem(409, str(error))
    if isinstance(error, OperationalError):
        response = problem(503, "The database is busy; try again.")
        response["Retry-After"] = "1"
        return response
    known: Response | None = default_handler(error, context)
    if known is None:
        return None
    response = known
    headers = {
        name: response[name] for name in ("WWW-Authenticate", "Retry-After", "Allow") if name in response
    }
    if isinstance(error, ValidationError):
        answer = problem(
            400, "The request was refused; nothing was changed.", errors=list(_flat(error.detail, ""))
        )
    else:
        detail = error.detail if isinstance(error, APIException) else HTTPStatus(response.status_code).phrase
        answer = problem(response.status_code, str(detail))
    for name, value in headers.items():
        answer[name] = value
    return answer


def problem(status: int, detail: str, **more: Any) -> Response:
    """Return a problem details response."""
    body = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        **more,
    }
    return Response(body, status=status, content_type="application/problem+json")


def _flat(detail: Any, path: str) -> Iterator[dict[str, str]]:
    if isinstance(detail, dict):
        for name, inner in detail.items():
            yield from _flat(inner, f"{path}.{name}" if path else str(name))
    elif isinstance(detail, list):
        for inner in detail:
            yield from _flat(inner, path)
    else:
        yield {"path": path, "message": str(detail)}
