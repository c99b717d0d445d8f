"""What the views of all apps stand on: strict parameters, small bodies, pages by number."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime
from typing import Any

from rest_framework import viewsets
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import replace_query_param

from scheduler.api.parameters import allow_only, integer
from scheduler.api.problems import RequestRefusedError
from scheduler.models import Task

KINDS = {bool: "true or false", int: "a whole number", str: "text"}


class StrictViewSet(viewsets.ViewSet):
    """Accepts the query parameters that `operation` names for an action, and no others."""

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Check who asks, then what was asked."""
        super().initial(request, *args, **kwargs)
        takes = getattr(getattr(self, self.action or "", None), "takes", None)
        if takes is not None:
            allow_only(request, takes)


def now() -> datetime:
    """Return the present instant."""
    return datetime.now(UTC)


def user_of(request: Request) -> Any:
    """Return who asks, None when nobody is known."""
    return request.user if request.user.is_authenticated else None


def task_named(task_id: object, *, with_deleted: bool = False) -> Task:
    """Return the task that a parameter or field `task_id` names.

    Raises:
        RequestRefusedError: there is none.
    """
    rows = Task.all_objects if with_deleted else Task.objects
    task = rows.filter(task_id=task_id).first() if isinstance(task_id, str) else None
    if task is None:
        shown = str(task_id)[:80]
        message = f"there is no task “{shown}”"
        raise RequestRefusedError("task_id", message, found=shown, allowed="the id of a task")
    return task


def no_object(found: Any) -> RequestRefusedError:
    """Return the error on a body that is no object."""
    return RequestRefusedError(
        "", "the body is no object", found=json.dumps(found), allowed="an object of fields"
    )


def without_read_only(body: Any, read_only: Collection[str]) -> dict[str, Any]:
    """Return a copy of a body without what only answers carry, so that an answer can be edited and sent back.

    Raises:
        RequestRefusedError: it is no object.
    """
    if not isinstance(body, dict):
        raise no_object(body)
    return {name: value for name, value in body.items() if name not in read_only}


def read_body(
    request: Request,
    defaults: dict[str, Any],
    *,
    required: Sequence[str] = (),
    read_only: Collection[str] = (),
) -> dict[str, Any]:
    """Return the fields of a small body; those that are absent have their defaults, which also say the types.

    Raises:
        RequestRefusedError: a field is unknown, missing or of another type.
    """
    body = without_read_only(request.data, read_only)
    known = ", ".join(defaults) or "none"
    for name, value in body.items():
        shown = str(name)[:80]
        if name not in defaults:
            message = f"“{shown}” is no known field; known are {known}"
            raise RequestRefusedError(shown, message, found=shown, allowed=known)
        if type(value) is not type(defaults[name]):
            kind, found = KINDS[type(defaults[name])], json.dumps(value)
            message = f"{found[:80]} was found; {kind} is allowed"
            raise RequestRefusedError(name, message, found=found, allowed=kind)
    for name in required:
        if name not in body:
            raise RequestRefusedError(name, "the field is missing", found="nothing", allowed="text")
    return {**defaults, **body}


def numbered_page(
    request: Request, rows: Any, shown: Callable[[list[Any]], list[dict[str, Any]]]
) -> Response:
    """Return a page of ordered `rows`, the one that `page` and `page_size` name; it has 100 when nothing is said."""
    size = integer(request, "page_size", 100, minimum=1, maximum=500)
    page = integer(request, "page", 1, minimum=1, maximum=1_000_000)
    count = rows.count()

    def link(number: int) -> str:
        return replace_query_param(request.build_absolute_uri(), "page", number)

    return Response(
        {
            "count": count,
            "page": page,
            "next": link(page + 1) if page * size < count else None,
            "previous": link(page - 1) if page > 1 else None,
            "results": shown(list(rows[(page - 1) * size : page * size])),
        }
    )
