"""The dead man's switch: a URL requested while Schedsite is healthy; the external monitor alerts when pings stop."""

from __future__ import annotations

import logging
import threading
from datetime import datetime, timedelta

from django.conf import settings

from scheduler.selectors.health import health

logger = logging.getLogger(__name__)

EVERY = timedelta(seconds=30)
TIMEOUT = 10.0

_pinged_at: datetime | None = None
_thread: threading.Thread | None = None


def ping_when_due(now: datetime) -> bool:
    """Request SCHEDULER_HEARTBEAT_URL in a thread, at most every 30 s and while healthy; return whether it started.

    Healthy as in the health check: a dispatcher and a worker are alive, and the queue is not delayed. Never blocks, and
    starts no request while an earlier one is in progress.
    """
    global _pinged_at, _thread
    url = settings.SCHEDULER_HEARTBEAT_URL
    is_recent = _pinged_at is not None and timedelta(0) <= now - _pinged_at < EVERY
    if not url or is_recent or (_thread is not None and _thread.is_alive()):
        return False
    _pinged_at = now
    found = health(now)
    if not found.is_healthy:
        logger.warning("no heartbeat is sent: %s", "; ".join(found.reasons))
        return False
    _thread = threading.Thread(target=_ping, args=(url,), name="heartbeat", daemon=True)
    _thread.start()
    return True


def _ping(url: str) -> None:
    import httpx  # takes 0.1 s to import, and most installations set no URL

    try:
        with httpx.stream("GET", url, timeout=TIMEOUT) as answer:
            answer.raise_for_status()
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        # The URL is a secret; log only the type of the error.
        logger.warning("the heartbeat was not received: %s", type(error).__name__)
