"""The dead man's switch: a URL that is asked for while Schedsite is healthy; its silence is noticed."""

from __future__ import annotations

import logging
import threading
from datetime import datetime, timedelta

import httpx
from django.conf import settings

from scheduler.selectors import health

logger = logging.getLogger(__name__)

EVERY = timedelta(seconds=30)
TIMEOUT = 10.0

_pinged_at: datetime | None = None
_thread: threading.Thread | None = None


def ping_when_due(now: datetime) -> bool:
    """Ask for SCHEDULER_HEARTBEAT_URL in a thread, at most every 30 s and while all is well; return whether it began.

    All is well when the health check says so: a dispatcher and a worker are alive, and nothing waits for long. Never
    waits: while an earlier request goes on, none begins.
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
    try:
        with httpx.stream("GET", url, timeout=TIMEOUT) as answer:
            answer.raise_for_status()
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        # The URL is a secret of its own; only the kind of the error is logged.
        logger.warning("the heartbeat was not received: %s", type(error).__name__)
