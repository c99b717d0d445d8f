"""The spool: the folder of shell and output files of one host, and the release of their disk space."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
import uuid
from collections.abc import Iterator
from pathlib import Path

from scheduler.runner.contracts import (
    HOST_ID,
    OUT,
    SHELL,
    Note,
    Said,
    end_line,
    file_name,
    parse_file_name,
    parse_shell_file,
)
from scheduler.runner.process_table import started_ticks

BLOCK = 4096
KEPT_FREE = 128  # maximum number of shell files kept for reuse
WRITE = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC
FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE = 1, 2

_fallocate = ctypes.CDLL(None, use_errno=True).fallocate
_fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]


def punch(descriptor: int, offset: int, length: int) -> bool:
    """Release the disk blocks of a range of a file, which then reads as zeros; return whether that worked."""
    flags = FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE
    return bool(_fallocate(descriptor, flags, offset, length) == 0)


def note_of(pid: int, inode: int) -> Note:
    """Return the note on a live process."""
    return Note(pid, started_ticks(pid) or 0, inode, boot_id())


class Spool:
    """The spool folder of one host; `host_id` is the identity of the host, stored in it.

    An execution has one or two files: a shell file with the note on its shell and its end, and the output of a
    longer-running command. `contracts` defines names and formats.

    Shell files of recorded executions are reused, because creating and deleting a file per execution would dominate a
    burst (ext4 without a journal inspects each recently deleted inode before it allocates one).
    """

    def __init__(self, root: Path) -> None:
        self._free: list[str] = []
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.root = root
        if not self.is_private():
            with contextlib.suppress(PermissionError):  # the folder belongs to another user, as configured
                root.chmod(0o700)
        self.host_id = self._read_host_id()

    def _read_host_id(self) -> str:
        path = self.root / HOST_ID
        if not path.exists():
            draft = self.root / f"{HOST_ID}.{uuid.uuid4().hex}"
            draft.write_text(uuid.uuid4().hex, encoding="ascii")
            try:
                os.link(draft, path)
            except FileExistsError:
                pass
            finally:
                draft.unlink()
        return path.read_text(encoding="ascii")

    def path(self, execution_id: int, claim: str, kind: str) -> str:
        """Return the path of the file of a `kind` (OUT, SHELL) of an execution."""
        return f"{self.root}/{file_name(execution_id, claim, kind)}"

    def write_note(self, execution_id: int, claim: str, note: Note) -> None:
        """Create the shell file of an execution, with its note. On a full disk it may be empty.

        Raises:
            FileExistsError: an adopter was faster, and the shell must not begin.
            OSError: the file cannot be created.
        """
        draft, descriptor = self._open_draft(note.pid)
        try:
            with contextlib.suppress(OSError):  # a full disk
                os.write(descriptor, bytes(note))
            os.link(draft, self.path(execution_id, claim, SHELL))
        finally:
            os.close(descriptor)
            os.unlink(draft)  # noqa: PTH108 - hot path

    def _open_draft(self, pid: int) -> tuple[str, int]:
        """Return path and descriptor of an empty file: a reused or a new one."""
        if self._free:
            draft = self._free.pop()
            with contextlib.suppress(OSError):  # an adopter's link
                return draft, os.open(draft, WRITE | os.O_NOFOLLOW, 0o600)
        draft = self.path(pid, uuid.uuid4().hex, SHELL)
        return draft, os.open(draft, WRITE, 0o600)

    def said(self, execution_id: int, claim: str) -> Said:
        """Return the content of the shell file of an execution."""
        try:
            return parse_shell_file(Path(self.path(execution_id, claim, SHELL)).read_bytes())
        except OSError:
            return Said()

    def notes(self) -> Iterator[tuple[int, str, Note]]:
        """Yield execution, claim and note of all unrecorded shells with a note."""
        for execution_id, claim in sorted(self._changed(SHELL)):
            note = self.said(execution_id, claim).note
            if note is not None and note.boot == boot_id():
                yield execution_id, claim, note

    def publish(self, pid: int, started: int, code: int) -> None:
        """Publish the end of a shell on behalf of its dead worker, unless the shell published it."""
        for execution_id, claim, note in self.notes():
            if (note.pid, note.started) == (pid, started):
                self.say(execution_id, claim, code)

    def say(self, execution_id: int, claim: str, code: int) -> None:
        """Publish the exit code of a shell, negative for a signal, unless the shell published it."""
        if self.said(execution_id, claim).code is not None:
            return
        descriptor = os.open(self.path(execution_id, claim, SHELL), os.O_WRONLY | os.O_APPEND)
        try:
            os.write(descriptor, end_line(code))
        finally:
            os.close(descriptor)

    def retire(self, execution_id: int, claim: str) -> None:
        """Keep the shell file of a recorded execution for reuse."""
        path = self.path(execution_id, claim, SHELL)
        with contextlib.suppress(FileNotFoundError):
            if len(self._free) >= KEPT_FREE:
                os.unlink(path)  # noqa: PTH108 - hot path
            else:
                os.truncate(path, 1)  # no content; after a truncation to 0, ext4 flushes what is written next
                self._free.append(path)

    def remove_retired(self) -> None:
        """Delete the files kept for reuse."""
        while self._free:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._free.pop())  # noqa: PTH108 - hot path

    def remove(self, execution_id: int, claim: str) -> None:
        """Delete the files of an execution without a worker."""
        for kind in (OUT, SHELL):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.path(execution_id, claim, kind))  # noqa: PTH108 - hot path

    def untouched(self, *, since: float) -> set[tuple[int, str]]:
        """Return executions and claims whose files have not changed since `since` (epoch seconds)."""
        return {key for key, at in self._changed(OUT, SHELL).items() if at < since}

    def _changed(self, *kinds: str) -> dict[tuple[int, str], float]:
        """Return the last modification of the files of executions, by execution and claim."""
        changed: dict[tuple[int, str], float] = {}
        for entry in os.scandir(self.root):
            found = parse_file_name(entry.name)
            if found is not None and found[2] in kinds:
                with contextlib.suppress(FileNotFoundError):
                    at = entry.stat(follow_symlinks=False).st_mtime
                    key = found[:2]
                    changed[key] = max(at, changed.get(key, at))
        return changed

    def probe(self) -> None:
        """Check that files can be created and linked. Succeeds on a full disk.

        Raises:
            OSError: the folder or its file system does not allow it.
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
        """Return whether only its owner can read the output of commands."""
        return not self.root.stat().st_mode & 0o077

    def can_punch_holes(self) -> bool:
        """Return whether the disk space of omitted output can be released while a command runs.

        ext4, xfs, btrfs and tmpfs support it. Elsewhere everything works, but a spool file grows with its output.
        """
        path = self.root / f"probe.{uuid.uuid4().hex}"
        try:
            with path.open("wb") as probe:
                probe.truncate(2 * BLOCK)  # takes no space, so that a full disk does not fail here
                return punch(probe.fileno(), 0, BLOCK)
        except OSError:
            return False
        finally:
            path.unlink(missing_ok=True)


@functools.cache
def boot_id() -> str:
    """Return the id of this boot of the host: pids and ticks are valid for one boot only. Source: random(4)."""
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
