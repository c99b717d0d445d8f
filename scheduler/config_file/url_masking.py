"""Masking of the secret parts of URLs."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

MASK = "••••••"
USER = re.compile(r"(?<=://)[^/?#]*@")


def masked_url(url: str) -> str:
    """Return the URL of a service with everything after its scheme masked, as it may be secret."""
    return f"{url.partition('://')[0]}://{MASK}"


def masked_user(url: str) -> str:
    """Return a URL without the user and the password in it."""
    return USER.sub(f"{MASK}@", url, count=1)


def masked_address(url: str) -> str:
    """Return a URL with everything after its host masked, if present."""
    try:
        parts = urlsplit(url)
    except ValueError:  # brackets without an address; not a valid target either
        return masked_url(url)
    host = parts.netloc.rpartition("@")[2]
    is_whole = parts.path in ("", "/") and not parts.query and host == parts.netloc
    return url if is_whole else f"{parts.scheme}://{host}/{MASK}"


def user_of_url(url: str) -> str:
    """Return user and password of a URL as written, empty without them."""
    found = USER.search(url)
    return "" if found is None else found[0].removesuffix("@")


def with_user(url: str, user: str) -> str:
    """Return a URL with its user and password replaced."""
    return USER.sub(lambda _: f"{user}@", url, count=1)
