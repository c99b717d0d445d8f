"""Forked processes: their start, their end, and their death with the process that forked them."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

EXIT_FAILED = 70  # EX_SOFTWARE of sysexits.h
PR_SET_PDEATHSIG = 1
HANDLED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGCHLD)

_libc = ctypes.CDLL(None, use_errno=True)


class Fork:
    """A forked child, with the interface of `subprocess.Popen` as far as it is needed."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Return the exit code, negative for a signal, or None while the child runs; reaps it."""
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    @property
    def exit_code(self) -> int:
        """The exit code as shells have it, 128 + n for signal n."""
        code = self.returncode or 0
        return code if code >= 0 else 128 - code

    def send_signal(self, number: int) -> None:
        """Send a signal, unless the child has been reaped."""
        if self.poll() is None:
            os.kill(self.pid, number)


@contextmanager
def forked() -> Iterator[Fork | None]:
    """Fork; yield None in the child, which ends with the block, and the child in the parent.

    The child has no signal handlers: until they are gone, signals wait, so that none is lost in a handler of the
    parent. It exits with the code of a `SystemExit`, and with 70 after printing any other error.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    former = signal.pthread_sigmask(signal.SIG_BLOCK, HANDLED)
    pid = os.fork()
    if pid:
        signal.pthread_sigmask(signal.SIG_SETMASK, former)
        yield Fork(pid)
        return
    code = 0
    try:
        signal.set_wakeup_fd(-1)
        for number in HANDLED:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, former)
        yield None
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
        if isinstance(end.code, str):
            sys.stderr.write(f"{end.code}\n")
    except BaseException:
        traceback.print_exc()
        code = EXIT_FAILED
    finally:
        try:
            sys.stdout.flush()
            sys.stderr.flush()
        finally:
            os._exit(code)


def die_with(parent: int, number: int = signal.SIGKILL) -> None:
    """Ask the kernel to send this process a signal when its parent dies (prctl(2)).

    It depends on the thread that forked: parents fork from their main thread.
    """
    _libc.prctl(PR_SET_PDEATHSIG, number)
    if os.getppid() != parent:  # it died before the request
        os._exit(EXIT_FAILED)
