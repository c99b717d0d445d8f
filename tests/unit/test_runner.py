"""One command: how it starts, ends, is stopped, and is taken over from a worker that died."""

from __future__ import annotations

import errno
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from time import monotonic

import pytest

from scheduler.runner import (
    CommandSpec,
    Exit,
    NeverStarted,
    Pipe,
    Pipes,
    RunningCommand,
    Spool,
    StartError,
    adopt,
    command_environment,
    let_commands_be_interrupted,
    open_pipes,
)
from scheduler.runner import start as start_in
from scheduler.runner.contracts import Said

PIPES = Pipes()
OPENED: dict[int, Pipe | None] = {}
CLAIM = f"c{os.getpid()}"  # a stop looks for all that carries it: another test process must not be found
LONG = 600  # seconds; whatever sleeps that long was killed, or the test fails


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path / "it's the spool")


@pytest.fixture(autouse=True)
def _nothing_left(tmp_path: Path) -> Iterator[None]:
    """Kill what a test left behind on purpose."""
    yield
    for pid in alive(""):
        os.kill(pid, signal.SIGKILL)


@pytest.fixture(scope="module", autouse=True)
def _interruptible() -> None:
    """Do what a worker does first: whoever runs the tests may ignore signals."""
    let_commands_be_interrupted()


def make_spec(command: str, **changes: object) -> CommandSpec:
    fields: dict[str, object] = {
        "execution_id": 7,
        "claim": CLAIM,
        "command": command,
        "env": command_environment({"TEST_RUN": str(os.getpid())}),
        "cwd": Path("/"),
        "timeout": None,
        "grace": 0.2,
    }
    return CommandSpec(**{**fields, **changes})  # type: ignore[arg-type]


def start(spec: CommandSpec, spool: Spool) -> RunningCommand:
    return start_in(spec, spool, PIPES)


def published_exit(spool: Spool, execution_id: int, claim: str) -> int | None:
    return spool.said(execution_id, claim).code


def eventually(look: Callable[[], object], within: float = 15) -> None:
    end = monotonic() + within
    while not look():
        assert monotonic() < end, "it did not happen"
        time.sleep(0.005)


def wait(command: RunningCommand, within: float = 15) -> Exit:
    """Do what a supervisor does until the command ended."""
    end = monotonic() + within
    while True:
        command.tick()
        if (ended := command.poll()) is not None:
            command.close()
            return ended
        assert monotonic() < end, "the command did not end"
        time.sleep(0.005)


def run(spool: Spool, command: str, **changes: object) -> Exit:
    return wait(start(make_spec(command, **changes), spool))


def output(spool: Spool, execution_id: int = 7) -> str:
    """Return what a command wrote so far; it stays where it is."""
    note = spool.said(execution_id, CLAIM).note
    if note is None:
        return ""
    pipe = OPENED.setdefault(note.inode, None) or open_pipes([note.inode]).get(note.inode)
    if pipe is None:
        return ""
    OPENED[note.inode] = pipe
    return (pipe.peek() or b"").decode("utf-8", "replace")


def alive(marker: str = f"7-{CLAIM}") -> list[int]:
    """Return who lives and stems from this test run, by an own look at /proc."""
    found = []
    for folder in Path("/proc").iterdir():
        try:
            environment = (folder / "environ").read_bytes().split(b"\0")
            state = (folder / "stat").read_bytes().rpartition(b")")[2].split()[0]
        except OSError:
            continue
        is_ours = f"TEST_RUN={os.getpid()}".encode() in environment
        if (
            is_ours
            and state not in (b"Z", b"X")
            and any(line.startswith(f"SCHEDSITE_CLAIM={marker}".encode()) for line in environment)
        ):
            found.append(int(folder.name))
    return found


