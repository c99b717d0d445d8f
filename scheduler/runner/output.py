"""Output of commands: read as it grows, kept within a limit, in memory and on disk."""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import threading
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from time import sleep

from scheduler.runner.command import CommandSpec, shell_pid
from scheduler.runner.process_table import find
from scheduler.runner.spool import BLOCK, Spool, punch

READ_SIZE = 1 << 20
CHUNK_SIZE = 1 << 16
PUNCH_AT_LEAST = 16 * BLOCK
KEEP_EVERY = 0.005  # seconds between two looks at the sizes; /dev/zero fills some 6 MB in that time
KEEP_EVERY_IN_FLOOD = 0.002
FLOOD = 1 << 20  # bytes given back at one look
HALT_AT = 4 << 20  # bytes at one look; a command that writes faster is halted until its turn


@dataclass(frozen=True)
class Chunk:
    """Output; `offset` and `size` are bytes of the true stream, `text` is fit for any database."""

    offset: int
    size: int
    text: str


class LogReader:
    """Reads the spool of one command as it grows, and keeps within its limit.

    The first half of the limit is kept exactly (head) and the last half (tail). Between them output is `left_out`.
    Its disk space is given back all the time,
    by a thread of this process, whether the reader is asked or not. A command that writes faster than the space can
    be given back is halted (SIGSTOP to its group) for some milliseconds at a time.

    Attributes:
        offset: bytes of the true stream up to here are read, or left out.
        size: true length of the output, as of the last `read`.
    """

    def __init__(self, spool: Spool, spec: CommandSpec, *, offset: int = 0) -> None:
        self._descriptor = os.open(spool.path(spec.execution_id, spec.claim, "out"), os.O_RDWR | os.O_CLOEXEC)
        self._lock = threading.Lock()  # what is being read must not be given back
        self._is_open = True
        self._spool, self._spec = spool, spec
        self._halted = 0
        self.half = spec.log_limit // 2
        self.offset = offset
        self.size = 0
        self._punched = -(-self.half // BLOCK) * BLOCK
        _keep(self)

    @property
    def left_out(self) -> tuple[int, int] | None:
        """From where to where output is left out: stored chunks that lie within are to be dropped."""
        tail_start = self._tail_start(self.size)
        return (self.half, tail_start) if tail_start > self.half else None

    def _tail_start(self, size: int) -> int:
        return max(size - self.half, self.half)

    def read(self, *, is_final: bool = False) -> list[Chunk]:
        """Return what is new. A character cut at the end waits for its rest, unless this is the final read."""
        with self._lock:
            self.size = os.fstat(self._descriptor).st_size
            tail_start = self._tail_start(self.size)
            if tail_start <= max(self.offset, self.half):
                return list(self._take(self.size, is_flushed=is_final))
            chunks = list(self._take(self.half, is_flushed=True))
            self.offset = self._character_start(tail_start)
            return chunks + list(self._take(self.size, is_flushed=is_final))

    def _take(self, end: int, *, is_flushed: bool) -> Iterator[Chunk]:
        """Read up to `end`, in chunks that cut no character."""
        while self.offset < end:
            data = os.pread(self._descriptor, min(READ_SIZE, end - self.offset), self.offset)
            is_last = not data or self.offset + len(data) >= end
            if not (is_last and is_flushed):
                data = data[: len(data) - _cut_character(data)]
            if not data:
                return
            for start, stop in _split(data):
                part = data[start:stop]
                yield Chunk(self.offset + start, len(part), _text(part))
            self.offset += len(data)

    def _character_start(self, position: int) -> int:
        """Return where the character begins that covers `position`, not before what is already read."""
        begin = max(position - 3, self.offset, self.half)
        return position - _cut_character(os.pread(self._descriptor, position - begin, begin))

    def trim(self) -> int:
        """Give back the space of output that will be left out, without reading it.

        Returns:
            bytes that wait to be read.
        """
        with self._lock:
            if not self._is_open:
                return 0
            size = os.fstat(self._descriptor).st_size
            self._give_back(size)
            return max(size - self.offset, 0)

    def _give_back(self, size: int) -> int:
        """Free the disk blocks between head and tail; return how many bytes that were.

        The head stays on disk although it was read: a worker that adopts this command may have to read it again.
        """
        length = self._tail_start(size) // BLOCK * BLOCK - self._punched
        if length < PUNCH_AT_LEAST or not punch(self._descriptor, self._punched, length):
            return 0
        self._punched += length
        return length

    def halt_flood(self) -> bool:
        """Halt the command if it writes faster than its space is given back; tell whether that was done.

        Called by the thread that gives back space, as are `keep_small` and `resume`.
        """
        with self._lock:
            if self._is_open and not self._halted:
                size = os.fstat(self._descriptor).st_size
                if self._tail_start(size) - self._punched >= HALT_AT:
                    self._halt()
                    return self._halted != 0
        return False

    def keep_small(self) -> int:
        """Give back what can be given back; return the bytes."""
        with self._lock:
            return self._give_back(os.fstat(self._descriptor).st_size) if self._is_open else 0

    def _halt(self) -> None:
        pid = shell_pid(self._spool, self._spec.execution_id, self._spec.claim)
        shell = None if pid is None else find(pid)
        if shell is not None and shell.is_leader and shell.marker == self._spec.marker.encode():
            with contextlib.suppress(OSError):
                os.killpg(shell.pid, signal.SIGSTOP)
                self._halted = shell.pid

    def resume(self) -> None:
        """Let a halted command go on."""
        with self._lock:
            self._resume()

    def _resume(self) -> None:
        if self._halted:
            with contextlib.suppress(OSError):
                os.killpg(self._halted, signal.SIGCONT)
            self._halted = 0

    def close(self) -> None:
        """Give back the descriptor."""
        with self._lock:
            if self._is_open:
                self._is_open = False
                self._resume()
                os.close(self._descriptor)
        _readers.discard(self)


# --- disk space -----------------------------------------------------------------------------------

# A thread, because the loop of a worker may wait for its database while a command writes a gigabyte a second.
_readers: set[LogReader] = set()
_thread: threading.Thread | None = None
_thread_pid = 0
_wanted = threading.Event()


def _keep(reader: LogReader) -> None:
    """Have the spool file of a reader kept small until the reader is closed."""
    global _thread, _thread_pid, _wanted
    if _thread is None or _thread_pid != os.getpid() or not _thread.is_alive():  # a fork has no threads
        if _thread_pid != os.getpid():
            _readers.clear()
        _thread_pid = os.getpid()
        _wanted = threading.Event()
        _thread = threading.Thread(target=_keep_spools_small, args=(_wanted,), name="spool", daemon=True)
        _thread.start()
    _readers.add(reader)
    _wanted.set()


def _keep_spools_small(wanted: threading.Event) -> None:
    halted: deque[LogReader] = deque()  # who writes too fast takes turns
    while True:
        wanted.wait()
        wanted.clear()
        while _readers:
            readers = _readers.copy()
            halted.extend(
                reader for reader in readers if reader.halt_flood()
            )  # all, before giving back takes time
            most = max((reader.keep_small() for reader in readers), default=0)
            if halted:
                halted.popleft().resume()
            sleep(KEEP_EVERY_IN_FLOOD if most >= FLOOD or halted else KEEP_EVERY)


@atexit.register
def _resume_all() -> None:
    """Leave no command halted; one that a killed worker leaves so goes on when it is adopted."""
    if _thread_pid == os.getpid():
        for reader in _readers.copy():
            reader.close()


# --- text -----------------------------------------------------------------------------------------


def _split(data: bytes) -> Iterator[tuple[int, int]]:
    """Yield the bounds of pieces of about `CHUNK_SIZE` bytes that cut no character."""
    start = 0
    while start < len(data):
        end = min(start + CHUNK_SIZE, len(data))
        if end < len(data):
            end -= _cut_character(data[end - 3 : end])
        yield start, end
        start = end


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace").replace("\0", "\u2400")


def _cut_character(data: bytes) -> int:
    """Return how many bytes at the end begin a UTF-8 character that is not complete."""
    for back in range(1, min(3, len(data)) + 1):
        byte = data[-back]
        if byte < 0x80:
            return 0
        if byte >= 0xC0:
            length = 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4
            return back if back < length else 0
    return 0
