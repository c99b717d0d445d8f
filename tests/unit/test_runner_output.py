"""The output of a command: exact at both ends, whole characters, bounded on disk and in memory."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from time import monotonic, sleep

import pytest

from scheduler.runner import Chunk, LogReader, Pipe, Pipes, Pump, Spool
from scheduler.runner.masking import Secrets
from tests.stack import wait_until

CLAIM = f"c{os.getpid()}"  # a stop looks for all that carries it: another test process must not be found
MEBIBYTE = 1 << 20
PIPE_SIZE = 1 << 16


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path / "spool")


class Written:
    """A pipe that a test writes to, with the reader of it and what a supervisor would have stored."""

    def __init__(
        self,
        spool: Spool,
        log_limit: int,
        *secrets: str,
        offset: int = 0,
        pipe: Pipe | None = None,
        encoding: str = "",
    ) -> None:
        self.path = Path(spool.path(7, CLAIM, "out"))
        self.pipe = pipe or Pipes().take()
        self.writer = self.pipe.open_writer()
        self.reader = LogReader(
            str(self.path),
            self.pipe,
            log_limit=log_limit,
            offset=offset,
            encoding=encoding,
            secrets=Secrets(secrets),
        )
        self.stored: list[Chunk] = []

    def write(self, data: bytes) -> None:
        """Write as a command does, and move it to the spool as the pump does."""
        self.reader.keep()
        for start in range(0, len(data), PIPE_SIZE):
            os.write(self.writer, data[start : start + PIPE_SIZE])
            self.reader.pump()

    def read(self, *, is_final: bool = False) -> list[Chunk]:
        chunks = self.reader.read(is_final=is_final)
        start, end = self.reader.left_out or (0, 0)
        self.stored = [c for c in self.stored + chunks if c.offset < start or c.offset + c.size > end]
        return chunks

    @property
    def text(self) -> str:
        return "".join(chunk.text for chunk in self.stored)

    def close(self) -> None:
        os.close(self.writer)
        self.reader.close()


@pytest.fixture
def written(spool: Spool, request: pytest.FixtureRequest) -> Iterator[Written]:
    made = Written(spool, getattr(request, "param", MEBIBYTE))
    yield made
    made.close()


def pattern(size: int) -> bytes:
    lines = b"".join(b"%07d\n" % number for number in range(min(size, MEBIBYTE) // 8 + 1))
    return (lines * (size // len(lines) + 1))[:size]


def test_output_is_read_as_it_grows_without_gap_or_repetition(written: Written) -> None:
    for piece in (b"one ", b"", b"two ", b"three"):
        written.write(piece)
        written.read()

    assert written.read(is_final=True) == []
    assert [(c.offset, c.size, c.text) for c in written.stored] == [
        (0, 4, "one "),
        (4, 4, "two "),
        (8, 5, "three"),
    ]


@pytest.mark.parametrize(
    "size", [0, 1, 99_999, 100_000, 100_001, 150_000, 200_000, 200_001, 300_000, 5_000_000]
)
@pytest.mark.parametrize("written", [200_000], indirect=True)
def test_both_ends_are_kept_exactly(written: Written, size: int) -> None:
    data = pattern(size)
    written.write(data)

    written.read(is_final=True)

    expected = data if size <= 200_000 else data[:100_000] + data[-100_000:]
    assert written.text.encode() == expected
    assert written.reader.size == size


@pytest.mark.proves("G9")
@pytest.mark.parametrize("written", [40_000], indirect=True)
def test_both_ends_are_kept_exactly_however_it_is_read(written: Written) -> None:
    chance = random.Random(7)
    data = pattern(3_000_000)
    position = 0
    while position < len(data):
        size = chance.choice((1, 100, 8_000, 70_000, 300_000))
        written.write(data[position : position + size])
        position += size
        written.read()
        assert data.startswith(written.text[:20_000].encode())

    written.read(is_final=True)

    _, tail_start = written.reader.left_out
    tail = [c for c in written.stored if c.offset + c.size > tail_start]
    kept = "".join(c.text for c in tail).encode()
    assert written.text[:20_000].encode() == data[:20_000]
    assert data.endswith(kept)
    assert len(kept) >= 20_000
    for chunk in written.stored:
        assert data[chunk.offset : chunk.offset + chunk.size] == chunk.text.encode()


def test_newest_output_is_visible_while_more_comes_than_is_kept(written: Written) -> None:
    written.write(b"x" * 10 * MEBIBYTE + b"newest")

    chunks = written.read()

    assert chunks[-1].text.endswith("newest")
    assert chunks[-1].offset + chunks[-1].size == 10 * MEBIBYTE + 6


@pytest.mark.parametrize("written", [0, 1], indirect=True)
def test_limit_may_be_nothing(written: Written) -> None:
    written.write(b"hello")

    assert written.read(is_final=True) == []
    assert written.reader.size == 5


def test_character_cut_at_any_border_is_right(written: Written) -> None:
    text = "aé中\U0001f600\u2028\u202e\ufeff"
    for byte in text.encode():
        written.write(bytes([byte]))
        written.read()

    assert written.text == text


@pytest.mark.parametrize("log_limit", range(2000, 2032, 2))
def test_characters_at_both_cuts_cost_no_more_than_themselves(spool: Spool, log_limit: int) -> None:
    written = Written(spool, log_limit)
    text = "\U0001f600" * 3000
    written.write(text.encode())

    written.read(is_final=True)

    cut = written.text.count("\ufffd")
    assert cut == (1 if log_limit // 2 % 4 else 0)
    assert sum(chunk.size for chunk in written.stored) >= log_limit // 2 * 2
    written.close()


@pytest.mark.parametrize("size", [1, 2, 3, 5, 65_535, 65_536, 65_537])
def test_text_does_not_depend_on_how_the_bytes_arrive(written: Written, size: int) -> None:
    chance = random.Random(size)
    data = bytes(
        chance.choice(b"a\x00\x80\xbf\xc3\xa9\xe4\xb8\xad\xf0\x9f\x98\x80\xed\xa0\xff\xfe")
        for _ in range(140_000)
    )
    data = data[: size * 3000]
    for start_at in range(0, len(data), size):
        written.write(data[start_at : start_at + size])
        written.read()

    written.read(is_final=True)

    assert written.text == data.decode("utf-8", "replace").replace("\0", "\u2400")


@pytest.mark.parametrize(
    ("encoding", "text"), [("gb18030", "备份完成 €\n"), ("shift_jis", "完了 ｶﾅ\n"), ("utf-16", "готово\n")]
)
def test_output_of_an_encoding_is_read_while_it_comes_byte_by_byte(
    spool: Spool, encoding: str, text: str
) -> None:
    written = Written(spool, 1 << 20, encoding=encoding)

    for number in (text * 3).encode(encoding):
        written.write(bytes([number]))
        written.read()
    written.read(is_final=True)

    assert written.text == text * 3
    written.close()


def test_text_is_fit_for_any_database(written: Written) -> None:
    written.write(b"\0\xed\xa0\x80\xff\x1b[31m\xe4\xb8")

    waiting = "".join(chunk.text for chunk in written.read())
    written.read(is_final=True)

    assert waiting.startswith("\u2400\ufffd")
    assert "\0" not in written.text
    assert written.text.endswith("\x1b[31m\ufffd")
    written.text.encode("utf-8")


def test_resumed_reader_goes_on_where_the_other_ended(spool: Spool) -> None:
    dead = Written(spool, MEBIBYTE)
    dead.write(b"stored, in the spool, ")
    os.write(dead.writer, b"in the pipe")
    dead.reader.close()

    reader = Written(spool, MEBIBYTE, offset=8, pipe=dead.pipe)
    reader.reader.keep()
    reader.read(is_final=True)

    assert reader.text == "in the spool, in the pipe"
    assert reader.reader.size == 33


SECRET = "hunter2-horse"


@pytest.fixture
def with_secret(spool: Spool, request: pytest.FixtureRequest) -> Iterator[Written]:
    made = Written(spool, getattr(request, "param", MEBIBYTE), SECRET)
    yield made
    made.close()


def test_a_secret_that_arrives_in_parts_is_masked_and_the_offsets_are_those_of_the_true_stream(
    with_secret: Written,
) -> None:
    for piece in (b"a hun", b"ter2-", b"horse b\n", b"hunting\n"):
        with_secret.write(piece)
        with_secret.read()

    assert with_secret.read(is_final=True) == []
    assert with_secret.text == "a *** b\nhunting\n"
    assert [(chunk.offset, chunk.size) for chunk in with_secret.stored] == [(0, 2), (2, 16), (18, 8)]
    assert with_secret.reader.size == 26


def test_a_whole_line_is_seen_at_once_though_there_are_secrets(with_secret: Written) -> None:
    with_secret.write(b"Password: hunter\nhunt")

    assert [chunk.text for chunk in with_secret.read()] == ["Password: hunter\n"]
    assert with_secret.read() == []
    assert [chunk.text for chunk in with_secret.read(is_final=True)] == ["***"]  # ended in the middle of it


def test_a_reader_that_goes_on_in_the_middle_of_a_stream_masks_as_the_one_before(spool: Spool) -> None:
    stream = b"a hunter2-horse b hunter2-horse c"
    dead = Written(spool, MEBIBYTE)
    dead.write(stream)
    dead.reader.close()

    for offset in range(len(stream)):
        reader = LogReader(
            str(dead.path),
            None,
            log_limit=MEBIBYTE,
            offset=offset,
            secrets=Secrets([SECRET, "r2-horse b hu"]),
        )
        reader.keep()
        [chunk] = reader.read(is_final=True)
        reader.close()

        assert (chunk.offset, chunk.size) == (offset, len(stream) - offset)
        assert not any(part in chunk.text for part in ("horse", "hunter2", "r2-h", "se b"))
    dead.close()


@pytest.mark.parametrize("encoding", ["gb18030", "utf-16-le", "shift_jis"])
def test_secrets_are_masked_in_text_and_in_the_bytes_as_they_were_written(
    spool: Spool, encoding: str
) -> None:
    secret = "パスワード123"
    made = Written(spool, MEBIBYTE)
    made.reader.close()
    secrets = Secrets([secret], encoding=encoding)
    reader = LogReader(str(made.path), made.pipe, log_limit=MEBIBYTE, encoding=encoding, secrets=secrets)
    stream = f"一 {secret} 二\n".encode(encoding)
    chunks: list[Chunk] = []
    reader.keep()
    for byte in stream:
        os.write(made.writer, bytes([byte]))
        reader.pump()
        chunks += reader.read()
    chunks += reader.read(is_final=True)
    reader.close()
    os.close(made.writer)

    assert "".join(chunk.text for chunk in chunks) == "一 *** 二\n"
    raw = b"".join(chunk.text.encode(encoding) if chunk.raw is None else chunk.raw for chunk in chunks)
    assert raw == "一 *** 二\n".encode(encoding)
    assert [chunk.offset for chunk in chunks] == [sum(c.size for c in chunks[:n]) for n in range(len(chunks))]
    assert sum(chunk.size for chunk in chunks) == len(stream)


@pytest.mark.parametrize("with_secret", [2000], indirect=True)
def test_no_part_of_a_secret_is_left_where_the_middle_of_the_output_is_left_out(with_secret: Written) -> None:
    for number in range(40):
        with_secret.write(b"x" * (number % 14) + f"{SECRET} ".encode() * 90)
        with_secret.read()
    with_secret.read(is_final=True)

    assert with_secret.reader.left_out is not None
    kept = [
        c
        for c in with_secret.stored
        if c.offset + c.size <= 1000 or c.offset >= with_secret.reader.size - 1000
    ]
    assert kept
    assert not any(part in with_secret.text for part in ("hunt", "nter", "r2-h", "orse"))


def test_a_large_piece_without_line_breaks_is_masked_wherever_it_is_split(with_secret: Written) -> None:
    with_secret.write(f"{SECRET}y".encode() * 150_000)

    with_secret.read(is_final=True)

    assert with_secret.text == "***y" * 150_000 or with_secret.reader.left_out is not None
    assert "hunt" not in with_secret.text and "orse" not in with_secret.text


@pytest.mark.parametrize("written", [200_000], indirect=True)
def test_space_of_the_middle_is_given_back_and_the_ends_stay(written: Written) -> None:
    data = pattern(20 * MEBIBYTE)
    for start_at in range(0, len(data), MEBIBYTE):
        written.write(data[start_at : start_at + MEBIBYTE])

    on_disk = written.path.stat().st_blocks * 512
    written.read(is_final=True)

    assert on_disk < MEBIBYTE
    assert written.text.encode() == data[:100_000] + data[-100_000:]


def test_without_holes_everything_works_but_the_space(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scheduler.runner.spool._fallocate", lambda *_: -1)
    written = Written(spool, 2000)
    data = pattern(MEBIBYTE)
    written.write(data)

    written.read(is_final=True)

    assert not spool.can_punch_holes()
    assert written.text.encode() == data[:1000] + data[-1000:]
    assert written.path.stat().st_blocks * 512 >= MEBIBYTE
    written.close()


def test_output_of_a_command_that_ended_stays_in_its_pipe_until_it_is_recorded(spool: Spool) -> None:
    pipes = Pipes()
    written = Written(spool, MEBIBYTE, pipe=pipes.take())
    os.write(written.writer, b"hello")

    written.read(is_final=True)

    assert (written.text, written.pipe.waiting(), written.path.exists()) == ("hello", 5, False)
    written.close()
    pipes.give_back(written.pipe)
    assert pipes.take() is written.pipe
    assert (written.pipe.waiting(), written.pipe.has_writers()) == (0, False)


def test_pipe_that_is_still_written_to_is_not_used_again(spool: Spool) -> None:
    pipes = Pipes()
    pipe = pipes.take()
    writer = pipe.open_writer()

    pipes.give_back(pipe)

    assert pipes.take() is not pipe
    os.close(writer)


def test_two_processes_do_not_read_one_output(spool: Spool) -> None:
    first = Written(spool, MEBIBYTE)
    first.write(b"x")
    second = LogReader(str(first.path), first.pipe, log_limit=MEBIBYTE)

    with pytest.raises(BlockingIOError):
        second.keep()

    first.close()
    second.keep()
    second.close()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Yield a folder on a file system of its own that holds one mebibyte."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    if os.getuid() != 0 or subprocess.run(mount, check=False).returncode != 0:
        pytest.skip("this user cannot mount a file system")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_output_goes_to_memory_when_the_disk_is_full(small_disk: Path) -> None:
    written = Written(Spool(small_disk), 4 * MEBIBYTE)
    data = pattern(3 * MEBIBYTE)

    for start in range(0, len(data), 100_000):
        written.write(data[start : start + 100_000])
        if start % 300_000 == 0:
            written.read()
    written.read(is_final=True)

    assert written.text.encode() == data
    assert written.reader.size == len(data)
    written.close()


def test_output_goes_to_memory_when_the_disk_is_full_from_the_start(spool: Spool) -> None:
    pipe = Pipes().take()
    writer = pipe.open_writer()
    reader = LogReader("/dev/full", pipe, log_limit=MEBIBYTE)
    reader.keep()
    os.write(writer, b"hello")

    reader.pump()

    assert reader.read(is_final=True) == [Chunk(0, 5, "hello")]
    reader.close()
    os.close(writer)


def test_output_goes_to_memory_where_no_file_can_be_made(spool: Spool) -> None:
    spool.root.rename(spool.root.with_name("moved"))
    written = Written(spool, MEBIBYTE)

    written.write(b"hello")
    written.read(is_final=True)

    assert written.text == "hello"
    written.close()


def test_pump_moves_what_many_commands_write(spool: Spool) -> None:
    pump = Pump()
    made = []
    for number in range(20):
        pipe = Pipes().take()
        reader = LogReader(spool.path(number, CLAIM, "out"), pipe, log_limit=MEBIBYTE)
        writer = pipe.open_writer()
        pump.add(reader)
        for line in range(100):
            os.write(writer, b"%d\n" % line)
        os.close(writer)
        made.append(reader)

    end = monotonic() + 15
    while any(not reader.is_written() for reader in made) and monotonic() < end:
        sleep(0.005)
    pump.close()

    texts = ["".join(chunk.text for chunk in reader.read(is_final=True)) for reader in made]
    assert texts == ["".join(f"{line}\n" for line in range(100))] * 20


def test_output_that_is_awaited_gets_its_file_when_it_comes(spool: Spool) -> None:
    pump, pipes = Pump(), [Pipes().take() for _ in range(2)]
    readers = [
        LogReader(spool.path(number, CLAIM, "out"), pipe, log_limit=MEBIBYTE)
        for number, pipe in enumerate(pipes)
    ]
    writers = [pipe.open_writer() for pipe in pipes]
    try:
        for reader in readers:
            pump.await_output(reader)
        os.write(writers[1], b"at last\n")
        chunks = wait_until(readers[1].read, what="the output")
        assert [chunk.text for chunk in chunks] == ["at last\n"]
        assert [path.name for path in spool.root.glob("*.out")] == [f"1-{CLAIM}.out"]
    finally:
        for writer in writers:
            os.close(writer)
        pump.close()


# --- floods ---------------------------------------------------------------------------------------

# In a process of its own, whose memory nothing else has used. It reads like a supervisor that is busy for 0.25 s
# at a time, and prints the most bytes it saw on disk, and those that its memory grew by.
WATCHER = """
import os, sys
from pathlib import Path
from time import monotonic, sleep
sys.path.insert(0, sys.argv[1])
from scheduler.runner import CommandSpec, LogReader, Pipes, Pump, Spool, command_environment, start
CLAIM = f"c{os.getpid()}"
spool, until, texts = Spool(Path(sys.argv[2])), int(sys.argv[3]), sys.argv[4:]
peak = lambda: int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) * 1024
base = peak()
watched, largest, pump, pipes = [], {}, Pump(), Pipes()
for number, text in enumerate(texts):
    spec = CommandSpec(number, CLAIM, text, command_environment(), Path("/"), None, 0.2)
    command = start(spec, spool, pipes)
    reader = LogReader(spool.path(number, CLAIM, "out"), command.pipe, log_limit=1 << 20)
    pump.add(reader)
    watched.append((command, reader))
