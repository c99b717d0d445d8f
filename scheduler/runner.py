"""One command: start it, watch it, stop it, read its spool, and take it over from a worker that died.

Knows no Django. A command runs in its own session with its output in a spool file; its shell publishes the
exit code beside it, so that any process of this host can learn how it ended.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import shlex
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

from dotenv import dotenv_values

ALLOWED_VARIABLES = ("HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "TZ", "TMPDIR")
MARKER = "SCHEDSITE_CLAIM"
DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
PUBLISHED = re.compile(rb"(\d{1,3})\n\Z")
FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE = 1, 2
READ_SIZE = 1 << 20
UNKILLABLE_AFTER = 10.0  # seconds after SIGKILL: what is left belongs to another user or hangs in the kernel
BLOCK = 4096

_libc = ctypes.CDLL(None, use_errno=True)
_libc.fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]


class StartError(Exception):
    """The command could not be started; the text says why in a sentence."""


class Spool:
    """The folder of output files, one host's own; `host_id` is its identity, kept in it."""

    def __init__(self, root: Path) -> None:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.root = root
        self.host_id = self._read_host_id()

    def _read_host_id(self) -> str:
        path = self.root / "host-id"
        if not path.exists():
            draft = self.root / f"host-id.{os.getpid()}"
            draft.write_text(uuid.uuid4().hex, encoding="ascii")
            try:
                os.link(draft, path)
            except FileExistsError:
                pass
            finally:
                draft.unlink()
        return path.read_text(encoding="ascii")

    def path(self, execution_id: int, claim: str, kind: str) -> str:
        """Return the path of the file of a `kind` ("out", "exit") of an execution."""
        return f"{self.root}/{execution_id}-{claim}.{kind}"

    def remove(self, execution_id: int, claim: str) -> None:
        """Remove the files of an execution whose end is recorded."""
        for kind in ("out", "exit", "pid"):
            try:
                os.unlink(self.path(execution_id, claim, kind))  # noqa: PTH108 - hot path
            except FileNotFoundError:
                continue

    def can_punch_holes(self) -> bool:
        """Tell whether the disk space of output that was read can be given back while a command runs."""
        path = self.root / f"probe.{os.getpid()}"
        try:
            with path.open("wb") as probe:
                probe.write(b"x" * 2 * BLOCK)
                probe.flush()
                return _punch(probe.fileno(), 0, BLOCK)
        finally:
            path.unlink(missing_ok=True)


def _punch(descriptor: int, offset: int, length: int) -> bool:
    flags = FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE
    return bool(_libc.fallocate(descriptor, flags, offset, length) == 0)


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


@dataclass(frozen=True)
class Exit:
    """How a command ended: the code, negative for a signal; None when it left neither process nor code."""

    code: int | None


@dataclass(frozen=True)
class NeverStarted:
    """The worker died between its claim and the start."""


def command_environment(
    *layers: Mapping[str, str], env_file: Path | None = None, base: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Return the environment of a command: an allow-list of the server's, the file, then `layers`.

    ``python`` is the interpreter that runs this: its folder comes first in PATH.

    Raises:
        StartError: the file cannot be read.
    """
    server = os.environ if base is None else base
    env = {name: server[name] for name in ALLOWED_VARIABLES if name in server}
    env |= {name: value for name, value in server.items() if name.startswith("LC_")}
    env["PATH"] = f"{Path(sys.executable).parent}:{server.get('PATH', DEFAULT_PATH)}"
    if env_file is not None:
        if not env_file.is_file():
            raise StartError(f"could not start: the environment file {env_file} does not exist")
        values = dotenv_values(env_file, interpolate=False)
        env |= {name: value for name, value in values.items() if value is not None}
    for layer in layers:
        env |= layer
    return env


class RunningCommand:
    """A command that runs: as a child of this process, or adopted after the one that started it died.

    Attributes:
        pidfd: readable when the shell has ended.
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
        self._kill_at = 0.0
        self._exit: Exit | None = None

    def poll(self) -> Exit | None:
        """Return how the command ended, or None while it runs or, being stopped, leaves processes behind."""
        if self._exit is None:
            self._exit = self._look()
        if self._exit is None or not self.stopped_for or monotonic() > self._kill_at + UNKILLABLE_AFTER:
            return self._exit
        return None if any(_group(self.pid, self._marker)) else self._exit

    @property
    def _marker(self) -> str:
        return f"{self.spec.execution_id}-{self.spec.claim}"

    def _look(self) -> Exit | None:
        if self._child is not None:
            code = self._child.poll()
            return None if code is None else Exit(code)
        if _start_ticks(self.pid) is not None and not _has_ended(self.pidfd):
            return None
        return Exit(published_exit(self.spool, self.spec.execution_id, self.spec.claim))

    def stop(self, cause: str) -> None:
        """Ask the whole group to end; `tick` kills what is left after the grace time."""
        if self.stopped_for:
            return
        self.stopped_for = cause
        self._kill_at = monotonic() + self.spec.grace
        self._signal(signal.SIGTERM)

    def tick(self) -> None:
        """Enforce the timeout, and the end of the grace time."""
        now = monotonic()
        if not self.stopped_for and self.deadline is not None and now >= self.deadline:
            self.stop("timeout")
        if self.stopped_for and now >= self._kill_at:
            self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        """Signal the group, and processes that left it but carry the marker of this start."""
        if self._exit is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, number)
        for pid in _group(self.pid, self._marker):
            try:
                os.kill(pid, number)
            except (ProcessLookupError, PermissionError):
                continue

    def close(self) -> None:
        """Give back the descriptor."""
        os.close(self.pidfd)


