"""Reading of command output with a size limit, in memory and on disk."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import select
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from time import sleep

from scheduler.runner.decoding import LOOK_BACK, OutputDecoder
from scheduler.runner.masking import Secrets, secrets_of
from scheduler.runner.pipes import Pipe
from scheduler.runner.spool import BLOCK, punch

logger = logging.getLogger(__name__)

READ_SIZE = 1 << 20
CHUNK_SIZE = 1 << 16
MOVED_AT_ONCE = 1 << 20
PUNCH_AT_LEAST = 64 * BLOCK
NO_FILE = -1
MUCH = 1 << 15  # bytes moved at once; a command that writes this fast is read again without a pause
LONGEST_PAUSE = 0.02  # seconds between two reads from commands that write little


NO_SECRETS = secrets_of((), "utf-8")


@dataclass(frozen=True)
class Chunk:
    """Output; `offset` and `size` are bytes of the original stream, `text` and `raw` as in `Decoded`."""

    offset: int
    size: int
    text: str
    raw: bytes | None = None


class LogReader:
    """Reads the output of one command incrementally within a size limit.

    Output leaves the pipe only when it is safe elsewhere. The output of short commands is read without consuming it;
    other output is moved to a spool file with single system calls (splice), so that the size of the file equals the
    length of the stream even if processes die in between. If the disk is full, it is moved to memory instead.

    The first half of the limit (head) and the last half (tail) are kept exactly. Output between them is `left_out`, and
    its disk space is released.

    Secrets are masked before output is returned. Output that may begin a secret is held back, but never a whole line.

    Attributes:
        offset: bytes of the original stream that are read or left out so far.
        size: total length of the output, as of the last `read`.
    """

    def __init__(
        self,
        path: str | None,
        pipe: Pipe | None,
        *,
        log_limit: int,
        offset: int = 0,
        encoding: str = "",
        secrets: Secrets = NO_SECRETS,
    ) -> None:
        """Read a pipe; None if it is lost, with all output in it.

        Args:
            path: of the existing or future spool file; None: discard the output.
            encoding: of the output; "": UTF-8.
        """
        self._decoder = OutputDecoder(encoding)
        self.pipe = pipe
        self.half = log_limit // 2
        self.offset = offset
        self.size = 0
        self._path = path
        self._lock = threading.Lock()  # do not release output while it is read
        self._file = NO_FILE
        self._is_on_disk = True
        self._length = 0  # bytes moved
        self._peeked = b""
        self._secrets = secrets
        self._before: bytes | None = None  # None: output before the offset has not been read yet
        self._is_torn = False  # the output before the offset is left out
        self._punched = -(-self.half // BLOCK) * BLOCK

    @property
    def left_out(self) -> tuple[int, int] | None:
        """Start and end of the omitted output: stored chunks within it must be dropped."""
        tail_start = self._tail_start(self.size)
        return (self.half, tail_start) if tail_start > self.half else None

    def _tail_start(self, size: int) -> int:
        return max(size - self.half, self.half)

    def is_written(self) -> bool:
        """Return whether no more output can arrive."""
        return self.pipe is None or not self.pipe.has_writers()

    def is_quiet(self) -> bool:
        """Return whether the pipe is empty."""
        return self.pipe is None or not self.pipe.waiting()

    # --- moving -------------------------------------------------------------------------------------

    def keep(self) -> None:
        """Move output to a file from now on; continue an existing file.

        Raises:
            BlockingIOError: another process is moving it.
        """
        with self._lock:
            if self._file == NO_FILE:
                self._open()

    def _open(self) -> None:
        if self._path is None:
            self._file = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
            return
        try:
            opened = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError:
            logger.exception("%s cannot be opened; output is kept in memory", self._path)
            self._is_on_disk = False
            opened = os.memfd_create("output")
        try:
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(opened)
            raise
        self._file, self._length = opened, os.fstat(opened).st_size

    def pump(self) -> int:
        """Move the content of the pipe to the file; return the number of bytes."""
        with self._lock:
            if self._file == NO_FILE or self.pipe is None:
                return 0
            moved = 0
            while moved < MOVED_AT_ONCE and (count := self._move(self.pipe)):
                moved += count
                self._length += count
                self._give_back()
            return moved

    def _move(self, pipe: Pipe) -> int:
        try:
            return os.splice(
                pipe.reader,
                self._file,
                MOVED_AT_ONCE,
                offset_dst=self._length,
                flags=os.SPLICE_F_NONBLOCK,
            )
        except BlockingIOError:
            return 0
        except OSError:
            if not self._is_on_disk:
                raise
            logger.exception("%s cannot be written; output is kept in memory", self._path)
            self._go_to_memory()
            return self._move(pipe)

    def _go_to_memory(self) -> None:
        """Keep unread and future output in memory."""
        disk, self._file, self._is_on_disk = self._file, os.memfd_create("output"), False
        with contextlib.suppress(OSError):
            os.ftruncate(
                disk, self._length
            )  # takes no disk space; a successor of this process must not restart the count
        os.ftruncate(self._file, self._length)
        for start, end in ((0, self.half), (self._tail_start(self._length), self._length)):
            position = max(start, self.offset)
            while data := os.pread(disk, min(READ_SIZE, max(end - position, 0)), position):
                os.pwrite(self._file, data, position)
                position += len(data)
        os.close(disk)

    def _give_back(self) -> None:
        """Free the disk blocks between head and tail.

        The head is kept even after it was read: a worker that adopts this command may have to read it again.
        """
        length = self._tail_start(self._length) // BLOCK * BLOCK - self._punched
        if length >= PUNCH_AT_LEAST and punch(self._file, self._punched, length):
            self._punched += length

    # --- reading ------------------------------------------------------------------------------------

    def read(self, *, is_final: bool = False) -> list[Chunk]:
        """Return new output. A partial character at the end is held back, unless this is the final read."""
        if is_final:
            self._look_at_rest()
        with self._lock:
            self.size = self._length if self._file != NO_FILE else len(self._peeked)
            tail_start = self._tail_start(self.size)
            if tail_start <= max(self.offset, self.half):
                return list(self._take(self.size, is_flushed=is_final))
            chunks = list(self._take(self.half, is_flushed=True))
            self.offset = self._character_start(tail_start)
            self._before, self._is_torn = b"", True
            return chunks + list(self._take(self.size, is_flushed=is_final))

    def _look_at_rest(self) -> None:
        """Make the remaining content of the pipe readable."""
        if self._file == NO_FILE and self.pipe is not None:
            peeked = self.pipe.peek()
            if peeked is not None:
                self._peeked = peeked
                return
            self.keep()
        self.pump()  # one call moves more than a pipe holds; background processes may write for ever

    def _take(self, end: int, *, is_flushed: bool) -> Iterator[Chunk]:
        """Read up to `end`, in chunks that split no character and no secret."""
        if self._before is None:
            length = min(self._secrets.longest, self.offset)
            self._before = self._bytes(length, self.offset - length)
        while self.offset < end:
            data = self._bytes(min(CHUNK_SIZE, end - self.offset), self.offset)
            is_last = is_flushed and (not data or self.offset + len(data) >= end)
            covered = self._secrets.cover(data, before=self._before, is_torn=self._is_torn, is_last=is_last)
            masked = self._secrets.without(data, covered)
            found = self._decoder.decode(masked, is_last=is_last)
            size = covered.length - (len(masked) - found.size)  # in the stream, without a partial character
            if not size:
                return
            yield Chunk(self.offset, size, found.text, found.raw)
            self._before, self._is_torn = self._secrets.end_of(self._before + data[:size]), False
            self.offset += size

    def _bytes(self, length: int, position: int) -> bytes:
        if self._file == NO_FILE:
            return self._peeked[position : position + length]
        return os.pread(self._file, length, position)

    def _character_start(self, position: int) -> int:
        """Return the start of the character at or shortly before `position`, but not before the read offset."""
        begin = max(position - LOOK_BACK, self.offset, self.half)
        return position - self._decoder.begin_within(self._bytes(position - begin, begin))

    def close(self, *, is_recorded: bool = False) -> None:
        """Close the file, and delete it if its execution is recorded. The pipe stays open."""
        with self._lock:
            if self._file != NO_FILE:
                os.close(self._file)
                self._file = NO_FILE
                if is_recorded and self._path is not None:
                    with contextlib.suppress(FileNotFoundError):
                        os.unlink(self._path)  # noqa: PTH108 - hot path


class Pump:
    """Moves the output of longer-running commands in a thread, because the worker's loop may wait for the database.

    Memory and disk stay bounded, because a command that writes faster blocks on its pipe.
    """

    def __init__(self, *, in_thread: bool = True) -> None:
        self._poller = select.epoll()
        self._readers: dict[int, LogReader] = {}
        self._lock = threading.Lock()  # a pipe may be reused as soon as it is removed
        self._in_thread = in_thread
        self._end = os.eventfd(0)
        self._poller.register(self._end, select.EPOLLIN)
        self._thread: threading.Thread | None = None

    def add(self, reader: LogReader) -> None:
        """Move the output of a reader from now on.

        Raises:
            BlockingIOError: another process is moving it.
        """
        reader.keep()
        if reader.pipe is not None:
            self._register(reader, reader.pipe)

    def _register(self, reader: LogReader, pipe: Pipe) -> None:
        with self._lock:
            if pipe.reader in self._readers:
                return
            self._readers[pipe.reader] = reader
            self._poller.register(pipe.reader, select.EPOLLIN)
        if self._in_thread and self._thread is None:
            self._thread = threading.Thread(target=self.run, name="output", daemon=True)
            self._thread.start()

    def await_output(self, reader: LogReader) -> None:
        """Move the output of a reader once it writes; until then it gets no file."""
        if reader.pipe is not None:
            self._register(reader, reader.pipe)

    def remove(self, reader: LogReader) -> None:
        """Stop moving the output of a reader."""
        if reader.pipe is not None:
            with self._lock:
                if self._readers.pop(reader.pipe.reader, None) is not None:
                    self._poller.unregister(reader.pipe.reader)

    def run(self) -> None:
        """Move output in the thread of the caller until no readers are left, or until `close`."""
        pause = 0.0
        while not self._end_is_wanted():
            most = 0
            for descriptor, event in self._poller.poll():
                reader = self._readers.get(descriptor)
                if reader is not None:
                    moved = self._pump(reader)
                    most = max(most, moved)
                    if not moved and event & select.EPOLLHUP:
                        self.remove(reader)
            pause = 0.0 if most >= MUCH else min(max(2 * pause, 0.001), LONGEST_PAUSE)
            sleep(pause)

    def _end_is_wanted(self) -> bool:
        return self._thread is None and not self._readers

    def _pump(self, reader: LogReader) -> int:
        try:
            if not reader.is_quiet():
                reader.keep()
            return reader.pump()
        except OSError:
            logger.exception("output cannot be read")
            self.remove(reader)
            return 0

    def close(self) -> None:
        """End the thread."""
        self._readers.clear()
        thread, self._thread = self._thread, None
        if thread is not None:
            os.eventfd_write(self._end, 1)
            thread.join()
        os.close(self._end)
        self._poller.close()
