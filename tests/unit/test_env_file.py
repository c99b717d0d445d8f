"""Environment files are read as docker compose reads them."""

from __future__ import annotations

from pathlib import Path

import pytest

from scheduler.runner import StartError, read_env_file
from scheduler.runner.env_file import RequiredValueError, parse_env_file
from tests.support.cases import each_case

KNOWN = {"HOME": "/home/me", "EMPTY": ""}


@each_case(
    ("line", "value"),
    [
        ("X=plain", "plain"),
        ("X= spaced  # comment", "spaced"),
        ("X=val#no comment", "val#no comment"),
        ("export X=exported", "exported"),
        ("X: yaml", "yaml"),
        ('X="two words"', "two words"),
        (r'X="a\nb"', "a\nb"),
        ('X="two\nlines"', "two\nlines"),
        ("X=", ""),
        ("X=${HOME}/bin", "/home/me/bin"),
        ("X=$HOME/bin", "/home/me/bin"),
        ('X="${HOME}/bin"', "/home/me/bin"),
        ("X='${HOME}/bin $HOME $$'", "${HOME}/bin $HOME $$"),
        ("X=$$HOME", "$HOME"),
        ("X=${FIRST}", "1"),
        ("X=${GONE:-x}", "x"),
        ("X=${GONE-x}", "x"),
        ("X=${EMPTY:-x}", "x"),
        ("X=${EMPTY-x}", ""),
        ("X=${HOME:-x}", "/home/me"),
        ("X=${GONE:-${HOME}/x}", "/home/me/x"),
        ("X=${GONE:-}", ""),
        ("X=${HOME:?why}", "/home/me"),
        ("X=${EMPTY?why}", ""),
        ("X=${HOME:+set}", "set"),
        ("X=${EMPTY:+set}", ""),
        ("X=${EMPTY+set}", "set"),
        ("X=${GONE+set}", ""),
        ("X=pa$", "pa$"),
        ("X=pa$1", "pa$1"),
    ],
)
def test_value_is_what_docker_compose_makes_of_it(line: str, value: str) -> None:
    file = parse_env_file(f"FIRST=1\n{line}\n", KNOWN)

    assert file.values["X"] == value
    assert file.notes == []


def test_variables_of_the_environment_go_before_those_of_the_file() -> None:
    file = parse_env_file("HOME=/other\nX=${HOME}\nY=1\nZ=$Y\n", KNOWN)

    assert file.values == {"HOME": "/other", "X": "/home/me", "Y": "1", "Z": "1"}


def test_what_cannot_be_read_is_noted_with_its_line_and_without_its_text() -> None:
    text = (
        "\ufeff# comment\n\nA=1\nfoo bar s3cret\n1X=s3cret\nB=$GONE\nC=${GONE\nD=${A/s3cret}\n"
        "\nE='unclosed s3cret\nF=last\n"
    )

    file = parse_env_file(text, {})

    assert file.values == {"A": "1", "B": "", "C": "${GONE", "D": "${A/s3cret}", "F": "last"}
    assert file.notes == [
        "line 4 is not NAME=value and is ignored",
        "line 5 has no valid name and is left out",
        "line 6 names GONE, which is not set, so it is empty there",
        "line 7 has a ${GONE that is not closed, which stays as it is",
        "line 8 has a ${A…} that cannot be read, which stays as it is",
        "line 10 is not NAME=value and is ignored",
    ]


@each_case(
    ("text", "message"),
    [
        ("A=1\nX=${GONE:?set it}", "line 2: GONE has no value: set it"),
        ("X=${EMPTY:?}", "line 1: EMPTY has no value: a value is required"),
        ("X=${GONE?for ${HOME}}", "line 1: GONE has no value: for /home/me"),
    ],
)
def test_value_that_is_required_and_missing_is_an_error(text: str, message: str) -> None:
    with pytest.raises(RequiredValueError) as caught:
        parse_env_file(text, KNOWN)

    assert str(caught.value) == message


def test_a_name_alone_takes_what_is_there_already() -> None:
    assert parse_env_file("HOME\nX=1", KNOWN).values == {"X": "1"}


def test_lines_of_windows_are_read(tmp_path: Path) -> None:
    (tmp_path / "dos.env").write_bytes(b'\xef\xbb\xbfA=1\r\nB="x"\r\n')

    assert read_env_file(tmp_path / "dos.env", {}).values == {"A": "1", "B": "x"}


def test_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "latin1.env").write_bytes(b"A=\xe9\n")
    (tmp_path / "required.env").write_text("A=${GONE:?set it}")
    cases = {
        "gone.env": "does not exist",
        "latin1.env": "is not UTF-8",
        "required.env": "line 1: GONE has no value: set it",
    }

    for name, reason in cases.items():
        with pytest.raises(StartError) as caught:
            read_env_file(tmp_path / name, {})
        separator = ", " if reason.startswith("line") else " "
        assert (
            str(caught.value) == f"could not start: the environment file {tmp_path / name}{separator}{reason}"
        )
