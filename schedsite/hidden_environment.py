"""Hides settings from `/proc/<pid>/environ`, which any command of the same user can read.

The kernel shows the initial memory of the environment there, regardless of later changes. So this process copies its
variables elsewhere and overwrites that memory with zeros; child processes receive them through an unnamed file that
is passed by descriptor, read once and closed.
"""

from __future__ import annotations

import ctypes
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

HANDED_OVER = "SCHEDSITE_ENVIRONMENT"
MARKER = "SCHEDSITE_CLAIM"  # the same as in scheduler.runner.contracts
SECRETS = (
    "SECRET_KEY",
    "DATABASE_URL",
    "REDIS_URL",
    "EMAIL_HOST_PASSWORD",
    "SCHEDULER_HEARTBEAT_URL",
    "DJANGO_SUPERUSER_PASSWORD",
    "PGPASSWORD",
)
#: Variables left visible: needed before a program starts, or passed to commands anyway. Any other may be secret.
SHOWN = frozenset(
    {
        *("PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "TZ", "TMPDIR", "TERM"),
        *("VIRTUAL_ENV", "GLIBC_TUNABLES", "DJANGO_SETTINGS_MODULE", MARKER, HANDED_OVER),
    }
)
#: `LD_` and later ones are for the dynamic linker, the memory allocator, and a preloaded clock.
SHOWN_BEGINNINGS = ("LC_", "PYTHON", "LD_", "MALLOC_", "FAKETIME")
ENV_START, ENV_END = 47, 48  # in /proc/self/stat after the program name: fields 50 and 51 of proc(5)


def is_shown(name: str) -> bool:
    """Return whether a variable stays visible."""
    return name in SHOWN or name.startswith(SHOWN_BEGINNINGS)


def take_over() -> None:
    """Load the variables passed by the parent, if any."""
    descriptor = os.environ.pop(HANDED_OVER, "")
    if descriptor:
        with os.fdopen(int(descriptor), encoding="ascii") as file:
            file.seek(0)
            os.environ.update(json.load(file))


@contextmanager
def handed_over(environment: Mapping[str, str]) -> Iterator[tuple[dict[str, str], int]]:
    """Yield the environment for a child process of ours, and the descriptor to pass to it.

    The child calls `take_over` to load all of `environment`.
    """
    hidden = {name: value for name, value in environment.items() if not is_shown(name)}
    shown = {name: value for name, value in environment.items() if is_shown(name)}
    descriptor = os.memfd_create("environment")
    try:
        with os.fdopen(os.dup(descriptor), "w", encoding="ascii") as file:
            json.dump(hidden, file)
        yield {**shown, HANDED_OVER: str(descriptor)}, descriptor
    finally:
        os.close(descriptor)


def hide() -> None:
    """Overwrite the initial environment of this process with zeros, except harmless variables; `os.environ` keeps them.

    Call before threads start. Does nothing if the kernel does not reveal the address, or in processes started by a
    command, which have no settings and are identified by their visible variables.
    """
    if MARKER in os.environ:
        return
    import setproctitle

    # setproctitle locates the arguments next to the variables and must do so before these are overwritten.
    setproctitle.getproctitle()
    for name, value in list(os.environ.items()):
        os.environ[name] = value  # setenv(3) makes its own copy
    start, end = _place()
    for offset, entry in _entries(ctypes.string_at(start, end - start) if end > start else b""):
        if not is_shown(os.fsdecode(entry.partition(b"=")[0])):
            ctypes.memset(start + offset, 0, len(entry))


def showing_ancestors() -> list[tuple[str, str]]:
    """Return name and variable of each ancestor process that still exposes a secret."""
    found = []
    pid = os.getppid()
    while pid > 1:
        try:
            entries = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
            fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        except OSError:
            break
        program = fields.partition("(")[2].rpartition(")")[0]
        names = {os.fsdecode(entry.partition(b"=")[0]) for entry in entries if entry}
        found += [(program, name) for name in SECRETS if name in names]
        pid = int(fields.rpartition(")")[2].split()[1])
    return found


def _place() -> tuple[int, int]:
    """Return the address range of the initial environment (proc(5), env_start and env_end)."""
    try:
        fields = (
            Path("/proc/self/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        )
        return int(fields[ENV_START]), int(fields[ENV_END])
    except (OSError, IndexError, ValueError):
        return 0, 0


def _entries(memory: bytes) -> Iterator[tuple[int, bytes]]:
    offset = 0
    for entry in memory.split(b"\0"):
        if entry:
            yield offset, entry
        offset += len(entry) + 1
