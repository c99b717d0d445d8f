"""The origin of a request."""

from __future__ import annotations

from django.http import HttpRequest

from schedsite.forwarded import client_address
from scheduler.services.audit import Origin

LONGEST_AGENT = 200


def origin_of(request: HttpRequest) -> Origin:
    """Return the client address and the user agent of a request."""
    agent = request.META.get("HTTP_USER_AGENT", "").replace("\0", "")[:LONGEST_AGENT]
    return Origin(client_address(request)[:64], agent)
