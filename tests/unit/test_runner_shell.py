"""What a shell is given: which texts run in the shell that publishes how they end, and what any text sees of it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from scheduler.runner.shell_text import is_plain, shell_arguments
from scheduler.runner.spool import Spool
from tests.support.cases import each_case

PLAIN = [
    "true",
    "python job.py",
    " python  job.py --id $TASK_ID ",
    "python3.11 -m jobs.daily --name 'a b' --at \"${HOME}/x\"",
    "/opt/app/bin/run --flag=1,2 user@host:/path",
    "exit 7",
    "kill -9 $$",
    "cd /srv && ./run.sh >> log 2>&1",
    "first | second -n 1; third || exit 3",
    "curl -fsS https://example.org/a%20b -o /dev/null",
    "echo '$(not run) `nor this` \\ ; exec'",
]
TOUCHY = [
    "",
    " ",
    "# a comment",
    "exec python job.py",
    "trap 'rm x' EXIT; work",
    ". ./lib.sh",
    "source lib.sh",
    "eval x",
    "set -e; work",
    "true; exec sleep 1",
    "true &&exec sleep 1",
    "true | trap '' EXIT",
    "A=1 work",
    "work &",
    "work\n",
    "one\ntwo",
    "(exit 3)",
    "if true; then true; fi",
    "while true; do break; done",
    "f() { exec sleep 1; }; f",
    "$SHELL_COMMAND",
    "'exec' sleep 1",
    "\\exec sleep 1",
    "e''xec sleep 1",
    "echo $(exec true)",
    "echo `true`",
    "echo ${x:=y}",
    "echo *",
    "echo ~",
    'echo "unclosed',
    "echo 'unclosed",
    "echo a\\",
    "a;;b",
    "a ||",
    "a | | b",
    "| a",
    "a >& b",
    "a >",
    "a <<E",
    "-c x",
    "+x",
    "wait",
    "return 3",
    "command exec sleep 1",
    "unset x",
    "x" * 5000,
]


@each_case("text", PLAIN)
def test_commands_that_cannot_touch_the_shell_are_plain(text: str) -> None:
    assert is_plain(text)


@each_case("text", TOUCHY)
def test_whatever_might_touch_the_shell_is_not_plain(text: str) -> None:
    assert not is_plain(text)


def ends(text: str, folder: Path, shell: str = "/bin/sh") -> tuple[int, bytes, str]:
    """Run a text as a worker does; return code and output, and what was published."""
    file = folder.with_name(f"{folder.name}, it's published")
    file.write_bytes(b"")
    arguments = shell_arguments(text, shell, str(file))
    ended = subprocess.run(
        arguments, input=b"\n", stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=folder, check=False
    )
    return ended.returncode, ended.stdout, file.read_text()


# Nothing in the background: its output would come in any order.
WORDS = st.sampled_from(
    """
    true false exit exit_3 echo cd_. cd_/none none $x ${x} 'a_b' "$x" 7 ; && || | 2>&1 >/dev/null > < 1>&2 exec trap
    set_-e ( ) if kill_-0_$x = A=1 -n { } ! \\ " ' # * ~ case : return
    """.split()  # noqa: SIM905
).map(lambda word: word.replace("_", " "))


@given(st.lists(WORDS, min_size=1, max_size=7).map(" ".join))
@hypothesis_settings(max_examples=150)
def test_every_text_ends_as_under_a_plain_shell_and_publishes_it(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    folder = tmp_path_factory.mktemp("text")
    plainly = subprocess.run(
        ["/bin/sh", "-c", f" {text}"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd=folder,
        check=False,
    )

    code, output, published = ends(text, folder)

    assert (code, published) == (plainly.returncode, f"exit {code}\n")
    if "|" not in text:  # else several write at once
        assert output == plainly.stdout


@pytest.mark.parametrize(
    "text", ["no-such-command", "\n\nno-such-command", "true\nif then", "no-such-command # c"]
)
@pytest.mark.parametrize("shell", ["/bin/sh", "/bin/bash"])
def test_errors_name_the_lines_of_the_text(tmp_path: Path, text: str, shell: str) -> None:
    plainly = subprocess.run(
        [shell, "-c", text],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd=tmp_path,
        check=False,
    )

    code, output, published = ends(text, tmp_path, shell)

    assert (code, output) == (plainly.returncode, plainly.stdout)
    assert published == f"exit {code}\n"


@pytest.mark.parametrize("shell", ["/bin/sh", "/bin/bash"])
@pytest.mark.parametrize("text", ['echo $0 $# "$@"\n', "echo $0", "-x", "+x"])
def test_a_text_sees_the_arguments_of_a_plain_shell(tmp_path: Path, text: str, shell: str) -> None:
    plainly = subprocess.run(
        [shell, "-c", f" {text}"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )

    assert ends(text, tmp_path, shell)[:2] == (plainly.returncode, plainly.stdout)


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"1 2 3 b-o\nexit 137\n", 137),
        (b"1 2 3 b-o\nKilled\nexit 137\n", -9),
        (b"1 2 3 b-o\nSegmentation fault (core dumped)\nexit 139\n", -11),
        (b"1 2 3 b-o\nkilled 9\n", -9),
        (b"Terminated\nexit 143\n", -15),
        (b"exit 143\n", 143),
        (b"1 2 3 b-o\nexit 256\n", 0),
        (b"1 2 3 b-o\n", None),
        (b"", None),
    ],
)
def test_a_word_of_the_shell_beside_the_code_is_a_signal(
    tmp_path: Path, content: bytes, code: int | None
) -> None:
    spool = Spool(tmp_path)
    Path(spool.path(1, "c", "shell")).write_bytes(content)

    assert spool.said(1, "c").code == code
