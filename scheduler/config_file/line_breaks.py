"""Normalisation of line breaks to LF in all stored texts.

HTML forms submit CR LF for every line break, so other line breaks would not survive an edit; shells and most programs
expect LF.
"""

from __future__ import annotations

from typing import Any


def with_lf(value: Any) -> Any:
    """Return `value`, any JSON, with CR LF and CR replaced by LF in all its strings."""
    if isinstance(value, str):
        return value.replace("\r\n", "\n").replace("\r", "\n") if "\r" in value else value
    if isinstance(value, list):
        return [with_lf(item) for item in value]
    if isinstance(value, dict):
        return {name: with_lf(item) for name, item in value.items()}
    return value
