"""The order in which transactions take locks, and the locks that are not rows.

A transaction that waits for a lock holds only locks that come before it in `ORDER`, so that transactions cannot wait
for each other in a circle. Within one step, rows are locked by primary key, and numbers in ascending order. Statements
with SKIP LOCKED never wait, so they may run at any point. SQLite has a single writer, so nothing is locked there.
"""

from __future__ import annotations

from collections.abc import Collection
from enum import IntEnum

from django.db import connection


class Space(IntEnum):
    """The advisory locks of PostgreSQL: the values are the keys, shared by all processes of an installation."""

    GRAPH = 7_305_101
    STREAKS = 7_305_102  # by task: the outcomes that rules count
    TARGETS = 7_305_103  # by target of messages: hourly limits, and series of suppressed messages


#: Names of tables and of advisory locks.
ORDER: tuple[str | Space, ...] = (
    Space.GRAPH,
    "scheduler_task",
    "scheduler_run",
    "scheduler_execution",
    Space.STREAKS,
    Space.TARGETS,
    "notifications_delivery",
)
#: Tables whose locks are taken by transactions that take no others.
ALONE = frozenset({"scheduler_attemptcount", "scheduler_process", "auth_user"})


def lock_graph() -> None:
    """Serialise changes of definitions, so that two concurrent edits cannot form a cycle."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [Space.GRAPH])


def lock_numbers(space: Space, numbers: Collection[int]) -> None:
    """Lock numbers of a space until the transaction ends."""
    if connection.vendor == "postgresql" and numbers:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_advisory_xact_lock(%s, key) FROM unnest(%s::int[]) AS key",
                [space, sorted(numbers)],
            )