end = monotonic() + 25
while watched and monotonic() < end:
    for command, reader in list(watched):
        command.tick()
        is_over = command.poll() is not None and reader.is_written()
        reader.read(is_final=is_over)
        if is_over:
            pump.remove(reader)
            reader.close()
            watched.remove((command, reader))
        elif reader.size > until:
            command.stop("cancel")
    looks = monotonic() + 0.25
    while watched and monotonic() < looks:
        for command, _ in watched:
            blocks = os.stat(spool.path(command.spec.execution_id, CLAIM, "out")).st_blocks * 512
            largest[command.pid] = max(largest.get(command.pid, 0), blocks)
        sleep(0.003)
assert not watched
print(max(largest.values()), peak(), peak() - base)
"""


@pytest.mark.parametrize(
    ("commands", "until"),
    [
        (["head -c 200000000 /dev/zero"], 10**10),
        (["yes"] * 4, 2 * 10**8),
        pytest.param(["head -c 1000000000 /dev/zero"], 10**10, marks=pytest.mark.faults),
        pytest.param(["yes"], 10**9, marks=pytest.mark.faults),
        pytest.param(["yes"] * 4, 6 * 10**8, marks=pytest.mark.faults),
    ],
)
def test_flood_stays_small_on_disk_and_in_memory(spool: Spool, commands: list[str], until: int) -> None:
    if not spool.can_punch_holes():
        pytest.skip("this file system cannot punch holes")
    root = str(Path(__file__).parents[2])

    watcher = subprocess.run(
        [sys.executable, "-c", WATCHER, root, str(spool.root), str(until), *commands],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )

    on_disk, memory, growth = map(int, watcher.stdout.split())
    print(f"on disk {on_disk / 1e6:.0f} MB, memory {memory / 1e6:.0f} MB, growth {growth / 1e6:.0f} MB")
    assert on_disk < 4_000_000
    assert memory < 150_000_000