# --- how a command ends ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ("true", 0),
        ("false", 1),
        ("exit 7", 7),
        ("exit 255", 255),
        ("exit 256", 0),
        ("exit 1000", 1000 & 0xFF),
        ("exit -1", 2),
        ("no-such-command", 127),
        ("/etc/passwd", 126),
        ("if then", 2),
        ("set -e; false; exit 0", 1),
        ("set -u; echo $missing", 2),
        ("set -C; exit 6", 6),
        ("(exit 3)", 3),
        ("true | (exit 4)", 4),
        ("sh -c 'exit 5'", 5),
        ("sh -c 'kill -9 $$'", 137),
        ("f() { return 9; }\nf", 9),
        ("", 0),
        ("# only a comment", 0),
    ],
)
def test_exit_code_is_seen_and_published(spool: Spool, command: str, code: int) -> None:
    ended = run(spool, command)

    assert ended == Exit(code)
    assert published_exit(spool, 7, CLAIM) == code


def test_every_exit_code_is_seen_and_published(spool: Spool) -> None:
    commands = [start(make_spec(f"exit {code}", execution_id=code), spool) for code in range(0, 256, 5)]

    seen = [wait(command).code for command in commands]

    assert seen == list(range(0, 256, 5))
    assert [published_exit(spool, code, CLAIM) for code in seen if code is not None] == seen


@pytest.mark.parametrize("number", [1, 2, 3, 6, 9, 11, 13, 15, 31, 40, 64])
def test_death_by_signal_is_a_negative_code(spool: Spool, number: int) -> None:
    assert run(spool, f"kill -{number} $$") == Exit(-number)


def test_replaced_trap_and_exec_are_waited_for(spool: Spool) -> None:
    assert run(spool, "trap 'true' EXIT; exit 4") == Exit(4)
    spool.remove(7, CLAIM)
    assert run(spool, "exec sh -c 'exit 5'") == Exit(5)


def test_what_linux_does_not_start_is_refused_with_what_is_too_long_and_the_limit(spool: Spool) -> None:
    env = {f"V{number}": "x" * 100_000 for number in range(100)}
    allowed = os.sysconf("SC_ARG_MAX")
    cases = [
        (make_spec("#" + "x" * 131_071), "the command has 131,072 bytes; Linux starts at most 131,071"),
        (
            make_spec("true", env={"BIG": "x" * 131_068}),
            "the variable BIG has 131,072 bytes with its name; Linux allows at most 131,071",
        ),
        (
            make_spec("true", env=env),
            f"the command and its variables have 10,000,394 bytes together; Linux allows some {allowed:,} here",
        ),
    ]
    for spec, reason in cases:
        with pytest.raises(StartError) as caught:
            start(spec, spool)
        assert str(caught.value) == f"could not start: {reason}"


def test_longest_variable_that_is_allowed_arrives(spool: Spool) -> None:
    run(spool, "printenv BIG | wc -c", env={**command_environment(), "BIG": "x" * 131_067})

    assert output(spool).strip() == "131068"


def test_preface_comes_before_the_output(spool: Spool) -> None:
    run(spool, "echo then", preface="first\n")

    assert output(spool) == "first\nthen\n"


@pytest.mark.parametrize(
    ("command", "env", "problem"),
    [
        ("echo \0", {}, "contains a NUL character"),
        ("true", {"A": "\0"}, "contains a NUL character"),
        ("true", {"A=B": "c"}, "the name of an environment variable contains ="),
        ("echo \ud800", {}, "a lone surrogate"),
    ],
)
def test_what_no_process_can_be_given_is_refused(
    spool: Spool, command: str, env: dict[str, str], problem: str
) -> None:
    with pytest.raises(StartError, match=problem):
        start(make_spec(command, env=env), spool)


def test_missing_folder_is_named(spool: Spool, tmp_path: Path) -> None:
    with pytest.raises(StartError) as caught:
        start(make_spec("true", cwd=tmp_path / "gone"), spool)

    assert str(caught.value) == f"could not start: the folder {tmp_path / 'gone'} does not exist"


def test_missing_spool_is_a_reason(spool: Spool) -> None:
    spool.root.rename(spool.root.with_name("moved"))

    with pytest.raises(StartError, match="the spool cannot be written: No such file"):
        start(make_spec("true"), spool)


