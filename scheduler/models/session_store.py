"""The session engine: database rows with account and origin, which expire when they are not used.

Follows Django's documentation ("Extending database-backed session engines"): lists show the session rows themselves,
and deleting one ends the session, so that no second table can get out of sync.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.contrib.sessions.backends.db import SessionStore as DatabaseStore
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from scheduler.models.access import AccountSession, new_handle

ORIGIN = "_origin"
USER = "_auth_user_id"


class SessionStore(DatabaseStore):
    """Django's database session store, with the columns of `AccountSession`."""

    seen_at: datetime | None = None

    @classmethod
    def get_model_class(cls) -> type[AccountSession]:
        """Return the model."""
        return AccountSession

    def _get_session_from_db(self) -> Any:
        row = super()._get_session_from_db()  # type: ignore[misc]  # left out by the stubs
        self.seen_at = None if row is None else row.seen_at
        return row

    def begin(self, *, address: str, user_agent: str) -> None:
        """Store the time and the origin of a login."""
        self[ORIGIN] = {
            "since": timezone.now().isoformat(),
            "address": address,
            "user_agent": user_agent,
            "handle": new_handle(),
        }

    def create_model_instance(self, data: dict[str, Any]) -> AccountSession:
        """Return the row for session data."""
        origin: dict[str, str] = data.get(ORIGIN) or {}
        now = timezone.now()
        since = (origin and parse_datetime(origin["since"])) or now
        user = data.get(USER)
        return AccountSession(
            session_key=self._get_or_create_session_key(),  # type: ignore[attr-defined]  # left out by the stubs
            session_data=self.encode(data),
            expire_date=end_of(since, now),
            handle=origin.get("handle") or new_handle(),
            user_id=None if user is None else int(user),
            address=origin.get("address", ""),
            user_agent=origin.get("user_agent", ""),
            created_at=since,
            seen_at=now,
        )


def end_of(since: datetime, used_at: datetime) -> datetime:
    """Return when a session expires that began at `since` and was last used at `used_at`."""
    return min(
        used_at + timedelta(hours=settings.SCHEDULER_SESSION_IDLE_HOURS),
        since + timedelta(days=settings.SCHEDULER_SESSION_DAYS),
    )
