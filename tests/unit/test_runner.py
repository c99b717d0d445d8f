"""One command: how it starts, ends, is stopped, and is taken over from a worker that died."""

from __future__ import annotations

import errno
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from time import monotonic

import pytest

from scheduler.runner import (
    CommandSpec,
    Exit,
    LogReader,
    NeverStarted,
    RunningCommand,
    Spool,
    StartError,
    adopt,
    command_environment,
    published_exit,
    start,
)

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


def make_spec(command: str, **changes: object) -> CommandSpec:
    fields: dict[str, object] = {
        "execution_id": 7,
        "claim": CLAIM,
        "command": command,
        "env": command_environment({"TEST_RUN": str(os.getpid())}),
        "cwd": Path("/"),
        "timeout": None,
        "log_limit": 1 << 20,
        "grace": 0.2,
    }
    return CommandSpec(**{**fields, **changes})  # type: ignore[arg-type]


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
        select.select([] if command.stopped_for else [command.pidfd], [], [], 0.02)


def run(spool: Spool, command: str, **changes: object) -> Exit:
    return wait(start(make_spec(command, **changes), spool))


def output(spool: Spool) -> str:
    return Path(spool.path(7, CLAIM, "out")).read_text(encoding="utf-8", errors="replace")


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


def test_two_hundred_kibibytes_are_refused_with_the_reason(spool: Spool) -> None:
    with pytest.raises(StartError) as caught:
        start(make_spec("#" + "x" * 200 * 1024), spool)

    assert str(caught.value) == (
        "could not start: the command or its environment is too long (Linux allows 128 KiB each)"
    )
    with pytest.raises(StartError, match="too long"):
        start(make_spec("true", env={"BIG": "x" * 200 * 1024}), spool)


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


def test_python_is_the_interpreter_that_runs_this(spool: Spool) -> None:
    run(spool, "python -c 'import sys; print(sys.prefix)'")

    assert output(spool) == f"{sys.prefix}\n"


def test_later_layers_win_over_the_environment_file(tmp_path: Path) -> None:
    path = tmp_path / "task.env"
    path.write_text("A=file\nB='$A'\nC=file\nEMPTY\n", encoding="utf-8")

    env = command_environment({"A": "task", "C": "task"}, {"C": "built-in"}, env_file=path, base={"A": "no"})

    assert {name: env.get(name) for name in ("A", "B", "C", "EMPTY")} == {
        "A": "task",
        "B": "$A",
        "C": "built-in",
        "EMPTY": None,
    }


def test_environment_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "latin1.env").write_bytes(b"A=\xe9\n")

    with pytest.raises(StartError) as missing:
        command_environment(env_file=tmp_path / "gone.env")
    with pytest.raises(StartError, match="is not UTF-8"):
        command_environment(env_file=tmp_path / "latin1.env")

    assert str(missing.value) == (
        f"could not start: the environment file {tmp_path / 'gone.env'} does not exist"
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGQUIT, signal.SIGHUP])
def test_signals_of_the_keyboard_work_in_commands_of_a_worker_that_ignores_them(
    spool: Spool, number: signal.Signals
) -> None:
    before = signal.signal(number, signal.SIG_IGN)
    try:
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


def test_output_files_are_used_again_and_begin_empty(spool: Spool) -> None:
    run(spool, "echo secret of the first")
    first = Path(spool.path(7, CLAIM, "out"))
    inode = first.stat().st_ino

    spool.retire(7, CLAIM)
    idle = first.read_bytes()
    ended = run(spool, "echo second; exit 3", execution_id=8)

    assert idle == b""
    second = Path(spool.path(8, CLAIM, "out"))
    assert (ended, published_exit(spool, 8, CLAIM)) == (Exit(3), 3)
    assert (second.read_text(encoding="utf-8"), second.stat().st_ino) == ("second\n", inode)
    assert not first.exists()


def test_output_file_that_a_process_left_behind_writes_to_is_not_used_again(
    spool: Spool, tmp_path: Path
) -> None:
    door = tmp_path / "door"
    os.mkfifo(door)
    run(spool, f"setsid -f sh -c 'read _ <{door}; echo late; echo done >{tmp_path}/done'")
    spool.retire(7, CLAIM)

    ended = run(
        spool, f"echo go >{door}; while ! [ -f {tmp_path}/done ]; do sleep 0.01; done", execution_id=8
    )

    assert ended == Exit(0)
    assert Path(spool.path(8, CLAIM, "out")).read_text(encoding="utf-8") == ""