@pytest.mark.parametrize(
    ("number", "problem"),
    [(errno.EMFILE, "too many open files"), (errno.EAGAIN, "this user has too many processes")],
)
def test_exhausted_host_is_a_reason(
    spool: Spool, monkeypatch: pytest.MonkeyPatch, number: int, problem: str
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(subprocess, "Popen", refuse)

    with pytest.raises(StartError, match=problem):
        start(make_spec("true"), spool)


def test_command_that_cannot_be_watched_is_ended(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: int) -> int:
        raise OSError(errno.EMFILE, "Too many open files")

    with monkeypatch.context() as patch:
        patch.setattr(os, "pidfd_open", refuse)
        with pytest.raises(StartError, match="too many open files"):
            start(make_spec(f"sleep {LONG}"), spool)

    eventually(lambda: alive() == [])  # who was killed takes a moment to be gone


# --- what a command is given ----------------------------------------------------------------------


def test_standard_input_is_empty_and_there_is_no_terminal(spool: Spool) -> None:
    ended = run(spool, "cat; test -t 0 || test -t 1 || (: </dev/tty) 2>/dev/null || echo none")

    assert (ended, output(spool)) == (Exit(0), "none\n")


def test_closed_output_does_not_end_the_command(spool: Spool) -> None:
    assert run(spool, "exec >&- 2>&-; sleep 0.1; exit 3") == Exit(3)


def test_output_and_errors_stand_in_the_order_they_were_written(spool: Spool) -> None:
    run(spool, "for i in 1 2 3 4 5; do echo out $i; echo err $i >&2; done")

    assert output(spool).split("\n")[:-1] == [f"{kind} {i}" for i in range(1, 6) for kind in ("out", "err")]


def test_no_descriptor_is_inherited(spool: Spool) -> None:
    with socket.socket() as one:
        one.set_inheritable(True)

        run(spool, "ls /proc/self/fd")

    assert output(spool).split() == ["0", "1", "2", "3"]  # 3 is the folder that ls reads


def test_server_variables_come_from_an_allow_list(spool: Spool) -> None:
    server = {
        "SECRET_KEY": "s",
        "DATABASE_URL": "d",
        "LC_TIME": "C",
        "HOME": "/h",
        "PATH": "/bin:/usr/bin",
        "LD_PRELOAD": "x",
    }

    run(spool, "env", env=command_environment({"OWN": "1", "TEST_RUN": "x"}, base=server))

    lines = set(output(spool).splitlines())
    assert {"LC_TIME=C", "HOME=/h", "OWN=1", f"SCHEDSITE_CLAIM=7-{CLAIM}"} <= lines
    names = {line.partition("=")[0] for line in lines}
    assert names <= {
        "LC_TIME",
        "HOME",
        "OWN",
        "TEST_RUN",
        "PATH",
        "PWD",
        "OLDPWD",
        "SCHEDSITE_CLAIM",
        "_",
        "SHLVL",
    }


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGQUIT, signal.SIGHUP])
def test_signals_of_the_keyboard_work_in_commands_of_a_worker_that_ignores_them(
    spool: Spool, number: signal.Signals
) -> None:
    before = signal.signal(number, signal.SIG_IGN)
    try:
        let_commands_be_interrupted()
        ended = run(spool, f"kill -{int(number)} $$; echo survived")
    finally:
        signal.signal(number, before)

    assert ended == Exit(-number)


def test_spool_is_private_and_keeps_its_identity(tmp_path: Path) -> None:
    (tmp_path / "spool").mkdir(mode=0o755)

    first, second = Spool(tmp_path / "spool"), Spool(tmp_path / "spool")

    assert first.host_id == second.host_id
    assert [path.name for path in first.root.iterdir()] == ["host-id"]
    assert first.root.stat().st_mode & 0o777 == 0o700


def test_nothing_is_left_in_the_spool_after_removal(spool: Spool) -> None:
    run(spool, "echo hello")

    spool.remove(7, CLAIM)
    spool.remove(7, CLAIM)

    assert [path.name for path in spool.root.iterdir()] == ["host-id"]


def test_files_that_wait_to_be_used_again_can_be_tidied_away_meanwhile(spool: Spool) -> None:
    run(spool, "true")
    spool.retire(7, CLAIM)
    Spool(spool.root).remove(7, CLAIM)

    assert run(spool, "exit 4", execution_id=8) == Exit(4)
    assert published_exit(spool, 8, CLAIM) == 4


