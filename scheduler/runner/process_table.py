"""Which processes live on this host, read from /proc: their group, their session and whose command they are."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic

MARKER = "SCHEDSITE_CLAIM"
LOOK_EVERY = 0.05
SHARE_OF_TIME = 10  # looking takes at most one tenth of the time, however many processes there are


@dataclass(frozen=True)
class Entry:
    """A living process; `started` in ticks since boot makes its pid unique, `marker` names the start it stems from."""

    pid: int
    group: int
    session: int
    started: int
    marker: bytes

    @property
    def is_leader(self) -> bool:
        """Whether it leads its session, as the shell of a command does."""
        return self.session == self.pid

    def send(self, number: signal.Signals) -> None:
        """Send a signal to this process, and to no other that got its pid."""
        with suppress(OSError):
            descriptor = os.pidfd_open(self.pid)
            try:
                if started_ticks(self.pid) == self.started:
                    signal.pidfd_send_signal(descriptor, number)
            finally:
                os.close(descriptor)


@dataclass(frozen=True)
class ProcessTable:
    """The living processes at one instant, `taken_at` on the monotonic clock (when the look began)."""

    taken_at: float
    entries: tuple[Entry, ...]

    def stemming_from(self, leader: int, marker: bytes) -> Iterator[Entry]:
        """Yield the members of a group or session, and those that left both but carry the marker."""
        for entry in self.entries:
            if leader in (entry.group, entry.session) or entry.marker == marker:
                yield entry


_latest = ProcessTable(float("-inf"), ())
_next_at = float("-inf")


def process_table() -> ProcessTable:
    """Return who lives; one look serves all who ask within `LOOK_EVERY`, as many commands may be stopped at once."""
    global _latest, _next_at
    now = monotonic()
    if now >= _next_at:
        _latest = ProcessTable(now, tuple(_look()))
        _next_at = now + max(LOOK_EVERY, (monotonic() - now) * SHARE_OF_TIME)
    return _latest


def started_ticks(pid: int) -> int | None:
    """Return when a process started, in ticks since boot, or None when it does not live (a zombie does not).

    Source: proc_pid_stat(5), fields 3 and 22.
    """
    fields = _stat(pid)
    return None if fields is None else int(fields[19])


def find(pid: int) -> Entry | None:
    """Return a living process by its pid."""
    fields = _stat(pid)
    if fields is None:
        return None
    return Entry(pid, int(fields[2]), int(fields[3]), int(fields[19]), _marker(pid))


def _look() -> Iterator[Entry]:
    for name in os.listdir("/proc"):  # noqa: PTH208 - names are wanted
        if name.isdigit() and (entry := find(int(name))) is not None:
            yield entry


def _stat(pid: int) -> list[bytes] | None:
    content = _read(f"/proc/{pid}/stat")
    fields = content[content.rfind(b")") + 2 :].split()
    return None if not fields or fields[0] in (b"Z", b"X") else fields


def _marker(pid: int) -> bytes:
    environment = b"\0" + _read(f"/proc/{pid}/environ")
    name = f"\0{MARKER}=".encode()
    start = environment.find(name)
    return b"" if start < 0 else environment[start + len(name) :].partition(b"\0")[0]


def _read(path: str) -> bytes:
    """Return the content of a file of /proc, empty when the process is gone or another user's."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return b""
    content = b""
    try:
        while part := os.read(descriptor, 1 << 16):
            content += part
    except OSError:
        return b""
    finally:
        os.close(descriptor)
    return content
