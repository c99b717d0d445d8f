"""Free space of the disks that this host writes to, and detection of disk-full errors."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings

FULL = 1 << 20  # bytes; a database cannot write a page and its journal into less
SQLITE_FULL = 13  # https://www.sqlite.org/rescode.html#full
SQLITE_IOERR = 10
DISK_FULL = "53100"  # https://www.postgresql.org/docs/current/errcodes-appendix.html


def folders() -> list[tuple[str, Path]]:
    """Return the writable folders, each with the setting that configures it."""
    return [
        ("SCHEDULER_DATA_DIR", Path(settings.DATA_DIR)),
        ("SCHEDULER_SPOOL_DIR", Path(settings.SCHEDULER_SPOOL_DIR)),
    ]


@dataclass(frozen=True)
class Disk:
    """The disk of a folder, with its size and free space in bytes."""

    folder: str
    size: int
    free: int


def disks() -> list[Disk]:
    """Return the disks of the data folder and of the spool; a folder that cannot be read is omitted."""
    found = []
    for name, folder in folders():
        try:
            usage = shutil.disk_usage(_existing(folder))
        except OSError:
            continue
        label = name.removeprefix("SCHEDULER_").removesuffix("_DIR").lower()
        found.append(Disk(label, usage.total, usage.free))
    return found


def _existing(folder: Path) -> Path:
    return next((place for place in (folder, *folder.parents) if place.exists()), folder)


def scarce() -> list[tuple[str, Path, int]]:
    """Return one folder per disk with less free space than SCHEDULER_FREE_SPACE, with the free bytes."""
    found = []
    seen: set[int] = set()
    for name, folder in folders():
        place = _existing(folder)
        try:
            device, free = place.stat().st_dev, shutil.disk_usage(place).free
        except OSError:  # unreadable; writing to it will report the error
            continue
        if device not in seen and free < settings.SCHEDULER_FREE_SPACE * 1_000_000:
            found.append((name, folder, free))
        seen.add(device)
    return found


def is_disk_full(error: BaseException) -> bool:
    """Return whether an error, or an exception in its chain, means that a disk or a quota is full."""
    return any(_says_full(one) for one in _chain(error))


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _says_full(error: BaseException) -> bool:
    if isinstance(error, OSError):
        return error.errno in (errno.ENOSPC, errno.EDQUOT)
    code = getattr(error, "sqlite_errorcode", None)
    if code is not None:
        # A full disk causes an I/O error in the shared-memory file of SQLite.
        is_failed = code & 0xFF == SQLITE_IOERR
        return code & 0xFF == SQLITE_FULL or (is_failed and any(free < FULL for _, _, free in scarce()))
    return getattr(error, "sqlstate", None) == DISK_FULL
