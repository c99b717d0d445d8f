"""API tokens."""

from __future__ import annotations

import hashlib
import secrets
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from django.conf import settings

from schedsite.forwarded import network_of
from scheduler.choices import AuditKind, AuditOutcome
from scheduler.engine.limits import GuessLimit
from scheduler.engine.times import exact_instant
from scheduler.exceptions import LimitReachedError
from scheduler.models import ApiToken
from scheduler.services import audit, limits
from scheduler.services.audit import Origin
from scheduler.services.limits import Counted, Scope

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser

LONGEST_NAME, LONGEST_DAYS = 100, 36_500
FIRST_WAIT, LONGEST_WAIT = 2.0, 60.0


class BadTokenError(Exception):
    """An invalid token; the message states why."""


def create_token(
    user: AbstractBaseUser,
    *,
    name: str = "",
    expires_at: datetime | None = None,
    origin: Origin | None = None,
) -> str:
    """Create a token for `user` and return it; it cannot be retrieved later.

    Args:
        expires_at: aware; default: in SCHEDULER_TOKEN_DAYS days.
    """
    now = datetime.now(UTC)
    token = secrets.token_urlsafe(32)
    owner: dict[str, Any] = {"user": user}
    end = expires_at or now + timedelta(days=settings.SCHEDULER_TOKEN_DAYS)
    ApiToken.objects.create(**owner, name=name, digest=digest_of(token.encode()), expires_at=end)
    audit.record(
        AuditKind.TOKEN_MADE,
        AuditOutcome.SUCCESS,
        account=user.get_username(),
        origin=origin,
        about=name,
        now=now,
    )
    return token


def digest_of(token: bytes) -> str:
    """Return the stored digest of a token."""
    return hashlib.sha256(token).hexdigest()


def find_token(value: bytes, *, origin: Origin, now: datetime) -> ApiToken:
    """Return the row of a token. A valid token is accepted whatever other clients at the same address sent.

    Raises:
        BadTokenError: it is unknown or expired, or its account is disabled.
        LimitReachedError: it is invalid, and this address has sent too many invalid tokens.
    """
    token = ApiToken.objects.select_related("user").filter(digest=digest_of(value)).first()
    problem = _problem_of(token, now)
    if token is not None and not problem:
        return token
    account = "" if token is None else token.user.get_username()
    about = "" if token is None else token.name
    limit = GuessLimit(settings.SCHEDULER_TOKEN_ATTEMPTS, FIRST_WAIT, LONGEST_WAIT, LONGEST_WAIT)
    sender = Counted(Scope.TOKEN, limit, address=network_of(origin.address))
    try:
        limits.take([sender], now=now)
    except LimitReachedError:
        audit.record_often(AuditKind.TOKEN, AuditOutcome.REFUSED, origin=origin, now=now)
        raise
    audit.record_often(
        AuditKind.TOKEN, AuditOutcome.FAILURE, account=account, origin=origin, about=about, now=now
    )
    raise BadTokenError(problem)


def _problem_of(token: ApiToken | None, now: datetime) -> str:
    if token is None:
        return "The token is unknown."
    if not token.user.is_active:
        return "The account of the token is disabled."
    if token.expires_at <= now:
        return f"The token expired at {exact_instant(token.expires_at)}; create a new one."
    return ""


def end_tokens_of(user: AbstractBaseUser, *, now: datetime) -> int:
    """Delete all tokens of an account; return how many were deleted."""
    count, _rows = ApiToken.objects.filter(user_id=user.pk).delete()
    if count:
        audit.record(
            AuditKind.TOKEN_ENDED,
            AuditOutcome.SUCCESS,
            account=user.get_username(),
            about=f"{count} tokens",
            now=now,
        )
    return count


def record_use(token: ApiToken, *, now: datetime) -> None:
    """Record the last use of a token."""
    ApiToken.objects.filter(pk=token.pk).update(last_used_at=now)
