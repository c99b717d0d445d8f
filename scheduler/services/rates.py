"""Rate limits for test messages, resent deliveries and runs, by the account that requests them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from django.conf import settings

from scheduler.choices import AuditKind, AuditOutcome
from scheduler.engine.limits import RateLimit
from scheduler.exceptions import LimitReachedError
from scheduler.services import audit, limits
from scheduler.services.audit import Origin
from scheduler.services.limits import Counted, Scope

LIMITS: dict[str, Callable[[], RateLimit]] = {
    Scope.TEST: lambda: RateLimit(settings.SCHEDULER_TEST_LIMIT, 3600),
    Scope.RUN: lambda: RateLimit(settings.SCHEDULER_RUN_LIMIT, 60),
}


def count_request(scope: Scope, *, account: str, origin: Origin, now: datetime) -> None:
    """Count a message (a test or a resend) or a run requested by an account.

    Raises:
        LimitReachedError: the rate limit is exceeded; recorded in the audit.
    """
    try:
        limits.take([Counted(scope, LIMITS[scope](), account=account)], now=now)
    except LimitReachedError:
        audit.record_often(
            AuditKind(scope.value), AuditOutcome.REFUSED, account=account, origin=origin, now=now
        )
        raise
