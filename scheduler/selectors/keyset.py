"""Keyset pagination, newest first, equally fast at the millionth row.

Rows are ordered by a timestamp and the id, or by the id alone.
"""

from __future__ import annotations

import base64
import binascii
from datetime import UTC, datetime
from typing import Any, Generic, TypeVar

from django.db.models import Model, Q

Row = TypeVar("Row", bound=Model)


class BadCursorError(ValueError):
    """The text is not a valid cursor."""


class KeysetPage(Generic[Row]):
    """One page of rows and the cursors of the adjacent pages; None at the ends.

    A cursor encodes a row and a direction: "older than this" or "newer than this".

    Args:
        instant: timestamp field by which the rows are ordered, before the id; None: by the id alone.

    Raises:
        BadCursorError: `cursor` is invalid.
    """

    def __init__(
        self, queryset: Any, *, size: int, cursor: str = "", instant: str | None = "queued_at"
    ) -> None:
        is_newer, at, pk = _decode(cursor) if cursor else (False, None, 0)
        if at is not None:
            queryset = queryset.filter(_beyond(instant, at, pk, "gt" if is_newer else "lt"))
        order = ["id"] if instant is None else [instant, "id"]
        if at is None or not is_newer:
            order = [f"-{name}" for name in order]
        self.queryset = queryset.order_by(*order)[: size + 1]
        rows = list(self.queryset)
        has_more = len(rows) > size
        self.rows: list[Row] = rows[:size]
        if is_newer:
            self.rows.reverse()
        has_older, has_newer = (True, has_more) if is_newer else (has_more, at is not None)
        self.older = self.newer = None
        if self.rows and has_older:
            self.older = encode_cursor(self.rows[-1], is_newer=False, instant=instant)
        if self.rows and has_newer:
            self.newer = encode_cursor(self.rows[0], is_newer=True, instant=instant)


def _beyond(instant: str | None, at: datetime, pk: int, side: str) -> Q:
    if instant is None:
        return Q(**{f"pk__{side}": pk})
    # The first condition is for the index; the second one orders equal timestamps.
    return Q(**{f"{instant}__{side}e": at}) & (Q(**{f"{instant}__{side}": at}) | Q(**{f"pk__{side}": pk}))


def encode_cursor(row: Model, *, is_newer: bool, instant: str | None = "queued_at") -> str:
    """Return the cursor for rows older (or newer) than `row`."""
    micros = 0 if instant is None else round(getattr(row, instant).timestamp() * 1_000_000)
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
        raise BadCursorError(f"invalid cursor: {cursor[:80]}") from error
    return direction == "n", at, int(pk)
