"""The loop of a worker process: claim, start, watch, record in groups; adopt what a dead worker left."""

from __future__ import annotations

import logging
import os
import select
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from time import monotonic

from django.conf import settings
from django.db import DatabaseError, InterfaceError, close_old_connections, connection

from scheduler import crashpoints
from scheduler.choices import Status
from scheduler.cluster import is_stopping
from scheduler.models import Execution, ExecutionLog, Process
from scheduler.queues import wake
from scheduler.runner import (
    CommandSpec,
    Exit,
    LogReader,
    RunningCommand,
    Spool,
    StartError,
    command_environment,
    start,
)
from scheduler.services import claims, processes, recovery
from scheduler.services.outcomes import Claimed, LogPiece, Report, append_log, finish

logger = logging.getLogger(__name__)

RECORD_WITHIN = 0.02  # seconds an outcome may wait for others
RECORD_AT = 32  # outcomes that are recorded at once
LOOK_FOR_WORK = 0.1
LOOK_FOR_ORDERS = 0.5
READ_LOGS = 0.25
FLOOD = 1 << 20  # bytes that wait to be read; from here on the spool is trimmed quickly
FLOOD_PAUSE = 0.002
RETRY_DATABASE = 0.5
STOP_WITHOUT_DATABASE = 5.0


@dataclass
class _Watched:
    claimed: Claimed
    command: RunningCommand
    reader: LogReader | None
    cancel_reason: str = ""
    is_lost: bool = False
    pieces: list[LogPiece] = field(default_factory=list)  # read, and not stored yet

    def take(self, reader: LogReader, *, is_final: bool = False) -> None:
        """Read what is new; keep it, until the database has it."""
        self.pieces += _pieces(self.claimed, reader, is_final=is_final)
        start, end = reader.left_out or (0, 0)
        self.pieces = [p for p in self.pieces if p.offset < start or p.offset + p.size > end]


