"""The start of a command: spawn a waiting shell, and release it once an adopter could find it."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import signal
import subprocess
from typing import Any

from scheduler.engine.reasons import Code, Reason
from scheduler.runner.command import CommandSpec, RunningCommand
from scheduler.runner.contracts import GO, MARKER, SHELL
from scheduler.runner.environment import LONGEST_ARGUMENT
from scheduler.runner.pipes import Pipe, Pipes
from scheduler.runner.shell_text import shell_arguments
from scheduler.runner.spool import Spool, note_of

CLOSE_RANGE, CLOSE_RANGE_CLOEXEC = 436, 4  # the number of the call is the same on all machines

_libc = ctypes.CDLL(None, use_errno=True)

_START_PROBLEMS = {
    errno.EMFILE: Code.TOO_MANY_OPEN_FILES,
    errno.ENFILE: Code.TOO_MANY_OPEN_FILES_ON_HOST,
    errno.EAGAIN: Code.TOO_MANY_PROCESSES,
    errno.ENOMEM: Code.OUT_OF_MEMORY,
}


class StartError(Exception):
    """The command could not be started.

    Attributes:
        reason: why; also the message of the error.
    """

    def __init__(self, code: Code, **params: Any) -> None:
        self.reason = Reason(Code.COULD_NOT_START, {"why": Reason(code, params)})
        super().__init__(self.reason)


def let_commands_be_interrupted() -> None:
    """Replace ignored signals with a no-op handler, because commands would inherit ignored signals.

    Call it once in a process that starts commands. A shell without job control ignores the first two for background
    processes, nohup ignores the last.
    """
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_IGN:
            with contextlib.suppress(ValueError):  # not the main thread
                signal.signal(number, lambda *_: None)


def start(spec: CommandSpec, spool: Spool, pipes: Pipes) -> RunningCommand:
    """Start a command.

    Raises:
        StartError: the command could not be started.
    """
    if spec.shell != "/bin/sh" and not os.access(spec.shell, os.X_OK):
        raise StartError(Code.SHELL_UNUSABLE, path=spec.shell)
    try:
        pipe = pipes.take()
        try:
            return _spawn(spec, spool, pipe)
        except BaseException:
            pipes.give_back(pipe)
            raise
    except (OSError, ValueError) as error:
        raise _start_error(error, spec) from error


def _spawn(spec: CommandSpec, spool: Spool, pipe: Pipe) -> RunningCommand:
    """Start a waiting shell, and release it.

    Raises:
        OSError, ValueError: the shell does not start, or cannot be watched.
        StartError: it cannot be released.
    """
    arguments = shell_arguments(spec.command, spec.shell, spool.path(spec.execution_id, spec.claim, SHELL))
    descriptors = [pipe.open_writer()]
    try:
        descriptors += os.pipe()
        output, stdin, word = descriptors
        if spec.preface:
            os.write(output, spec.preface.encode())
        child = subprocess.Popen(
            arguments,
            stdin=stdin,
            stdout=output,
            stderr=output,
            cwd=spec.cwd,
            env={**spec.env, MARKER: spec.marker},
            start_new_session=True,
            close_fds=not _close_others_at_exec(),
            umask=spec.umask,
        )
        return _begin(child, pipe, word, spec, spool)
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


def _close_others_at_exec() -> bool:
    """Set close-on-exec on all descriptors but the first three; return whether that worked.

    A single system call (Linux 5.11), instead of hundreds of close calls in a new process. Source: close_range(2).
    """
    first, last = ctypes.c_uint(3), ctypes.c_uint(0xFFFFFFFF)
    return bool(_libc.syscall(CLOSE_RANGE, first, last, CLOSE_RANGE_CLOEXEC) == 0)


def _begin(
    child: subprocess.Popen[bytes], pipe: Pipe, word: int, spec: CommandSpec, spool: Spool
) -> RunningCommand:
    """Release a waiting shell once an adopter can find it and its pipe.

    Raises:
        OSError: it cannot be watched; the shell is ended.
        StartError: the note cannot be written; the shell is ended.
    """
    note = note_of(child.pid, pipe.inode)
    try:
        command = RunningCommand(spec, spool, note, child=child, pipe=pipe)
    except OSError:
        _end_waiting(child)
        raise
    try:
        spool.write_note(spec.execution_id, spec.claim, note)
        os.write(word, GO)
    except (FileExistsError, BrokenPipeError):
        pass  # abandoned by an adopter, or killed: without the line the shell exits
    except OSError as error:
        command.close()
        _end_waiting(child)
        raise StartError(Code.SPOOL_NOT_WRITABLE, error=error.strerror) from error
    return command


def _end_waiting(child: subprocess.Popen[bytes]) -> None:
    """End a waiting shell."""
    child.kill()
    child.wait()


def _start_error(error: OSError | ValueError, spec: CommandSpec) -> StartError:
    if isinstance(error, UnicodeEncodeError):
        return StartError(Code.COMMAND_HAS_SURROGATE)
    if isinstance(error, ValueError):
        has_equals = "=" in "".join(spec.env)
        return StartError(Code.VARIABLE_NAME_HAS_EQUALS if has_equals else Code.COMMAND_HAS_NUL)
    if error.errno == errno.E2BIG:
        return _too_long(spec)
    if error.errno in _START_PROBLEMS:
        return StartError(_START_PROBLEMS[error.errno])
    if error.errno in (errno.ENOENT, errno.ENOTDIR) and not spec.cwd.is_dir():
        return StartError(Code.FOLDER_MISSING, path=str(spec.cwd))
    if error.errno == errno.EACCES and not os.access(spec.cwd, os.X_OK):
        return StartError(Code.FOLDER_CLOSED, path=str(spec.cwd))
    return StartError(Code.OTHER, text=error.strerror or str(error))


def _too_long(spec: CommandSpec) -> StartError:
    length, most = len(os.fsencode(spec.command)), LONGEST_ARGUMENT
    if length > most:
        return StartError(Code.COMMAND_TOO_LONG, bytes=length, most_bytes=most)
    sizes = {name: len(os.fsencode(f"{name}={value}")) for name, value in spec.env.items()}
    for name, size in sizes.items():
        if size > most:
            return StartError(Code.VARIABLE_TOO_LONG, name=name, bytes=size, most_bytes=most)
    total, limit = length + sum(sizes.values()), os.sysconf("SC_ARG_MAX")
    return StartError(Code.COMMAND_AND_VARIABLES_TOO_LONG, bytes=total, most_bytes=limit)