def test_a_file_that_waits_to_be_used_again_says_nothing_of_its_last_shell(spool: Spool) -> None:
    run(spool, "exit 4")

    spool.retire(7, CLAIM)

    assert spool.said(7, CLAIM) == Said()
    assert list(spool.notes()) == []


def test_nothing_is_left_in_the_spool_when_a_worker_has_no_more_to_do(spool: Spool) -> None:
    for number in range(3):
        run(spool, "echo hello", execution_id=number)
    for number in range(3):
        spool.retire(number, CLAIM)

    spool.remove_retired()

    assert [path.name for path in spool.root.iterdir()] == ["host-id"]


# --- stopping -------------------------------------------------------------------------------------


def test_background_process_that_holds_the_output_does_not_hold_the_command(spool: Spool) -> None:
    ended = run(spool, f"sleep {LONG} & echo done")

    assert (ended, output(spool)) == (Exit(0), "done\n")
    assert len(alive()) == 1  # by default it is left alone


@pytest.mark.parametrize(
    "command",
    [
        f"sleep {LONG}",
        f"trap '' TERM; echo ready; sleep {LONG}; sleep {LONG}",
        f"trap 'exit 0' TERM; echo ready; sleep {LONG} & wait",
        f"(trap '' TERM; sleep {LONG}; sleep {LONG}) & sleep {LONG}",
        f"setsid -f sleep {LONG}; sleep {LONG}",
        f"setsid -f sh -c \"trap '' TERM; sleep {LONG}; sleep {LONG}\"; sleep {LONG}",
        f"env -i sh -c 'sleep {LONG} & sleep {LONG}'",
        f"kill -STOP $$; sleep {LONG}",
    ],
)
@pytest.mark.parametrize("cause", ["timeout", "cancel"])
def test_stop_leaves_nothing_alive(spool: Spool, command: str, cause: str) -> None:
    running = start(make_spec(f"echo began; {command}", timeout=0.3 if cause == "timeout" else None), spool)
    eventually(lambda: "began" in output(spool))
    if cause == "cancel":
        eventually(lambda: len(_in_session(running.pid)) > 1 or "kill -STOP" in command)
        running.stop("cancel")

    ended = wait(running)

    assert running.stopped_for == cause
    assert ended.code is not None
    assert alive() == []
    assert not _in_session(running.pid)


def _in_session(session: int) -> list[int]:
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_bytes().rpartition(b")")[2].split()
        except OSError:
            continue
        if fields[0] != b"Z" and session in (int(fields[2]), int(fields[3])):
            found.append(int(folder.name))
    return found


def test_exit_zero_on_term_is_still_a_stop(spool: Spool) -> None:
    running = start(make_spec("trap 'exit 0' TERM; echo ready; while :; do sleep 0.02; done"), spool)
    eventually(lambda: "ready" in output(spool))

    running.stop("timeout")
    running.stop("cancel")

    assert (wait(running), running.stopped_for) == (Exit(0), "timeout")


def test_command_that_ended_before_anybody_looked_did_not_time_out(spool: Spool) -> None:
    running = start(make_spec("exit 1", timeout=0.0), spool)
    select.select([running.pidfd], [], [], 15)

    ended = wait(running)

    assert (ended, running.stopped_for) == (Exit(1), "")


def test_many_stops_at_once_leave_nothing_alive(spool: Spool) -> None:
    commands = [
        start(make_spec(f"trap '' TERM; sleep {LONG} & wait; wait", execution_id=n), spool) for n in range(50)
    ]

    for command in commands:
        command.stop("cancel")
    end = monotonic() + 15
    while commands and monotonic() < end:
        for command in commands:
            command.tick()
        commands = [command for command in commands if command.poll() is None]
        time.sleep(0.02)

    assert (commands, alive("")) == ([], [])


# --- adoption -------------------------------------------------------------------------------------

WORKER = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from scheduler.runner import CommandSpec, Pipes, Spool, command_environment, start
env = command_environment({"TEST_RUN": sys.argv[4]})
spec = CommandSpec(7, sys.argv[5], sys.argv[3], env, Path("/"), None, 0.2)
die = lambda: os.kill(os.getpid(), signal.SIGKILL)
class Mortal(Spool):
    def write_note(self, *what):
        if sys.argv[6] == "before the pid":
            die()
        super().write_note(*what)
        if sys.argv[6] == "before the word":
            die()
