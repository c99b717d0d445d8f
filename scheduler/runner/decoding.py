"""Lossless incremental decoding of output in the encoding of its task."""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass
from functools import lru_cache

DEFAULT = "utf-8"
NO_ENCODINGS = frozenset(  # codecs for host names or source text, or without any text
    {"idna", "punycode", "undefined", "unicode_escape", "raw_unicode_escape", "unicode-escape", "utf-7"}
)
LOOK_BACK = 4096  # bytes searched for the beginning of a line
_NO_TEXT = re.compile("[\ud800-\udfff]")  # rejected by databases


@lru_cache(maxsize=256)
def is_text_encoding(name: str) -> bool:
    """Return whether `name` is an encoding in which a program may write text, such as ``gb18030``.

    Source: the standard encodings of Python's `codecs`, without those that transform bytes, such as ``zip``.
    """
    try:
        codec = codecs.lookup(name)
    except (LookupError, ValueError):  # ValueError: a NUL in the name
        return False
    return codec._is_text_encoding and codec.name not in NO_ENCODINGS and bool(codec.incrementaldecoder)


@dataclass(frozen=True)
class Decoded:
    """Text that any database accepts, and the number of bytes that it represents.

    `raw` contains these bytes if the text is lossy: undecodable bytes are shown as ``�``, NUL as ``␀``.
    """

    text: str
    size: int
    raw: bytes | None


class OutputDecoder:
    """Incremental decoder; a partial character at the end of a piece is deferred to the next piece."""

    def __init__(self, encoding: str = "") -> None:
        """Decode `encoding`, UTF-8 if empty."""
        self.encoding = encoding or DEFAULT
        self._is_utf8 = is_utf8(self.encoding)
        self._decoder = codecs.getincrementaldecoder(self.encoding)("replace")

    def decode(self, data: bytes, *, is_last: bool) -> Decoded:
        """Return the text of a piece without a partial character at its end, unless it is the last piece.

        The next piece must begin with the bytes that were not consumed.
        """
        try:
            text = self._decoder.decode(data, is_last)
            waiting, state = (b"", 0) if is_last else self._decoder.getstate()
        except UnicodeError:  # UTF-16 without a byte order mark
            text, waiting, is_last = data.decode("ascii", "replace"), b"", True
        size = len(data) - len(waiting)
        if is_last:
            self._decoder.reset()
        else:
            self._decoder.setstate((b"", state))
        fit = _NO_TEXT.sub("\ufffd", text).replace("\0", "\u2400")
        return Decoded(fit, size, None if encoded(fit, self.encoding) == data[:size] else data[:size])

    def begin_within(self, before: bytes) -> int:
        """Reset the decoder, and return how many bytes at the end of `before` to decode again.

        Args:
            before: the bytes before the wanted position in the stream: at least three bytes, and about `LOOK_BACK` for
                encodings other than UTF-8, where only the beginning of a line is known to begin a character.
        """
        self._decoder.reset()
        if self._is_utf8:
            return _cut_character(before)
        return len(before) - 1 - at if (at := before.rfind(b"\n")) >= 0 else 0


@lru_cache(maxsize=64)  # asked for each command that starts
def is_utf8(encoding: str) -> bool:
    """Return whether `encoding` is a name of UTF-8."""
    return codecs.lookup(encoding).name == DEFAULT


def encoded(text: str, encoding: str) -> bytes | None:
    """Encode text, or return None if the encoding cannot represent it."""
    try:
        return text.encode(encoding or DEFAULT)
    except UnicodeError:
        return None


def _cut_character(data: bytes) -> int:
    """Return the length of an incomplete UTF-8 character at the end."""
    for back in range(1, min(3, len(data)) + 1):
        byte = data[-back]
        if byte < 0x80:
            return 0
        if byte >= 0xC0:
            length = 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4
            return back if back < length else 0
    return 0
