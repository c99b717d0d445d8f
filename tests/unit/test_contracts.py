"""What processes of two versions exchange: commands and files outlive an upgrade, so the formats are pinned here."""

from __future__ import annotations

import re
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from schedsite import hidden_environment
from scheduler.queues.contracts import BELL, BELL_CHANNEL, WORK, fifo_name, queue_of_fifo, redis_list
from scheduler.runner import contracts
from scheduler.runner.contracts import (
    OUT,
    SHELL,
    Note,
    Said,
    drop_message,
    dropped_inode,
    end_line,
    file_name,
    parse_file_name,
    parse_shell_file,
)
from tests.support.cases import each_case

ROOT = Path(__file__).resolve().parents[2]
NOTE = Note(4711, 12345, 678, "0f3a-b")
NUMBERS = st.integers(0, 10**18)
CLAIMS = st.from_regex(r"\A[0-9a-f]{1,32}\Z")


@each_case(
    ("written", "form"),
    [
        (bytes(NOTE), b"4711 12345 678 0f3a-b\n"),
        (end_line(3), b"exit 3\n"),
        (end_line(-9), b"killed 9\n"),
        (contracts.GO, b"\n"),
        (contracts.TAKE, b"take"),
        (drop_message(678), b"drop 678"),
        (file_name(812, "c0ffee", SHELL), "812-c0ffee.shell"),
        (file_name(812, "c0ffee", OUT), "812-c0ffee.out"),
        (contracts.MARKER, "SCHEDSITE_CLAIM"),
        (hidden_environment.MARKER, contracts.MARKER),
        (contracts.HOST_ID, "host-id"),
        (contracts.HOLDERS, "holders"),
        (WORK, "scheduler.jobs.work"),
        (BELL, b"\0"),
        (BELL_CHANNEL, "schedsite_queue"),
        (fifo_name("gpu", "f00d"), "gpu.f00d"),
        (redis_list("0123", "gpu"), "0123:gpu"),
    ],
)
def test_formats_stay_as_former_versions_wrote_them(written: bytes | str, form: bytes | str) -> None:
    assert written == form


@each_case(
    ("content", "said"),
    [
        (b"", Said()),
        (bytes(NOTE), Said(NOTE)),
        (bytes(NOTE) + b"exit 3\n", Said(NOTE, 3)),
        (bytes(NOTE) + b"exit 256\n", Said(NOTE, 0)),
        (bytes(NOTE) + b"exit 137\n", Said(NOTE, 137)),
        (bytes(NOTE) + b"Killed\nexit 137\n", Said(NOTE, -9)),
        (bytes(NOTE) + b"killed 9\n", Said(NOTE, -9)),
        (bytes(NOTE) + b"never\n", Said(NOTE, is_never=True)),
        (bytes(NOTE) + b"exit 3", Said(NOTE)),
        (b"never\n", Said(is_never=True)),
    ],
)
def test_a_shell_file_is_read_in_each_of_its_forms(content: bytes, said: Said) -> None:
    assert parse_shell_file(content) == said


@given(NUMBERS, NUMBERS, NUMBERS)
def test_a_note_is_read_as_it_was_written(pid: int, started: int, inode: int) -> None:
    note = Note(pid, started, inode, "boot")

    assert Note.parse(bytes(note)) == note


@given(NUMBERS, CLAIMS, st.sampled_from([OUT, SHELL]))
def test_names_of_files_and_fifos_are_read_as_they_were_written(pk: int, claim: str, kind: str) -> None:
    assert parse_file_name(file_name(pk, claim, kind)) == (pk, claim, kind)
    assert queue_of_fifo(fifo_name("queue.of.another", claim)) == "queue.of.another"


@given(NUMBERS)
def test_a_message_to_the_keeper_is_read_as_it_was_written(inode: int) -> None:
    message = drop_message(inode)

    assert len(message) <= contracts.LONGEST_MESSAGE
    assert (dropped_inode(message), dropped_inode(contracts.TAKE)) == (inode, None)


LITERALS = re.compile(
    r"""["'](?:take|drop[ %]|host-id|holders|never|schedsite_queue|scheduler\.jobs\.work|SCHEDSITE_CLAIM)"""
)
#: Imported before anything of the apps; `test_formats_stay_as_former_versions_wrote_them` compares its copy.
BEFORE_THE_APPS = "schedsite/hidden_environment.py"


def test_no_other_module_spells_a_contract() -> None:
    found = [
        f"{path.relative_to(ROOT)}: {literal}"
        for package in ("scheduler/runner", "scheduler/processes", "scheduler/services", "schedsite")
        for path in (ROOT / package).rglob("*.py")
        if path.name != "contracts.py" and str(path.relative_to(ROOT)) != BEFORE_THE_APPS
        for literal in LITERALS.findall(path.read_text(encoding="utf-8"))
    ]

    assert found == []
