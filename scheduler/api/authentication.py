"""Token authentication: ``Authorization: Bearer …``; only the SHA-256 of a token is stored."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed, Throttled
from rest_framework.request import Request

from scheduler.exceptions import LimitReachedError
from scheduler.models import ApiToken
from scheduler.services.origin import origin_of
from scheduler.services.tokens import BadTokenError, find_token, record_use

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
        now = datetime.now(UTC)
        try:
            token = find_token(words[1], origin=origin_of(request._request), now=now)
        except BadTokenError as error:
            raise AuthenticationFailed(str(error)) from error
        except LimitReachedError as error:
            refused = Throttled(detail=str(error))
            refused.wait = error.seconds  # type: ignore[attr-defined]  # left out by the stubs
            raise refused from error
        if token.last_used_at is None or now - token.last_used_at > NOTE_USE_EVERY:
            record_use(token, now=now)
        return token.user, token

    def authenticate_header(self, request: Request) -> str:
        """Make an anonymous request a 401."""
        return "Bearer"
