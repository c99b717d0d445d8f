"""A command watched by a supervisor, with its output that is not stored yet."""

from __future__ import annotations

from dataclasses import dataclass, field
from time import monotonic

from scheduler.engine.reasons import Reason
from scheduler.runner import Exit, LogReader, RunningCommand
from scheduler.services.outcomes import Claimed, LogPiece

LOOK_AGAIN = 0.02  # seconds
LOOK_WHILE_STOPPING = 0.05


@dataclass(eq=False)
class WatchedCommand:
    """An execution of this worker whose command is running, or has ended and is not reported yet."""

    claimed: Claimed
    reader: LogReader
    command: RunningCommand | None = None  # None: it ended before it was adopted
    ended: Exit | None = None
    lingers_until: float = float("inf")
    begun_at: float = field(default_factory=monotonic)
    cancel_reason: Reason | None = None
    has_shell_ended: bool = False  # its processes may go on
    is_lost: bool = False
    pieces: list[LogPiece] = field(default_factory=list)  # read but not stored yet

    def take(self, *, is_final: bool = False) -> None:
        """Read new output; keep it until it is stored."""
        self.pieces += [
            LogPiece(
                self.claimed.execution_id,
                self.claimed.claim,
                *(chunk.offset, chunk.size, chunk.text, chunk.raw),
            )
            for chunk in self.reader.read(is_final=is_final)
        ]
        start, end = self.reader.left_out or (0, 0)
        self.pieces = [p for p in self.pieces if p.offset < start or p.offset + p.size > end]

    def is_complete(self, now: float) -> bool:
        """Return whether the output is complete: all writers have closed it, or their time has elapsed."""
        if self.reader.is_written() or now >= self.lingers_until:
            return True
        return self.command is not None and self.command.is_group_gone()

    def look_at(self, now: float) -> float:
        """Return the latest time for the next check; infinity: no deadline of its own."""
        if self.ended is not None or self.command is None:
            return now + LOOK_AGAIN
        if self.command.stopped_for or self.has_shell_ended:
            return now + LOOK_WHILE_STOPPING
        return float("inf") if self.command.deadline is None else self.command.deadline