class Supervisor:
    """Runs the executions that one worker process owns, side by side in one thread."""

    def __init__(self, process: Process, spool: Spool) -> None:
        self.process = process
        self.spool = spool
        self.watched: dict[int, _Watched] = {}
        self.reports: list[Report] = []
        self._poller = select.epoll()
        self._record_at = self._give_up_at = float("inf")
        self._claim_at = self._orders_at = self._read_at = self._beat_at = self._adopt_at = 0.0
        self._is_flooded = False
        self._left = 0  # executions of this process that could not be taken over yet

    # --- the loop -----------------------------------------------------------------------------------

    def run(self) -> None:
        """Work until nothing is queued or running, or the cluster stops."""
        while True:
            try:
                self._step()
            except (DatabaseError, InterfaceError):
                logger.exception("the database does not answer; commands go on, outcomes wait")
                if not connection.in_atomic_block:
                    connection.close()
                if is_stopping() and self._gives_up():
                    break
                self._adopt_at = 0.0  # a claim may have been committed, and its answer lost
                self._wait(RETRY_DATABASE)
                continue
            if self._is_done():
                break
            self._wait(self._pause())
        self._poller.close()
        self.spool.remove_retired()

    def _step(self) -> None:
        now = monotonic()
        self._collect()
        if now >= self._beat_at:
            close_old_connections()
            processes.beat(self.process, now=datetime.now(UTC))
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
        self._read_logs(now)

    def _is_done(self) -> bool:
        if self.reports:
            return False
        if is_stopping() and settings.SCHEDULER_STOP == "leave":
            return True
        if self._left and not is_stopping():
            return False
        return not self.watched and (is_stopping() or self._claim_at > monotonic())

    def _gives_up(self) -> bool:
        """Tell whether this worker, told to stop, need not wait for its database any longer.

        What it could not record stands in the spool, for the next one.
        """
        self._give_up_at = min(self._give_up_at, monotonic() + STOP_WITHOUT_DATABASE)
        return settings.SCHEDULER_STOP == "leave" and monotonic() >= self._give_up_at

    def _pause(self) -> float:
        if self._is_flooded:
            return FLOOD_PAUSE
        now = monotonic()
        instants = [self._orders_at, self._read_at, self._record_at, now + LOOK_FOR_WORK]
        if len(self.watched) < settings.SCHEDULER_SLOTS:
            instants.append(self._claim_at)
        instants += [w.command.deadline for w in self.watched.values() if w.command.deadline is not None]
        if any(w.command.stopped_for for w in self.watched.values()):
            instants.append(now + 0.05)
        return max(min(instants) - now, 0.0)

    def _wait(self, seconds: float) -> None:
        """Sleep until a command ends or the time is up."""
        self._poller.poll(seconds, max(len(self.watched), 1))

    # --- starting -----------------------------------------------------------------------------------

    def _claim(self, now: float) -> None:
        free = settings.SCHEDULER_SLOTS - len(self.watched)
        if free <= 0:
            return
        taken = claims.claim(owner=self.process, queue=self.process.queue, limit=free, now=datetime.now(UTC))
        # A full hand means that there may be more: look again as soon as a slot is free, and let others help.
        self._claim_at = now if len(taken) == free else now + LOOK_FOR_WORK
        for claimed in taken:
            self._start(claimed)
        if len(taken) == free:
            wake(self.process.queue)

    def _start(self, claimed: Claimed) -> None:
        try:
            spec = _command_spec(claimed)
            crashpoints.passed("spawn.before")
            command = start(spec, self.spool)
            crashpoints.passed("spawn.after")
        except (StartError, OSError) as error:
            report = Report(claimed, Status.TECHNICAL_FAILURE, datetime.now(UTC), reason=str(error))
            self._add_report(report)
            return
        self._watch(claimed, command, offset=0)

    def _watch(self, claimed: Claimed, command: RunningCommand, *, offset: int) -> None:
        try:
            reader = LogReader(self.spool, command.spec, offset=offset)
        except OSError:
            logger.exception("execution %s: its output cannot be read", claimed.execution_id)
            reader = None
        self._poller.register(command.pidfd, select.EPOLLIN)
        self.watched[claimed.execution_id] = _Watched(claimed, command, reader)

    def _adopt(self) -> None:
        """Take over what workers of this host that died were running, and what a broken connection made forget."""
        known = {*self.watched, *(report.claimed.execution_id for report in self.reports)}
        mine = claims.forgotten(owner=self.process, known=known)
        orphans = claims.orphans(host_id=self.spool.host_id, now=datetime.now(UTC))
        mine += claims.take_over(orphans, owner=self.process) if orphans else []
        if not mine:
            return
        logger.warning("taking over %d executions that nobody looks after", len(mine))
        running, ended, never, self._left = recovery.recover(mine, self.spool, now=datetime.now(UTC))
        for claimed, command in running:
            self._watch(claimed, command, offset=_stored_until(claimed.execution_id))
        for report in ended:
            self._add_report(self._with_rest_of_log(report))
        claims.hand_back(never)
        self._claim_at = 0.0

    def _with_rest_of_log(self, report: Report) -> Report:
        """Add the output that the dead worker had not stored yet."""
        claimed = report.claimed
        try:
            reader = LogReader(
                self.spool, recovery.command_spec(claimed, {}), offset=_stored_until(claimed.execution_id)
            )
        except OSError:
            return replace(report, log_size=None)
        pieces = _pieces(claimed, reader, is_final=True)
        reader.close()
        return _with_log(report, reader, pieces)

    # --- watching -----------------------------------------------------------------------------------

    def _collect(self) -> None:
        """Turn commands that ended into reports; enforce timeouts."""
        for watched in list(self.watched.values()):
            watched.command.tick()
            ended = watched.command.poll()
            if ended is not None:
                self._end(watched, ended)

    def _end(self, watched: _Watched, ended: Exit) -> None:
        claimed, command = watched.claimed, watched.command
        self._poller.unregister(command.pidfd)
        command.close()
        del self.watched[claimed.execution_id]
        report = recovery.report_of(
            claimed,
            ended,
            now=datetime.now(UTC),
            stopped_for=command.stopped_for,
            cancel_reason=watched.cancel_reason,
        )
        if watched.reader is not None:
            watched.take(watched.reader, is_final=True)
            watched.reader.close()
            report = _with_log(report, watched.reader, watched.pieces)
        if not watched.is_lost:
            self._add_report(report)

    def _add_report(self, report: Report) -> None:
        self.reports.append(report)
        self._record_at = min(self._record_at, monotonic() + RECORD_WITHIN)

    def _record(self, now: float) -> None:
        """Record what ended, and claim what takes its place, when enough has come together."""
        if not self.reports or (len(self.reports) < RECORD_AT and now < self._record_at and self.watched):
            return
        reports = self.reports
        queues = finish(reports, now=datetime.now(UTC))
        self.reports = self.reports[len(reports) :]
        self._record_at = float("inf")
        for report in reports:
            self.spool.retire(report.claimed.execution_id, report.claimed.claim)
        # What became ready in the own queue is taken here, without a wake-up.
        self._claim_at = min(self._claim_at, now)
        for queue in queues:
            if queue != self.process.queue or is_stopping() or len(self.watched) >= settings.SCHEDULER_SLOTS:
                wake(queue)

    def _obey(self) -> None:
        """Stop what was cancelled, and what belongs to somebody else by now."""
        if not self.watched:
            return
        rows = Execution.objects.running().filter(owner=self.process)
        orders = {
            pk: (claim, reason if asked else None)
            for pk, claim, asked, reason in rows.values_list(
                "pk", "claim", "cancel_requested_at", "cancel_reason"
            )
        }
        for pk, watched in self.watched.items():
            claim, reason = orders.get(pk, ("", None))
            if claim != watched.claimed.claim:
                logger.warning("execution %s was taken by another worker; its command is stopped", pk)
                watched.is_lost = True
                watched.command.stop("cancel")
            elif reason is not None:
                watched.cancel_reason = reason
                watched.command.stop("cancel")

    def _read_logs(self, now: float) -> None:
        readers = [
            (watched, watched.reader) for watched in self.watched.values() if watched.reader is not None
        ]
        self._is_flooded = max((reader.trim() for _, reader in readers), default=0) > FLOOD
        if now < self._read_at:
            return
        self._read_at = now + READ_LOGS
        for watched, reader in readers:
            watched.take(reader)
        pieces = [piece for watched, _ in readers for piece in watched.pieces]
        if pieces:
            left_out = [
                (w.claimed.execution_id, *reader.left_out) for w, reader in readers if reader.left_out
            ]
            append_log(pieces, left_out=left_out)
        for watched, _ in readers:
            watched.pieces = []


