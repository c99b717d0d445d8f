"""Wake-ups: the only way to announce work to workers. They may be lost or repeated, and are few.

A message contains only the name of the job; the work itself is in the database.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from functools import lru_cache, partial
from time import monotonic

from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, transaction
from django_q.brokers import Broker, get_broker
from django_q.models import Failure, OrmQ, Schedule, Success
from django_q.tasks import async_task

from scheduler.queues import bells
from scheduler.queues.contracts import DISPATCHERS, WORK

logger = logging.getLogger(__name__)

DEFAULT_QUEUE = "default"
MAX_PENDING_MESSAGES = 8  # in a queue; a further job would only wait behind them
#: Models that django-q2 registers in the admin; they must be hidden, because its schedules can run any function.
QUEUE_MODELS = (Schedule, Success, Failure, OrmQ)


RECENT_SECONDS = 1.0
#: By queue: monotonic time at which this process last announced another job.
_last_announced: dict[str, float] = {}


@lru_cache(maxsize=64)
def _broker(queue: str) -> Broker:
    """Return a cached broker; creating one costs ten times as much as a message."""
    return get_broker(queue)


def wake(queue: str, *, count: int = 1) -> None:
    """Ask up to `count` workers of `queue` to look for work; never raises.

    Queued messages count: while workers are busy, more of them would only pile up. A message just sent by this process
    for another job does not count. If the queue is unreachable, the dispatcher wakes again while work is queued.
    """
    try:
        broker = _broker(queue)
        is_other = monotonic() - _last_announced.get(queue, -RECENT_SECONDS) < RECENT_SECONDS
        waiting = max((broker.queue_size() or 0) - is_other, 0)
        missing = min(count, settings.SCHEDULER_WORKERS) - waiting
        for _ in range(missing):
            async_task(WORK, broker=broker, cluster=queue, timeout=-1, save=False)
        if missing <= 0 and "orm" in settings.Q_CLUSTER:
            bells.ring(DEFAULT_DB_ALIAS, queue)  # for a worker that has heard of the other messages already
    except Exception:
        logger.warning("queue %s could not be woken; the next sweep tries again", queue, exc_info=True)


def wake_job(job: str, *, queue: str) -> None:
    """Ask a worker process of `queue` to call the function at the dotted path `job`; never raises.

    For jobs of other apps that find their work in the database, as `wake` does for executions.
    """
    try:
        broker = _broker(queue)
        if (broker.queue_size() or 0) < MAX_PENDING_MESSAGES:
            async_task(job, broker=broker, cluster=queue, timeout=-1, save=False)
            _last_announced[queue] = monotonic()
    except Exception:
        logger.warning("queue %s could not be woken for %s", queue, job, exc_info=True)


def wake_after_commit(queues: Iterable[str], *, count: int = 1) -> None:
    """Wake each of `queues` once the current transaction is committed."""
    for queue in sorted(set(queues)):
        transaction.on_commit(partial(wake, queue, count=count))


@lru_cache(maxsize=8)
def messages_of(queue: str) -> bells.Subscription:
    """Return the subscription of this process to the messages in a queue of the database; no other queue has one."""
    return bells.Subscription(DEFAULT_DB_ALIAS, queue, is_available="orm" in settings.Q_CLUSTER)


def wake_dispatchers() -> None:
    """Make dispatchers look at the plan once the current transaction is committed; they look now and then anyway."""
    bells.ring(DEFAULT_DB_ALIAS, DISPATCHERS)


def subscribe_to_plans() -> bells.Subscription:
    """Return a subscription that is notified by `wake_dispatchers`."""
    return bells.Subscription(DEFAULT_DB_ALIAS, DISPATCHERS)
