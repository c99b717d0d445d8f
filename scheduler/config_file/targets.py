"""Normalised targets of channels, so that different spellings of the same target compare equal."""

from __future__ import annotations

import ipaddress
from contextlib import suppress

Target = tuple[str, str, int | None]


def target_of_url(url: str) -> Target | None:
    """Return scheme, host and port of a URL as used by the connection, or None for a URL without a host.

    The host is in lower case, IDNA 2008 encoded, without a trailing dot; the port is None if it is the default of the
    scheme.
    """
    # Use the parser of the HTTP client. Imported lazily: it takes 0.1 s to load, and is needed only for masks.
    from httpx import URL, InvalidURL

    if any(character.isspace() or character == "\\" or not character.isprintable() for character in url):
        return None  # URL parsers disagree about the host
    try:
        parts = URL(url)
        host = parts.raw_host.decode("ascii").removesuffix(".")
    except (InvalidURL, ValueError):
        return None
    with suppress(ValueError):
        host = str(ipaddress.ip_address(host))
    return (parts.scheme, host, parts.port) if host else None


def is_same_target(url: str, other: str) -> bool:
    """Return whether two URLs have the same target."""
    target = target_of_url(url)
    return target is not None and target == target_of_url(other)
