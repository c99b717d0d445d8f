"""System checks for combinations of settings that lose, repeat or hang."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, register

WANTED_QUEUE_SETTINGS = {
    "scheduler": False,
    "max_attempts": 1,
    "ack_failures": True,
    "save_limit": -1,
    "sync": False,
}


@register(Tags.database)
def check_database(**_kwargs: Any) -> list[CheckMessage]:
    """SQLite must open transactions IMMEDIATE, in WAL mode, with a busy timeout."""
    database = settings.DATABASES["default"]
    if not str(database["ENGINE"]).endswith("sqlite3"):
        return []
    options: dict[str, Any] = database.get("OPTIONS", {})
    found: list[CheckMessage] = []
    if options.get("transaction_mode") != "IMMEDIATE":
        found.append(
            Error(
                "SQLite must use transaction_mode IMMEDIATE, or concurrent writers fail with “database is locked”.",
                id="scheduler.E001",
            )
        )
    if "journal_mode=wal" not in str(options.get("init_command", "")).lower().replace(" ", ""):
        found.append(
            Error("SQLite must use journal_mode=WAL, or readers block writers.", id="scheduler.E002")
        )
    if float(options.get("timeout", 0)) < 5:
        found.append(Error("SQLite needs a busy timeout of at least 5 seconds.", id="scheduler.E004"))
    return found


@register()
def check_queue(**_kwargs: Any) -> list[CheckMessage]:
    """django-q2 must carry wake-ups only: its own scheduler, retries and results are off."""
    queue: dict[str, Any] = settings.Q_CLUSTER
    found: list[CheckMessage] = [
        Error(f"Q_CLUSTER[{name!r}] is {queue.get(name)!r}; it must be {value!r}.", id="scheduler.E003")
        for name, value in WANTED_QUEUE_SETTINGS.items()
        if queue.get(name) != value
    ]
    if queue["retry"] <= queue["timeout"]:
        found.append(
            Error("Q_CLUSTER['retry'] must be longer than Q_CLUSTER['timeout'].", id="scheduler.E003")
        )
    return found
