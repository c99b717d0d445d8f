"""Instant notification of processes that wait for a database queue.

On SQLite, where all processes share one host, each listener has a FIFO in a folder next to the database; on PostgreSQL,
LISTEN and NOTIFY are used. A notification may be lost, so listeners also poll the queue occasionally. Source: fifo(7),
the manual of PostgreSQL on NOTIFY.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import select
import uuid
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Protocol

from django.db import DatabaseError, connections, transaction

from scheduler.queues.contracts import BELL, BELL_CHANNEL, bells_folder, fifo_name, queue_of_fifo

if TYPE_CHECKING:
    from psycopg import Connection

logger = logging.getLogger(__name__)

LISTEN_AGAIN = 5.0  # seconds between two attempts to listen, if a listener is lost
TRY_AFTER_ERROR = 60.0
TRY_TO_LISTEN = 3600.0  # seconds between two attempts where none succeeds: each may take seconds
HEARD_WITHIN = 2.0  # seconds within which a listener must receive its own notification


class Listener(Protocol):
    """Receives notifications about messages in one queue."""

    def wait(self, seconds: float) -> bool:
        """Wait at most `seconds`; return whether a message was added since the last call.

        Raises:
            OSError: notifications can no longer be received.
        """

    def fileno(self) -> int:
        """Return the descriptor that is readable when notifications may have arrived."""

    def close(self) -> None:
        """Release the resources."""


def ring(alias: str, queue: str) -> None:
    """Notify all listeners of a message in `queue` of a database, when the transaction commits if there is one."""
    connection = connections[alias]
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_notify(%s, %s)", [BELL_CHANNEL, queue])
    else:
        transaction.on_commit(lambda: _ring_fifos(_folder(alias), queue), using=alias)


def listen(alias: str, queue: str) -> Listener | None:
    """Return a listener for `queue` of a database, or None behind a transaction pooler (PgBouncer).

    Raises:
        OSError: the database does not respond, or its file system has no FIFOs.
        DatabaseError: the database failed.
    """
    if connections[alias].vendor == "postgresql":
        return hearing(PostgreSQLListener(alias, queue), alias)
    return FifoListener(_folder(alias), queue)


class Subscription:
    """The listener of one process for one queue, created when it is first needed and again after its loss."""

    def __init__(self, alias: str, queue: str, *, is_available: bool = True) -> None:
        self._alias, self._queue = alias, queue
        self._is_available = is_available
        self._listener: Listener | None = None
        self._pid = 0  # a listener is not shared with forks
        self._try_at = 0.0
        self._patience = TRY_AFTER_ERROR / 2  # seconds; doubled by each error

    def listener(self) -> Listener | None:
        """Return the listener, or None where notifications are not available."""
        if self._pid != os.getpid():
            self._listener, self._pid, self._try_at = None, os.getpid(), 0.0
        if self._listener is None and self._is_available and monotonic() >= self._try_at:
            self._try_at = monotonic() + self._listen()
        return self._listener

    def _listen(self) -> float:
        """Try to listen; return the seconds until the next attempt, should there be no listener then."""
        try:
            self._listener = listen(self._alias, self._queue)
        except (OSError, DatabaseError):
            logger.warning("queue %s cannot be listened to; it is polled", self._queue, exc_info=True)
            self._patience = min(2 * self._patience, TRY_TO_LISTEN)
            return self._patience
        self._patience = TRY_AFTER_ERROR / 2
        return TRY_TO_LISTEN if self._listener is None else LISTEN_AGAIN

    def close(self) -> None:
        """Stop listening."""
        if self._listener is not None:
            self._listener.close()
            self._listener = None


def _folder(alias: str) -> Path:
    return Path(bells_folder(connections[alias].settings_dict["NAME"]))


def _ring_fifos(folder: Path, queue: str) -> None:
    with contextlib.suppress(OSError):  # no listener ever, or none that this process may notify
        for entry in os.scandir(folder):
            if queue_of_fifo(entry.name) == queue:
                _ring_fifo(entry.path)


def _ring_fifo(path: str) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno == errno.ENXIO:  # the listener is dead
            with contextlib.suppress(OSError):
                os.unlink(path)  # noqa: PTH108 - a text of scandir
        return
    try:
        os.write(descriptor, BELL)
    except (BlockingIOError, BrokenPipeError):
        pass  # full of notifications, or the listener has just died
    finally:
        os.close(descriptor)


class FifoListener:
    """Listens on its own FIFO, ``<queue>.<a unique name>``."""

    def __init__(self, folder: Path, queue: str) -> None:
        folder.mkdir(mode=0o700, exist_ok=True)
        name = uuid.uuid4().hex
        draft, self._path = folder / f".{name}", folder / fifo_name(queue, name)
        os.mkfifo(draft, 0o600)
        # Also opened for writing: otherwise each writer that closes would cause an end of file.
        descriptor = os.open(draft, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        self.fifo = open(descriptor, "rb", buffering=0)  # noqa: PTH123, SIM115 - closed by `close`
        draft.rename(self._path)  # a FIFO without a reader would be taken for that of a dead listener
        self._poller = select.poll()
        self._poller.register(self.fifo, select.POLLIN)

    def wait(self, seconds: float) -> bool:
        """Wait for a notification, and consume all pending ones."""
        if not self._poller.poll(seconds * 1000):
            return False
        self.fifo.read(1 << 16)
        return True

    def fileno(self) -> int:
        """Return the descriptor of the FIFO."""
        return self.fifo.fileno()

    def close(self) -> None:
        """Delete the FIFO."""
        self._path.unlink(missing_ok=True)
        self.fifo.close()


class PostgreSQLListener:
    """Listens for notifications of a database on its own connection."""

    def __init__(self, alias: str, queue: str) -> None:
        """Start listening.

        Raises:
            OSError: the database does not respond.
        """
        import psycopg  # 8 MiB of memory, not needed on SQLite

        self._queue = queue
        self._error = psycopg.Error
        parameters = {**connections[alias].get_connection_params(), "autocommit": True}
        try:
            self.connection: Connection = psycopg.connect(**parameters)
            self.connection.execute(f"LISTEN {BELL_CHANNEL}")
        except self._error as error:
            raise ConnectionError(str(error)) from error

    def wait(self, seconds: float) -> bool:
        """Wait for a notification about the queue."""
        return self.hears(self._queue, seconds)

    def hears(self, payload: str, seconds: float) -> bool:
        """Wait for a notification with a payload; return whether it arrived.

        Raises:
            OSError: the connection is lost.
        """
        until = monotonic() + seconds
        try:
            while True:
                left = max(until - monotonic(), 0)
                for found in self.connection.notifies(timeout=left, stop_after=1):
                    if found.payload == payload:
                        return True
                if not left:
                    return False
        except self._error as error:
            raise ConnectionError(str(error)) from error

    def fileno(self) -> int:
        """Return the descriptor of the connection."""
        return self.connection.fileno()

    def close(self) -> None:
        """Close the connection."""
        self.connection.close()


def hearing(listener: PostgreSQLListener, alias: str) -> PostgreSQLListener | None:
    """Return the listener if it receives its own notification, else None, as behind a transaction pooler."""
    token = uuid.uuid4().hex
    try:
        ring(alias, token)
        if listener.hears(token, HEARD_WITHIN):
            return listener
    except BaseException:
        listener.close()
        raise
    listener.close()
    logger.warning(
        "notifications of the database do not arrive (a pooler of transactions?); queues are polled"
    )
    return None
