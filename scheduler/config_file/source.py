"""The text of a configuration: size limits, strict JSON, and positions of values."""

from __future__ import annotations

import json
import re
from array import array
from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from itertools import accumulate, islice
from json.decoder import scanstring  # type: ignore[attr-defined]  # left out by the stubs
from typing import Any, NoReturn

from scheduler.config_file.problems import ConfigError, ConfigProblem, Finding, Keys, Words, shorten
from scheduler.config_file.reasons import Code
from scheduler.config_file.sanity import MAX_DEPTH, BadNumber, DuplicateKeys, find_unsound
from scheduler.engine.reasons import Reason

MAX_BYTES = 5 * 1024 * 1024
MAX_PROBLEMS = 1_000
MAX_CONTAINERS = 250_000  # more than any sensible file of `MAX_BYTES`; they dominate the parsing time
LONGEST_NUMBER = 16
# Possessive quantifiers and an optional closing quote keep the match linear for any text.
STRING = r'"[^"\\]*+(?:\\.[^"\\]*+)*+"?'
BRACKETS = re.compile(STRING + r"|[\[\]{}]", re.DOTALL)
WHOLE_STRING = re.compile(STRING, re.DOTALL)
NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
STEPS = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}
BAD_ESCAPE = re.compile(r"\\u(?:0000|[dD][89a-fA-F])")
SPACE = re.compile(r"[ \t\r\n]*+")
SCALAR = re.compile(r"[^\s,\]}]++")

#: keys to locate below a path; None: all
Wanted = dict[str | int, Any] | None


@dataclass(frozen=True)
class Place:
    """The position of a value, and of its key if it has one: offsets in characters."""

    key_at: int
    at: int


@dataclass
class Source:
    """The text of one file. `locate` and `below` require valid JSON."""

    file: str
    text: str
    _last: tuple[int, dict[Keys, Place]] = field(default=(-1, {}))

    def locate(self, paths: Iterable[Keys]) -> dict[Keys, Place]:
        """Return the places of the existing `paths` and of their parents, in one pass over the text."""
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
        """Return all places in the value at the offset `at`; the last result is cached."""
        if self._last[0] != at:
            places: dict[Keys, Place] = {(): Place(at, at)}
            _walk(self.text, at, (), None, places)
            self._last = (at, places)
        return self._last[1]

    def problem(self, finding: Finding, places: dict[Keys, Place]) -> ConfigProblem:
        """Return a finding as a problem at its place, or at that of the nearest parent."""
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

    def refuse(self, offset: int, why: Reason, found: str, allowed: Words) -> NoReturn:
        """Raise ConfigError for one position of the text."""
        raise ConfigError([ConfigProblem(self.file, *self.position(offset), "", why, found, allowed)])


