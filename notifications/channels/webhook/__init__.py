"""Signed HTTP requests to permitted hosts."""
