"""The folder of output files of one host, and how their disk space is given back."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import re
import signal
import uuid
from pathlib import Path

BLOCK = 4096
KINDS = ("out", "shell")
KEPT_FREE = 128  # files of each kind that wait to be used again
FILE_NAME = re.compile(rf"(\d+)-(\w+)\.(?:{'|'.join(KINDS)})")
WRITE = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC
FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE = 1, 2

_libc = ctypes.CDLL(None, use_errno=True)


def _find_fallocate() -> ctypes._NamedFuncPointer | None:
    try:
        function = _libc.fallocate
    except AttributeError:
        return None  # not Linux: the spool works, and takes the space that the output takes
    function.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]
    return function


_fallocate = _find_fallocate()


def punch(descriptor: int, offset: int, length: int) -> bool:
    """Give back the disk blocks of a range of a file, which then reads as zeros; tell whether that worked."""
    flags = FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE
    return _fallocate is not None and bool(_fallocate(descriptor, flags, offset, length) == 0)


def _open_unless_written(path: str) -> int | None:
    """Return a descriptor, for appending, of a file, emptied, or None if a process left behind may still write to it.

    Raises:
        FileNotFoundError: it lay idle, and was tidied away.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
    try:
        # The kernel grants a lease for writing only while nobody else has the file open for that. Should somebody
        # open it in this moment, a signal says so that ends nobody, as SIGIO would.
        fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_WRLCK)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
        os.ftruncate(descriptor, 0)
    except OSError:  # it is written to, or the file system has no leases
        os.close(descriptor)
        return None
    return descriptor


class Spool:
    """The folder of output files, one host's own; `host_id` is its identity, kept in it.

    An execution has two files, each named ``<execution id>-<claim>``: ``.out`` is its output; ``.shell`` has the pid of
    its shell, without which the shell does not begin, and then what the shell says: "exit" and the exit code, or
    "never" when it was not let begin. As a symbolic link, the latter forbids the shell to begin.

    Files whose execution is recorded are used again: to make and delete two for each execution is what a burst would
    mostly wait for (ext4 without a journal looks at each inode deleted within the last minutes before it takes one).
    """

    def __init__(self, root: Path) -> None:
        self._free: dict[str, list[str]] = {kind: [] for kind in KINDS}
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.root = root
        if not self.is_private():
            with contextlib.suppress(PermissionError):  # another user's folder: the site's owner decided so
                root.chmod(0o700)
        self.host_id = self._read_host_id()

    def _read_host_id(self) -> str:
        path = self.root / "host-id"
        if not path.exists():
            draft = self.root / f"host-id.{uuid.uuid4().hex}"
            draft.write_text(uuid.uuid4().hex, encoding="ascii")
            try:
                os.link(draft, path)
            except FileExistsError:
                pass
            finally:
                draft.unlink()
        return path.read_text(encoding="ascii")

    def path(self, execution_id: int, claim: str, kind: str) -> str:
        """Return the path of the file of a `kind` ("out", "shell") of an execution."""
        return f"{self.root}/{execution_id}-{claim}.{kind}"

    def open_output(self, execution_id: int, claim: str) -> int:
        """Return a descriptor, for appending, of the empty output file of an execution.

        Raises:
            OSError: the folder refuses it.
        """
        path = self.path(execution_id, claim, "out")
        while self._free["out"]:
            free = self._free["out"].pop()
            with contextlib.suppress(FileNotFoundError):
                if (descriptor := _open_unless_written(free)) is not None:
                    os.rename(free, path)  # noqa: PTH104 - hot path
                    return descriptor
                os.unlink(free)  # noqa: PTH108 - hot path
        return os.open(path, WRITE | os.O_APPEND, 0o600)

    def write_pid(self, execution_id: int, claim: str, pid: int) -> None:
        """Make the file of the shell of an execution, with its pid. On a full disk it may be empty.

        Raises:
            FileExistsError: an adopter was faster, and the shell must not begin.
            OSError: the folder refuses it.
        """
        fresh = self.path(pid, uuid.uuid4().hex, "shell")
        draft = self._free["shell"].pop() if self._free["shell"] else fresh
        try:
            descriptor = os.open(draft, WRITE | os.O_NOFOLLOW, 0o600)
        except OSError:  # an adopter's link
            draft = fresh
            descriptor = os.open(draft, WRITE, 0o600)
        try:
            length = 0
            with contextlib.suppress(OSError):  # a full disk
                length = os.write(descriptor, b"%d\n" % pid)
            os.ftruncate(descriptor, length)  # what it said of another execution
            os.link(draft, self.path(execution_id, claim, "shell"))
        finally:
            os.close(descriptor)
            os.unlink(draft)  # noqa: PTH108 - hot path

    def retire(self, execution_id: int, claim: str) -> None:
        """Keep the files of an execution whose end is recorded for others, without its output."""
        for kind, free in self._free.items():
            path = self.path(execution_id, claim, kind)
            try:
                if len(free) >= KEPT_FREE:
                    os.unlink(path)  # noqa: PTH108 - hot path
                    continue
                if kind == "out":
                    os.truncate(path, 0)
                free.append(path)
            except FileNotFoundError:
                continue

    def remove_retired(self) -> None:
        """Remove the files that wait to be used again."""
        for free in self._free.values():
            while free:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(free.pop())  # noqa: PTH108 - hot path

    def remove(self, execution_id: int, claim: str) -> None:
        """Remove the files of an execution that nobody looks after any more."""
        for kind in KINDS:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.path(execution_id, claim, kind))  # noqa: PTH108 - hot path

    def untouched(self, *, since: float) -> set[tuple[int, str]]:
        """Return the executions, with their claims, whose files nobody changed after `since` (seconds of the epoch)."""
        changed: dict[tuple[int, str], float] = {}
        for entry in os.scandir(self.root):
            if (found := FILE_NAME.fullmatch(entry.name)) is not None:
                with contextlib.suppress(FileNotFoundError):
                    at = entry.stat(follow_symlinks=False).st_mtime
                    key = int(found[1]), found[2]
                    changed[key] = max(at, changed.get(key, at))
        return {key for key, at in changed.items() if at < since}

    def probe(self) -> None:
        """Try what the files of an execution need: to be made and linked. A full disk is no obstacle.

        Raises:
            OSError: the folder or its file system refuses it.
        """
        path = self.root / f"probe.{uuid.uuid4().hex}"
        links = [path.with_name(f"{path.name}.{kind}") for kind in ("link", "symlink")]
        try:
            path.touch(mode=0o600)
            os.link(path, links[0])
            links[1].symlink_to(path)
        finally:
            for made in (*links, path):
                made.unlink(missing_ok=True)

    def is_private(self) -> bool:
        """Tell whether nobody but its owner can read the output of commands."""
        return not self.root.stat().st_mode & 0o077

    def can_punch_holes(self) -> bool:
        """Tell whether the disk space of output that is left out can be given back while a command runs.

        Where it cannot (ext4, xfs, btrfs and tmpfs can), everything works, but a spool file grows with its output.
        """
        path = self.root / f"probe.{uuid.uuid4().hex}"
        try:
            with path.open("wb") as probe:
                probe.truncate(2 * BLOCK)  # takes no space, so a full disk does not look like this
                return punch(probe.fileno(), 0, BLOCK)
        except OSError:
            return False
        finally:
            path.unlink(missing_ok=True)
