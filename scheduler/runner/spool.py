"""The folder of output files of one host, and how their disk space is given back."""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import uuid
from pathlib import Path

BLOCK = 4096
KINDS = ("out", "exit", "pid")
FILE_NAME = re.compile(rf"(\d+)-(\w+)\.(?:{'|'.join(KINDS)})")
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


class Spool:
    """The folder of output files, one host's own; `host_id` is its identity, kept in it.

    An execution has up to three files, each named ``<execution id>-<claim>``: ``.out`` is its output; ``.pid`` says
    that its shell began, or, as a symbolic link, that it must not begin any more; ``.exit`` is its exit code.
    """

    def __init__(self, root: Path) -> None:
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
        """Return the path of the file of a `kind` ("out", "exit", "pid") of an execution."""
        return f"{self.root}/{execution_id}-{claim}.{kind}"

    def remove(self, execution_id: int, claim: str) -> None:
        """Remove the files of an execution whose end is recorded."""
        for kind in KINDS:
            try:
                os.unlink(self.path(execution_id, claim, kind))  # noqa: PTH108 - hot path
            except FileNotFoundError:
                continue

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
