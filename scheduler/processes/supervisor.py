"""The loop of a worker process: claim, start, watch, record in groups; adopt executions of dead workers."""

from __future__ import annotations

import logging
import os
import select
from dataclasses import replace
from datetime import UTC, datetime
from time import monotonic

from django.conf import settings
from django.db import DatabaseError, InterfaceError, close_old_connections, connection

from scheduler import failpoints
from scheduler.choices import Status
from scheduler.engine.reasons import reason_of
from scheduler.models import Process
from scheduler.processes.cluster import is_stopping
from scheduler.processes.outputs import Outputs
from scheduler.processes.watched import WatchedCommand
from scheduler.queues import messages_of, wake
from scheduler.queues.bells import Listener
from scheduler.runner import (
    Exit,
    LogReader,
    Pipe,
    Pipes,
    Spool,
    StartError,
    let_commands_be_interrupted,
    open_pipes,
    start,
)
from scheduler.selectors.executions import orders_for
from scheduler.selectors.logs import stored_until
from scheduler.services import claims, commands, folders, heartbeats, recovery
from scheduler.services.log_secrets import log_secrets
from scheduler.services.outcomes import Claimed, Report, finish

logger = logging.getLogger(__name__)

RECORD_WITHIN = 0.02  # seconds an outcome may wait for others
RECORD_AT = 32  # outcomes recorded at once
LOOK_FOR_WORK = 0.1
LISTEN_AFTER = (
    1.0  # seconds; a supervisor that works for longer is notified of new work, and looks for it less often
)
LOOK_ANYWAY = 1.0
LOOK_FOR_ORDERS = 0.5
LINGER = 2.0  # seconds that background processes may keep the output open after the command
RETRY_DATABASE = 0.5
STOP_WITHOUT_DATABASE = 5.0


