"""Wake-ups: the only way work is announced to workers. Safe to lose, safe to repeat, and few.

A message names nothing but the job; what is to be done stands in the database.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from functools import lru_cache
from time import monotonic

from django.conf import settings
from django.db import transaction
from django_q.brokers import Broker, get_broker
from django_q.models import Failure, OrmQ, Schedule, Success
from django_q.tasks import async_task

logger = logging.getLogger(__name__)

DEFAULT_QUEUE = "default"
WORK = "scheduler.jobs.work"
MOST_WAITING = (
    8  # messages in a queue from which on no other job is announced; it would only wait behind them
)
#: What django-q2 shows in an admin site; people must not see it, for a schedule of it runs any function.
QUEUE_MODELS = (Schedule, Success, Failure, OrmQ)


JUST = 1.0  # seconds
_other_jobs: dict[str, float] = {}  # when this process last announced another job in a queue


@lru_cache(maxsize=64)
def _broker(queue: str) -> Broker:
    """Return a kept broker; a new one for each message costs ten times the message."""
    return get_broker(queue)


def wake(queue: str, *, count: int = 1) -> None:
    """Ask up to `count` workers of `queue` to look for work; never raises.

    Messages that wait already count: when workers are busy, more of them would only pile up. One that this process
    has just sent for another job does not. When the queue cannot be reached, the dispatcher wakes again while
    something is queued.
    """
    try:
        broker = _broker(queue)
        is_other = monotonic() - _other_jobs.get(queue, -JUST) < JUST
        waiting = max((broker.queue_size() or 0) - is_other, 0)
        for _ in range(min(count, settings.SCHEDULER_WORKERS) - waiting):
            async_task(WORK, broker=broker, cluster=queue, timeout=-1, save=False)
    except Exception:
        logger.warning("queue %s could not be woken; the next sweep tries again", queue, exc_info=True)


def wake_job(job: str, *, queue: str) -> None:
    """Ask a worker process of `queue` to call the function at the dotted path `job`; never raises.

    For jobs of other apps that find what is to be done in the database, as `wake` does for work.
    """
    try:
        broker = _broker(queue)
        if (broker.queue_size() or 0) < MOST_WAITING:
            async_task(job, broker=broker, cluster=queue, timeout=-1, save=False)
            _other_jobs[queue] = monotonic()
    except Exception:
        logger.warning("queue %s could not be woken for %s", queue, job, exc_info=True)


def wake_after_commit(queues: Iterable[str], *, count: int = 1) -> None:
    """Wake each of `queues` once the present transaction is committed."""
    for queue in sorted(set(queues)):
        transaction.on_commit(lambda queue=queue: wake(queue, count=count))  # type: ignore[misc]
