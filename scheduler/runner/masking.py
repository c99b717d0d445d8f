"""Masking of secrets in the output of commands, in every form in which programs commonly print them.

Pure functions on bytes and positions. The reader of a stream tracks its offsets; `MASK` is never longer than the secret
that it replaces.

Searched forms: the value itself, each line of a multi-line value, and the value as base64 (standard and URL-safe, at
each of the three possible alignments in the encoded data), percent-encoded, in JSON, in source text, in HTML, in
hexadecimal digits, and quoted for a shell.
"""

from __future__ import annotations

import base64
import contextlib
import html
import json
import re
import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import quote, quote_plus

MASK = "***"
#: Characters; shorter values would match too much ordinary output.
SHORTEST = 6
#: Minimum bytes of a truncated secret, at an edge of the kept output, for it to be masked.
SHORTEST_PART = 4
#: Bytes searched at once; longer forms are searched as adjacent pieces.
PIECE = 256
#: Maximum characters of a value for which encoded forms are searched; of longer values only the lines are.
LONGEST_ENCODED = 8192

#: Encodings with at least two or four bytes per character; names without a byte order mean one of these.
WIDE = ("utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be")

#: Characters that JavaScript's encodeURIComponent does not encode, besides letters, digits and ``_.-~``.
LEFT_BY_JAVASCRIPT = "!'()*"
NO_SHELL_WORD = re.compile(r"([^\w@%+=:,./-])")
IN_DOUBLE_QUOTES = re.compile(r'([\\"$`])')

Span = tuple[int, int]


@dataclass(frozen=True)
class Covered:
    """The part of a piece of a stream that may be released, and the positions of secrets in it.

    Attributes:
        length: bytes from its beginning; the rest may begin a secret and is held back until more output arrives.
        spans: start and end of the secrets, in order and not nested. A negative start lies before the piece.
    """

    length: int
    spans: list[Span]


class Secrets:
    """The secrets of one command, in all forms in which they may be printed.

    Attributes:
        longest: bytes before a position that are needed to detect secrets that end after it.
    """

    def __init__(self, values: Iterable[str], *, encoding: str = "utf-8") -> None:
        """Search for values printed in UTF-8 and in `encoding`; too short values are ignored."""
        texts = {form for value in values for form in forms(value) if len(form) >= SHORTEST}
        encoded = {(data, name) for text in texts for name, data in _encoded(text, encoding)}
        self._forms = sorted({piece for data, _ in encoded for piece in _pieces(data)}, key=len, reverse=True)
        #: Encoding of the mask by the first bytes of a secret; all other encodings are supersets of ASCII.
        self._wide = {data[:4]: name for data, name in encoded if name in WIDE}
        self._beginnings = {form[:length] for form in self._forms for length in range(1, SHORTEST)}
        self.longest = max((len(form) - 1 for form in self._forms), default=0)

    def __bool__(self) -> bool:
        """Whether there are secrets to search for."""
        return bool(self._forms)

    def cover(
        self, data: bytes, *, before: bytes = b"", is_torn: bool = False, is_last: bool = False
    ) -> Covered:
        """Return the positions of secrets in a piece of a stream.

        Args:
            before: the preceding output, at least the last `longest` bytes.
            is_torn: the preceding output is lost, so the piece may begin in the middle of a secret.
            is_last: no further output is read: release the whole piece, and mask the beginning of a secret at its end.
        """
        if not self._forms:
            return Covered(len(data), [])
        known = self.end_of(before)
        text, shift = known + data, len(known)
        spans = list(self._matches(text))
        begun = self._begun(text)
        if is_torn:
            spans.append((0, self._ended(text)))
        if is_last and begun >= SHORTEST_PART:
            spans.append((len(text) - begun, len(text)))
        length = len(data) if is_last else max(len(data) - begun, 0)
        merged = _merged(spans)
        return Covered(
            length,
            [
                (start - shift, stop - shift)
                for start, stop in merged
                if stop > shift and start < shift + length
            ],
        )

    def end_of(self, data: bytes) -> bytes:
        """Return the end of the output so far that is needed as `before` of the next piece."""
        return data[-self.longest :] if self.longest else b""

    def without(self, data: bytes, covered: Covered) -> bytes:
        """Return the released part of a piece, masked; spans that began before it are removed."""
        parts, at = [], 0
        for start, stop in covered.spans:
            if start >= 0:
                parts += [data[at:start], self._mask(data[start:stop])]
            at = max(at, stop)
        parts.append(data[at : covered.length])
        return b"".join(parts)

    def _mask(self, secret: bytes) -> bytes:
        """Return the mask in the encoding of the secret."""
        return MASK.encode(self._wide.get(secret[:4], "ascii"))

    def masked(self, text: str) -> str:
        """Return a complete text with its secrets masked."""
        data = text.encode("utf-8", "surrogatepass")
        return self.without(data, self.cover(data, is_last=True)).decode("utf-8", "replace")

    def _matches(self, text: bytes) -> Iterator[Span]:
        for form in self._forms:
            at = text.find(form)
            while at >= 0:
                yield at, at + len(form)
                at = text.find(form, at + 1)

    def _begun(self, text: bytes) -> int:
        """Return the number of bytes at the end that may begin a secret."""
        shorter = range(min(SHORTEST - 1, len(text)), 0, -1)
        longest = next((length for length in shorter if text[-length:] in self._beginnings), 0)
        for form in self._forms:
            at = text.find(form[:SHORTEST], max(len(text) - len(form) + 1, 0))
            while at >= 0 and len(text) - at > longest:
                if form.startswith(text[at:]):
                    longest = len(text) - at
                at = text.find(form[:SHORTEST], at + 1)
        return longest

    def _ended(self, text: bytes) -> int:
        """Return the number of bytes at the beginning that may end a secret."""
        longest = 0
        for form in self._forms:
            end = form[-SHORTEST_PART:]
            at = text.find(end, 0, len(form) - 1)
            while at >= 0:
                if form.endswith(text[: at + len(end)]):
                    longest = max(longest, at + len(end))
                at = text.find(end, at + 1, len(form) - 1)
        return longest


