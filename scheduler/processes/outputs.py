"""The output of the commands that a supervisor watches: in pipes, on its way to the spool, and stored in pieces."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Mapping
from time import monotonic

from scheduler.processes.watched import WatchedCommand
from scheduler.runner import LogReader, Pump
from scheduler.services.outcomes import append_log

logger = logging.getLogger(__name__)

READ_LOGS = 0.25
SHORT = 0.03  # seconds; output of commands that run longer is moved to the spool
QUIET = 1.0  # seconds without output after which it is awaited instead of polled
RETRY_OUTPUT = 1.0


class Outputs:
    """Moves and stores the output of watched commands.

    The output of a short command stays in its pipe until it is recorded. A command without output gets no file: in a
    burst even short commands take a while, and creating and deleting a file for each would dominate it. Output of
    commands that are quiet for longer is awaited with epoll instead of polled.

    Args:
        watched: the commands by execution; kept up to date by the caller.
    """

    def __init__(self, watched: Mapping[int, WatchedCommand]) -> None:
        self._watched = watched
        self._pump = Pump()
        self._in_pipes: deque[tuple[float, WatchedCommand]] = deque()  # and until when
        self._read_at = 0.0

    def add(self, watched: WatchedCommand) -> None:
        """Begin with a command."""
        self._in_pipes.append((monotonic() + SHORT, watched))

    def take_over(self, reader: LogReader) -> None:
        """Move output that another process has moved so far.

        Raises:
            OSError: it cannot be moved now, for example because the other process still does it.
        """
        self._pump.add(reader)

    def remove(self, reader: LogReader) -> None:
        """Leave the output of a command to the caller."""
        self._pump.remove(reader)

    def move(self, watched: WatchedCommand) -> None:
        """Move output to the spool from now on; retried later if that fails now."""
        try:
            self._pump.add(watched.reader)
        except OSError:
            logger.exception("execution %s: its output waits", watched.claimed.execution_id)
            self._in_pipes.append((monotonic() + RETRY_OUTPUT, watched))

    def due_at(self) -> float:
        """Return when `step` has something to do."""
        return min(self._read_at, self._in_pipes[0][0] if self._in_pipes else float("inf"))

    def step(self, now: float) -> None:
        """Move the output of longer-running commands to the spool, and store what is new."""
        while self._in_pipes and self._in_pipes[0][0] <= now:
            _, watched = self._in_pipes.popleft()
            if self._watched.get(watched.claimed.execution_id) is not watched:
                continue
            if not watched.reader.is_quiet():
                self.move(watched)
            elif now - watched.begun_at < QUIET:
                self._in_pipes.append((now + READ_LOGS, watched))
            else:
                self._pump.await_output(watched.reader)
        if now >= self._read_at:
            self._read_at = now + READ_LOGS
            self._store()

    def _store(self) -> None:
        for watched in self._watched.values():
            watched.take()
        pieces = [piece for watched in self._watched.values() for piece in watched.pieces]
        if pieces:
            left_out = [
                (pk, *watched.reader.left_out)
                for pk, watched in self._watched.items()
                if watched.reader.left_out
            ]
            append_log(pieces, left_out=left_out)
        for watched in self._watched.values():
            watched.pieces = []

    def close(self) -> None:
        """Stop moving output."""
        self._pump.close()
