"""A command in its own session: watch it, stop it with all its descendants, or adopt it."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

from scheduler.runner.contracts import FIRST_SIGNAL, SHELL, Note
from scheduler.runner.pipes import Pipe
from scheduler.runner.process_table import (
    Entry,
    ProcessTable,
    process_table,
    started_ticks,
    zombie,
)
from scheduler.runner.spool import Spool, boot_id

UNKILLABLE_AFTER = 10.0  # seconds after SIGKILL: survivors belong to another user or hang in the kernel
REAPED_WITHIN = 5.0  # seconds; the keeper publishes the code of a shell that it reaps

_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class CommandSpec:
    """The specification of a command. `timeout` and `grace` are seconds, `shell` is the path of the shell.

    `umask`: of the command; -1 inherits that of this process.

    `preface` is written before the output of the command; it must fit into the pipe, which may have no reader yet.
    """

    execution_id: int
    claim: str
    command: str
    env: Mapping[str, str]
    cwd: Path
    timeout: float | None
    grace: float
    shell: str = "/bin/sh"
    preface: str = ""
    umask: int = -1

    @property
    def marker(self) -> str:
        """Environment entry that identifies its processes."""
        return f"{self.execution_id}-{self.claim}"


@dataclass(frozen=True)
class Exit:
    """The end of a command: the exit code, negative for a signal; None if it left neither process nor code."""

    code: int | None


@dataclass(frozen=True)
class NeverStarted:
    """The worker died between claim and start; the command can no longer start under that claim."""


class RunningCommand:
    """A running command: a child of this process, or adopted after the process that started it died.

    Attributes:
        pidfd: readable once the shell has ended; during a stop that may be before the end of the command.
        deadline: monotonic time of its timeout, or None.
        stopped_for: "timeout", "cancel" or "shutdown" once a stop was requested.
        survivors: processes that could not be killed: they belong to another user, or hang in the kernel.
        pipe: its output pipe, if this process started it.
    """

    def __init__(
        self,
        spec: CommandSpec,
        spool: Spool,
        shell: Note,
        *,
        child: subprocess.Popen[bytes] | None = None,
        pipe: Pipe | None = None,
    ) -> None:
        self.spec = spec
        self.pid = shell.pid
        self.spool = spool
        self.pipe = pipe
        self._shell = shell
        self._child = child
        self.pidfd = os.pidfd_open(shell.pid)
        # The age of an adopted command is measured with the kernel's clock: the wall clock may have been set.
        elapsed = 0.0 if child is not None else _age(shell)
        self.deadline = None if spec.timeout is None else monotonic() + spec.timeout - elapsed
        self.stopped_for = ""
        self.survivors: tuple[Entry, ...] = ()
        self._kill_at = self._reaped_until = float("inf")
        self._exit: Exit | None = None
        self._marker = spec.marker.encode()
        self._asked: set[Entry] = set()
        self._exited_at = float("inf")
        self._found_empty: ProcessTable | None = None
        self._is_gone = False

    def poll(self) -> Exit | None:
        """Return how the command ended, or None while it runs or a stop is not complete.

        Background processes of a command that ends by itself are left alone.
        """
        if self._exit is None:
            self._exit = self._look()
            if self._exit is None and monotonic() > self._kill_at + UNKILLABLE_AFTER:
                self._exit = Exit(None)  # the shell survived SIGKILL: it hangs in the kernel
            if self._exit is None:
                return None
            self._exited_at = monotonic()
        if self.stopped_for and not self._is_everything_gone():
            return None
        if self._child is not None:
            self._child.poll()
        return self._exit

    def _look(self) -> Exit | None:
        if self._child is None:
            return self._look_at_adopted()
        ended = os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        if ended is None:
            return None
        code = ended.si_status if ended.si_code == os.CLD_EXITED else -ended.si_status
        if code < 0:  # it could not publish this itself, and this worker may die before recording it
            with contextlib.suppress(OSError):
                self.spool.say(self.spec.execution_id, self.spec.claim, code)
        if not self.stopped_for:
            # Otherwise reap it when its group is gone: until then its pid, which identifies the group, is not reused.
            self._child.poll()
        return self._exit_of(code)

    def _look_at_adopted(self) -> Exit | None:
        """Return the published end if the shell has ended. The reaper publishes a missing code before reaping."""
        if not _has_ended(self.pidfd):
            return None
        code = self._published()
        is_zombie = zombie(self.pid) == (self.pid, self._shell.started)
        if code is None and is_zombie:
            self._reaped_until = min(self._reaped_until, monotonic() + REAPED_WITHIN)
            if monotonic() < self._reaped_until:
                return None
        return Exit(code if is_zombie else self._published())

    def _published(self) -> int | None:
        return self.spool.said(self.spec.execution_id, self.spec.claim).code

    def _exit_of(self, code: int) -> Exit:
        """Return the end of the text; the outer shell exits with 128 plus the signal that killed the inner one."""
        published = self._published() if code >= FIRST_SIGNAL else None
        return Exit(code if published is None else published)

    def is_group_gone(self) -> bool:
        """Return whether no process of the command's own group is left after its shell ended."""
        table = process_table()
        return self._is_nobody_left(table, any(entry.group == self.pid for entry in table.entries))

    def _is_everything_gone(self) -> bool:
        if self._is_gone:
            return True
        table = process_table()
        stemming = tuple(table.stemming_from(self.pid, self._marker))
        if stemming and monotonic() > self._kill_at + UNKILLABLE_AFTER:
            self.survivors = stemming
        self._is_gone = bool(self.survivors) or self._is_nobody_left(table, bool(stemming))
        return self._is_gone

    def _is_nobody_left(self, table: ProcessTable, is_somebody_there: bool) -> bool:
        """Return whether two scans after the exit found no process; a single scan can miss a fork in progress."""
        if table.taken_at < self._exited_at or table is self._found_empty:
            return False
        first, self._found_empty = self._found_empty, None if is_somebody_there else table
        return first is not None and not is_somebody_there

    def stop(self, cause: str) -> None:
        """Terminate the command and its descendants; `tick` kills the remaining processes after the grace time."""
        if self.stopped_for or self._exit is not None:
            return
        self.stopped_for = cause
        self._kill_at = monotonic() + self.spec.grace
        self._signal_group(signal.SIGTERM)
        self._signal_group(signal.SIGCONT)  # a stopped process could not handle the signal
        self.tick()

    def tick(self) -> None:
        """Enforce the timeout and the end of the grace time."""
        now = monotonic()
        if not self.stopped_for:
            # A late check may find a command past its deadline that ended in time: it did not time out.
            if self.deadline is not None and now >= self.deadline and not _has_ended(self.pidfd):
                self.stop("timeout")
            return
        if self._is_gone:
            return
        if now >= self._kill_at:
            self._signal_group(signal.SIGKILL)
            for entry in process_table().stemming_from(self.pid, self._marker):
                entry.send(signal.SIGKILL)
            return
        for entry in process_table().stemming_from(self.pid, self._marker):
            if entry.group != self.pid and entry not in self._asked:  # it left the group, which was signalled
                self._asked.add(entry)
                entry.send(signal.SIGTERM)

    def _signal_group(self, number: signal.Signals) -> None:
        if self._child is None and _has_ended(self.pidfd):
            return  # reaped by another process, so its group id may have been reused
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)

    def close(self) -> None:
        """Close the descriptor."""
        os.close(self.pidfd)


