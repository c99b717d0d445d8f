"""Reads of execution logs in parts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from django.db.models import QuerySet

from scheduler.models import Execution, ExecutionLog
from scheduler.runner.decoding import DEFAULT, encoded

LARGEST_PIECE = 65_536  # bytes; limit of the runner


@dataclass(frozen=True)
class LogPart:
    """A part of a log.

    Attributes:
        offset, next_offset: byte positions in the original stream of its beginning and of the next read.
        size: bytes of output so far.
        omitted: bytes between `offset` and `next_offset` that were not kept.
    """

    offset: int
    next_offset: int
    text: str
    size: int
    omitted: int
    is_finished: bool


def read_log(
    execution: Execution,
    *,
    offset: int = 0,
    tail: int | None = None,
    limit: int = 1_000_000,
    left_out: str = "[… %(count)d bytes left out …]",
) -> LogPart:
    """Return stored output from `offset` on, at most about `limit` bytes; a line marks omitted output.

    A part ends where a stored piece ends, so continuing at `next_offset` neither loses nor repeats output. An
    offset inside a piece with replaced bytes is matched approximately.

    Args:
        tail: begin `tail` bytes (at most `limit`) before the end instead.
        left_out: template of the line that marks omitted output, with their count; pages pass a translated one.
    """
    pieces = ExecutionLog.objects.filter(execution=execution.pk)
    if tail is not None:
        offset = max(stored_until(execution.pk) - min(tail, limit), 0)
    texts: list[str] = []
    omitted, at = 0, offset
    for piece in pieces.filter(offset__gt=offset - LARGEST_PIECE).order_by("offset").iterator():
        if piece.offset + piece.size <= offset:
            continue
        if piece.offset > at:
            gap = piece.offset - at
            omitted += gap
            texts.append(f"\n{left_out % {'count': gap}}\n")
        texts.append(_text_from(piece, max(at - piece.offset, 0)))
        at = piece.offset + piece.size
        if at - offset - omitted >= limit:
            break
    is_finished = execution.finished_at is not None
    size = max(execution.log_size, at if texts else 0)
    return LogPart(offset, at, "".join(texts), size, omitted, is_finished)


def stored_until(execution_id: int) -> int:
    """Return the end offset of the stored output of an execution, 0 without output."""
    last = ExecutionLog.objects.filter(execution=execution_id).order_by("-offset").first()
    return 0 if last is None else last.offset + last.size


def read_log_bytes(
    execution: Execution, *, offset: int = 0, tail: int | None = None
) -> tuple[str, Iterator[bytes]]:
    """Return the encoding of the output of an execution, and its stored bytes as the command wrote them.

    A line marks omitted output.

    Args:
        offset, tail: as for `read_log`; exact.
    """
    spec = {} if execution.revision is None else execution.revision.spec
    encoding: str = spec.get("task_encoding") or DEFAULT
    pieces = ExecutionLog.objects.filter(execution=execution.pk)
    if tail is not None:
        offset = max(stored_until(execution.pk) - tail, 0)
    return encoding, _bytes_from(pieces, offset, encoding)


def _bytes_from(pieces: QuerySet[ExecutionLog], offset: int, encoding: str) -> Iterator[bytes]:
    at = offset
    for piece in pieces.filter(offset__gt=offset - LARGEST_PIECE).order_by("offset").iterator(chunk_size=50):
        if piece.offset + piece.size <= offset:
            continue
        if piece.offset > at:
            gap = f"\n[… {piece.offset - at} bytes left out …]\n"
            yield encoded(gap, encoding) or gap.replace("…", "...").encode()
        stored = encoded(piece.text, encoding) if piece.raw is None else bytes(piece.raw)
        # Older versions stored no raw bytes for lossy text.
        written = piece.text.encode() if stored is None else stored
        yield written[max(at - piece.offset, 0) :]
        at = piece.offset + piece.size


def _text_from(piece: ExecutionLog, begin: int) -> str:
    """Return the text of a piece from byte `begin` on, dropping a partial character."""
    if begin == 0:
        return piece.text
    encoded = piece.text.encode()
    if len(encoded) != piece.size:  # bytes were replaced by longer characters on storing
        begin = begin * len(encoded) // piece.size
    return encoded[begin:].decode("utf-8", "ignore")
