"""Receivers of Django's signals for login, logout, changes of accounts, and requests."""

from __future__ import annotations

from datetime import UTC, datetime
from time import monotonic
from typing import Any

from django.contrib.auth.models import User
from django.contrib.auth.signals import user_logged_in, user_logged_out
from django.core.signals import request_started
from django.db.models.signals import post_delete, post_save, pre_delete, pre_save
from django.dispatch import receiver
from django.http import HttpRequest

from scheduler.choices import AuditKind, AuditOutcome
from scheduler.models.session_store import SessionStore
from scheduler.services import audit, owners, rescheduling
from scheduler.services.origin import origin_of
from scheduler.services.sessions import end_sessions_of

LOOK_FOR_ZONES_EVERY = 60.0
_looked_for_zones_at = [monotonic()]


@receiver(request_started, dispatch_uid="scheduler.services.receivers.look_for_zone_tables")
def look_for_zone_tables(**_kwargs: Any) -> None:
    """Use newer tables of time zones without a restart: edits compute next slots."""
    if monotonic() - _looked_for_zones_at[0] > LOOK_FOR_ZONES_EVERY:
        _looked_for_zones_at[0] = monotonic()
        rescheduling.look_for_zone_tables()


@receiver(user_logged_in, dispatch_uid="scheduler.services.receivers.begin_session")
def begin_session(request: HttpRequest, user: Any, **_kwargs: Any) -> None:
    """Store the origin of the session of a login."""
    origin = origin_of(request)
    if isinstance(request.session, SessionStore):
        request.session.begin(address=origin.address, user_agent=origin.user_agent)
    audit.record(
        AuditKind.LOGIN,
        AuditOutcome.SUCCESS,
        account=user.get_username(),
        origin=origin,
        now=datetime.now(UTC),
    )


@receiver(user_logged_out, dispatch_uid="scheduler.services.receivers.note_logout")
def note_logout(request: HttpRequest, user: Any, **_kwargs: Any) -> None:
    """Record the logout in the audit; Django has removed the session."""
    if user is not None:
        audit.record(
            AuditKind.LOGOUT,
            AuditOutcome.SUCCESS,
            account=user.get_username(),
            origin=origin_of(request),
            now=datetime.now(UTC),
        )


@receiver(pre_save, sender=User, dispatch_uid="scheduler.services.receivers.guard_change")
def guard_change(instance: User, raw: bool, update_fields: Any, **_kwargs: Any) -> None:
    """Refuse a change that would leave no owner."""
    if not raw:
        owners.guard_change(instance, fields=update_fields)


@receiver(pre_delete, sender=User, dispatch_uid="scheduler.services.receivers.lock_owners")
def lock_owners(**_kwargs: Any) -> None:
    """Lock the owners before a deletion."""
    owners.lock_owners()


@receiver(post_delete, sender=User, dispatch_uid="scheduler.services.receivers.guard_deletion")
def guard_deletion(instance: User, **_kwargs: Any) -> None:
    """Refuse to delete the last owner."""
    owners.guard_deletion(instance)


@receiver(post_save, sender=User, dispatch_uid="scheduler.services.receivers.end_disabled")
def end_disabled(instance: User, created: bool, **_kwargs: Any) -> None:
    """End the sessions of a disabled account; its tokens are refused while it is disabled."""
    if not created and not instance.is_active:
        end_sessions_of(instance)
