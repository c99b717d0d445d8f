"""The contracts between the processes around a command: worker process, shell, keeper, and holder.

A command outlives its worker, and its files outlive an upgrade: a new version reads what the previous one wrote, and
its workers adopt commands that the previous one started. So a format here may gain a form, but never loses or changes
one. The contracts of the queue are in `scheduler.queues.contracts`; everything else is exchanged through the
database, whose contracts are the models.

| Contract | Written by | Read by |
|---|---|---|
| `MARKER` in the environment of a command | worker | any worker that looks for its processes |
| `GO` to the standard input of a shell | worker | the waiting shell |
| the note and the end in a shell file | worker; shell, worker or keeper | adopting worker, keeper |
| `TAKE` and `drop_message` on the socket of a worker | worker | keeper |
| the note in the folder `HOLDERS` | keeper | the next keeper |
"""

from __future__ import annotations

import re
from dataclasses import dataclass

#: Environment variable of a command, with the name of its files; it identifies processes that left group and session.
MARKER = "SCHEDSITE_CLAIM"

#: The line that releases a waiting shell, sent once its note is on disk. Without it, the shell ends (`NEVER`).
GO = b"\n"

# --- the spool: one folder per host -------------------------------------------------------------------

HOST_ID = "host-id"  # the file with the identity of the host
HOLDERS = "holders"  # the folder with one note per holder, named after its pid
OUT, SHELL = "out", "shell"  # kinds of files: output of longer-running commands; note and end of a shell
_FILE_NAME = re.compile(rf"(\d+)-(\w+)\.({OUT}|{SHELL})")


def file_name(execution_id: int, claim: str, kind: str) -> str:
    """Return the name of the file of a kind of an execution."""
    return f"{execution_id}-{claim}.{kind}"


def parse_file_name(name: str) -> tuple[int, str, str] | None:
    """Return execution, claim and kind of a file name; None for other files."""
    found = _FILE_NAME.fullmatch(name)
    return found and (int(found[1]), found[2], found[3])


# --- the shell file: a note, then the end -------------------------------------------------------------

#: Words of the end: with the exit code; with the signal, written for a shell that a signal killed; alone, for a shell
#: that was prevented from starting. A shell file that is a symbolic link prevents its shell from starting.
EXIT, KILLED, NEVER = "exit", "killed", "never"
#: Exit codes of a shell that stand for a signal. Source: POSIX, Shell Command Language, 2.8.2.
FIRST_SIGNAL, LAST_SIGNAL = 129, 192
_NOTE = re.compile(rb"(\d{1,19}) (\d{1,19}) (\d{1,19}) ([\w-]{1,64})\n")
_END = re.compile(rb"(?:\A|\n)(exit|killed) (\d{1,19})\n\Z")


@dataclass(frozen=True)
class Note:
    """The note on a process, as one line: its pid, the values that make it unique, and its pipe.

    The shell of a command does not begin without a note.

    Attributes:
        started: ticks since boot. Source: proc(5), field 22 of stat.
        inode: of the pipe with its output; 0 for a holder.
        boot: id of the boot of the host. Source: random(4).
    """

    pid: int
    started: int
    inode: int
    boot: str

    @classmethod
    def parse(cls, content: bytes) -> Note | None:
        """Parse the note at the beginning of a file; None if it has none."""
        found = _NOTE.match(content)
        return found and cls(int(found[1]), int(found[2]), int(found[3]), found[4].decode())

    def __bytes__(self) -> bytes:
        return b"%d %d %d %s\n" % (self.pid, self.started, self.inode, self.boot.encode())


@dataclass(frozen=True)
class Said:
    """The content of a shell file.

    Attributes:
        code: exit code, negative for a signal; None before the end.
        is_never: it was prevented from starting.
    """

    note: Note | None = None
    code: int | None = None
    is_never: bool = False


def end_line(code: int) -> bytes:
    """Return the line about the end of a shell; `code` is negative for a signal."""
    return b"%s %d\n" % ((EXIT if code >= 0 else KILLED).encode(), abs(code))


def parse_shell_file(content: bytes) -> Said:
    """Parse a shell file: the note, the shell's message about a signal, if any, and the end."""
    note = Note.parse(content)
    if content.endswith(f"{NEVER}\n".encode()):
        return Said(note, is_never=True)
    end = _END.search(content)
    if end is None:
        return Said(note)
    number = int(end[2])
    if end[1] == KILLED.encode():
        return Said(note, -number)
    code = number & 0xFF  # `exit 256` ends as 0, but $? in the trap says 256
    # The shell prints a message for a signal that ended the text, and none for an exit with the same code.
    noted = 0 if note is None else len(bytes(note)) - 1
    is_signal = FIRST_SIGNAL <= code <= LAST_SIGNAL and end.start() > noted
    return Said(note, 128 - code if is_signal else code)


# --- the socket between worker processes and keeper: sequenced packets --------------------------------

#: Asks the keeper to hold the read end of a pipe, which is attached as a descriptor. Source: unix(7), SCM_RIGHTS.
TAKE = b"take"
LONGEST_MESSAGE = 64  # bytes
_DROP = b"drop "


def drop_message(inode: int) -> bytes:
    """Return the message that asks the keeper to release a pipe."""
    return b"%s%d" % (_DROP, inode)


def dropped_inode(message: bytes) -> int | None:
    """Return the inode of the pipe to release; None for other messages."""
    return int(message.removeprefix(_DROP)) if message.startswith(_DROP) else None