def adopt(spec: CommandSpec, spool: Spool) -> RunningCommand | Exit | NeverStarted:
    """Adopt a command whose worker died, or return how it ended. Elapsed time counts towards its timeout."""
    path = spool.path(spec.execution_id, spec.claim, SHELL)
    if not os.path.lexists(path):
        # The shell, if it exists, has not begun the command. The first process to create this file decides.
        with contextlib.suppress(OSError):
            os.symlink(os.devnull, path)  # noqa: PTH211 - hot path; needs no block of a full disk
    said = spool.said(spec.execution_id, spec.claim)
    if os.path.islink(path) or said.is_never:  # noqa: PTH114 - hot path
        return NeverStarted()
    shell = _find_unnoted_shell(spec) if said.note is None else said.note
    if shell is not None and _is_there(shell):
        # The pid may have been reused before the descriptor was opened, but not after.
        with contextlib.suppress(ProcessLookupError):
            command = RunningCommand(spec, spool, shell)
            if _is_there(shell):
                return command
            command.close()
    return Exit(spool.said(spec.execution_id, spec.claim).code)


def _is_there(shell: Note) -> bool:
    """Return whether a shell is alive, even as another program after ``exec``, or not reaped yet."""
    if shell.boot != boot_id():
        return False
    return started_ticks(shell.pid) == shell.started or zombie(shell.pid) == (shell.pid, shell.started)


def _find_unnoted_shell(spec: CommandSpec) -> Note | None:
    """Return the shell of a command that started without a note because the disk was full."""
    marker = spec.marker.encode()
    leaders = [entry for entry in process_table().entries if entry.is_leader and entry.marker == marker]
    first = min(leaders, key=lambda entry: entry.started, default=None)
    return None if first is None else Note(first.pid, first.started, 0, boot_id())


def _age(shell: Note) -> float:
    """Return the age of a shell in seconds."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) - shell.started / _TICKS_PER_SECOND


def _has_ended(pidfd: int) -> bool:
    poller = select.poll()
    poller.register(pidfd, select.POLLIN)
    return bool(poller.poll(0))
