"""The live processes of this host, read from /proc: their groups, sessions and command markers."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic

from scheduler.runner.contracts import MARKER

LOOK_EVERY = 0.05
SHARE_OF_TIME = 10  # scanning takes at most one tenth of the time, whatever the number of processes


@dataclass(frozen=True)
class Entry:
    """A live process; `started` in ticks since boot makes its pid unique, `marker` identifies its command."""

    pid: int
    group: int
    session: int
    started: int
    marker: bytes

    @property
    def is_leader(self) -> bool:
        """Whether it is a session leader, like the shell of a command."""
        return self.session == self.pid

    def send(self, number: signal.Signals) -> None:
        """Send a signal to this process, never to another one that reuses its pid."""
        with suppress(OSError):
            descriptor = os.pidfd_open(self.pid)
            try:
                if started_ticks(self.pid) == self.started:
                    signal.pidfd_send_signal(descriptor, number)
            finally:
                os.close(descriptor)


@dataclass(frozen=True)
class ProcessTable:
    """The live processes at one time; `taken_at` is the monotonic time when the scan began."""

    taken_at: float
    entries: tuple[Entry, ...]

    def stemming_from(self, leader: int, marker: bytes) -> Iterator[Entry]:
        """Yield the members of a group or session, and processes that left both but have the marker."""
        for entry in self.entries:
            if leader in (entry.group, entry.session) or entry.marker == marker:
                yield entry


_latest = ProcessTable(float("-inf"), ())
_next_at = float("-inf")


def process_table() -> ProcessTable:
    """Return the live processes; cached for `LOOK_EVERY`, because many commands may be stopped at once."""
    global _latest, _next_at
    now = monotonic()
    if now >= _next_at:
        _latest = ProcessTable(now, tuple(_look()))
        _next_at = now + max(LOOK_EVERY, (monotonic() - now) * SHARE_OF_TIME)
    return _latest


def started_ticks(pid: int) -> int | None:
    """Return when a process started, in ticks since boot, or None if it is not alive (zombies are not).

    Source: proc_pid_stat(5), fields 3 and 22.
    """
    fields = _stat(pid)
    return None if fields is None else int(fields[19])


def zombie(pid: int) -> tuple[int, int] | None:
    """Return session and start, in ticks since boot, of a zombie, or None if the process is not one."""
    fields = _any_stat(pid)
    return (int(fields[3]), int(fields[19])) if fields and fields[0] == b"Z" else None


def find(pid: int) -> Entry | None:
    """Return a live process by its pid."""
    fields = _stat(pid)
    if fields is None:
        return None
    return Entry(pid, int(fields[2]), int(fields[3]), int(fields[19]), _marker(pid))


def _look() -> Iterator[Entry]:
    for name in os.listdir("/proc"):  # noqa: PTH208 - names are wanted
        if name.isdigit() and (entry := find(int(name))) is not None:
            yield entry


def _stat(pid: int) -> list[bytes] | None:
    fields = _any_stat(pid)
    return None if not fields or fields[0] in (b"Z", b"X") else fields


def _any_stat(pid: int) -> list[bytes]:
    content = _read(f"/proc/{pid}/stat", at_once=True)
    return content[content.rfind(b")") + 2 :].split()


def _marker(pid: int) -> bytes:
    environment = b"\0" + _read(f"/proc/{pid}/environ")
    name = f"\0{MARKER}=".encode()
    start = environment.find(name)
    return b"" if start < 0 else environment[start + len(name) :].partition(b"\0")[0]


def _read(path: str, *, at_once: bool = False) -> bytes:
    """Return the content of a file of /proc, empty if the process is gone or belongs to another user."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return b""
    content = b""
    try:
        while part := os.read(descriptor, 1 << 16):
            content += part
            if at_once:
                break
    except OSError:
        return b""
    finally:
        os.close(descriptor)
    return content
