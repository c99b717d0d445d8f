"""Settings are not to be seen in /proc, and reach the children of this process all the same."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from schedsite.hidden_environment import HANDED_OVER, handed_over, is_shown
from tests.support.cases import each_case

ROOT = Path(__file__).resolve().parents[2]
REPORT = """
import json, os, subprocess, sys
import schedsite
from schedsite.hidden_environment import hide
hide()
shown = open("/proc/self/environ").read()
title = open("/proc/self/cmdline").read()
child = subprocess.check_output(["env"], text=True, errors="replace")
print(json.dumps([shown, dict(os.environ), child, dict(schedsite.STARTED_WITH), title]))
"""


def report(env: dict[str, str], *, descriptor: int | None = None) -> list[str | dict[str, str]]:
    ran = subprocess.run(
        [sys.executable, "-c", REPORT],
        env=env,
        cwd=ROOT,
        pass_fds=() if descriptor is None else (descriptor,),
        capture_output=True,
        text=True,
        check=True,
    )
    found: list[str | dict[str, str]] = json.loads(ran.stdout)
    return found


@each_case("name", ["SECRET_KEY", "PGPASSWORD", "ANYTHING", "SCHEDULER_WORKERS"])
def test_variable_is_not_to_be_seen_and_still_there(name: str) -> None:
    shown, kept, child, _, title = report({"PATH": os.environ["PATH"], name: "canary"})

    assert "canary" not in shown and "canary" not in title
    assert isinstance(kept, dict) and kept[name] == "canary"
    assert f"{name}=canary" in child


@each_case("value", ["", "a=b", "密码", "x" * 100_000, "line\nline", "\udcff"])
def test_value_of_any_kind_is_handed_over(value: str) -> None:
    with handed_over({"PATH": os.environ["PATH"], "SECRET_KEY": value}) as (env, descriptor):
        assert value == "" or value not in "".join(env.values())
        _, kept, _, started_with, _ = report(env, descriptor=descriptor)

    assert isinstance(kept, dict) and isinstance(started_with, dict)
    assert kept["SECRET_KEY"] == started_with["SECRET_KEY"] == value
    assert HANDED_OVER not in kept


def test_descriptor_is_closed_on_both_sides() -> None:
    with handed_over({"SECRET_KEY": "x"}) as (_env, descriptor):
        pass

    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)


def test_what_programs_need_before_they_run_is_shown() -> None:
    assert all(
        map(is_shown, ("PATH", "HOME", "LC_ALL", "TZ", "PYTHONPATH", "LD_PRELOAD", "MALLOC_ARENA_MAX"))
    )
    assert not any(map(is_shown, ("DATABASE_URL", "AWS_SECRET_ACCESS_KEY", "REDIS_URL")))


def test_what_a_command_started_keeps_what_it_is_found_by() -> None:
    shown, *_ = report({"PATH": os.environ["PATH"], "SCHEDSITE_CLAIM": "12-abc"})

    assert "SCHEDSITE_CLAIM=12-abc" in shown
