"""Revocation after a password change: end the sessions of the account, and its tokens unless they are kept."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from django.utils.translation import gettext

from scheduler.choices import AuditKind, AuditOutcome
from scheduler.services import audit
from scheduler.services.sessions import end_sessions_of
from scheduler.services.tokens import end_tokens_of

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser

_keeps_tokens: ContextVar[bool] = ContextVar("keeps_tokens", default=False)


@contextmanager
def tokens_kept(is_wanted: bool) -> Iterator[None]:
    """Context manager: set whether password changes inside it keep the tokens of the account."""
    before = _keeps_tokens.set(is_wanted)
    try:
        yield
    finally:
        _keeps_tokens.reset(before)


def end_access(user: AbstractBaseUser) -> None:
    """End the sessions of an account after a password change, and its tokens unless they are kept."""
    now = datetime.now(UTC)
    end_sessions_of(user)
    if not _keeps_tokens.get():
        end_tokens_of(user, now=now)
    audit.record(AuditKind.PASSWORD, AuditOutcome.SUCCESS, account=user.get_username(), now=now)


class PasswordEndsAccess:
    """A password validator, because Django calls validators after every password change.

    Django does not call it when it only upgrades the hash.
    """

    def validate(self, password: str, user: AbstractBaseUser | None = None) -> None:
        """Accept."""

    def password_changed(self, password: str, user: AbstractBaseUser | None = None) -> None:
        """End the sessions and tokens of the account."""
        if user is not None:
            end_access(user)

    def get_help_text(self) -> str:
        """Return the help text of password fields."""
        return gettext("A new password ends all other sessions of the account.")
