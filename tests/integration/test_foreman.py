"""The foreman of `manage.py start`, with programs of the test."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

from django.conf import settings

from tests.stack import wait_until

SCRIPT = """
import os, signal, sys, time
from scheduler.processes.foreman import Foreman

def quick():
    print("one"); sys.stderr.write("two\\nthr"); sys.stderr.flush(); sys.stderr.write("ee"); raise SystemExit(3)

def wait():
    print("waiting", flush=True); time.sleep(600)

def deaf():
    signal.signal(signal.SIGTERM, signal.SIG_IGN); wait()

def broken():
    raise KeyError("nobody knows")

names = sys.argv[2:]
sys.exit(Foreman({name: globals()[name] for name in names}, patience=float(sys.argv[1])).run())
"""


def start(*programs: str, patience: float = 60, nohup: bool = False) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*(["nohup"] if nohup else []), sys.executable, "-c", SCRIPT, str(patience), *programs],
        cwd=settings.BASE_DIR,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def lines_of(process: subprocess.Popen[str]) -> list[tuple[str, str]]:
    """Return the programs and texts of all lines until everything has ended."""
    said, _ = process.communicate(timeout=60)
    parts = [line[9:].partition(" | ") for line in said.splitlines()]
    return [(name.strip(), text) for name, _, text in parts]


def read_until(process: subprocess.Popen[str], text: str) -> str:
    assert process.stdout is not None
    return next(line for line in process.stdout if text in line)


def test_when_a_program_ends_the_others_are_stopped_and_its_code_is_that_of_start() -> None:
    process = start("wait", "quick")

    lines = lines_of(process)

    assert process.returncode == 3
    assert ("system", "quick stopped (code=3)") in lines
    assert ("system", "wait stopped (code=-15)") in lines


def test_output_is_printed_by_lines_with_the_name_of_its_program() -> None:
    lines = lines_of(start("quick", "wait"))

    assert [text for name, text in lines if name == "quick"] == ["one", "two", "three"]


def test_a_program_that_fails_shows_its_error() -> None:
    process = start("broken")

    lines = lines_of(process)

    assert process.returncode == 70
    assert ("broken", "KeyError: 'nobody knows'") in lines


def test_a_signal_stops_all_and_names_itself() -> None:
    process = start("wait", "wait")
    read_until(process, "waiting")

    process.send_signal(signal.SIGINT)

    assert ("system", "SIGINT received") in lines_of(process)
    assert process.returncode == 130


def test_a_hangup_is_ignored_under_nohup() -> None:
    process = start("wait", nohup=True)
    read_until(process, "waiting")

    process.send_signal(signal.SIGHUP)
    process.send_signal(signal.SIGTERM)

    assert ("system", "SIGTERM received") in lines_of(process)


def test_a_program_that_does_not_stop_is_killed_when_its_time_is_over() -> None:
    process = start("deaf", patience=0.1)
    read_until(process, "waiting")

    process.terminate()

    assert ("system", "deaf stopped (code=-9)") in lines_of(process)
    assert process.returncode == 143


def test_a_second_signal_kills_at_once() -> None:
    process = start("deaf")
    read_until(process, "waiting")
    process.terminate()
    read_until(process, "SIGTERM received")

    process.terminate()

    assert ("system", "deaf stopped (code=-9)") in lines_of(process)


def test_programs_end_with_a_foreman_that_is_killed() -> None:
    process = start("wait")
    read_until(process, "waiting")
    [child] = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()

    process.kill()

    process.communicate(timeout=60)
    wait_until(lambda: not Path(f"/proc/{child}").exists(), what="the end of the program")
