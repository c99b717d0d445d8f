"""Pages by cursor with links to their neighbours."""

from __future__ import annotations

from typing import Any, ClassVar, Generic

from rest_framework.request import Request
from rest_framework.utils.urls import replace_query_param

from scheduler.api.parameters import integer, single
from scheduler.api.problems import RequestRefusedError
from scheduler.api.reasons import Code
from scheduler.config_file.problems import shorten
from scheduler.engine.reasons import Reason
from scheduler.models import Execution, Run
from scheduler.selectors.keyset import BadCursorError, KeysetPage, Row

DEFAULT_SIZE, LARGEST_SIZE = 50, 500


class CursorPage(Generic[Row]):
    """One page of rows, newest first, and the links to its neighbours."""

    #: field that the rows are ordered by, before the id; None: by the id alone
    instant: ClassVar[str | None]

    def __init__(self, request: Request, queryset: Any) -> None:
        self.request = request
        size = integer(request, "page_size", DEFAULT_SIZE, minimum=1, maximum=LARGEST_SIZE)
        cursor = single(request, "cursor") or ""
        try:
            self.page: KeysetPage[Row] = KeysetPage(queryset, size=size, cursor=cursor, instant=self.instant)
        except BadCursorError as error:
            why = Reason(Code.CURSOR_NOT_VALID, {"found": shorten(cursor)})
            allowed = Reason(Code.CURSOR_OF_PAGE)
            raise RequestRefusedError("cursor", why, found=cursor, allowed=allowed) from error
        self.rows: list[Row] = self.page.rows

    @property
    def next(self) -> str | None:
        """The link to the page of older rows."""
        return self._link(self.page.older)

    @property
    def previous(self) -> str | None:
        """The link to the page of newer rows."""
        return self._link(self.page.newer)

    def _link(self, cursor: str | None) -> str | None:
        if cursor is None:
            return None
        return replace_query_param(self.request.build_absolute_uri(), "cursor", cursor)


class ExecutionPage(CursorPage[Execution]):
    """A page of executions."""

    instant = "queued_at"


class RunPage(CursorPage[Run]):
    """A page of runs."""

    instant = None
