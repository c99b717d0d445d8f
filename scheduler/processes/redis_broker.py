"""The django-q2 broker of a queue in Redis; a module of its own, because redis takes 6 MiB of memory."""

from __future__ import annotations

from django.utils.crypto import salted_hmac
from django_q.brokers.redis_broker import Redis
from django_q.conf import Conf

from scheduler.queues.contracts import redis_list


class RedisWakeBroker(Redis):
    """The stock Redis broker, which delivers at most once: a popped message is deleted.

    The name of its list contains the installation's name, derived from the message signing key. Otherwise two
    installations that share a Redis would take each other's wake-ups.
    """

    def __init__(self, list_key: str | None = None) -> None:
        installation = salted_hmac("scheduler.processes.brokers", "", secret=Conf.SECRET_KEY).hexdigest()[:16]
        super().__init__(redis_list(installation, list_key or Conf.CLUSTER_NAME))
