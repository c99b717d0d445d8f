"""System checks for combinations of settings that lose, repeat or hang."""

from __future__ import annotations

import resource
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register

from scheduler.runner import Spool

FILES_OF_A_WORKER = 64
FILES_OF_A_COMMAND = 2  # its process and its output
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


@register()
def check_open_files(**_kwargs: Any) -> list[CheckMessage]:
    """A worker process must be allowed to open what `SCHEDULER_SLOTS` commands at once take."""
    needed = FILES_OF_A_WORKER + FILES_OF_A_COMMAND * settings.SCHEDULER_SLOTS
    allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if allowed == resource.RLIM_INFINITY or needed <= allowed:
        return []
    return [
        Warning(
            f"SCHEDULER_SLOTS is {settings.SCHEDULER_SLOTS}, but this process may open only {allowed} files.",
            hint=f"Executions that find no descriptor free end as technical_failure. Raise the limit to {needed} "
            "(LimitNOFILE= of systemd, ulimit -n), or lower SCHEDULER_SLOTS.",
            id="scheduler.W003",
        )
    ]


@register()
def check_spool(**_kwargs: Any) -> list[CheckMessage]:
    """The spool must be writable, on a file system that can link; it should be private and able to punch holes."""
    folder = settings.SCHEDULER_SPOOL_DIR
    try:
        spool = Spool(folder)
        spool.probe()
    except OSError as error:
        return [
            Error(
                f"The spool directory {folder} cannot be used: {error.strerror}.",
                hint="It holds the output of running commands. Set SCHEDULER_SPOOL_DIR to a directory on a local "
                "disk that belongs to the user who runs Schedsite.",
                id="scheduler.E005",
            )
        ]
    found: list[CheckMessage] = []
    if not spool.is_private():
        found.append(
            Warning(
                f"Other users of this machine may enter the spool directory {folder}.",
                hint="What commands print may be secret: make the user who runs Schedsite its owner, or chmod 700 it.",
                id="scheduler.W001",
            )
        )
    if not spool.can_punch_holes():
        found.append(
            Warning(
                f"The file system of the spool directory {folder} cannot punch holes into files.",
                hint="A command that prints 10 GB takes 10 GB of disk until it ends, whatever SCHEDULER_LOG_LIMIT "
                "says. Set SCHEDULER_SPOOL_DIR to a directory on ext4, xfs, btrfs or tmpfs.",
                id="scheduler.W002",
            )
        )
    return found