class Supervisor:
    """Runs the executions of one worker process concurrently in one thread."""

    def __init__(self, process: Process, spool: Spool) -> None:
        self.process = process
        self.spool = spool
        self.watched: dict[int, WatchedCommand] = {}
        self.reports: list[Report] = []
        self._with_folder: set[int] = set()  # tasks found with their own folder, to be recorded
        self._pipes = Pipes()
        self._outputs = Outputs(self.watched)
        self._readers: dict[int, LogReader] = {}  # of ended, unrecorded executions
        self._ready: set[int] = set()
        self._poller = select.epoll()
        self._record_at = self._give_up_at = float("inf")
        self._claim_at = self._orders_at = self._adopt_at = 0.0
        self._beat_at = monotonic() + heartbeats.seconds_until_due(process, now=datetime.now(UTC))
        self._messages = messages_of(process.queue)
        self._listen_at = monotonic() + LISTEN_AFTER
        self._listener: Listener | None = None
        self._left = 0  # executions of this process not adopted yet

    @property
    def is_notified(self) -> bool:
        """Whether new work is notified; otherwise this supervisor looks for it ten times a second."""
        return self._listener is not None or "orm" not in settings.Q_CLUSTER

    def run(self) -> None:
        """Work until no execution is queued or running, or the cluster stops."""
        try:
            self._loop()
        finally:
            self._close()

    def _loop(self) -> None:
        while True:
            try:
                self._step()
            except (DatabaseError, InterfaceError):
                logger.exception("the database does not answer; commands go on, outcomes wait")
                if not connection.in_atomic_block:
                    connection.close()
                if is_stopping() and self._gives_up():
                    break
                self._adopt_at = 0.0  # a claim may have been committed although its response was lost
                self._wait(RETRY_DATABASE)
                continue
            if self._is_done():
                break
            self._wait(self._pause())

    def _close(self) -> None:
        """Release all resources; running commands are left to be adopted."""
        self._poller.close()
        self._outputs.close()
        self._messages.close()
        for reader in [*self._readers.values(), *(watched.reader for watched in self.watched.values())]:
            reader.close()
            if reader.pipe is not None:
                reader.pipe.close()
        self._pipes.close()
        self.spool.remove_retired()

    def _step(self) -> None:
        now = monotonic()
        self._collect(now)
        if now >= self._beat_at:
            close_old_connections()
            heartbeats.beat(self.process, now=datetime.now(UTC))
            self._beat_at = now + settings.SCHEDULER_HEARTBEAT
        if now >= self._adopt_at and not is_stopping():
            self._adopt_at = now + settings.SCHEDULER_SWEEP
            self._adopt()
        self._record(now)
        if now >= self._claim_at and not is_stopping():
            self._claim(now)
        if now >= self._orders_at:
            self._orders_at = now + LOOK_FOR_ORDERS
            self._obey()
        self._outputs.step(now)
        if self._listener is None and now >= self._listen_at:
            self._listen(now)

    def _is_done(self) -> bool:
        if self.reports:
            return False
        if is_stopping() and settings.SCHEDULER_STOP == "leave":
            return not any(watched.ended for watched in self.watched.values())
        if self._left and not is_stopping():
            return False
        return not self.watched and (is_stopping() or self._claim_at > monotonic())

    def _gives_up(self) -> bool:
        """Return whether this stopping worker may stop waiting for the database.

        Unrecorded results are in the spool for the next worker.
        """
        self._give_up_at = min(self._give_up_at, monotonic() + STOP_WITHOUT_DATABASE)
        return settings.SCHEDULER_STOP == "leave" and monotonic() >= self._give_up_at

    def _pause(self) -> float:
        now = monotonic()
        instants = [self._orders_at, self._outputs.due_at(), self._record_at, now + LOOK_FOR_WORK]
        if len(self.watched) < settings.SCHEDULER_SLOTS:
            instants.append(self._claim_at)
        instants += [watched.look_at(now) for watched in self.watched.values()]
        return max(min(instants) - now, 0.0)

    def _wait(self, seconds: float) -> None:
        """Sleep until a command ends, work arrives, or the time has elapsed."""
        self._ready |= {found for found, _ in self._poller.poll(seconds, len(self.watched) + 1)}
        if self._listener is not None and self._listener.fileno() in self._ready:
            self._claim_at = 0.0
            self._hear(self._listener)

    def _listen(self, now: float) -> None:
        self._listen_at = now + LISTEN_AFTER
        self._listener = self._messages.listener()
        if self._listener is not None:
            self._poller.register(self._listener.fileno(), select.EPOLLIN)

    def _hear(self, listener: Listener) -> None:
        try:
            listener.wait(0)
        except OSError:
            logger.warning("new work is no longer notified; the queue is polled", exc_info=True)
            self._listener = None
            self._messages.close()

    def _claim(self, now: float) -> None:
        free = settings.SCHEDULER_SLOTS - len(self.watched)
        if free <= 0:
            return
        taken = claims.claim(owner=self.process, queue=self.process.queue, limit=free, now=datetime.now(UTC))
        # All free slots were filled, so more may be queued: claim again once a slot is free, and wake others.
        look_again = LOOK_FOR_WORK if self._listener is None else LOOK_ANYWAY
        self._claim_at = now if len(taken) == free else now + look_again
        for claimed in taken:
            self._start(claimed)
        folders.remember_folders(self._with_folder)
        self._with_folder.clear()
        if len(taken) == free:
            wake(self.process.queue)

    def _start(self, claimed: Claimed) -> None:
        try:
            spec = commands.command_to_start(claimed)
            failpoints.hit("spawn.before")
            command = start(spec, self.spool, self._pipes)
            failpoints.hit("spawn.after")
        except (StartError, OSError) as error:
            reason = reason_of(error)
            self._add_report(Report(claimed, Status.TECHNICAL_FAILURE, datetime.now(UTC), reason=reason))
            return
        if not claimed.has_folder and commands.is_in_own_folder(spec, claimed):
            self._with_folder.add(claimed.task_pk)
        secrets = log_secrets(claimed, spec.env)
        reader = commands.log_reader(claimed, command.pipe, self.spool, secrets)
        self._watch(WatchedCommand(claimed, reader, command))

    def _watch(self, watched: WatchedCommand) -> None:
        if watched.command is not None:
            # Once: an ended shell stays ready, and its processes or its reaper may take seconds.
            self._poller.register(watched.command.pidfd, select.EPOLLIN | select.EPOLLONESHOT)
        self.watched[watched.claimed.execution_id] = watched
        self._outputs.add(watched)

    def _adopt(self) -> None:
        """Adopt executions of dead workers of this host, and claims whose response was lost."""
        known = {*self.watched, *(report.claimed.execution_id for report in self.reports)}
        mine = claims.forgotten(owner=self.process, known=known)
        orphans = claims.orphans(host_id=self.spool.host_id, now=datetime.now(UTC))
        mine += claims.take_over(orphans, owner=self.process) if orphans else []
        if not mine:
            return
        logger.warning("taking over %d orphaned executions", len(mine))
        found, never, self._left = recovery.recover(mine, self.spool)
        pipes = open_pipes([one.inode for one in found if one.inode])
        for one in found:
            try:
                self._take_over(one, pipes.get(one.inode))
            except OSError:
                logger.exception("execution %s cannot be taken over yet", one.claimed.execution_id)
                self._left += 1
        if self._left:
            self._adopt_at = monotonic() + LOOK_FOR_ORDERS
        claims.hand_back(never)
        self._claim_at = 0.0

    def _take_over(self, found: recovery.Recovered, pipe: Pipe | None) -> None:
        """Watch a recovered execution.

        Raises:
            OSError: it cannot be read now, for example because another process still moves its output.
        """
        secrets = log_secrets(found.claimed, None)
        stored = stored_until(found.claimed.execution_id)
        reader = commands.log_reader(found.claimed, pipe, self.spool, secrets, offset=stored)
        try:
            self._outputs.take_over(reader)
        except OSError:
            if found.command is not None:
                found.command.close()
            if pipe is not None:
                pipe.close()
            raise
        self._watch(WatchedCommand(found.claimed, reader, found.command, found.ended, monotonic() + LINGER))

    def _collect(self, now: float) -> None:
        """Create reports on ended commands; enforce timeouts, and stop all commands if this worker has to."""
        ready, self._ready = self._ready, set()
        is_shutdown = is_stopping() and settings.SCHEDULER_STOP == "terminate"
        for watched in list(self.watched.values()):
            command = watched.command
            if command is not None and watched.ended is None:
                if is_shutdown:
                    command.stop("shutdown")
                command.tick()
                watched.has_shell_ended |= command.pidfd in ready
                if command.stopped_for or watched.has_shell_ended:
                    watched.ended = command.poll()
                    watched.lingers_until = now + LINGER
            if watched.ended is not None:
                if watched.is_complete(now):
                    self._end(watched, watched.ended)
                else:
                    self._outputs.move(watched)

    def _end(self, watched: WatchedCommand, ended: Exit) -> None:
        claimed, command, reader = watched.claimed, watched.command, watched.reader
        if command is not None:
            self._poller.unregister(command.pidfd)
            command.close()
        del self.watched[claimed.execution_id]
        self._outputs.remove(reader)
        if watched.is_lost:  # its files belong to another worker
            reader.close()
            if reader.pipe is not None:
                self._pipes.give_back(reader.pipe)
            return
        watched.take(is_final=True)
        report = commands.report_of(
            claimed,
            ended,
            now=datetime.now(UTC),
            stopped_for="" if command is None else command.stopped_for,
            cancel_reason=watched.cancel_reason,
            survivors=() if command is None else command.survivors,
        )
        is_log_whole = reader.pipe is not None or reader.size > 0
        report = replace(
            report,
            log_size=reader.size if is_log_whole else None,
            pieces=watched.pieces,
            left_out=reader.left_out,
        )
        if command is not None and command.survivors:
            report = commands.with_last_line(report, f"[{report.reason}]")
        self._readers[claimed.execution_id] = reader
        self._add_report(report)

    def _forget(self, claimed: Claimed, reader: LogReader) -> None:
        """Release the resources of a recorded execution."""
        reader.close(is_recorded=True)
        if reader.pipe is not None:
            self._pipes.give_back(reader.pipe)
        self.spool.retire(claimed.execution_id, claimed.claim)

    def _add_report(self, report: Report) -> None:
        self.reports.append(report)
        self._record_at = min(self._record_at, monotonic() + RECORD_WITHIN)

    def _record(self, now: float) -> None:
        """Record ended executions once enough have accumulated, and claim new ones for the free slots."""
        if not self.reports or (len(self.reports) < RECORD_AT and now < self._record_at and self.watched):
            return
        reports = self.reports
        queues = finish(reports, now=datetime.now(UTC))
        self.reports = self.reports[len(reports) :]
        self._record_at = float("inf")
        for report in reports:
            reader = self._readers.pop(report.claimed.execution_id, None)
            if reader is not None:  # otherwise it did not start
                self._forget(report.claimed, reader)
        # Executions that became ready in the own queue are claimed here, without a wake-up.
        self._claim_at = min(self._claim_at, now)
        for queue in queues:
            if queue != self.process.queue or is_stopping() or len(self.watched) >= settings.SCHEDULER_SLOTS:
                wake(queue)

    def _obey(self) -> None:
        """Stop executions that were cancelled, or that another worker has taken over."""
        if not self.watched:
            return
        orders = orders_for(self.process)
        for pk, watched in self.watched.items():
            claim, reason = orders.get(pk, ("", None))
            if watched.command is None:
                continue
            if claim != watched.claimed.claim:
                logger.warning("execution %s was taken by another worker; its command is stopped", pk)
                watched.is_lost = True
                watched.command.stop("cancel")
            elif reason is not None:
                watched.cancel_reason = reason
                watched.command.stop("cancel")


_process: Process | None = None


def work() -> None:
    """Run queued executions; the job that a wake-up calls in a worker process."""
    global _process
    let_commands_be_interrupted()
    spool = Spool(settings.SCHEDULER_SPOOL_DIR)
    now = datetime.now(UTC)
    if _process is None or _process.pid != os.getpid():
        _process = heartbeats.register(
            Process.Kind.WORKER,
            host_id=spool.host_id,
            queue=settings.SCHEDULER_QUEUE,
            slots=settings.SCHEDULER_SLOTS,
            now=now,
        )
    Supervisor(_process, spool).run()
