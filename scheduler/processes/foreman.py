"""The foreman of `manage.py start`: forks the processes of an installation from one image, and ends them together.

Forked processes share the memory of what was loaded before, which is most of what each of them needs.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from time import monotonic
from typing import NoReturn, TextIO

import setproctitle

from scheduler.processes.forks import Fork, die_with, forked
from scheduler.processes.waiting import Waiter

STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
READ = 64 * 1024
COLOURS = (36, 33, 32)  # SGR codes: cyan, yellow, green
FOREMAN_COLOUR = 37


class Foreman:
    """Runs named programs, prints their output line by line, and stops all when one ends.

    Args:
        programs: each runs in a process of its own, and ends it (`SystemExit`) or returns.
        patience: seconds between the request to stop and SIGKILL.
    """

    def __init__(
        self, programs: Mapping[str, Callable[[], object]], *, patience: float, out: TextIO = sys.stdout
    ) -> None:
        self._programs = programs
        self._patience = patience
        self._out = out
        self._running: dict[str, Fork] = {}
        self._outputs: dict[int, _Lines] = {}  # by reading end
        self._width = max(len(name) for name in programs)
        self._signals: list[int] = []

    def run(self) -> int:
        """Run until a signal or the end of a program; return its exit code, 128 + n after signal n."""
        waiter = Waiter()
        for number in STOPS:
            if signal.getsignal(number) != signal.SIG_IGN:  # SIGHUP is ignored under nohup(1)
                signal.signal(number, lambda received, _frame: self._signals.append(received))
        signal.signal(signal.SIGCHLD, lambda *_: None)  # ends the wait
        for name, program in self._programs.items():
            self._start(name, program)
        code = self._wait_for_the_first(waiter)
        self._end_all(waiter)
        self._print_output()
        return code

    def _start(self, name: str, program: Callable[[], object]) -> None:
        reading, writing = os.pipe()
        self._out.flush()
        with forked() as child:
            if child is None:
                for descriptor in (reading, *self._outputs):
                    os.close(descriptor)
                _become(name, writing, program)
        os.close(writing)
        os.set_blocking(reading, False)
        self._outputs[reading] = _Lines(name)
        self._running[name] = child
        self._say(f"{name} started (pid={child.pid})")

    def _wait_for_the_first(self, waiter: Waiter) -> int:
        while not self._signals:
            ended = self._ended()
            if ended:
                return ended[0].exit_code
            self._turn(waiter, 3600)
        self._say(f"{signal.Signals(self._signals[0]).name} received")
        return 128 + self._signals[0]

    def _end_all(self, waiter: Waiter) -> None:
        """Ask all to stop, and wait; kill them when their time is over, or at a second signal."""
        until, answered = monotonic() + self._patience, min(len(self._signals), 1)
        self._send_all(signal.SIGTERM)
        while self._running and monotonic() < until and len(self._signals) <= answered:
            self._turn(waiter, min(until - monotonic(), 3600))
            self._ended()
        self._send_all(signal.SIGKILL)
        while self._running:
            self._turn(waiter, 3600)
            self._ended()

    def _send_all(self, number: int) -> None:
        for process in self._running.values():
            process.send_signal(number)

    def _ended(self) -> list[Fork]:
        """Take the programs that have ended from those that run, report them, and return them."""
        ended = {name: process for name, process in self._running.items() if process.poll() is not None}
        if ended:
            self._print_output()
        for name, process in ended.items():
            self._say(f"{name} stopped (code={process.returncode})")
            del self._running[name]
        return list(ended.values())

    def _turn(self, waiter: Waiter, seconds: float) -> None:
        if waiter.wait(seconds, *self._outputs):
            self._print_output()

    def _print_output(self) -> None:
        """Print the complete lines that have been written."""
        ready = select.poll()
        for reading in self._outputs:
            ready.register(reading, select.POLLIN)
        for reading, _ in ready.poll(0):
            try:
                data = os.read(reading, READ)
            except BlockingIOError:
                continue
            lines = self._outputs[reading]
            for line in lines.add(data):
                self._print(lines.name, line)
            if not data:
                os.close(reading)
                del self._outputs[reading]

    def _say(self, text: str) -> None:
        self._print("system", text)

    def _print(self, name: str, line: str) -> None:
        head = f"{datetime.now().astimezone():%H:%M:%S} {name:{max(self._width, 6)}} | "
        if self._out.isatty():
            names = list(self._programs)
            colour = COLOURS[names.index(name) % len(COLOURS)] if name in names else FOREMAN_COLOUR
            head = f"\x1b[{colour}m{head}\x1b[0m"
        with contextlib.suppress(OSError):  # the terminal is gone
            self._out.write(f"{head}{line}\n")
            self._out.flush()


class _Lines:
    """Puts the output of a program together line by line."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._rest = b""

    def add(self, data: bytes) -> Iterator[str]:
        """Yield the lines that are complete; no data is the end of the output."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        if not data and self._rest:
            lines.append(self._rest)
            self._rest = b""
        for line in lines:
            yield line.decode(errors="replace")


def _become(name: str, output: int, program: Callable[[], object]) -> NoReturn:
    """Be a program: in a session of its own, so that Ctrl-C of the terminal reaches the foreman only."""
    foreman = os.getppid()
    os.setsid()
    die_with(foreman, signal.SIGTERM)
    null = os.open(os.devnull, os.O_RDONLY)
    for descriptor, copy in ((null, 0), (output, 1), (output, 2)):
        os.dup2(descriptor, copy)
    for descriptor in (null, output):
        os.close(descriptor)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # a TextIOWrapper
    setproctitle.setproctitle(f"schedsite {name}")
    program()
    raise SystemExit(0)
