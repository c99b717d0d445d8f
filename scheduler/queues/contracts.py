"""The contracts of the queue: what web, dispatcher and workers exchange besides rows of the database.

Any of these messages may be lost, repeated or delayed: each only says that there may be work, never which.
The contracts around a command are in `scheduler.runner.contracts`.

| Contract | Written by | Read by |
|---|---|---|
| a message in a queue: the dotted path of a job, without arguments | web, dispatcher, worker | a worker process |
| a notification on `BELL_CHANNEL` (PostgreSQL): the name of the queue | whoever queues a message | pushers |
| `BELL` in the FIFO of a listener (SQLite) | whoever queues a message | the pusher with that FIFO |
| the same for the name `DISPATCHERS` | whoever changes a plan | dispatchers |
"""

from __future__ import annotations

#: The job that runs queued executions. Other apps have jobs of their own, such as `notifications.services.wake.SEND`.
WORK = "scheduler.jobs.work"

#: Stands for a queue in notifications to dispatchers; no queue may have this name.
DISPATCHERS = "@dispatchers"

#: The channel of NOTIFY in PostgreSQL; the payload is the name of a queue.
BELL_CHANNEL = "schedsite_queue"

#: The byte in a FIFO on SQLite. Source: fifo(7).
BELL = b"\0"


def bells_folder(database: str) -> str:
    """Return the folder with the FIFOs of all listeners of an SQLite database."""
    return f"{database}-bells"


def fifo_name(queue: str, unique: str) -> str:
    """Return the name of the FIFO of one listener to a queue."""
    return f"{queue}.{unique}"


def queue_of_fifo(name: str) -> str:
    """Return the queue that the listener with this FIFO listens to."""
    return name.rpartition(".")[0]


def redis_list(installation: str, queue: str) -> str:
    """Return the Redis list of a queue: installations that share a Redis do not take each other's messages."""
    return f"{installation}:{queue}"
