"""What makes JSON unfit whatever it means: text no database takes, keys twice, numbers out of range, depth."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

from scheduler.config_file.problems import Finding, Keys, field_name, printable, shorten

MAX_DEPTH = 32
BAD_TEXT = re.compile("[\0\ud800-\udfff]")
TEXT = "text without NUL and without half of a surrogate pair"
NUMBER = "a finite number of at most 15 digits"


class BadNumber:
    """Stands for a number that is not read, so that its place can be told."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text


class DuplicateKeys(dict[str, Any]):
    """An object of which some keys stand more than once; the last of each counts."""

    __slots__ = ("names",)

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        super().__init__(pairs)
        counts = Counter(key for key, _value in pairs)
        self.names = tuple(key for key, count in counts.items() if count > 1)


def find_unsound(data: object) -> Iterator[Finding]:
    """Yield what is unfit anywhere in `data`, in its order; walks without recursion."""
    waiting: list[Iterator[tuple[Keys, object]]] = [iter([((), data)])]
    while waiting:
        for path, value in waiting[-1]:
            yield from _check_value(path, value)
            if len(path) > MAX_DEPTH:
                yield Finding(path[:1], *_too_deep(path))
            elif isinstance(value, dict | list):
                waiting.append(_inner(path, value))
                break
        else:
            waiting.pop()


def _inner(path: Keys, value: dict[Any, Any] | list[Any]) -> Iterator[tuple[Keys, object]]:
    if isinstance(value, list):
        return (((*path, index), item) for index, item in enumerate(value))
    return (((*path, key), item) for key, item in value.items() if isinstance(key, str))


def _too_deep(path: Keys) -> tuple[str, str, str]:
    allowed = f"at most {MAX_DEPTH} levels"
    return f"{field_name(path[:1])} must have {allowed}, but more were found", "more", allowed


def _check_value(path: Keys, value: object) -> Iterator[Finding]:
    if isinstance(value, str) and BAD_TEXT.search(value):
        yield _refused(path, shorten(value), TEXT)
    elif isinstance(value, float) and not math.isfinite(value):
        yield _refused(path, str(value), NUMBER)
    elif isinstance(value, BadNumber):
        yield _refused(path, value.text, NUMBER)
    elif isinstance(value, dict):
        yield from _check_keys(path, value)
    elif value is not None and not isinstance(value, str | int | float | list):
        yield _refused(path, f"a {type(value).__name__}", "a JSON value")


def _refused(path: Keys, found: str, allowed: str) -> Finding:
    return Finding(path, f"{field_name(path)} must be {allowed}, but {found} was found", found, allowed)


def _check_keys(path: Keys, value: dict[Any, Any]) -> Iterator[Finding]:
    for key in value:
        if not isinstance(key, str):
            yield _refused(path, f"the name {shorten(str(key))}", "an object whose names are text")
        elif BAD_TEXT.search(key):
            yield Finding(
                (*path, key), f"the name {shorten(key)} must be {TEXT}", shorten(key), TEXT, is_key=True
            )
    if isinstance(value, DuplicateKeys):
        for key in value.names:
            message = f'"{printable(key)}" must stand once in its object, but a second one was found'
            yield Finding((*path, key), message, shorten(key), "each name once", is_key=True)
