"""A command in its own session: started, watched, stopped with all that stems from it, or adopted."""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import re
import select
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

from dotenv import dotenv_values

from scheduler.runner.process_table import MARKER, Entry, ProcessTable, find, process_table, started_ticks
from scheduler.runner.spool import Spool

ALLOWED_VARIABLES = ("HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "TZ", "TMPDIR")
DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
SHELL_PID = re.compile(rb"(\d{1,19})\n")
PUBLISHED = re.compile(rb"^exit (\d{1,19})\n\Z", re.MULTILINE)
NEVER = b"never\n"
UNKILLABLE_AFTER = 10.0  # seconds after SIGKILL: what is left belongs to another user or hangs in the kernel

# What the shell does before the command. It waits for the word of the worker, which gives it once the pid is on disk,
# where an adopter finds it; a worker that dies closes its end of the pipe. The trap ends its line, so that a syntax
# error below does not lose it.
PREAMBLE = (
    "read _||{{ echo never >>{shell};exit 125;}};exec </dev/null;trap 'echo exit $? >>{in_quotes}' EXIT\n"
)

_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")

_START_PROBLEMS = {
    errno.E2BIG: "the command or its environment is too long (Linux allows 128 KiB each)",
    errno.EMFILE: "this process has too many open files (raise its limit, or lower SCHEDULER_SLOTS)",
    errno.ENFILE: "this host has too many open files",
    errno.EAGAIN: "this user has too many processes",
    errno.ENOMEM: "this host is out of memory",
}


class StartError(Exception):
    """The command could not be started; the text says why in a sentence."""


@dataclass(frozen=True)
class CommandSpec:
    """What to run. `timeout` and `grace` are seconds, `log_limit` bytes."""

    execution_id: int
    claim: str
    command: str
    env: Mapping[str, str]
    cwd: Path
    timeout: float | None
    log_limit: int
    grace: float

    @property
    def marker(self) -> str:
        """What its processes carry in their environment, to be recognised by."""
        return f"{self.execution_id}-{self.claim}"


@dataclass(frozen=True)
class Exit:
    """How a command ended: the code, negative for a signal; None when it left neither process nor code."""

    code: int | None


@dataclass(frozen=True)
class NeverStarted:
    """The worker died between its claim and the start, and nothing can start for that claim any more."""


def command_environment(
    *layers: Mapping[str, str], env_file: Path | None = None, base: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Return the environment of a command: an allow-list of the server's, the file, then `layers`.

    ``python`` is the interpreter that runs this: its folder comes first in PATH.

    Raises:
        StartError: the file cannot be read.
    """
    env = dict(_own_environment()) if base is None else _allowed(base)
    if env_file is not None:
        env |= _read_env_file(env_file)
    for layer in layers:
        env |= layer
    return env


@functools.cache
def _own_environment() -> dict[str, str]:
    """Return what commands may have of the environment of this process, which does not change it."""
    return _allowed(os.environ)


def _allowed(server: Mapping[str, str]) -> dict[str, str]:
    env = {name: server[name] for name in ALLOWED_VARIABLES if name in server}
    env |= {name: value for name, value in server.items() if name.startswith("LC_")}
    return env | {"PATH": f"{Path(sys.executable).parent}:{server.get('PATH', DEFAULT_PATH)}"}


def _read_env_file(path: Path) -> dict[str, str]:
    try:
        if not path.is_file():
            raise StartError(f"could not start: the environment file {path} does not exist")
        values = dotenv_values(path, interpolate=False)
    except OSError as error:
        raise StartError(
            f"could not start: the environment file {path} cannot be read: {error.strerror}"
        ) from error
    except UnicodeDecodeError as error:
        raise StartError(f"could not start: the environment file {path} is not UTF-8") from error
    return {name: value for name, value in values.items() if value is not None}


class RunningCommand:
    """A command that runs: as a child of this process, or adopted after the one that started it died.

    Attributes:
        pidfd: readable from the end of the shell on, which in a stop may come before the end of the command.
        deadline: monotonic instant of its timeout, or None.
        stopped_for: "timeout" or "cancel" once it is being stopped.
    """

    def __init__(
        self,
        spec: CommandSpec,
        spool: Spool,
        *,
        pid: int,
        child: subprocess.Popen[bytes] | None,
        elapsed: float = 0,
    ) -> None:
        self.spec = spec
        self.pid = pid
        self.spool = spool
        self._child = child
        self.pidfd = os.pidfd_open(pid)
        self.deadline = None if spec.timeout is None else monotonic() + spec.timeout - elapsed
        self.stopped_for = ""
        self._kill_at = float("inf")
        self._exit: Exit | None = None
        self._marker = spec.marker.encode()
        self._asked: set[Entry] = set()
        self._exited_at = float("inf")
        self._found_empty: ProcessTable | None = None
        self._is_gone = False

    def poll(self) -> Exit | None:
        """Return how the command ended, or None while it runs or, being stopped, leaves processes behind.

        Background processes of a command that ends by itself are left alone.
        """
        if self._exit is None:
            self._exit = self._look()
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
            if not _has_ended(self.pidfd):
                return None
            return Exit(published_exit(self.spool, self.spec.execution_id, self.spec.claim))
        if not self.stopped_for:
            code = self._child.poll()
            return None if code is None else Exit(code)
        # Not reaped before its group is gone: until then nobody else can get the pid that the group is found by.
        ended = os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        if ended is None:
            return None
        return Exit(ended.si_status if ended.si_code == os.CLD_EXITED else -ended.si_status)

    def _is_everything_gone(self) -> bool:
        """Tell whether two looks since the shell ended found nobody; one may miss who is just being born."""
        if self._is_gone or monotonic() > self._kill_at + UNKILLABLE_AFTER:
            self._is_gone = True
            return True
        table = process_table()
        if table.taken_at < self._exited_at or table is self._found_empty:
            return False
        if any(table.stemming_from(self.pid, self._marker)):
            self._found_empty = None
            return False
        self._is_gone = self._found_empty is not None
        self._found_empty = table
        return self._is_gone

    def stop(self, cause: str) -> None:
        """Ask all that stems from the command to end; `tick` kills what is left after the grace time."""
        if self.stopped_for or self._exit is not None:
            return
        self.stopped_for = cause
        self._kill_at = monotonic() + self.spec.grace
        self._signal_group(signal.SIGTERM)
        self._signal_group(signal.SIGCONT)  # who is stopped could not end
        self.tick()

    def tick(self) -> None:
        """Enforce the timeout, and the end of the grace time."""
        now = monotonic()
        if not self.stopped_for:
            # Who looks late finds a command that ended in time past its deadline: it did not time out.
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
            if entry.group != self.pid and entry not in self._asked:  # it left the group, which was asked
                self._asked.add(entry)
                entry.send(signal.SIGTERM)

    def _signal_group(self, number: signal.Signals) -> None:
        if self._child is None and _has_ended(self.pidfd):
            return  # somebody else reaped it, so the number of its group may belong to others
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)

    def close(self) -> None:
        """Give back the descriptor."""
        os.close(self.pidfd)


def start(spec: CommandSpec, spool: Spool) -> RunningCommand:
    """Start a command.

    Raises:
        StartError: with the reason in a sentence.
    """
    _let_commands_be_interrupted()
    shell = shlex.quote(spool.path(spec.execution_id, spec.claim, "shell"))
    text = PREAMBLE.format(shell=shell, in_quotes=shell.replace("'", "'\\''")) + spec.command
    try:
        output = spool.open_output(spec.execution_id, spec.claim)
    except OSError as error:
        raise StartError(f"could not start: the spool cannot be written: {error.strerror}") from error
    descriptors = [output]
    try:
        try:
            descriptors += os.pipe()
            _, stdin, word = descriptors
            child = subprocess.Popen(
                ["/bin/sh", "-c", text],
                stdin=stdin,
                stdout=output,
                stderr=output,
                cwd=spec.cwd,
                env={**spec.env, MARKER: spec.marker},
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            raise StartError(f"could not start: {_start_problem(error, spec)}") from error
        return _begin(child, word, spec, spool)
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


def _begin(child: subprocess.Popen[bytes], word: int, spec: CommandSpec, spool: Spool) -> RunningCommand:
    """Let a shell begin that waits for the word, once an adopter can find it.

    Raises:
        StartError: it cannot be watched, or its pid not be written; it is ended.
    """
    try:
        command = RunningCommand(spec, spool, pid=child.pid, child=child)
    except OSError as error:
        _end_waiting(child)
        raise StartError(f"could not start: {_start_problem(error, spec)}") from error
    try:
        spool.write_pid(spec.execution_id, spec.claim, child.pid)
        os.write(word, b"\n")
    except (FileExistsError, BrokenPipeError):
        pass  # given up by an adopter, or killed by somebody: without the word the shell ends
    except OSError as error:
        command.close()
        _end_waiting(child)
        raise StartError(f"could not start: the spool cannot be written: {error.strerror}") from error
    return command


def _end_waiting(child: subprocess.Popen[bytes]) -> None:
    """End a shell that waits for the word."""
    child.kill()
    child.wait()


def _let_commands_be_interrupted() -> None:
    """Replace ignored signals by a handler that does nothing: commands would inherit the former for good.

    A shell without job control ignores the first two for what it starts in the background, nohup the last.
    """
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_IGN:
            with contextlib.suppress(ValueError):  # not the main thread
                signal.signal(number, lambda *_: None)


def _start_problem(error: OSError | ValueError, spec: CommandSpec) -> str:
    if isinstance(error, UnicodeEncodeError):
        return "the command or its environment contains a character that cannot be encoded (a lone surrogate)"
    if isinstance(error, ValueError):
        if "=" in "".join(spec.env):
            return "the name of an environment variable contains ="
        return "the command or its environment contains a NUL character"
    if error.errno in _START_PROBLEMS:
        return _START_PROBLEMS[error.errno]
    if error.errno in (errno.ENOENT, errno.ENOTDIR) and not spec.cwd.is_dir():
        return f"the folder {spec.cwd} does not exist"
    if error.errno == errno.EACCES and not os.access(spec.cwd, os.X_OK):
        return f"the folder {spec.cwd} may not be entered"
    return error.strerror or str(error)


def published_exit(spool: Spool, execution_id: int, claim: str) -> int | None:
    """Return the exit code that the shell of a command published, or None."""
    match = PUBLISHED.search(_said(spool.path(execution_id, claim, "shell")))
    return int(match[1]) & 0xFF if match else None  # `exit 256` ends as 0, but $? in the trap says 256


def shell_pid(spool: Spool, execution_id: int, claim: str) -> int | None:
    """Return the pid of the shell of a command, or None where it is not known."""
    match = SHELL_PID.match(_said(spool.path(execution_id, claim, "shell")))
    return int(match[1]) if match else None


def _said(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError:
        return b""


def adopt(spec: CommandSpec, spool: Spool) -> RunningCommand | Exit | NeverStarted:
    """Find out what became of a command whose worker died. Its timeout goes on from where it was."""
    path = spool.path(spec.execution_id, spec.claim, "shell")
    if not os.path.lexists(path):
        # The shell, if there is one, has not begun the command. Whoever makes this file first decides.
        with contextlib.suppress(OSError):
            os.symlink(os.devnull, path)  # noqa: PTH211 - hot path; needs no block of a full disk
    if os.path.islink(path) or _said(path).endswith(NEVER):  # noqa: PTH114
        return NeverStarted()
    shell = _find_shell(spec, spool)
    if shell is not None:
        # A pid may have changed hands before the descriptor was opened; not after it.
        with contextlib.suppress(ProcessLookupError):
            # Its age by the clock of the kernel: that of the wall may have been set meanwhile.
            command = RunningCommand(spec, spool, pid=shell.pid, child=None, elapsed=_age(shell))
            if started_ticks(shell.pid) == shell.started:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(shell.pid, signal.SIGCONT)  # the dead worker may have halted a flood
                return command
            command.close()
    return Exit(published_exit(spool, spec.execution_id, spec.claim))


def _find_shell(spec: CommandSpec, spool: Spool) -> Entry | None:
    """Return the living shell of a command, also after it became another program by ``exec``."""
    pid = shell_pid(spool, spec.execution_id, spec.claim)
    marker = spec.marker.encode()
    if pid is None:  # the disk was full
        leaders = [e for e in process_table().entries if e.is_leader and e.marker == marker]
        return min(leaders, key=lambda entry: entry.started, default=None)
    entry = find(pid)
    if entry is None or not entry.is_leader:
        return None
    if entry.marker == marker:
        return entry
    # `exec env -i …` took the marker off, and said no exit. Then it is ours if it is not younger than its file.
    if entry.marker or published_exit(spool, spec.execution_id, spec.claim) is not None:
        return None
    said_at = Path(spool.path(spec.execution_id, spec.claim, "shell")).stat().st_mtime
    return entry if _age(entry) > time.time() - said_at - 1 else None


def _age(entry: Entry) -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME) - entry.started / _TICKS_PER_SECOND


def _has_ended(pidfd: int) -> bool:
    poller = select.poll()
    poller.register(pidfd, select.POLLIN)
    return bool(poller.poll(0))
