"""Output pipes of commands: reused, and held open by the keeper as well.

The worker process holds the read end of a pipe, and the keeper, which outlives the worker, holds a second one. A
command gets a write end that is also opened for reading: being its own reader, it receives no SIGPIPE when all other
readers die, and a full pipe blocks it until it is read again. Source: pipe(7), fifo(7).
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import re
import select
import socket
import sys
import termios
from collections.abc import Collection, Iterator

from scheduler.runner.contracts import TAKE, drop_message

KEPT_FREE = 128  # maximum number of pipes kept for reuse
PIPE = re.compile(r"pipe:\[(\d+)\]")

_libc = ctypes.CDLL(None, use_errno=True)
_keeper: socket.socket | None = None
_scratch: tuple[int, int] | None = None


class Pipe:
    """The read end of a pipe; `inode` identifies the pipe across processes.

    Attributes:
        is_own: whether this process created it, and may reuse it.
    """

    def __init__(self, reader: int, *, is_own: bool = False) -> None:
        self.reader = reader
        self.inode = os.fstat(reader).st_ino
        self.is_own = is_own

    def open_writer(self) -> int:
        """Return a descriptor for a command to write to; it stays writable without other readers."""
        return os.open(f"/proc/self/fd/{self.reader}", os.O_RDWR | os.O_CLOEXEC)

    def waiting(self) -> int:
        """Return the number of unread bytes."""
        return int.from_bytes(fcntl.ioctl(self.reader, termios.FIONREAD, b"\0\0\0\0"), sys.byteorder)

    def has_writers(self) -> bool:
        """Return whether any process has the write end open."""
        return not _is_hung_up(self.reader)

    def peek(self) -> bytes | None:
        """Return the unread bytes without consuming them; None if they are too many."""
        global _scratch
        waiting = self.waiting()
        if not waiting:
            return b""
        if _scratch is None:
            _scratch = os.pipe()
        count = _libc.tee(self.reader, _scratch[1], ctypes.c_size_t(waiting), os.SPLICE_F_NONBLOCK)
        seen = b""
        while len(seen) < count:
            seen += os.read(_scratch[0], count - len(seen))
        return seen if count == waiting else None

    def discard(self) -> None:
        """Discard the unread bytes."""
        left = self.waiting()
        while left > 0:
            left -= len(os.read(self.reader, left))

    def close(self) -> None:
        """Close the descriptor."""
        os.close(self.reader)


class Pipes:
    """The pipes of one worker process."""

    def __init__(self) -> None:
        self._free: list[Pipe] = []

    def take(self) -> Pipe:
        """Return an empty pipe without writers.

        Raises:
            OSError: too many files are open.
        """
        if self._free:
            return self._free.pop()
        reader, writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        os.close(writer)
        if _keeper is not None:
            with contextlib.suppress(OSError):  # it died, which ends this process at once
                socket.send_fds(_keeper, [TAKE], [reader])
        return Pipe(reader, is_own=True)

    def give_back(self, pipe: Pipe) -> None:
        """Take back a pipe whose output is recorded. Later output of background processes is discarded."""
        if pipe.is_own and len(self._free) < KEPT_FREE and not pipe.has_writers():
            pipe.discard()
            self._free.append(pipe)
            return
        if _keeper is not None:
            with contextlib.suppress(OSError):  # it died, which ends this process at once
                _keeper.send(drop_message(pipe.inode))
        pipe.close()

    def close(self) -> None:
        """Close the pipes kept for reuse."""
        for pipe in self._free:
            pipe.is_own = False
            self.give_back(pipe)
        self._free.clear()


def hand_ends_to(keeper: int) -> None:
    """Send a second read end of each new pipe to the keeper through the socket `keeper`; applies to all forks."""
    global _keeper
    _keeper = socket.socket(fileno=keeper)
    _keeper.set_inheritable(False)


def is_keeper_there() -> bool:
    """Return whether the keeper is alive."""
    return _keeper is not None and not _is_hung_up(_keeper.fileno())


def _is_hung_up(descriptor: int) -> bool:
    """Return whether the peer of a descriptor has closed it."""
    poller = select.poll()
    poller.register(descriptor, 0)
    return bool(poller.poll(0))


def open_pipes(inodes: Collection[int]) -> dict[int, Pipe]:
    """Open the read ends of the given pipes that any process of this user has open."""
    wanted = set(inodes)
    found: dict[int, Pipe] = {}
    for name in os.listdir("/proc"):  # noqa: PTH208 - names are wanted
        if name.isdigit() and wanted:
            for pipe in open_pipe_ends(int(name), wanted):
                found[pipe.inode] = pipe
                wanted.discard(pipe.inode)
    return found


def open_pipe_ends(pid: int, wanted: Collection[int] | None = None) -> Iterator[Pipe]:
    """Open the read ends of the pipes that a process has open: all, or those with a wanted inode.

    Yields nothing if the process is gone or belongs to another user.
    """
    seen: set[int] = set()
    folder = f"/proc/{pid}/fd"
    with contextlib.suppress(OSError):
        for name in os.listdir(folder):  # noqa: PTH208 - names are wanted
            with contextlib.suppress(OSError):
                found = PIPE.fullmatch(os.readlink(f"{folder}/{name}"))  # noqa: PTH115 - there may be very many
                if (
                    found is None
                    or (inode := int(found[1])) in seen
                    or (wanted is not None and inode not in wanted)
                ):
                    continue
                pipe = Pipe(os.open(f"{folder}/{name}", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC))
                if pipe.inode != inode:  # the descriptor has been reused
                    pipe.close()
                    continue
                seen.add(inode)
                yield pipe
