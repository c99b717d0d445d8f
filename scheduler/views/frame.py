"""The frame of pages: the admin around their content, self-refreshing parts, validated parameters."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from datetime import UTC, datetime
from typing import Any

from django.contrib import admin
from django.core.cache import cache
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.utils.http import urlencode

from scheduler.selectors.tasks import failing_pks

FAILING_KEY, FAILING_KEPT = "failing-count", 5  # seconds


def now() -> datetime:
    """Return the present instant."""
    return datetime.now(UTC)


def require(request: HttpRequest, *permissions: str) -> None:
    """Require `permissions` of this app.

    Raises:
        PermissionDenied: one is missing.
    """
    missing = [f"scheduler.{name}" for name in permissions if not request.user.has_perm(f"scheduler.{name}")]
    if missing:
        raise PermissionDenied(", ".join(missing))


def failing(request: HttpRequest) -> dict[str, Any]:
    """Context processor for `failing_count` in the title and icon; evaluated lazily."""

    def failing_count() -> int:
        if not request.user.has_perms(["scheduler.view_task", "scheduler.view_execution"]):
            return 0
        count = cache.get(FAILING_KEY)
        return len(known_failing_pks()) if count is None else count

    return {"failing_count": failing_count}


def known_failing_pks() -> list[int]:
    """Return the failing tasks, and cache their number for page titles."""
    pks = failing_pks()
    keep_failing(len(pks))
    return pks


def keep_failing(count: int) -> None:
    """Cache the number of failing tasks for page titles."""
    cache.set(FAILING_KEY, count, FAILING_KEPT)


def page(request: HttpRequest, template: str, context: dict[str, Any]) -> HttpResponse:
    """Return a page inside the admin."""
    return render(request, template, {**admin.site.each_context(request), "is_fullwidth": True, **context})


def live_part(request: HttpRequest, template: str, context: dict[str, Any]) -> tuple[str, str]:
    """Return a self-refreshing part and its digest; browsers render relative times, so only events change it."""
    body = render_to_string(template, context, request)
    return body, hashlib.sha256(body.encode()).hexdigest()[:16]


def is_htmx(request: HttpRequest) -> bool:
    """Return whether htmx asks for a part of a page. Source: the reference of htmx, request headers."""
    return request.headers.get("HX-Request") == "true"


def choice(request: HttpRequest, name: str, allowed: Collection[str], default: str = "") -> str:
    """Return the parameter `name` if it is one of `allowed`."""
    value = request.GET.get(name, default)
    return value if value in allowed else default


def text_of(request: HttpRequest, name: str, length: int) -> str:
    """Return the beginning of the parameter `name`, without NUL, which PostgreSQL cannot store."""
    return request.GET.get(name, "").replace("\0", "").strip()[:length]


def key_in(text: object) -> str:
    """Return a text that is a valid primary key, or an empty text."""
    word = str(text or "")
    return word if word.isascii() and word.isdigit() and len(word) < 19 else ""


def whole_number(request: HttpRequest, name: str, default: int, *, least: int, most: int) -> int:
    """Return the parameter `name` as a number within bounds."""
    text = request.GET.get(name, "")
    number = int(text) if text.isascii() and text.isdigit() and len(text) < 12 else default
    return min(max(number, least), most)


def query(**values: object) -> str:
    """Return the non-empty values as a query string."""
    kept = {name: str(value) for name, value in values.items() if value not in ("", None)}
    return f"?{urlencode(kept)}" if kept else "?"
