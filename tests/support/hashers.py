"""Passwords of tests."""

from __future__ import annotations

from django.contrib.auth.hashers import PBKDF2PasswordHasher


class QuickHasher(PBKDF2PasswordHasher):
    """Hashes as the product does, a million times fewer: processes that a test starts can still check them."""

    iterations = 1
