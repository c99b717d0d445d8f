"""The django-q2 broker of a queue in the database: wake-ups are delivered at most once and without delay."""

from __future__ import annotations

import logging
import time

from django.db import DEFAULT_DB_ALIAS, transaction
from django_q.brokers.orm import ORM
from django_q.conf import Conf
from django_q.models import OrmQ

from scheduler.queues import bells

logger = logging.getLogger(__name__)

STEP = 1.0  # seconds between two checks of the pusher for a stop, if it is not notified of it
LOOK_ANYWAY = 5.0  # seconds between two polls, as notifications may be lost


class DatabaseWakeBroker(ORM):
    """Database broker that deletes a message when it is pulled: delivery at most once.

    A lost wake-up is harmless (the dispatcher sends another). A redelivery after `retry` would not be harmful either,
    but a job that takes hours would be called again and again.

    The puller waits for a notification instead of polling the database many times a second.
    """

    def __init__(self, list_key: str | None = None) -> None:
        super().__init__(list_key or Conf.CLUSTER_NAME)
        self._subscription = bells.Subscription(_alias(), self.list_key)
        self._look_at = 0.0

    def enqueue(self, task: str) -> int:
        """Store a message, and notify listeners."""
        pk = int(super().enqueue(task))
        self.notify()
        return pk

    def notify(self) -> None:
        """Let listeners look at the queue now."""
        bells.ring(_alias(), self.list_key)

    def dequeue(self) -> list[tuple[None, str]] | None:
        """Return the oldest message, or None if none arrives within a short time."""
        if not self._is_time_to_look():
            return None
        queryset = self.get_connection().filter(key=self.list_key).order_by("pk")
        oldest = queryset.values_list("pk", "payload").first()
        if oldest is None:
            self._look_at = time.monotonic() + LOOK_ANYWAY
            return None
        self._look_at = 0.0
        pk, payload = oldest
        with transaction.atomic(using=Conf.ORM):
            taken, _ = OrmQ.objects.using(Conf.ORM).filter(pk=pk).delete()
        return [(None, payload)] if taken else None

    def _is_time_to_look(self) -> bool:
        """Wait briefly for a notification, unless more messages may be queued; return whether to poll."""
        listener = self._subscription.listener()  # before polling, so that later messages are notified
        if self._look_at == 0.0:
            return True
        if listener is None:
            time.sleep(Conf.POLL)
            return True
        try:
            return listener.wait(STEP) or time.monotonic() >= self._look_at
        except OSError:
            logger.warning("the queue can no longer be listened to; it is polled", exc_info=True)
            self.close()
            return True

    def close(self) -> None:
        """Stop listening."""
        self._subscription.close()

    def queue_size(self) -> int:
        """Return the number of queued messages."""
        return int(self.get_connection().filter(key=self.list_key).count())


def _alias() -> str:
    return Conf.ORM or DEFAULT_DB_ALIAS
