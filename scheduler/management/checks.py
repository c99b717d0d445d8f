"""System checks for settings that would lose or repeat executions, or hang."""

from __future__ import annotations

import resource
from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register
from django.db import DatabaseError

from schedsite.zone_data import used_tables
from scheduler.runner import Spool
from scheduler.selectors.storage import scarce
from scheduler.wording.zone_tables import describe_zone_tables

#: Tag of the checks of an installation; other checks are about the code.
INSTALLATION = "installation"
FILES_OF_A_WORKER = 64
FILES_OF_A_COMMAND = 3  # its process, its pipe and the file of its output
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


@register(INSTALLATION)
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


@register(INSTALLATION)
def check_open_files(**_kwargs: Any) -> list[CheckMessage]:
    """A worker process must be allowed to open the files of `SCHEDULER_SLOTS` parallel commands."""
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


@register(INSTALLATION)
def check_free_space(**_kwargs: Any) -> list[CheckMessage]:
    """The disks of the data folder and the spool should have free space."""
    return [
        Warning(
            f"{free / 1_000_000:.0f} MB are free on the disk of {folder} ({name}), less than SCHEDULER_FREE_SPACE "
            f"({settings.SCHEDULER_FREE_SPACE}).",
            hint="On a full disk nothing can be recorded and no command starts. Free space, lower "
            "SCHEDULER_HISTORY_DAYS or SCHEDULER_LOG_LIMIT, or move the folder.",
            id="scheduler.W004",
        )
        for name, folder, free in scarce()
    ]


@register(INSTALLATION)
def check_spool(**_kwargs: Any) -> list[CheckMessage]:
    """The spool must be writable and support links; it should be private and support hole punching."""
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
                hint="Output of commands may contain secrets: make the user of Schedsite its owner, or chmod 700 it.",
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


@register(INSTALLATION)
def check_zone_tables(**_kwargs: Any) -> list[CheckMessage]:
    """The tables of time zones should not be older than a year."""
    found = used_tables()
    today = datetime.now(UTC).date()
    if not all(tables.is_older_than_a_year(today) for tables in found):
        return []
    return [
        Warning(
            f"The tables of time zones are older than a year: {describe_zone_tables(found)}.",
            hint="Where the rules of clocks have changed since, tasks run at wrong times. Upgrade the system's tzdata, "
            "or the package: pip install --upgrade tzdata",
            id="scheduler.W005",
        )
    ]


@register(Tags.security, deploy=True)
def check_passwords(**_kwargs: Any) -> list[CheckMessage]:
    """No superuser may use their name as the password."""
    from scheduler.services.accounts import accounts_named_by_their_password

    try:
        found = accounts_named_by_their_password()
    except DatabaseError:  # not migrated yet
        return []
    return [
        Error(
            f"The password of the superuser {name!r} is its name.",
            hint=f"Set another one: python manage.py changepassword {name}",
            id="scheduler.E006",
        )
        for name in found
    ]
