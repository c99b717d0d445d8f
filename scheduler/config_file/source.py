"""The text of a configuration: limits, strict JSON, and where in it a value stands."""

from __future__ import annotations

import json
import re
from array import array
from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from json.decoder import scanstring  # type: ignore[attr-defined]
from typing import Any, NoReturn

from scheduler.config_file.problems import ConfigError, ConfigProblem, Finding, Keys, shorten
from scheduler.config_file.soundness import MAX_DEPTH, BadNumber, DuplicateKeys, find_unsound

MAX_BYTES = 5 * 1024 * 1024
MAX_PROBLEMS = 1_000
LONGEST_NUMBER = 16
# Possessive, and content with the end of the text instead of a closing quote: linear whatever stands there.
STRING = r'"[^"\\]*+(?:\\.[^"\\]*+)*+"?'
BRACKETS = re.compile(STRING + r"|[\[\]{}]", re.DOTALL)
BAD_ESCAPE = re.compile(r"\\u(?:0000|[dD][89a-fA-F])")
SPACE = re.compile(r"[ \t\r\n]*+")
SCALAR = re.compile(r"[^\s,\]}]++")

#: what to look for below a path: None is everything
Wanted = dict[str | int, Any] | None


@dataclass(frozen=True)
class Place:
    """Where a value stands, and its key if it has one: offsets in characters."""

    key_at: int
    at: int


@dataclass
class Source:
    """The text of one file. `locate` and `below` need sound JSON."""

    file: str
    text: str
    _last: tuple[int, dict[Keys, Place]] = field(default=(-1, {}))

    def locate(self, paths: Iterable[Keys]) -> dict[Keys, Place]:
        """Return the places of those `paths` that exist, and of what is around them, in one pass over the text."""
        wanted: dict[str | int, Any] = {}
        for path in paths:
            inner = wanted
            for key in path:
                inner = inner.setdefault(key, {})
        start = _skip(self.text, 0)
        places: dict[Keys, Place] = {(): Place(start, start)}
        _walk(self.text, start, (), wanted, places)
        return places

    def below(self, at: int) -> dict[Keys, Place]:
        """Return all places in the value at the offset `at`; the last answer is kept."""
        if self._last[0] != at:
            places: dict[Keys, Place] = {(): Place(at, at)}
            _walk(self.text, at, (), None, places)
            self._last = (at, places)
        return self._last[1]

    def problem(self, finding: Finding, places: dict[Keys, Place]) -> ConfigProblem:
        """Return a finding as a problem at its place, or at the nearest thing around it."""
        path = finding.path
        while path and path not in places:
            path = path[:-1]
        is_key = finding.is_key and path == finding.path
        return finding.as_problem(
            self.file, *self.position(places[path].key_at if is_key else places[path].at)
        )

    def position(self, offset: int) -> tuple[int, int]:
        """Return line and column, from 1, of a character."""
        line = bisect_left(self._line_ends, offset)
        return line + 1, offset - (self._line_ends[line - 1] if line else -1)

    @cached_property
    def _line_ends(self) -> array[int]:
        return array("l", (match.start() for match in re.finditer("\n", self.text)))

    def refuse(self, offset: int, message: str, found: str, allowed: str) -> NoReturn:
        """Raise for one place of the text."""
        raise ConfigError([ConfigProblem(self.file, *self.position(offset), "", message, found, allowed)])


