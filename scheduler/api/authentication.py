"""Token authentication: ``Authorization: Bearer …``; only the SHA-256 of a token is stored."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from scheduler.models import ApiToken
from scheduler.services.tokens import digest_of, note_use

KEYWORD = "bearer"
NOTE_USE_EVERY = timedelta(minutes=1)


class TokenAuthentication(BaseAuthentication):
    """Accepts a valid token of an active user; leaves requests without one to the session."""

    def authenticate(self, request: Request) -> tuple[Any, ApiToken] | None:
        """Return user and token, or None when there is no Bearer header."""
        words = get_authorization_header(request).split()
        if not words or words[0].lower() != KEYWORD.encode():
            return None
        if len(words) != 2:
            raise AuthenticationFailed("The header must be: Authorization: Bearer <token>")
        token = ApiToken.objects.select_related("user").filter(digest=digest_of(words[1])).first()
        now = datetime.now(UTC)
        if token is None or not token.user.is_active or (token.expires_at and token.expires_at <= now):
            raise AuthenticationFailed("The token is unknown or expired.")
        if token.last_used_at is None or now - token.last_used_at > NOTE_USE_EVERY:
            note_use(token, now=now)
        return token.user, token

    def authenticate_header(self, request: Request) -> str:
        """Make an anonymous request a 401."""
        return "Bearer"