@dataclass
class _JsonHooks:
    """Hooks of the JSON decoder; they record whether `find_unsound` has to be called."""

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
        ConfigError: it is too large, too deep, not UTF-8, not JSON, or rejected by `find_unsound`.
    """
    source, data, findings = read_source(file, raw)
    raise_findings(source, findings)
    return source, data


def read_source(file: str, raw: bytes) -> tuple[Source, object, list[Finding]]:
    """Return a text, its JSON and the first thousand findings of `find_unsound`.

    Raises:
        ConfigError: it is too large, too deep, not UTF-8 or not JSON.
    """
    if len(raw) > MAX_BYTES:
        why = Reason(Code.FILE_TOO_LONG, {"bytes": MAX_BYTES})
        found = Reason(Code.BYTES_OF_FILE, {"bytes": len(raw)})
        allowed = Reason(Code.BYTES_AT_MOST, {"bytes": MAX_BYTES})
        raise ConfigError([ConfigProblem(file, None, None, "", why, found, allowed)])
    source = Source(file, _decode(file, raw))
    _check_depth(source)
    data, is_unsound = _load(source)
    may_be_unsound = is_unsound or BAD_ESCAPE.search(source.text) is not None
    return source, data, list(islice(find_unsound(data), MAX_PROBLEMS)) if may_be_unsound else []


def raise_findings(source: Source, findings: Iterable[Finding]) -> None:
    """Raise ConfigError with the first findings and their places, if any."""
    found = list(islice(findings, MAX_PROBLEMS))
    if found:
        places = source.locate(finding.path for finding in found)
        raise ConfigError([source.problem(finding, places) for finding in found])


def _decode(file: str, raw: bytes) -> str:
    if raw[:2] in (b"\xff\xfe", b"\xfe\xff") or b"\0" in (raw[:1], raw[1:2]):
        why, found_kind = Reason(Code.FILE_UTF16), Reason(Code.UTF16_FOUND)
        raise ConfigError([ConfigProblem(file, 1, 1, "", why, found_kind, "UTF-8")])
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        # utf-8-sig counts from after the byte order mark.
        offset = error.start + (3 if raw.startswith(b"\xef\xbb\xbf") and len(error.object) < len(raw) else 0)
        before = raw[:offset].decode("utf-8-sig", "replace")
        line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
        found = f"0x{raw[offset]:02x}"
        why = Reason(Code.FILE_BYTE, {"found": found, "offset": offset})
        raise ConfigError([ConfigProblem(file, line, column, "", why, found, "UTF-8")]) from error


def _check_depth(source: Source) -> None:
    """Reject a text with too many or too deeply nested containers; the position is computed only on failure."""
    brackets = WHOLE_STRING.sub("", source.text).encode("utf-8", "surrogatepass").translate(None, NO_BRACKETS)
    count = brackets.count(b"[") + brackets.count(b"{")
    if count > MAX_CONTAINERS:
        most, found = {"count": MAX_CONTAINERS}, f"{count:,}"
        why = Reason(Code.FILE_TOO_MANY_CONTAINERS, {**most, "found": found})
        source.refuse(0, why, found, Reason(Code.CONTAINERS_AT_MOST, most))
    if max(accumulate(map(STEPS.__getitem__, brackets)), default=0) <= MAX_DEPTH:
        return
    depth = 0
    for match in BRACKETS.finditer(source.text):
        bracket = match[0]
        if bracket in "[{":
            depth += 1
            if depth > MAX_DEPTH:
                most = {"number": MAX_DEPTH}
                allowed = Reason(Code.LEVELS_AT_MOST, most)
                source.refuse(match.start(), Reason(Code.FILE_TOO_DEEP, most), "more", allowed)
        elif bracket in "]}":
            depth -= 1


def _load(source: Source) -> tuple[object, bool]:
    reader = _JsonHooks()
    try:
        data = json.loads(
            source.text,
            object_pairs_hook=reader.read_object,
            parse_constant=reader.read_bad_number,
            parse_int=reader.read_integer,
            parse_float=reader.read_float,
        )
    except json.JSONDecodeError as error:
        offset, why = _explain_syntax(source.text, error)
        source.refuse(offset, why, shorten(source.text[offset : offset + 20]), "JSON")
    return data, reader.is_unsound


def _explain_syntax(text: str, error: json.JSONDecodeError) -> tuple[int, Reason]:
    """Return position and reason of a syntax error; Python versions differ in both for a trailing comma."""
    rest = text[error.pos : error.pos + 1000].lstrip()
    before = text[: error.pos].rstrip()
    if rest[:1] in ("]", "}") and before.endswith(","):
        return len(before) - 1, Reason(Code.FILE_COMMA, {"name": rest[0]})
    if rest[:1] == "," and rest[1:].lstrip()[:1] in ("]", "}"):
        last = rest[1:].lstrip()[0]
        return error.pos, Reason(Code.FILE_COMMA, {"name": last})
    return error.pos, _hint_at(rest, text, error.msg)


def _hint_at(rest: str, text: str, message: str) -> Reason:
    if not text.strip():
        return Reason(Code.FILE_EMPTY)
    if rest[:1] == "'":
        return Reason(Code.FILE_SINGLE_QUOTES)
    if rest[:2] in ("//", "/*") or rest[:1] == "#":
        return Reason(Code.FILE_COMMENT)
    if re.match(r"(?:True|False|None)\b", rest):
        return Reason(Code.FILE_CAPITAL_WORD)
    if message.startswith("Invalid control character"):
        return Reason(Code.FILE_CONTROL_CHARACTER)
    if message.startswith("Unterminated string"):
        return Reason(Code.FILE_OPEN_TEXT)
    if message.startswith("Extra data"):
        return Reason(Code.FILE_MORE_THAN_JSON)
    if message.startswith("Expecting ',' delimiter"):
        return Reason(Code.FILE_COMMA_MISSING)
    if message.startswith("Expecting property name"):
        return Reason(Code.FILE_NAME_MISSING)
    return Reason(Code.FILE_NOT_JSON, {"error": f"{message[:1].lower()}{message[1:]}"})


def _walk(text: str, at: int, keys: Keys, wanted: Wanted, places: dict[Keys, Place]) -> int:
    """Record the places of the wanted values below the value at `at`; return the end of that value.

    For a duplicate key the last place is kept. Recursion is bounded by MAX_DEPTH.
    """
    if text[at] not in "[{" or (wanted is not None and not wanted):
        return _end_of_value(text, at)
    is_object = text[at] == "{"
    # After the last wanted item of a list, only search for its end.
    last = (
        float("inf")
        if is_object or wanted is None
        else max((k for k in wanted if isinstance(k, int)), default=-1)
    )
    at = _skip(text, at + 1)
    index = -1
    while text[at] not in "]}":
        if index >= last:
            return _end_of_value(text, at, depth=1)
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


def _end_of_value(text: str, at: int, depth: int = 0) -> int:
    """Return the end of the value at `at`, or with a `depth` that of an enclosing container."""
    if not depth and text[at] not in '"[{':
        return _end(SCALAR, text, at)
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
