"""Query parameters, read strictly: an unknown one or a bad value is a 400 that names what is allowed."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime

from django.utils.dateparse import parse_datetime
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request

from scheduler.choices import Status, Trigger
from scheduler.querysets import ExecutionQuerySet

EXECUTION_FILTERS = ("status", "trigger", "since", "until", "page_size", "cursor", "format")


def allow_only(request: Request, names: Collection[str]) -> None:
    """Refuse query parameters that are not among `names`."""
    for name in request.query_params:
        if name not in names:
            raise ValidationError({name[:80]: f"unknown parameter; known are {', '.join(names)}"})


def integer(request: Request, name: str, default: int, *, minimum: int, maximum: int) -> int:
    """Return a whole number between the bounds, both inclusive."""
    text = request.query_params.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 19 and minimum <= int(text) <= maximum):
        raise ValidationError(
            {name: f"“{text[:80]}” was found; a whole number from {minimum} to {maximum} is allowed"}
        )
    return int(text)


def instant(request: Request, name: str) -> datetime | None:
    """Return an instant; without an offset it is UTC."""
    text = request.query_params.get(name)
    if text is None:
        return None
    try:
        value = parse_datetime(text.replace(" ", "+")) or parse_datetime(text)
        if value is None:
            raise ValueError(text)
        value = value if value.tzinfo else value.replace(tzinfo=UTC)
        return value.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        allowed = "an ISO 8601 instant such as 2026-01-31T06:00:00Z is allowed"
        raise ValidationError({name: f"“{text[:80]}” was found; {allowed}"}) from error


def choices(request: Request, name: str, allowed: Collection[str]) -> list[str]:
    """Return the values of a parameter that may be repeated or hold a comma separated list."""
    values = [value for text in request.query_params.getlist(name) for value in text.split(",") if value]
    for value in values:
        if value not in allowed:
            raise ValidationError({name: f"“{value[:80]}” was found; allowed are {', '.join(allowed)}"})
    return values


def filter_executions(request: Request, queryset: ExecutionQuerySet) -> ExecutionQuerySet:
    """Apply `status`, `trigger`, `since` (inclusive) and `until` (exclusive, both on queued_at); newest first."""
    if statuses := choices(request, "status", Status.values):
        queryset = queryset.filter(status__in=statuses)
    if triggers := choices(request, "trigger", Trigger.values):
        queryset = queryset.filter(trigger__in=triggers)
    if since := instant(request, "since"):
        queryset = queryset.filter(queued_at__gte=since)
    if until := instant(request, "until"):
        queryset = queryset.filter(queued_at__lt=until)
    return queryset.newest_first()