def _pieces(claimed: Claimed, reader: LogReader, *, is_final: bool = False) -> list[LogPiece]:
    return [
        LogPiece(claimed.execution_id, claimed.claim, chunk.offset, chunk.size, chunk.text)
        for chunk in reader.read(is_final=is_final)
    ]


def _with_log(report: Report, reader: LogReader, pieces: list[LogPiece]) -> Report:
    return replace(report, log_size=reader.size, pieces=pieces, left_out=reader.left_out)


def _stored_until(execution_id: int) -> int:
    last = ExecutionLog.objects.filter(execution=execution_id).order_by("-offset").first()
    return 0 if last is None else last.offset + last.size


def _command_spec(claimed: Claimed) -> CommandSpec:
    """Return what the runner needs to start an execution.

    Raises:
        StartError: its environment file or its folder cannot be read.
    """
    try:
        return recovery.command_spec(claimed, _environment(claimed))
    except (
        OSError,
        ValueError,
    ) as error:  # a name too long, a folder closed to us; one of them stops no others
        raise StartError(f"could not start: {error}") from error


def _environment(claimed: Claimed) -> dict[str, str]:
    """Return the environment of a command; the built-in names come last and win.

    Raises:
        StartError: the environment file cannot be read.
    """
    spec = claimed.spec
    own = dict(spec["task_env"])
    file_name = own.pop("_ENV_FILE", None)
    built_in = {
        "TASK_ID": spec["task_id"],
        "TASK_NAME": spec["task_name"],
        "EXECUTION_ID": str(claimed.execution_id),
        "RUN_ID": str(claimed.run_pk or ""),
        "SCHEDULED_FOR": claimed.scheduled_for.isoformat().replace("+00:00", "Z")
        if claimed.scheduled_for
        else "",
        "ATTEMPT": str(claimed.attempt),
    }
    path = None if file_name is None else settings.SCHEDULER_TASKS_DIR.parent / file_name
    return command_environment(own, built_in, env_file=path)


_process: Process | None = None


def work() -> None:
    """Run what is queued; the body of the job that a wake-up calls in a worker process."""
    global _process
    spool = Spool(settings.SCHEDULER_SPOOL_DIR)
    now = datetime.now(UTC)
    if _process is None or _process.pid != os.getpid():
        _process = processes.register(
            Process.Kind.WORKER,
            host_id=spool.host_id,
            queue=settings.SCHEDULER_QUEUE,
            slots=settings.SCHEDULER_SLOTS,
            now=now,
        )
    Supervisor(_process, spool).run()
