"""Umask of Schedsite's own files (private to its user) and of its commands (that of the worker's parent)."""

from __future__ import annotations

import os

PRIVATE_UMASK = 0o077
UNCHANGED = -1  # the value for subprocess

_started_with = UNCHANGED


def keep_files_private() -> None:
    """Make new files of this process private to the user, and remember the previous umask."""
    global _started_with
    if _started_with == UNCHANGED:
        _started_with = os.umask(PRIVATE_UMASK)


def started_umask() -> int:
    """Return the umask this process was started with, or -1 if it was not changed."""
    return _started_with
