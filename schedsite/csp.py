"""The Content-Security-Policy of every answer: only what this site serves itself, and no inline script.

Two things are wider than they could be, and why:

- ``script-src 'unsafe-eval'``: the Alpine of django-unfold builds functions from attributes of its templates.
- ``img-src data:``: Select2 and the widgets of the admin draw small images so.

A page that needs more says so with `allow`; only the description of the API does.
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
    """Sets the header; a template that writes ``{{ request.csp_nonce }}`` gets a nonce for its inline element."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer, with the policy."""
        nonces: list[str] = []

        def make() -> str:
            nonces.append(secrets.token_urlsafe(16))
            return nonces[0]

        request.csp_nonce = SimpleLazyObject(make)  # type: ignore[attr-defined]
        response = self.get_response(request)
        policy = {**POLICY, **getattr(response, "csp_allowed", {})}
        for nonce in nonces:
            for name in ("script-src", "style-src"):
                policy[name] += f" 'nonce-{nonce}'"
        header = "; ".join(f"{name} {value}" for name, value in policy.items())
        response.headers.setdefault("Content-Security-Policy", header)
        return response


def allow(directives: Mapping[str, str]) -> Callable[[Answer], Answer]:
    """Return a decorator of a view whose page needs other values for some directives."""

    def decorate(view: Answer) -> Answer:
        @wraps(view)
        def answer(*args: Any, **kwargs: Any) -> HttpResponse:
            response = view(*args, **kwargs)
            response.csp_allowed = directives  # type: ignore[attr-defined]
            return response

        return answer

    return decorate
