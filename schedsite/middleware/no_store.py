"""Prevents caching of responses by browsers and proxies: pages, API and downloads are for one user."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse
from django.utils.cache import patch_cache_control


class NoStoreMiddleware:
    """Sets `Cache-Control: no-store` on every dynamic response; static files are served by an outer middleware."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Return the response with the header."""
        response = self.get_response(request)
        if "no-store" not in response.headers.get("Cache-Control", ""):
            patch_cache_control(response, no_store=True)
        return response
