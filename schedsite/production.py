"""Security requirements of a site that serves other machines. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from urllib.parse import parse_qs, urlsplit

KNOWN_WORDS = (
    "insecure",
    "change-me",
    "change_me",
    "changeme",
    "change-this",
    "change_this",
    "changethis",
    "replace-me",
    "replace_me",
    "replaceme",
    "your-secret",
    "your_secret",
    "yoursecret",
    "my-secret",
    "my_secret",
    "mysecret",
    "secret-key",
    "secret_key",
    "secretkey",
    "not-so-secret",
    "supersecret",
    "super-secret",
    "super_secret",
    "topsecret",
    "password",
    "passw0rd",
    "example",
    "sample",
    "dummy",
    "default",
    "development",
    "placeholder",
    "lorem ipsum",
    "correct horse",
    "qwerty",
    "hunter2",
    "testtest",
    "test-key",
    "test_key",
    "testkey",
    "for-tests",
    "for_tests",
    "for-testing",
    "for_testing",
)
LEAST_DIFFERENT = 8  # 32 random hexadecimal digits have fewer distinct ones once in many millions
LOOPBACK = {"localhost", "127.0.0.1", "::1"}


def weakness(secret: str) -> str | None:
    """Return why a secret is guessable, as the end of a sentence, or None."""
    small = secret.lower()
    if any(word in small for word in KNOWN_WORDS):
        return "contains a word of samples and tests"
    if len(set(small)) < LEAST_DIFFERENT:
        return f"has {len(set(small))} different characters"
    if small in (small + small)[1:-1]:
        return "repeats itself"
    steps = [ord(after) - ord(before) for before, after in pairwise(small)]
    if sum(step in (1, -1, 0) for step in steps) > len(steps) / 2:
        return "is a row of neighbours such as abcdef or 123456"
    return None


def is_open_redis(url: str) -> bool:
    """Return whether a URL names a Redis on another machine without a password."""
    parts = urlsplit(url)
    if parts.scheme not in ("redis", "rediss") or (parts.hostname or "localhost") in LOOPBACK:
        return False
    return not (parts.password or parse_qs(parts.query).get("password", [""])[0])


def refusals(*, is_debug: bool, hosts: Sequence[str], redis_url: str) -> list[str]:
    """Return what must be changed before a site serves `hosts`, as sentences without secrets."""
    found = []
    if is_debug:
        found.append(
            f"DEBUG is on and ALLOWED_HOSTS is {','.join(hosts)!r}: error pages would show code and settings "
            "to others; set DEBUG=0"
        )
    if is_open_redis(redis_url):
        host = urlsplit(redis_url).hostname
        found.append(
            f"REDIS_URL names the other machine {host!r} without a password: whoever reaches it could wake or hold up "
            "workers; set requirepass there and write redis://:password@host:6379/0"
        )
    return found
