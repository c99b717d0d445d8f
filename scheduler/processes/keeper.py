"""The keeper, the outermost process of a worker: restarts the cluster, holds the pipes of commands, and reaps orphans.

It outlives the processes of its cluster, so that output and exit codes of commands are not lost with a worker. If it is
stopped while commands run, it leaves a holder process, which moves their output to the spool until the next keeper
takes the pipes over. It forks the cluster, so that both share the memory of what was loaded, but uses neither Django
nor the database itself, because it must survive failures of everything else.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import select
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import setproctitle

from schedsite.private_files import started_umask
from scheduler.processes.forks import Fork, forked
from scheduler.runner.contracts import HOLDERS, LONGEST_MESSAGE, OUT, Note, dropped_inode
from scheduler.runner.output import LogReader, Pump
from scheduler.runner.pipes import Pipe, open_pipe_ends
from scheduler.runner.process_table import started_ticks, zombie
from scheduler.runner.spool import Spool, boot_id, note_of

PR_SET_NAME, PR_SET_CHILD_SUBREAPER = 15, 36
RESTART_WAIT = 0.2
LONGEST_RESTART_WAIT = 5.0
HEALTHY_AFTER = 30.0
LOOK_AROUND = 1.0
HOLDER_ENDS_WITHIN = 10.0
STOPS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)

_libc = ctypes.CDLL(None, use_errno=True)


class Keeper:
    """Restarts one cluster until it is asked to stop.

    Args:
        run_cluster: runs the cluster in a process of its own; called with the descriptor of a socket to the keeper,
            returns the exit code.
        say: called with each line for the operator.
    """

    def __init__(
        self,
        spool: Spool,
        run_cluster: Callable[[int], int],
        *,
        log_limit: int,
        say: Callable[[str], object],
    ) -> None:
        self._spool = spool
        self._run_cluster = run_cluster
        self._log_limit = log_limit
        self._say = say
        self._cluster: Fork | None = None
        self._stopping: list[int] = []  # not an Event: a signal may interrupt the handler of another one
        self._pipes: dict[int, Pipe] = {}
        self._former: set[int] = set()  # pipes of clusters that ended
        self._dropped: dict[int, Pipe] = {}  # by descriptor; still have writers, output is discarded
        self._look_at = 0.0
        self._poller = select.epoll()
        self._mine, self._theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._woken, self._waker = socket.socketpair()
        for end in (self._mine, self._woken, self._waker):
            end.setblocking(False)
        for end in (self._mine, self._woken):
            self._poller.register(end, select.EPOLLIN)

    def run(self) -> int:
        """Run the loop; return the exit code of the stopped cluster."""
        allowed = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed[1], allowed[1]))
        _libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        self._listen()
        self._take_from_holders()
        wait = RESTART_WAIT
        code = 0
        while not self._stopping:
            started = time.monotonic()
            cluster = self._fork_cluster(allowed)
            while cluster.returncode is None:
                self._turn(LOOK_AROUND)
            code = cluster.returncode
            self._receive()
            self._former.update(self._pipes)
            if self._stopping:
                break
            is_healthy = time.monotonic() - started > HEALTHY_AFTER
            wait = RESTART_WAIT if is_healthy else min(wait * 2, LONGEST_RESTART_WAIT)
            self._say(f"the cluster ended with code {code}; starting it again in {wait:g} s")
            until = time.monotonic() + wait
            while not self._stopping and (left := until - time.monotonic()) > 0:
                self._turn(left)
        self._leave()
        return 0 if code in (0, -signal.SIGTERM) else code

    def _fork_cluster(self, allowed: tuple[int, int]) -> Fork:
        """Fork the cluster and return it; it has the limits and the umask that this process was started with."""
        with forked() as child:
            if child is None:
                self._become_cluster(allowed)
        self._cluster = child
        if self._stopping:
            child.send_signal(signal.SIGTERM)
        return child

    def _become_cluster(self, allowed: tuple[int, int]) -> NoReturn:
        # Its own process group: Ctrl-C reaches the keeper only, which stops the cluster in order.
        os.setpgid(0, 0)
        resource.setrlimit(resource.RLIMIT_NOFILE, allowed)
        os.umask(started_umask())
        self._poller.close()
        for end in (self._mine, self._woken, self._waker):
            end.close()
        for pipe in (*self._pipes.values(), *self._dropped.values()):
            pipe.close()
        setproctitle.setproctitle("schedsite cluster")
        os._exit(self._run_cluster(self._theirs.fileno()))

    def _listen(self) -> None:
        """Install signal handlers; stop signals are passed on to the cluster."""

        def stop(number: int, _frame: object) -> None:
            self._stopping.append(number)
            if self._cluster is not None and self._cluster.poll() is None:
                self._cluster.send_signal(signal.SIGTERM)

        for number in STOPS:
            signal.signal(number, stop)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._waker.fileno(), warn_on_full_buffer=False)

    def _turn(self, seconds: float) -> None:
        """Run one iteration: wait for events and handle them."""
        self._hear(seconds)
        self._reap()
        if time.monotonic() >= self._look_at:
            self._look_at = time.monotonic() + LOOK_AROUND
            self._take_from_holders()
            self._look_after_former()

    def _hear(self, seconds: float) -> None:
        for descriptor, event in self._poller.poll(seconds):
            if descriptor == self._mine.fileno():
                self._receive()
            elif descriptor == self._woken.fileno():
                self._woken.recv(4096)
            else:
                self._discard(descriptor, event)

    # --- pipes --------------------------------------------------------------------------------------

    def _receive(self) -> None:
        """Receive the read ends that workers send, and release those that are no longer needed."""
        while True:
            try:
                message, descriptors, _, _ = socket.recv_fds(self._mine, LONGEST_MESSAGE, 1)
            except BlockingIOError:
                return
            for descriptor in descriptors:
                pipe = Pipe(descriptor)
                self._pipes[pipe.inode] = pipe
            inode = dropped_inode(message)
            if inode is not None:
                self._drop(inode)

    def _drop(self, inode: int) -> None:
        """Close a pipe once it has no writers; until then discard its output."""
        self._former.discard(inode)
        pipe = self._pipes.pop(inode, None)
        if pipe is not None:
            self._dropped[pipe.reader] = pipe
            self._poller.register(pipe.reader, select.EPOLLIN)

    def _discard(self, descriptor: int, event: int) -> None:
        pipe = self._dropped[descriptor]
        pipe.discard()
        if event & select.EPOLLHUP:
            self._poller.unregister(descriptor)
            del self._dropped[descriptor]
            pipe.close()

    def _look_after_former(self) -> None:
        """Drop pipes of ended clusters once their output is recorded."""
        if self._former and self._cluster is not None and self._cluster.returncode is None:
            noted = {note.inode for _, _, note in self._spool.notes()}
            for inode in self._former - noted:
                self._drop(inode)

    # --- orphans -----------------------------------------------------------------------------------

    def _reap(self) -> None:
        """Reap children; first publish the exit code of commands whose worker is dead, so that it is not lost."""
        while (found := _next_zombie()) is not None:
            pid, code = found
            if self._cluster is not None and pid == self._cluster.pid:
                self._cluster.poll()
                continue
            ended = zombie(pid)
            if ended is not None and ended[0] == pid:  # a session leader, like the shells of commands
                with contextlib.suppress(OSError):
                    self._spool.publish(pid, ended[1], code)
            os.waitpid(pid, os.WNOHANG)

    def _take_from_holders(self) -> None:
        """Take over the pipes of holders of former keepers, then end the holders."""
        folder = _holders(self._spool)
        if not folder.is_dir():
            return
        for path in folder.iterdir():
            holder = Note.parse(path.read_bytes())
            if (
                holder is not None
                and holder.boot == boot_id()
                and started_ticks(holder.pid) == holder.started
            ):
                for pipe in open_pipe_ends(holder.pid):
                    if pipe.inode in self._pipes:
                        pipe.close()
                    else:
                        self._pipes[pipe.inode] = pipe
                        self._former.add(pipe.inode)
                _end(holder)
            path.unlink(missing_ok=True)

    def _leave(self) -> None:
        """Move the remaining output to the spool; fork a holder if commands are still writing."""
        reading = Pump(in_thread=False)
        noted = {note.inode: (pk, claim) for pk, claim, note in self._spool.notes()}
        for inode in list(self._pipes):
            if inode not in noted:
                self._drop(inode)
                continue
            path = self._spool.path(*noted[inode], OUT)
            reader = LogReader(path, self._pipes[inode], log_limit=self._log_limit)
            with contextlib.suppress(OSError):  # moved by another process, or the spool is missing
                reading.add(reader)
                reader.pump()
        self._hear(0)
        if self._dropped or any(pipe.has_writers() for pipe in self._pipes.values()):
            self._fork_holder(reading)

    def _fork_holder(self, reading: Pump) -> None:
        for pipe in self._dropped.values():
            reading.add(LogReader(None, pipe, log_limit=0))
        with forked() as holder:
            if holder is None:
                _hold(reading)
        folder = _holders(self._spool)
        folder.mkdir(mode=0o700, exist_ok=True)
        (folder / str(holder.pid)).write_bytes(bytes(note_of(holder.pid, 0)))


def _hold(reading: Pump) -> NoReturn:
    """Run as a holder: move the output of commands to the spool until all have closed it."""
    os.setsid()
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    _libc.prctl(PR_SET_NAME, b"schedsite-hold", 0, 0, 0)
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in range(3):
        os.dup2(null, descriptor)
    reading.run()
    raise SystemExit(0)


def _holders(spool: Spool) -> Path:
    return spool.root / HOLDERS


def _end(holder: Note) -> None:
    """End a holder and wait for it: it must not read concurrently with its successor."""
    with contextlib.suppress(ProcessLookupError):
        descriptor = os.pidfd_open(holder.pid)
        try:
            if started_ticks(holder.pid) == holder.started:
                signal.pidfd_send_signal(descriptor, signal.SIGTERM)
                select.select([descriptor], [], [], HOLDER_ENDS_WITHIN)
        finally:
            os.close(descriptor)


def _next_zombie() -> tuple[int, int] | None:
    """Return an unreaped child and its exit code, negative for a signal."""
    try:
        ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return None
    if ended is None:
        return None
    return ended.si_pid, ended.si_status if ended.si_code == os.CLD_EXITED else -ended.si_status