@lru_cache(maxsize=512)
def secrets_of(values: tuple[str, ...], encoding: str) -> Secrets:
    """Return the secrets of a command; cached."""
    return Secrets(values, encoding=encoding)


# --- forms ----------------------------------------------------------------------------------------


def forms(value: str) -> set[str]:
    """Return the forms in which a value may be printed; empty if it is too short."""
    whole = value.strip()
    if len(whole) < SHORTEST:
        return set()
    lines = {line.strip() for line in whole.splitlines() if len(line.strip()) >= SHORTEST}
    if len(whole) > LONGEST_ENCODED:
        return lines
    found = {form for line in lines for form in (*_percent_encoded(line), *_escaped(line))} | lines
    for text in {value, whole}:
        found |= {*_percent_encoded(text), *_escaped(text), *_in_base64(text), *_in_hexadecimal(text)}
    # Output arrives line by line: forms contain no line breaks, so that complete lines are never held back.
    return {form.strip() for form in found if len(form.strip().splitlines()) == 1}


def _percent_encoded(text: str) -> Iterator[str]:
    data = text.encode("utf-8", "surrogatepass")
    for form in (
        quote(data, safe=""),
        quote(data, safe="/"),
        quote(data, safe=LEFT_BY_JAVASCRIPT),
        quote_plus(data),
    ):
        yield form
        yield re.sub("%[0-9A-F]{2}", lambda match: match[0].lower(), form)


def _escaped(text: str) -> Iterator[str]:
    """Yield the text as escaped in JSON, source text and HTML, and as quoted for a shell."""
    for is_ascii in (True, False):
        in_json = json.dumps(text, ensure_ascii=is_ascii)[1:-1]
        yield in_json
        yield in_json.replace("/", "\\/")
    yield repr(text)[1:-1]
    yield html.escape(text)
    yield shlex.quote(text).removeprefix("'").removesuffix("'")
    yield text.replace("'", "'\\''")
    yield IN_DOUBLE_QUOTES.sub(r"\\\1", text)
    yield NO_SHELL_WORD.sub(r"\\\1", text)


def _in_base64(text: str) -> Iterator[str]:
    """Yield the base64 characters determined by this text alone, for each alignment within a longer text."""
    data = text.encode("utf-8", "surrogatepass")
    for before in range(3):
        encoded = base64.b64encode(bytes(before) + data).decode()
        alone = encoded[-(-before * 8 // 6) : (before + len(data)) * 8 // 6]
        yield alone
        yield alone.translate({ord("+"): "-", ord("/"): "_"})


def _in_hexadecimal(text: str) -> Iterator[str]:
    digits = text.encode("utf-8", "surrogatepass").hex()
    yield digits
    yield digits.upper()


def _encoded(text: str, encoding: str) -> Iterator[tuple[str, bytes]]:
    """Yield the name and the bytes of a text in UTF-8 and in `encoding`, without a byte order mark."""
    digits = re.sub(r"[^a-z0-9]", "", encoding.lower())
    wide = [name for name in WIDE if name.replace("-", "").startswith(digits)]
    for name in ("utf-8", *(wide or [encoding])):
        with contextlib.suppress(LookupError, ValueError):  # it cannot be printed in this encoding
            data = text.encode(name, "surrogatepass" if name == "utf-8" else "strict")
            if len(data) >= SHORTEST:
                yield name, data


def _pieces(form: bytes) -> Iterator[bytes]:
    """Yield pieces of at most `PIECE` bytes that cover a form; they overlap, so that their matches merge."""
    for start in range(0, max(len(form) - PIECE, 0), PIECE - 1):
        yield form[start : start + PIECE]
    yield form[-PIECE:]


def _merged(spans: Iterable[Span]) -> list[Span]:
    merged: list[Span] = []
    for start, stop in sorted(spans):
        if start == stop:
            continue
        if merged and start < merged[-1][1]:
            merged[-1] = merged[-1][0], max(merged[-1][1], stop)
        else:
            merged.append((start, stop))
    return merged