start(spec, Mortal(Path(sys.argv[2])), Pipes())
die()
"""


def die_after_start(spool: Spool, command: str, *, when: str = "after the word") -> None:
    """Start a command from a worker that dies by SIGKILL."""
    root = str(Path(__file__).parents[2])
    arguments = [sys.executable, "-c", WORKER, root, str(spool.root), command, str(os.getpid()), CLAIM, when]
    assert subprocess.run(arguments, check=False).returncode == -signal.SIGKILL


def test_running_command_is_adopted_and_its_exit_code_is_read(spool: Spool, tmp_path: Path) -> None:
    door = tmp_path / "door"
    os.mkfifo(door)
    die_after_start(spool, f"echo began; read line <{door}; exit 42")
    eventually(lambda: output(spool) == "began\n")

    found = adopt(make_spec(""), spool)

    assert isinstance(found, RunningCommand)
    assert found.poll() is None
    door.write_text("go\n", encoding="utf-8")
    assert wait(found) == Exit(42)


def test_adopted_command_times_out_and_leaves_nothing(spool: Spool) -> None:
    die_after_start(spool, f"echo began; setsid -f sleep {LONG}; sleep {LONG}; true")
    eventually(lambda: output(spool) == "began\n")

    found = adopt(make_spec("", timeout=0.01), spool)

    assert isinstance(found, RunningCommand)
    assert wait(found) == Exit(None)
    assert (found.stopped_for, alive()) == ("timeout", [])


@pytest.mark.parametrize("command", [f"exec sleep {LONG}", f"exec env -i sleep {LONG}"])
def test_command_that_became_another_program_is_adopted(spool: Spool, command: str) -> None:
    die_after_start(spool, f"echo began; {command}")
    eventually(lambda: output(spool) == "began\n" and _shell_is(spool, b"sleep"))

    found = adopt(make_spec(""), spool)

    assert isinstance(found, RunningCommand)
    found.stop("cancel")
    assert wait(found) == Exit(-signal.SIGTERM)
    assert not _in_session(found.pid)


def _shell_is(spool: Spool, name: bytes) -> bool:
    return any(Path(f"/proc/{pid}/cmdline").read_bytes().startswith(name) for pid in shell_and_below(spool))


def shell_and_below(spool: Spool) -> list[int]:
    note = spool.said(7, CLAIM).note
    return [] if note is None else _in_session(note.pid)


def test_command_that_ended_alone_is_recorded_with_its_code(spool: Spool) -> None:
    die_after_start(spool, f"setsid -f sleep {LONG}; echo hello; exit 3")
    eventually(lambda: published_exit(spool, 7, CLAIM) is not None)
    eventually(lambda: not isinstance(adopt(make_spec(""), spool), RunningCommand))

    found = adopt(make_spec(""), spool)

    assert (found, output(spool)) == (Exit(3), "hello\n")


def test_command_that_left_nothing_is_lost(spool: Spool) -> None:
    die_after_start(spool, "echo began; kill -9 $$")
    eventually(lambda: spool.said(7, CLAIM).note is not None and not alive())

    found = adopt(make_spec(""), spool)

    assert (wait(found) if isinstance(found, RunningCommand) else found) == Exit(None)


def test_claim_without_a_trace_never_started(spool: Spool) -> None:
    assert adopt(make_spec(""), spool) == NeverStarted()


def test_worker_that_died_between_output_file_and_process_never_started_it(spool: Spool) -> None:
    Path(spool.path(7, CLAIM, "out")).touch()

    assert adopt(make_spec(""), spool) == NeverStarted()


@pytest.mark.parametrize("when", ["before the pid", "before the word"])
def test_command_of_a_worker_that_dies_before_its_word_never_starts(
    spool: Spool, tmp_path: Path, when: str
) -> None:
    die_after_start(spool, f"touch {tmp_path}/ran", when=when)
    eventually(lambda: not alive())

    assert adopt(make_spec(""), spool) == NeverStarted()
    assert not (tmp_path / "ran").exists()


def test_command_whose_pid_cannot_be_written_does_not_start(
    spool: Spool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EDQUOT, "Disk quota exceeded")

    with monkeypatch.context() as patched:
        patched.setattr(os, "link", refuse)
        with pytest.raises(StartError, match="the spool cannot be written: Disk quota exceeded"):
            start(make_spec(f"touch {tmp_path}/ran"), spool)

    assert alive() == []
    assert not (tmp_path / "ran").exists()


def test_shell_that_begins_after_it_was_given_up_does_not_run_the_command(
    spool: Spool, tmp_path: Path
) -> None:
    assert adopt(make_spec(""), spool) == NeverStarted()

    ended = run(spool, f"touch {tmp_path}/ran")

    assert ended == Exit(125)
    assert not (tmp_path / "ran").exists()
    assert adopt(make_spec(""), spool) == NeverStarted()


@pytest.mark.parametrize("unlike", ["in start", "in boot", "in anything"])
def test_pid_of_somebody_else_is_not_adopted(spool: Spool, unlike: str) -> None:
    stranger = start(make_spec(f"sleep {LONG}", execution_id=8), spool)
    eventually(lambda: alive("8-"))
    own = spool.said(8, CLAIM).note
    assert own is not None
    note = {
        "in start": bytes(replace(own, started=own.started + 1)),
        "in boot": bytes(replace(own, boot="0" * 8)),
        "in anything": b"%d\n" % own.pid,
    }[unlike]
    Path(spool.path(7, CLAIM, "shell")).write_bytes(note)
    Path(spool.path(7, CLAIM, "out")).touch()

    found = adopt(make_spec(""), spool)

    assert found == Exit(None)
    assert stranger.poll() is None
    stranger.stop("cancel")
    wait(stranger)


@pytest.mark.parametrize(
    "content", ["", "1\n", "1\nexit", "1\nexit 1", "1\nexit 1x\n", "1\nexit -1\n", "1\nexit 1\n\n"]
)
def test_half_written_exit_code_is_not_believed(spool: Spool, content: str) -> None:
    Path(spool.path(7, CLAIM, "shell")).write_text(content, encoding="ascii")

    assert published_exit(spool, 7, CLAIM) is None


# --- what cannot be killed ------------------------------------------------------------------------

OTHER_USER, THIRD_USER = 65534, 2
STOPPER = """
import os, sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import scheduler.runner.command as command
from scheduler.runner import CommandSpec, Pipes, Spool, start
command.UNKILLABLE_AFTER = 0.5
import encodings.ascii  # nothing can be imported once this is another user
os.setgroups([])
os.setresgid(*[int(sys.argv[6])] * 3)
os.setresuid(*[int(sys.argv[6])] * 3)
text = f"{sys.argv[3]} --reuid={sys.argv[4]} --clear-groups sleep 600; true"
env = {"PATH": os.environ["PATH"]}
running = start(CommandSpec(7, sys.argv[5], text, env, Path("/"), None, 0.1), Spool(Path(sys.argv[2])), Pipes())
time.sleep(0.5)
running.stop("cancel")
end = time.monotonic() + 15
while running.poll() is None and time.monotonic() < end:
    running.tick()
    time.sleep(0.02)
for survivor in running.survivors:
    print(survivor.pid, os.stat(f"/proc/{survivor.pid}").st_uid)
"""


@pytest.mark.skipif(os.getuid() != 0, reason="only root can make a program that becomes another user")
def test_a_process_of_another_user_is_named_when_it_cannot_be_killed(tmp_path: Path) -> None:
    tool = shutil.which("setpriv")
    if tool is None:
        pytest.skip("setpriv is not installed")
    folder = Path(tempfile.mkdtemp(dir="/tmp"))
    folder.chmod(0o777)
    becomes = folder / "setpriv"
    shutil.copy(tool, becomes)
    becomes.chmod(0o4755)
    root = str(Path(__file__).parents[2])

    stopper = subprocess.run(
        [
            sys.executable,
            "-c",
            STOPPER,
            root,
            str(folder / "spool"),
            str(becomes),
            str(THIRD_USER),
            CLAIM,
            str(OTHER_USER),
        ],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )

    (pid, user) = map(int, stopper.stdout.split())
    assert user == THIRD_USER
    os.kill(pid, signal.SIGKILL)
    shutil.rmtree(folder)
