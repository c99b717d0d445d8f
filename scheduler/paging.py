"""Pages by keyset, newest first, as fast at the millionth row as at the first.

Executions are in the order of (queued_at, id), runs in that of id.
"""

from __future__ import annotations

import base64
import binascii
from datetime import UTC, datetime
from typing import Any, Generic, TypeVar

from django.db.models import Q

from scheduler.models import Execution, Run

Row = TypeVar("Row", Execution, Run)


class BadCursorError(ValueError):
    """A text is no cursor."""


class KeysetPage(Generic[Row]):
    """One page of executions or runs and the cursors of its neighbours; None where there is no neighbour.

    A cursor names a row and a direction: "older than this" or "newer than this".

    Raises:
        BadCursorError: `cursor` was not made by a page.
    """

    def __init__(self, queryset: Any, *, size: int, cursor: str = "") -> None:
        is_newer, at, pk = _decode(cursor) if cursor else (False, None, 0)
        if at is None:
            queryset = queryset.newest_first()
        else:
            queryset = _newer(queryset, at, pk) if is_newer else _older(queryset, at, pk)
        self.queryset = queryset[: size + 1]
        rows = list(self.queryset)
        has_more = len(rows) > size
        self.rows: list[Row] = rows[:size]
        if is_newer:
            self.rows.reverse()
        has_older, has_newer = (True, has_more) if is_newer else (has_more, at is not None)
        self.older = encode_cursor(self.rows[-1], is_newer=False) if self.rows and has_older else None
        self.newer = encode_cursor(self.rows[0], is_newer=True) if self.rows and has_newer else None


def _older(queryset: Any, at: datetime, pk: int) -> Any:
    if queryset.model is Run:
        return queryset.filter(pk__lt=pk).newest_first()
    # The first condition alone lets the index find the place; the second decides among equal instants.
    return queryset.filter(queued_at__lte=at).filter(Q(queued_at__lt=at) | Q(pk__lt=pk)).newest_first()


def _newer(queryset: Any, at: datetime, pk: int) -> Any:
    if queryset.model is Run:
        return queryset.filter(pk__gt=pk).order_by("id")
    rows = queryset.filter(queued_at__gte=at).filter(Q(queued_at__gt=at) | Q(pk__gt=pk))
    return rows.order_by("queued_at", "id")


def encode_cursor(row: Execution | Run, *, is_newer: bool) -> str:
    """Return the cursor for what is older (or newer) than `row`."""
    at = row.created_at if isinstance(row, Run) else row.queued_at
    text = f"{'n' if is_newer else 'o'}.{round(at.timestamp() * 1_000_000)}.{row.pk}"
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
        raise BadCursorError(f"“{cursor[:80]}” is no cursor; take it from a page's links") from error
    return direction == "n", at, int(pk)
