"""Pages by keyset: newest first on (queued_at, id), as fast at the millionth row as at the first."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from django.db.models import Q
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import replace_query_param

from scheduler.api.parameters import integer, single
from scheduler.api.problems import RequestRefusedError
from scheduler.models import Execution
from scheduler.querysets import ExecutionQuerySet

DEFAULT_SIZE, LARGEST_SIZE = 50, 500


class ExecutionPage:
    """One page of executions, and the links to its neighbours.

    A cursor names a row and a direction: "older than this" or "newer than this".
    """

    def __init__(self, request: Request, queryset: ExecutionQuerySet) -> None:
        self.request = request
        size = integer(request, "page_size", DEFAULT_SIZE, minimum=1, maximum=LARGEST_SIZE)
        cursor = single(request, "cursor")
        is_newer, at, pk = _decode(cursor) if cursor else (False, None, 0)
        if at is not None:
            queryset = _newer(queryset, at, pk) if is_newer else _older(queryset, at, pk)
        self.queryset = queryset[: size + 1]
        rows = list(self.queryset)
        has_more = len(rows) > size
        self.rows = rows[:size]
        if is_newer:
            self.rows.reverse()
        self._has_older = has_more if not is_newer else True
        self._has_newer = has_more if is_newer else at is not None

    def response(self, results: Sequence[Any]) -> Response:
        """Return the page with `results` and links."""
        return Response(
            {"next": self._link(older=True), "previous": self._link(older=False), "results": results}
        )

    def _link(self, *, older: bool) -> str | None:
        if not self.rows or not (self._has_older if older else self._has_newer):
            return None
        row = self.rows[-1] if older else self.rows[0]
        return replace_query_param(
            self.request.build_absolute_uri(), "cursor", encode_cursor(row, is_newer=not older)
        )


def _older(queryset: ExecutionQuerySet, at: datetime, pk: int) -> ExecutionQuerySet:
    # The first condition alone lets the index find the place; the second decides among equal instants.
    return queryset.filter(queued_at__lte=at).filter(Q(queued_at__lt=at) | Q(pk__lt=pk)).newest_first()


def _newer(queryset: ExecutionQuerySet, at: datetime, pk: int) -> ExecutionQuerySet:
    rows = queryset.filter(queued_at__gte=at).filter(Q(queued_at__gt=at) | Q(pk__gt=pk))
    return rows.order_by("queued_at", "id")


def encode_cursor(row: Execution, *, is_newer: bool) -> str:
    """Return the cursor for what is older (or newer) than `row`."""
    micros = round(row.queued_at.timestamp() * 1_000_000)
    text = f"{'n' if is_newer else 'o'}.{micros}.{row.pk}"
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _decode(cursor: str) -> tuple[bool, datetime, int]:
    try:
        text = base64.urlsafe_b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4)).decode("ascii")
        direction, micros, pk = text.split(".")
        if direction not in ("n", "o") or len(pk) > 18 or not pk.isdigit():
            raise ValueError(text)
        seconds, rest = divmod(int(micros), 1_000_000)
        at = datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest)
    except (ValueError, binascii.Error, UnicodeError, OverflowError, OSError) as error:
        message = f"“{cursor[:80]}” is no cursor; take it from a page's links"
        raise RequestRefusedError(
            "cursor", message, found=cursor, allowed="a cursor from a page's links"
        ) from error
    return direction == "n", at, int(pk)
