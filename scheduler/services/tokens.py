"""Keys to the API."""

from __future__ import annotations

import hashlib
import secrets
from datetime import datetime
from typing import TYPE_CHECKING, Any

from scheduler.models import ApiToken

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser

LONGEST_NAME, LONGEST_DAYS = 100, 36_500


def create_token(user: AbstractBaseUser, *, name: str = "", expires_at: datetime | None = None) -> str:
    """Make a token for `user` and return it; it cannot be read again."""
    token = secrets.token_urlsafe(32)
    owner: dict[str, Any] = {"user": user}
    ApiToken.objects.create(**owner, name=name, digest=digest_of(token.encode()), expires_at=expires_at)
    return token


def digest_of(token: bytes) -> str:
    """Return what is stored of a token."""
    return hashlib.sha256(token).hexdigest()


def note_use(token: ApiToken, *, now: datetime) -> None:
    """Remember when a token was last used."""
    ApiToken.objects.filter(pk=token.pk).update(last_used_at=now)
