"""Query parameters, read strictly: an unknown one or a bad value is a 400 that names what is allowed."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime

from django.utils.dateparse import parse_datetime
from rest_framework.request import Request

from scheduler.api.problems import RequestRefusedError
from scheduler.api.reasons import Code
from scheduler.choices import Status, Trigger
from scheduler.config_file.problems import Words, shorten
from scheduler.config_file.reasons import Code as Refusal
from scheduler.engine.reasons import Reason
from scheduler.models.querysets import ExecutionQuerySet

EXECUTION_FILTERS = ("status", "trigger", "since", "until", "page_size", "cursor")
OF_FRAMEWORK = ("format",)  # chooses the renderer


def allow_only(request: Request, names: Collection[str]) -> None:
    """Refuse query parameters that are not among `names`, and text that no database takes."""
    for name in request.query_params:
        if name not in names and name not in OF_FRAMEWORK:
            raise _unknown(_shown(name), names)
        for value in request.query_params.getlist(name):
            if _shown(value, len(value)) != value:
                raise _bad_value(name, value, Reason(Refusal.SOUND_TEXT))


def _unknown(name: str, names: Collection[str]) -> RequestRefusedError:
    if not names:
        why = Reason(Code.UNKNOWN_PARAMETER, {"name": name})
    else:
        why = Reason(Code.UNKNOWN_PARAMETER_AMONG, {"name": name, "known": list(names)})
    return RequestRefusedError(name, why, found=name, allowed=", ".join(names) or "none")


def _shown(text: str, length: int = 80) -> str:
    return text[:length].replace("\0", "\\0").encode("utf-8", "replace").decode()


def single(request: Request, name: str) -> str | None:
    """Return the value of a parameter that may be given once, or None when it is absent or empty."""
    values = request.query_params.getlist(name)
    if len(values) > 1:
        raise RequestRefusedError(
            name,
            Reason(Code.PARAMETER_REPEATED, {"field": name, "count": len(values)}),
            found=", ".join(values),
            allowed=Reason(Code.ONCE),
        )
    return values[0] if values and values[0] else None


def integer(request: Request, name: str, default: int, *, minimum: int, maximum: int) -> int:
    """Return a whole number between the bounds, both inclusive."""
    text = single(request, name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 19 and minimum <= int(text) <= maximum):
        raise _bad_value(name, text, whole_number(minimum, maximum))
    return int(text)


def boolean(request: Request, name: str) -> bool | None:
    """Return what ``true`` or ``false`` says, or None when it is absent."""
    text = single(request, name)
    if text is None:
        return None
    if text not in ("true", "false"):
        raise _bad_value(name, text, Reason(Refusal.BOOLEAN))
    return text == "true"


def instant(request: Request, name: str) -> datetime | None:
    """Return an instant; without an offset it is UTC."""
    text = single(request, name)
    if text is None:
        return None
    try:
        # An unescaped "+" of an offset arrives as a space.
        value = parse_datetime(text) or parse_datetime(text.replace(" ", "+"))
        if value is None:
            raise ValueError(text)
        return (value if value.tzinfo else value.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise _bad_value(name, text, Reason(Code.INSTANT)) from error


def choices(request: Request, name: str, allowed: Collection[str]) -> list[str]:
    """Return the values, each once, of a parameter that may be repeated or hold a comma separated list."""
    values = [value for text in request.query_params.getlist(name) for value in text.split(",") if value]
    for value in values:
        if value not in allowed:
            raise _bad_value(name, value, one_of(allowed))
    return sorted(set(values))


def one_of(values: Collection[str]) -> Reason:
    """Return the description of the allowed values."""
    return Reason(Refusal.ONE_OF, {"names": list(values)})


def whole_number(low: int, high: int) -> Reason:
    """Return the description of the allowed range, both bounds inclusive."""
    return Reason(Refusal.WHOLE_NUMBER_FROM_TO, {"low": low, "high": high})


def not_allowed(path: str, found: Words, allowed: Words) -> Reason:
    """Return the reason for a displayed value that is not allowed."""
    return Reason(Refusal.NOT_ALLOWED, {"field": path, "what": allowed, "found": found})


def _bad_value(name: str, text: str, allowed: Reason) -> RequestRefusedError:
    why = not_allowed(name, shorten(text), allowed)
    return RequestRefusedError(name, why, found=_shown(text, len(text)), allowed=allowed)


def filter_executions(request: Request, queryset: ExecutionQuerySet) -> ExecutionQuerySet:
    """Apply `status`, `trigger`, `since` (inclusive) and `until` (exclusive, both on queued_at); newest first."""
    statuses = choices(request, "status", Status.values)
    if len(statuses) == 1:
        queryset = queryset.of_status(statuses[0])
    elif statuses:
        queryset = queryset.filter(status__in=statuses)
    triggers = choices(request, "trigger", Trigger.values)
    if len(triggers) == 1:
        queryset = queryset.of_trigger(triggers[0])
    elif triggers:
        queryset = queryset.filter(trigger__in=triggers)
    if since := instant(request, "since"):
        queryset = queryset.filter(queued_at__gte=since)
    if until := instant(request, "until"):
        queryset = queryset.filter(queued_at__lt=until)
    return queryset.newest_first()