def test_files_that_wait_to_be_used_again_can_be_tidied_away_meanwhile(spool: Spool) -> None:
    run(spool, "true")
    spool.retire(7, CLAIM)
    Spool(spool.root).remove(7, CLAIM)

    assert run(spool, "exit 4", execution_id=8) == Exit(4)
    assert published_exit(spool, 8, CLAIM) == 4


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
from scheduler.runner import CommandSpec, Spool, command_environment, start
env = command_environment({"TEST_RUN": sys.argv[4]})
spec = CommandSpec(7, sys.argv[5], sys.argv[3], env, Path("/"), None, 1 << 20, 0.2)
die = lambda: os.kill(os.getpid(), signal.SIGKILL)
class Mortal(Spool):
    def write_pid(self, *what):
        if sys.argv[6] == "before the pid":
            die()
        super().write_pid(*what)
        if sys.argv[6] == "before the word":
            die()
start(spec, Mortal(Path(sys.argv[2])))
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


def test_command_that_the_dead_worker_had_halted_goes_on(spool: Spool) -> None:
    die_after_start(spool, "echo began; kill -STOP $$; exit 4")
    eventually(lambda: output(spool) == "began\n" and _state(spool) == "T")

    found = adopt(make_spec(""), spool)

    assert isinstance(found, RunningCommand)
    assert wait(found) == Exit(4)


def _state(spool: Spool) -> str:
    pid = Path(spool.path(7, CLAIM, "shell")).read_text(encoding="ascii").split()[0]
    return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0]


@pytest.mark.parametrize("command", [f"exec sleep {LONG}", f"exec env -i sleep {LONG}"])
def test_command_that_became_another_program_is_adopted(spool: Spool, command: str) -> None:
    die_after_start(spool, f"echo began; {command}")
    eventually(lambda: output(spool) == "began\n" and _shell_is(spool, b"sleep"))

    found = adopt(make_spec(""), spool)

    assert isinstance(found, RunningCommand)
    found.stop("cancel")
    assert wait(found) == Exit(None)
    assert not _in_session(found.pid)


def _shell_is(spool: Spool, name: bytes) -> bool:
    pid = Path(spool.path(7, CLAIM, "shell")).read_text(encoding="ascii").split()[0]
    return Path(f"/proc/{pid}/cmdline").read_bytes().startswith(name)


def test_command_that_ended_alone_is_recorded_with_its_code(spool: Spool) -> None:
    die_after_start(spool, f"setsid -f sleep {LONG}; echo hello; exit 3")
    eventually(lambda: published_exit(spool, 7, CLAIM) is not None)
    eventually(lambda: not isinstance(adopt(make_spec(""), spool), RunningCommand))

    found = adopt(make_spec(""), spool)

    assert (found, output(spool)) == (Exit(3), "hello\n")


def test_command_that_left_nothing_is_lost(spool: Spool) -> None:
    die_after_start(spool, "echo began; kill -9 $$")
    eventually(lambda: output(spool) == "began\n" and not alive())

    assert adopt(make_spec(""), spool) == Exit(None)


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


def test_pid_of_somebody_else_is_not_adopted(spool: Spool) -> None:
    stranger = start(make_spec(f"sleep {LONG}", execution_id=8), spool)
    eventually(lambda: alive("8-"))
    Path(spool.path(7, CLAIM, "shell")).write_text(f"{stranger.pid}\n", encoding="ascii")
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


def test_adopter_reads_the_head_that_a_dead_worker_had_not_stored(spool: Spool) -> None:
    spec = make_spec("", log_limit=1 << 16)
    Path(spool.path(7, CLAIM, "out")).write_bytes(b"h" * (1 << 15) + b"m" * (1 << 22) + b"t" * (1 << 15))
    dead = LogReader(spool, spec)
    dead.read()
    dead.trim()
    dead.close()

    reader = LogReader(spool, spec)
    text = "".join(chunk.text for chunk in reader.read(is_final=True))

    assert text == "h" * (1 << 15) + "t" * (1 << 15)
    assert json.dumps(text)
    reader.close()
