"""Checks of JSON independent of its schema: text that databases reject, duplicate keys, number ranges, depth."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

from scheduler.config_file.problems import Finding, Keys, field_name, not_allowed, printable, shorten
from scheduler.config_file.reasons import Code
from scheduler.engine.reasons import Reason

MAX_DEPTH = 32
BAD_TEXT = re.compile("[\0\ud800-\udfff]")
TEXT = Reason(Code.SOUND_TEXT)
NUMBER = Reason(Code.SOUND_NUMBER)


class BadNumber:
    """Placeholder for a rejected number, so that its position can be reported."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text


class DuplicateKeys(dict[str, Any]):
    """An object with duplicate keys; the last value of each is kept."""

    __slots__ = ("names",)

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        super().__init__(pairs)
        counts = Counter(key for key, _value in pairs)
        self.names = tuple(key for key, count in counts.items() if count > 1)


def find_unsound(data: object) -> Iterator[Finding]:
    """Yield the problems anywhere in `data`, in document order; not recursive."""
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


def _too_deep(path: Keys) -> tuple[Reason, str, Reason]:
    most = {"number": MAX_DEPTH}
    why = Reason(Code.TOO_DEEP, {"field": field_name(path[:1]), **most})
    return why, "more", Reason(Code.LEVELS_AT_MOST, most)


def _check_value(path: Keys, value: object) -> Iterator[Finding]:
    if isinstance(value, str) and BAD_TEXT.search(value):
        yield not_allowed(path, shorten(value), TEXT)
    elif isinstance(value, float) and not math.isfinite(value):
        yield not_allowed(path, str(value), NUMBER)
    elif isinstance(value, BadNumber):
        yield not_allowed(path, value.text, NUMBER)
    elif isinstance(value, dict):
        yield from _check_keys(path, value)
    elif value is not None and not isinstance(value, str | int | float | list):
        yield not_allowed(path, f"a {type(value).__name__}", Reason(Code.JSON_VALUE))


def _check_keys(path: Keys, value: dict[Any, Any]) -> Iterator[Finding]:
    for key in value:
        if not isinstance(key, str):
            yield not_allowed(path, f"the name {shorten(str(key))}", Reason(Code.OBJECT_OF_TEXT_NAMES))
        elif BAD_TEXT.search(key):
            why = Reason(Code.NAME_NOT_FIT, {"found": shorten(key), "what": TEXT})
            yield Finding((*path, key), why, shorten(key), TEXT, is_key=True)
    if isinstance(value, DuplicateKeys):
        for key in value.names:
            why = Reason(Code.REPEATED_NAME, {"name": printable(key)})
            yield Finding((*path, key), why, shorten(key), Reason(Code.EACH_NAME_ONCE), is_key=True)
