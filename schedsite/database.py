"""Configures new SQLite connections: case-insensitive search for all letters, a higher limit, and private files."""

from __future__ import annotations

import re
import sqlite3
import stat
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created
from django.dispatch import receiver

PRIVATE = 0o600
MOST_PARAMETERS = (
    32_766  # of one statement; the limit that SQLite is built with. Source: sqlite.org/limits.html
)
BESIDE = ("", "-wal", "-shm", "-journal")  # files written by SQLite with the permissions of the database file


@receiver(connection_created, dispatch_uid="schedsite.database.prepare")
def prepare(connection: BaseDatabaseWrapper, **_kwargs: Any) -> None:
    """Configure a SQLite connection; no-op on PostgreSQL."""
    if connection.vendor != "sqlite":
        return
    # The built-in LIKE is case-sensitive outside ASCII. The third argument is that of ESCAPE.
    # Source: sqlite.org/lang_expr.html#like
    connection.connection.create_function("like", 3, is_like, deterministic=True)
    # Django assumes 999 for versions before 3.32 and would write wide rows in many statements.
    allowed = connection.connection.getlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER)
    connection.features.max_query_params = min(allowed, MOST_PARAMETERS)
    make_private(Path(connection.settings_dict["NAME"]))


def make_private(database: Path) -> None:
    """Make a database and its companion files private to their owner; skip files of other users."""
    for ending in BESIDE:
        path = database.with_name(database.name + ending)
        with suppress(OSError):
            if stat.S_IMODE(path.stat().st_mode) & 0o077:
                path.chmod(PRIVATE)


def is_like(pattern: str | None, value: object, escape: str) -> bool | None:
    """Return whether a value matches a LIKE pattern, ignoring case; None for NULL."""
    if value is None or pattern is None:
        return None
    text = str(value).lower()
    needle = _contained(pattern, escape)
    if needle is not None:
        return needle in text
    return _expression(pattern, escape).fullmatch(text) is not None


@lru_cache(maxsize=256)
def _contained(pattern: str, escape: str) -> str | None:
    """Return the text of a pattern `%text%` in lower case, or None if it has other wildcards."""
    parts = _parts(pattern, escape)
    if len(parts) < 2 or parts[0] != (True, "%") or parts[-1] != (True, "%"):
        return None
    within = parts[1:-1]
    return None if any(is_wildcard for is_wildcard, _ in within) else "".join(c for _, c in within).lower()


@lru_cache(maxsize=256)
def _expression(pattern: str, escape: str) -> re.Pattern[str]:
    wildcards = {"%": ".*", "_": "."}
    found = [
        wildcards[c] if is_wildcard else re.escape(c.lower()) for is_wildcard, c in _parts(pattern, escape)
    ]
    return re.compile("".join(found), re.DOTALL)


def _parts(pattern: str, escape: str) -> list[tuple[bool, str]]:
    """Return the characters of a pattern, and for each whether it is a wildcard."""
    found, is_escaped = [], False
    for character in pattern:
        if character == escape and not is_escaped:
            is_escaped = True
            continue
        found.append((character in "%_" and not is_escaped, character))
        is_escaped = False
    return found
