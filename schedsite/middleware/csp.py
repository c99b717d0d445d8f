"""The Content-Security-Policy of every response: only resources of this site, no inline scripts.

Two directives are wider than ideal:

- ``script-src 'unsafe-eval'``: django-unfold's Alpine compiles functions from attributes of its templates.
- ``img-src data:``: Select2 and the admin widgets embed small images.

Views extend the policy with `allow`; only the API documentation does.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.utils.functional import SimpleLazyObject

Answer = Callable[..., HttpResponse]

POLICY: Mapping[str, str] = {
    "default-src": "'none'",
    "script-src": "'self' 'unsafe-eval'",
    "style-src": "'self'",
    "img-src": "'self' data:",
    "font-src": "'self'",
    "connect-src": "'self'",
    "form-action": "'self'",
    "frame-ancestors": "'none'",
    "base-uri": "'none'",
}


class ContentSecurityPolicyMiddleware:
    """Sets the header; a template that uses ``{{ request.csp_nonce }}`` gets a nonce for its inline element."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Return the response with the policy."""
        nonces: list[str] = []

        def make() -> str:
            nonces.append(secrets.token_urlsafe(16))
            return nonces[0]

        request.csp_nonce = SimpleLazyObject(make)  # type: ignore[attr-defined]  # read by templates
        response = self.get_response(request)
        policy = {**POLICY, **getattr(response, "csp_allowed", {})}
        for nonce in nonces:
            for name in ("script-src", "style-src"):
                policy[name] += f" 'nonce-{nonce}'"
        header = "; ".join(f"{name} {value}" for name, value in policy.items())
        response.headers.setdefault("Content-Security-Policy", header)
        return response


def allow(directives: Mapping[str, str]) -> Callable[[Answer], Answer]:
    """Return a view decorator that overrides some directives."""

    def decorate(view: Answer) -> Answer:
        @wraps(view)
        def answer(*args: Any, **kwargs: Any) -> HttpResponse:
            response = view(*args, **kwargs)
            response.csp_allowed = directives  # type: ignore[attr-defined]  # read by the middleware
            return response

        return answer

    return decorate
