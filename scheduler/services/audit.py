"""Audit of access to the installation: each event is written to the log and to the audit table."""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass
from datetime import datetime, timedelta
from time import monotonic

from django.conf import settings

from scheduler.choices import AuditKind, AuditOutcome
from scheduler.models import AuditEvent

logger = logging.getLogger("scheduler.security")

SUMMED_UP_FOR = 60.0  # seconds: identical refusals share one row a minute
MOST_SUMS = 1000
MOST_ROWS = 200_000


@dataclass(frozen=True)
class Origin:
    """The origin of a request: the client address and the user agent."""

    address: str = ""
    user_agent: str = ""


@dataclass
class _Sum:
    since: float
    count: int = 0


_sums: dict[tuple[str, ...], _Sum] = {}
_lock = threading.Lock()


def record(
    kind: AuditKind,
    outcome: AuditOutcome,
    *,
    account: str = "",
    origin: Origin | None = None,
    about: str = "",
    count: int = 1,
    now: datetime,
) -> None:
    """Write an event to the log and the audit table.

    Args:
        account: name of the acting account if known; for a failed login, the name that was entered.
        about: the affected object.
    """
    origin = origin or Origin()
    _log(kind, outcome, account, origin, about)
    _store(kind, outcome, account, origin, about, count, now)


def record_often(
    kind: AuditKind,
    outcome: AuditOutcome,
    *,
    account: str = "",
    origin: Origin,
    about: str = "",
    now: datetime,
) -> None:
    """Log each event, but write only one audit row a minute for identical events, with their count.

    Each process counts on its own; a process that ends loses the count of its last minute, but the log has each event.
    """
    _log(kind, outcome, account, origin, about)
    key = (kind, outcome, account, origin.address, about)
    count = _counted(key)
    if count:
        _store(kind, outcome, account, origin, about, count, now)


def prune(now: datetime) -> None:
    """Delete events older than SCHEDULER_AUDIT_DAYS, and the oldest in excess of `MOST_ROWS`."""
    AuditEvent.objects.filter(at__lt=now - timedelta(days=settings.SCHEDULER_AUDIT_DAYS)).delete()
    beyond = AuditEvent.objects.order_by("-pk").values_list("pk", flat=True)[MOST_ROWS : MOST_ROWS + 1]
    for pk in beyond:
        AuditEvent.objects.filter(pk__lte=pk).delete()


def _counted(key: tuple[str, ...]) -> int:
    """Return the count to write now, 0 while the minute has not elapsed."""
    now = monotonic()
    with _lock:
        known = _sums.get(key)
        if known is None:
            if len(_sums) >= MOST_SUMS:
                _sums.clear()
            _sums[key] = _Sum(since=now)
            return 1
        known.count += 1
        if now - known.since < SUMMED_UP_FOR:
            return 0
        count, known.count, known.since = known.count, 0, now
        return count


def _log(kind: AuditKind, outcome: AuditOutcome, account: str, origin: Origin, about: str) -> None:
    level = logging.INFO if outcome == AuditOutcome.SUCCESS else logging.WARNING
    words = {"account": account, "address": origin.address, "about": about, "browser": origin.user_agent}
    # ascii() escapes line breaks and control characters: a name entered by a client cannot forge log lines.
    said = " ".join(f"{name}={value[:200]!a}" for name, value in words.items() if value)
    logger.log(level, "%s %s: %s", kind.value, outcome.value, said)


def _store(
    kind: AuditKind,
    outcome: AuditOutcome,
    account: str,
    origin: Origin,
    about: str,
    count: int,
    now: datetime,
) -> None:
    AuditEvent.objects.create(
        at=now,
        kind=kind,
        outcome=outcome,
        account=_storable(account, 150),
        address=_storable(origin.address, 64),
        user_agent=_storable(origin.user_agent, 200),
        object=_storable(about, 200),
        count=count,
    )


def _storable(text: str, length: int) -> str:
    """Truncate a text and remove characters that PostgreSQL rejects: NUL and lone surrogates."""
    return text.replace("\0", "").encode("utf-8", "replace").decode()[:length]
