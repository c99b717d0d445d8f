"""Sessions of the site: extend, expire and end them."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from django.conf import settings

from scheduler.choices import AuditKind, AuditOutcome
from scheduler.models import AccountSession
from scheduler.models.session_store import SessionStore, end_of
from scheduler.services import audit
from scheduler.services.audit import Origin

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser

NOTE_USE_EVERY = timedelta(minutes=1)


def record_use(session: SessionStore, *, now: datetime) -> None:
    """Record the use of a session, which extends it; at most once a minute."""
    if session.seen_at is None or now - session.seen_at < NOTE_USE_EVERY:
        return
    row = AccountSession.objects.filter(session_key=session.session_key).first()
    if row is not None:
        expire_date = end_of(row.created_at, now)
        AccountSession.objects.filter(pk=row.pk).update(seen_at=now, expire_date=expire_date)


def end_sessions_of(user: AbstractBaseUser) -> int:
    """End all sessions of an account at once; return how many there were."""
    return AccountSession.objects.filter(user_id=user.pk).delete()[0]


def prune(now: datetime) -> None:
    """Delete expired sessions."""
    AccountSession.objects.filter(expire_date__lt=now).delete()


def end_session(row: AccountSession, *, by: str, origin: Origin, now: datetime) -> None:
    """End a session at once.

    Args:
        by: name of the account that ends it.
    """
    row.delete()
    whose = "" if row.user is None else row.user.get_username()
    about = f"session of {whose} from {row.address}"
    audit.record(AuditKind.SESSION, AuditOutcome.SUCCESS, account=by, origin=origin, about=about, now=now)


def idle_hours() -> float:
    """Return the idle time in hours after which a session expires."""
    return float(settings.SCHEDULER_SESSION_IDLE_HOURS)
