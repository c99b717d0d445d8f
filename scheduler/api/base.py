"""What the views of all apps stand on: strict parameters, pages by number."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from rest_framework import viewsets
from rest_framework.request import Request
from rest_framework.utils.urls import replace_query_param

from scheduler.api.parameters import allow_only, integer
from scheduler.api.problems import RequestRefusedError
from scheduler.api.reasons import Code
from scheduler.config_file.problems import shorten
from scheduler.config_file.reasons import Code as Refusal
from scheduler.engine.reasons import Reason
from scheduler.engine.schedules import accept_schedule, iterate_slots
from scheduler.models import Task
from scheduler.services.limits import Scope
from scheduler.services.origin import origin_of
from scheduler.services.rates import count_request


class StrictViewSet(viewsets.ViewSet):
    """Accepts the query parameters that `operation` names for an action, and no others.

    `limits_by_action` names what is counted when an action is asked for.
    """

    limits_by_action: Mapping[str, Scope] = {}

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Check who asks, then what was asked."""
        super().initial(request, *args, **kwargs)
        takes = getattr(getattr(self, self.action or "", None), "takes", None)
        if takes is not None:
            allow_only(request, takes)
        scope = self.limits_by_action.get(self.action or "")
        if scope is not None:
            account = request.user.get_username()
            count_request(scope, account=account, origin=origin_of(request._request), now=now())


def now() -> datetime:
    """Return the present instant."""
    return datetime.now(UTC)


def next_slots(expression: str, zone: str, count: int) -> list[datetime]:
    """Return the next `count` slots of a schedule from now on.

    Raises:
        InvalidScheduleError: it is no schedule that may be entered.
    """
    present = now()
    return list(islice(iterate_slots(accept_schedule(expression, zone, present), present), count))


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
        why = Reason(Code.NO_TASK, {"name": shorten(task_id)})
        allowed = Reason(Refusal.EXISTING_TASK)
        raise RequestRefusedError("task_id", why, found=str(task_id)[:80], allowed=allowed)
    return task


@dataclass(frozen=True)
class NumberedPage:
    """A page of a list: how many rows the list has, the number of the page, links to its neighbours, and its rows."""

    count: int
    page: int
    next: str | None
    previous: str | None
    rows: list[Any]


def numbered_page(request: Request, rows: Any) -> NumberedPage:
    """Return a page of ordered `rows`, the one that `page` and `page_size` name; it has 100 when nothing is said."""
    size = integer(request, "page_size", 100, minimum=1, maximum=500)
    page = integer(request, "page", 1, minimum=1, maximum=1_000_000)
    count = rows.count()

    def link(number: int) -> str:
        return replace_query_param(request.build_absolute_uri(), "page", number)

    return NumberedPage(
        count=count,
        page=page,
        next=link(page + 1) if page * size < count else None,
        previous=link(page - 1) if page > 1 else None,
        rows=list(rows[(page - 1) * size : page * size]),
    )