def start(spec: CommandSpec, spool: Spool) -> RunningCommand:
    """Start a command.

    Raises:
        StartError: with the reason in a sentence.
    """
    exit_path = spool.path(spec.execution_id, spec.claim, "exit")
    # The trap stands on a line of its own, so that a syntax error below does not lose it.
    text = f"trap 'echo $? >{shlex.quote(exit_path)}' EXIT\n{spec.command}"
    env = {**spec.env, MARKER: f"{spec.execution_id}-{spec.claim}"}
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
    try:
        output = os.open(spool.path(spec.execution_id, spec.claim, "out"), flags, 0o600)
    except OSError as error:
        raise StartError(f"could not start: the spool cannot be written: {error.strerror}") from error
    try:
        child = subprocess.Popen(
            ["/bin/sh", "-c", text],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=spec.cwd,
            env=env,
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        raise StartError(_start_problem(error, spec)) from error
    finally:
        os.close(output)
    _write_pid(spool, spec, child.pid)
    return RunningCommand(spec, spool, pid=child.pid, child=child)


def _start_problem(error: OSError | ValueError, spec: CommandSpec) -> str:
    if isinstance(error, ValueError):
        return "could not start: the command or its environment contains a NUL character"
    if error.errno == 7:
        return "could not start: the command or its environment is too long (Linux allows 128 KiB each)"
    if not spec.cwd.is_dir():
        return f"could not start: the folder {spec.cwd} does not exist"
    return f"could not start: {error.strerror}"


def _write_pid(spool: Spool, spec: CommandSpec, pid: int) -> None:
    """Keep pid and start time beside the output, so that a later worker knows the process for what it is."""
    line = f"{pid} {_start_ticks(pid) or 0}\n".encode()
    try:
        descriptor = os.open(
            spool.path(spec.execution_id, spec.claim, "pid"), os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600
        )
    except OSError:
        return  # the marker in its environment identifies it as well
    try:
        os.write(descriptor, line)
    finally:
        os.close(descriptor)


def published_exit(spool: Spool, execution_id: int, claim: str) -> int | None:
    """Return the exit code that the shell of a command published, or None."""
    try:
        content = Path(spool.path(execution_id, claim, "exit")).read_bytes()
    except OSError:
        return None
    match = PUBLISHED.match(content)
    return int(match[1]) & 0xFF if match else None  # `exit 256` ends as 0, but $? in the trap says 256


def adopt(spec: CommandSpec, spool: Spool, *, elapsed: float) -> RunningCommand | Exit | NeverStarted:
    """Find out what became of a command whose worker died.

    Args:
        elapsed: seconds since it was claimed; its timeout goes on from there.
    """
    marker = f"{spec.execution_id}-{spec.claim}"
    pid = _recorded_pid(spool, spec) or next(_leaders(marker), None)
    if pid is not None:
        try:
            return RunningCommand(spec, spool, pid=pid, child=None, elapsed=elapsed)
        except ProcessLookupError:
            pass  # it ended just now
    code = published_exit(spool, spec.execution_id, spec.claim)
    if code is not None:
        return Exit(code)
    if not Path(spool.path(spec.execution_id, spec.claim, "out")).exists():
        return NeverStarted()
    return Exit(None)


def _recorded_pid(spool: Spool, spec: CommandSpec) -> int | None:
    try:
        words = Path(spool.path(spec.execution_id, spec.claim, "pid")).read_text(encoding="ascii").split()
    except OSError:
        return None
    if len(words) != 2:
        return None
    pid, ticks = int(words[0]), int(words[1])
    return pid if _start_ticks(pid) == ticks else None


# --- /proc ----------------------------------------------------------------------------------------


def _stat(pid: int) -> list[bytes] | None:
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return None
    fields = stat[stat.rfind(b")") + 2 :].split()
    return None if fields[0] in (b"Z", b"X") else fields


def _start_ticks(pid: int) -> int | None:
    fields = _stat(pid)
    return None if fields is None else int(fields[19])


def _has_ended(pidfd: int) -> bool:
    import select

    poller = select.poll()
    poller.register(pidfd, select.POLLIN)
    return bool(poller.poll(0))


def _pids() -> Iterator[int]:
    for name in os.listdir("/proc"):  # noqa: PTH208 - names are wanted
        if name.isdigit():
            yield int(name)


def _has_marker(pid: int, marker: bytes) -> bool:
    try:
        return marker in Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return False


def _group(leader: int, marker: str) -> Iterator[int]:
    """Yield the living processes of a session or group, and those that left it but carry the marker."""
    wanted = f"{MARKER}={marker}\0".encode()
    for pid in _pids():
        fields = _stat(pid)
        if fields is None:
            continue
        if int(fields[2]) == leader or int(fields[3]) == leader or _has_marker(pid, wanted):
            yield pid


def _leaders(marker: str) -> Iterator[int]:
    """Yield session leaders that carry the marker: the shells of a start."""
    wanted = f"{MARKER}={marker}\0".encode()
    for pid in _pids():
        fields = _stat(pid)
        if fields is not None and int(fields[3]) == pid and _has_marker(pid, wanted):
            yield pid


# --- output ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Chunk:
    """Output; `offset` and `size` are bytes of the true stream, `text` is fit for any database."""

    offset: int
    size: int
    text: str


class LogReader:
    """Reads the spool of one command as it grows, and keeps within its limit.

    The first half of the limit is kept exactly (head) and the last half (tail). Between them output is left out:
    stored chunks from `head_end` up to `tail_start` are to be dropped, and their disk space is given back.
    """

    def __init__(self, spool: Spool, spec: CommandSpec, *, offset: int = 0) -> None:
        self._descriptor = os.open(spool.path(spec.execution_id, spec.claim, "out"), os.O_RDWR | os.O_CLOEXEC)
        self.half = spec.log_limit // 2
        self.offset = offset
        self.size = 0
        self._punched = 0

    @property
    def head_end(self) -> int:
        """Bytes from here on may be left out."""
        return self.half

    @property
    def tail_start(self) -> int:
        """Bytes from here on are kept."""
        return max(self.size - self.half, self.half)

    def grown(self) -> int:
        """Return how many bytes wait to be read."""
        self.size = os.fstat(self._descriptor).st_size
        return self.size - self.offset

    def read(self, *, is_final: bool = False) -> list[Chunk]:
        """Return what is new. A character cut at the end waits for its rest, unless this is the final read."""
        chunks = []
        waiting = self.grown()
        if self.offset < self.half and waiting:
            data = os.pread(self._descriptor, min(self.half - self.offset, waiting), self.offset)
            chunks += self._take(data, is_final=is_final and self.size <= self.half)
        if self.size > self.half and self.offset >= self.half - 3:
            start = max(self.offset, self.tail_start)
            data = os.pread(self._descriptor, min(self.half, READ_SIZE * 64), start)
            if start > self.offset:
                data_skipped = _continuation(data)
                self.offset, data = start + data_skipped, data[data_skipped:]
            chunks += self._take(data, is_final=is_final)
            self._give_back()
        return chunks

    def _take(self, data: bytes, *, is_final: bool) -> list[Chunk]:
        if not is_final:
            data = data[: len(data) - _cut_character(data)]
        if not data:
            return []
        chunks = []
        for start, end in _split(data):
            part = data[start:end]
            chunks.append(Chunk(self.offset + start, len(part), _text(part)))
        self.offset += len(data)
        return chunks

    def trim(self) -> int:
        """Give back the space of output that will be left out, without reading it; return bytes that wait."""
        waiting = self.grown()
        if self.offset >= self.half - 3 and self.size > self.half:
            self._give_back()
        return waiting

    def _give_back(self) -> None:
        """Free the disk blocks of output that is read and lies before the tail."""
        end = self.tail_start // BLOCK * BLOCK
        if end - self._punched >= 16 * BLOCK and _punch(self._descriptor, self._punched, end - self._punched):
            self._punched = end

    def close(self) -> None:
        """Give back the descriptor."""
        os.close(self._descriptor)


def _split(data: bytes, size: int = 65_536) -> Iterator[tuple[int, int]]:
    """Yield the bounds of pieces of about `size` bytes that cut no character."""
    start = 0
    while start < len(data):
        end = min(start + size, len(data))
        if end < len(data):
            end -= _cut_character(data[start:end])
        yield start, end
        start = end


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace").replace("\0", "\u2400")


def _cut_character(data: bytes) -> int:
    """Return how many bytes at the end begin a UTF-8 character that is not complete."""
    for back in range(1, min(4, len(data) + 1)):
        byte = data[-back]
        if byte < 0x80:
            return 0
        if byte >= 0xC0:
            length = 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4
            return back if back < length else 0
    return 0


def _continuation(data: bytes) -> int:
    """Return how many bytes at the start continue a character that began earlier."""
    count = 0
    while count < min(3, len(data)) and data[count] & 0xC0 == 0x80:
        count += 1
    return count
