"""Which settings are refused where a site serves more than its own machine."""

from __future__ import annotations

import secrets

from schedsite.production import is_open_redis, refusals, weakness
from tests.support.cases import each_case


@each_case(
    ("secret", "reason"),
    [
        ("a" * 50, "has 1 different characters"),
        ("abcabcab" * 5, "has 3 different characters"),
        ("kT9#vQ2!xZ" * 4, "repeats itself"),
        ("correct-Battery-91" * 2, "repeats itself"),
        ("abcdefghijklmnopqrstuvwxyz0123456789", "is a row of neighbours such as abcdef or 123456"),
        ("zyxwvutsrqponmlkjihgfedcba9876543210", "is a row of neighbours such as abcdef or 123456"),
        ("django-insecure-w8k2n5v0q1z7x4c9b6m3l", "contains a word of samples and tests"),
        ("ChangeMe-ChangeMe-Please-Before-Going-Live", "contains a word of samples and tests"),
        ("this-is-an-example-of-a-key-of-32-chars", "contains a word of samples and tests"),
        ("your_secret_key_goes_here_1234567890", "contains a word of samples and tests"),
        ("for-tests-only-8f3k2m5n7q9w1x4z6c0v", "contains a word of samples and tests"),
    ],
)
def test_a_secret_that_can_be_guessed_is_weak(secret: str, reason: str) -> None:
    assert weakness(secret) == reason


def test_a_secret_that_was_made_by_chance_is_not_weak() -> None:
    assert [weakness(secrets.token_urlsafe(50)) for _ in range(1000)] == [None] * 1000
    assert [weakness(secrets.token_hex(32)) for _ in range(1000)] == [None] * 1000


@each_case(
    ("url", "is_open"),
    [
        ("", False),
        ("redis://127.0.0.1:6379/0", False),
        ("redis://localhost/0", False),
        ("redis://[::1]:6379/0", False),
        ("unix:///run/redis.sock", False),
        ("redis://:secret@redis.example.org:6379/0", False),
        ("rediss://user:secret@redis.example.org/0", False),
        ("redis://redis.example.org/0?password=secret", False),
        ("redis://redis.example.org/0", True),
        ("redis://user@redis.example.org/0", True),
        ("redis://:@redis.example.org/0", True),
        ("rediss://10.0.0.5:6379/0", True),
    ],
)
def test_a_redis_of_another_machine_needs_a_password(url: str, is_open: bool) -> None:
    assert is_open_redis(url) is is_open


def test_all_that_must_change_is_told_at_once_and_no_secret() -> None:
    found = refusals(is_debug=True, hosts=["*"], redis_url="redis://cache.example.org:6379/0")

    assert found == [
        "DEBUG is on and ALLOWED_HOSTS is '*': error pages would show code and settings to others; set DEBUG=0",
        "REDIS_URL names the other machine 'cache.example.org' without a password: whoever reaches it could wake or "
        "hold up workers; set requirepass there and write redis://:password@host:6379/0",
    ]
