"""Resolution of `python` for commands: folders that contain only that name, and virtual environments of tasks."""

from __future__ import annotations

import hashlib
import os
import shlex
import sys
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from scheduler.engine.reasons import Code
from scheduler.runner.starting import StartError

NAME = "python"
OWN = "schedsite"

# A script instead of a link: the interpreter of a virtual environment finds its packages through its own path.
_SCRIPT = """\
#!/bin/sh
# Made by Schedsite, which makes it again when it is changed.
{guard}exec {interpreter} "$@"
"""
_GUARD = """\
changes_packages() {
    while [ $# -gt 0 ]; do
        case $1 in
        -mpip) shift && break ;;
        -*m) [ "${2-}" = pip ] && shift 2 && break || return 1 ;;
        -?*) shift ;;
        *) return 1 ;;
        esac
    done
    while [ "${1#-}" != "${1-}" ]; do shift; done
    [ "${1-}" = install ] || [ "${1-}" = uninstall ]
}
if changes_packages "$@"; then
    echo "python: this interpreter runs Schedsite, whose packages are not for tasks. Make a virtual environment" \\
        "in the folder of the task (python -m venv .venv), set task_python to .venv, and install there." >&2
    exit 2
fi
"""


@dataclass(frozen=True)
class Interpreter:
    """The location of a `python`.

    Attributes:
        folder: to put first in PATH.
        virtual_environment: to which it belongs, if any.
    """

    folder: Path
    virtual_environment: Path | None = None


def own_interpreter(root: Path) -> Interpreter:
    """Return the interpreter of this process, in a folder below `root` that contains nothing else.

    Raises:
        StartError: the folder cannot be written.
    """
    return Interpreter(_folder_of(sys.executable, *_place(root, OWN), guard=_GUARD))


def interpreter_of_task(text: str, *, cwd: Path, root: Path) -> Interpreter:
    """Return the interpreter configured by `task_python`.

    Args:
        text: an interpreter, or the folder of a virtual environment; relative to `cwd`.
        root: folder in which an interpreter gets a subfolder that contains it as `python`.

    Raises:
        StartError: it does not exist, or cannot be used.
    """
    path = cwd / Path(text).expanduser()
    if path.is_dir():
        if not os.access(path / "bin" / NAME, os.X_OK):
            raise StartError(Code.PYTHON_FOLDER_WITHOUT_PYTHON, path=str(path))
        return Interpreter(path / "bin", path)
    if not path.exists():
        raise StartError(Code.PYTHON_MISSING, path=str(path))
    if not os.access(path, os.X_OK):
        raise StartError(Code.PYTHON_NOT_EXECUTABLE, path=str(path))
    environment = path.parent.parent
    if (environment / "pyvenv.cfg").is_file():
        return Interpreter(path.parent, environment)
    key = hashlib.sha256(os.fsencode(path)).hexdigest()[:16]
    return Interpreter(_folder_of(str(path), *_place(root, key)))


@lru_cache(maxsize=256)
def _place(root: Path, key: str) -> tuple[Path, str]:
    """Return a folder and the script in it; cached, because building paths takes longer than the stat call."""
    return root / key, str(root / key / NAME)


def _folder_of(interpreter: str, folder: Path, file: str, *, guard: str = "") -> Path:
    """Return the folder of a script named `python` that executes `interpreter`; create it if missing or changed."""
    if _as_it_was.get(file) == (interpreter, _looks(file)):
        return folder
    text = _SCRIPT.format(guard=guard, interpreter=shlex.quote(interpreter))
    try:
        if not os.access(file, os.X_OK) or Path(file).read_text(encoding="utf-8") != text:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            draft = folder.parent / f".{folder.name}.{os.getpid()}"
            draft.write_text(text, encoding="utf-8")
            draft.chmod(0o755)
            draft.replace(file)
    except (OSError, UnicodeDecodeError) as error:
        said = getattr(error, "strerror", None) or str(error)
        raise StartError(Code.PYTHON_FOLDER_NOT_WRITABLE, path=str(folder), error=said) from error
    _as_it_was[file] = (interpreter, _looks(file))
    return folder


_as_it_was: dict[str, tuple[str, tuple[int, ...]]] = {}  # verified scripts, and their stat values


def _looks(file: str) -> tuple[int, ...]:
    """Return the stat values that change with a file; empty if it does not exist."""
    try:
        found = os.stat(file)  # noqa: PTH116 - hot path
    except OSError:
        return ()
    return found.st_mtime_ns, found.st_size, found.st_mode, found.st_ino
