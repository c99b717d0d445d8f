"""What a process keeps from one test to the next, and how it is forgotten."""

from __future__ import annotations

from django.core.cache import cache
from django.utils import translation


def forget_kept_rows() -> None:
    """Forget what this process keeps of its database, which is another one in each test, and the last language."""
    from scheduler import queues
    from scheduler.selectors import graphs
    from scheduler.services import claims

    cache.clear()
    queues._broker.cache_clear()
    claims.spec_of.cache_clear()
    graphs.forget()
    translation.deactivate()