@dataclass
class _Suspicions:
    """Whether the reader met what `find_unsound` must look for."""

    is_unsound: bool = False
    bad_numbers: dict[str, BadNumber] = field(default_factory=dict)

    def read_object(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        result = dict(pairs)
        if len(result) == len(pairs):
            return result
        self.is_unsound = True
        return DuplicateKeys(pairs)

    def read_integer(self, text: str) -> int | BadNumber:
        return int(text) if len(text) <= LONGEST_NUMBER else self.read_bad_number(text)

    def read_float(self, text: str) -> float | BadNumber:
        value = float(text) if len(text) <= 2 * LONGEST_NUMBER else float("inf")
        return value if abs(value) != float("inf") else self.read_bad_number(text)

    def read_bad_number(self, text: str) -> BadNumber:
        self.is_unsound = True
        return self.bad_numbers.setdefault(text[:40], BadNumber(text[:40]))


def parse_source(file: str, raw: bytes) -> tuple[Source, object]:
    """Return a text and its JSON.

    Raises:
        ConfigError: it is too large, too deep, not UTF-8, not JSON, or unsound in the sense of `find_unsound`.
    """
    source, data, findings = read_source(file, raw)
    raise_findings(source, findings)
    return source, data


def read_source(file: str, raw: bytes) -> tuple[Source, object, list[Finding]]:
    """Return a text, its JSON and the first thousand places at which that is unsound in the sense of `find_unsound`.

    Raises:
        ConfigError: it is too large, too deep, not UTF-8 or not JSON.
    """
    if len(raw) > MAX_BYTES:
        message = f"the file must have at most {MAX_BYTES:,} bytes, but more were found"
        raise ConfigError(
            [ConfigProblem(file, None, None, "", message, f"{len(raw):,} bytes", f"{MAX_BYTES:,} bytes")]
        )
    source = Source(file, _decode(file, raw))
    _check_depth(source)
    data, is_unsound = _load(source)
    may_be_unsound = is_unsound or BAD_ESCAPE.search(source.text) is not None
    return source, data, list(islice(find_unsound(data), MAX_PROBLEMS)) if may_be_unsound else []


def raise_findings(source: Source, findings: Iterable[Finding]) -> None:
    """Raise the first findings, with their places, if there is any."""
    found = list(islice(findings, MAX_PROBLEMS))
    if found:
        places = source.locate(finding.path for finding in found)
        raise ConfigError([source.problem(finding, places) for finding in found])


def _decode(file: str, raw: bytes) -> str:
    if raw[:2] in (b"\xff\xfe", b"\xfe\xff") or b"\0" in (raw[:1], raw[1:2]):
        message = "the file must be UTF-8, but UTF-16 or UTF-32 was found; save it as UTF-8"
        raise ConfigError([ConfigProblem(file, 1, 1, "", message, "UTF-16 or UTF-32", "UTF-8")])
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        # utf-8-sig counts from behind the byte order mark.
        offset = error.start + (3 if raw.startswith(b"\xef\xbb\xbf") and len(error.object) < len(raw) else 0)
        before = raw[:offset].decode("utf-8-sig", "replace")
        line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
        found = f"0x{raw[offset]:02x}"
        message = f"the file must be UTF-8, but the byte {found} at offset {offset} is not"
        raise ConfigError([ConfigProblem(file, line, column, "", message, found, "UTF-8")]) from error


def _check_depth(source: Source) -> None:
    depth = 0
    for match in BRACKETS.finditer(source.text):
        bracket = match[0]
        if bracket in "[{":
            depth += 1
            if depth > MAX_DEPTH:
                allowed = f"at most {MAX_DEPTH} levels"
                source.refuse(
                    match.start(), f"the file must have {allowed}, but more were found", "more", allowed
                )
        elif bracket in "]}":
            depth -= 1


def _load(source: Source) -> tuple[object, bool]:
    reader = _Suspicions()
    try:
        data = json.loads(
            source.text,
            object_pairs_hook=reader.read_object,
            parse_constant=reader.read_bad_number,
            parse_int=reader.read_integer,
            parse_float=reader.read_float,
        )
    except json.JSONDecodeError as error:
        offset, message = _explain_syntax(source.text, error)
        source.refuse(offset, message, shorten(source.text[offset : offset + 20]), "JSON")
    return data, reader.is_unsound


def _explain_syntax(text: str, error: json.JSONDecodeError) -> tuple[int, str]:
    """Return where the mistake is and a sentence on it; Python's versions differ in both for a trailing comma."""
    rest = text[error.pos : error.pos + 1000].lstrip()
    before = text[: error.pos].rstrip()
    if rest[:1] in ("]", "}") and before.endswith(","):
        return len(before) - 1, f'the comma before "{rest[0]}" must go; JSON has none after the last value'
    if rest[:1] == "," and rest[1:].lstrip()[:1] in ("]", "}"):
        last = rest[1:].lstrip()[0]
        return error.pos, f'the comma before "{last}" must go; JSON has none after the last value'
    return error.pos, _hint_at(rest, text, error.msg)


def _hint_at(rest: str, text: str, message: str) -> str:
    if not text.strip():
        return "the file is empty; at least [] must stand there"
    if rest[:1] == "'":
        return "text must stand in double quotes; JSON has no single ones"
    if rest[:2] in ("//", "/*") or rest[:1] == "#":
        return "the comment must go; JSON has none"
    if re.match(r"(?:True|False|None)\b", rest):
        return "true, false and null must be written in small letters"
    if message.startswith("Invalid control character"):
        return r"a line break or other control character in text must be written as \n, \t or \u0001"
    if message.startswith("Unterminated string"):
        return "the text that begins here must end with a double quote"
    if message.startswith("Extra data"):
        return "nothing may follow the end of the JSON"
    if message.startswith("Expecting ',' delimiter"):
        return "a comma or the closing bracket must stand here"
    if message.startswith("Expecting property name"):
        return "a name in double quotes must stand here"
    return f"this must be JSON: {message[:1].lower()}{message[1:]}"


def _walk(text: str, at: int, keys: Keys, wanted: Wanted, places: dict[Keys, Place]) -> int:
    """Note the places of what is wanted below the value at `at`; return where that value ends.

    Of a key that stands twice the last place is kept. Recursion is bounded by MAX_DEPTH.
    """
    if text[at] not in "[{" or (wanted is not None and not wanted):
        return _end_of_value(text, at)
    is_object = text[at] == "{"
    at = _skip(text, at + 1)
    index = -1
    while text[at] not in "]}":
        index, key_at = index + 1, at
        key: str | int = index
        if is_object:
            key, at = scanstring(text, at + 1)
            at = _skip(text, _skip(text, at) + 1)
        if wanted is None or key in wanted:
            places[(*keys, key)] = Place(key_at, at)
            at = _walk(text, at, (*keys, key), None if wanted is None else wanted[key], places)
        else:
            at = _end_of_value(text, at)
        at = _skip(text, at)
        if text[at] == ",":
            at = _skip(text, at + 1)
    return at + 1


def _end_of_value(text: str, at: int) -> int:
    if text[at] not in '"[{':
        return _end(SCALAR, text, at)
    depth = 0
    for match in BRACKETS.finditer(text, at):
        bracket = match[0]
        depth += 1 if bracket in "[{" else -1 if bracket in "]}" else 0
        if depth == 0:
            return match.end()
    return len(text)


def _skip(text: str, at: int) -> int:
    return _end(SPACE, text, at)


def _end(pattern: re.Pattern[str], text: str, at: int) -> int:
    match = pattern.match(text, at)
    return at if match is None else match.end()
