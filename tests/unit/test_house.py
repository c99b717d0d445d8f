"""The files that start and check the house: Makefile, .ci/run and the sample tasks."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from scheduler.config_file import read_config
from scheduler.engine.schedules import parse_schedule
from tests.support.cases import each_case

ROOT = Path(__file__).resolve().parents[2]
SAMPLES = {spec["task_id"]: spec for spec in read_config(ROOT / "tasks" / "config.json").specs}


def _run(task_id: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run the command of a sample task as the worker would."""
    spec = SAMPLES[task_id]
    known = {"TASK_ID": task_id, "TASK_NAME": spec["task_name"], "SCHEDULED_FOR": "", "ATTEMPT": "1"}
    return subprocess.run(
        ["/bin/sh", "-c", spec["task_exec"]],
        cwd=ROOT / "tasks" / task_id,
        env={"PATH": os.environ["PATH"], **known, **env},
        capture_output=True,
        text=True,
        timeout=20,
    )


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
@each_case("target", ["run", "test", "lint", "format", "bench", "campaign"])
def test_make_knows_the_target(target: str) -> None:
    planned = subprocess.run(
        ["make", "--dry-run", target], cwd=ROOT, capture_output=True, text=True, timeout=20
    )

    assert planned.returncode == 0, planned.stderr
    assert planned.stdout.strip()


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_commands_of_make_are_plain_shell() -> None:
    planned = subprocess.run(
        ["make", "--dry-run", "run"], cwd=ROOT, capture_output=True, text=True, timeout=20
    )

    checked = subprocess.run(["/bin/sh", "-n"], input=planned.stdout, capture_output=True, text=True)

    assert checked.returncode == 0, checked.stderr
    assert not re.search(r"\[\[|\bsource\b|<\(", planned.stdout)


def test_make_bench_runs_every_benchmark() -> None:
    (listed,) = re.findall(r"^BENCHMARKS := (.+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)

    runnable = [path for path in (ROOT / "benchmarks").glob("*.py") if "__main__" in path.read_text()]

    assert sorted(listed.split()) == sorted(str(path.relative_to(ROOT)) for path in runnable)


def test_ci_script_is_executable_and_ends_with_the_tests() -> None:
    path = ROOT / ".ci" / "run"

    checked = subprocess.run(["bash", "-n", str(path)], capture_output=True, text=True)

    assert checked.returncode == 0, checked.stderr
    assert os.access(path, os.X_OK)
    assert path.read_text().rstrip().splitlines()[-1].startswith("exec $python -m pytest")


def test_samples_have_english_and_chinese_names() -> None:
    names = [spec["task_name"] for spec in SAMPLES.values()]

    assert any(re.search(r"[\u4e00-\u9fff]", name) for name in names)
    assert any(name.isascii() for name in names)


@each_case("task_id", SAMPLES)
def test_sample_has_a_script_and_a_schedule_or_upstreams(task_id: str) -> None:
    program, script = SAMPLES[task_id]["task_exec"].split()

    if SAMPLES[task_id].get("task_dependencies"):
        assert SAMPLES[task_id]["task_schedule"] == ""
    else:
        parse_schedule(SAMPLES[task_id]["task_schedule"], "UTC")

    assert program in {"python", "sh"}
    assert (ROOT / "tasks" / task_id / script).is_file()


def test_hello_succeeds() -> None:
    ended = _run("hello")

    assert (ended.returncode, ended.stdout) == (0, "Hello from Hello 你好, planned for now.\n")


def test_stock_check_ends_as_a_business_failure() -> None:
    ended = _run("stock_check")

    assert ended.returncode == 1
    assert "coffee" in ended.stdout


def test_flaky_upload_fails_technically_and_then_succeeds() -> None:
    assert SAMPLES["flaky_upload"]["task_retry"] == 2
    assert _run("flaky_upload", ATTEMPT="1").returncode == 7
    assert _run("flaky_upload", ATTEMPT="2").returncode == 0


def test_stuck_report_would_outlast_its_timeout() -> None:
    script = (ROOT / "tasks" / "stuck_report" / "report.sh").read_text(encoding="utf-8")

    assert SAMPLES["stuck_report"]["task_timeout"] == 5
    assert script.count("sleep 3600 &") == 2


def test_scripts_of_samples_need_no_network() -> None:
    texts = [path.read_text(encoding="utf-8") for path in (ROOT / "tasks").glob("*/*") if path.is_file()]

    assert not [text for text in texts if re.search(r"https?://|\bcurl\b|\bwget\b|socket|urllib", text)]


BARE = re.compile(r"# (?:noqa(?:: [A-Z0-9, ]+)?|type: ignore(?:\[[a-z, -]+\])?)$", re.MULTILINE)


def test_every_silenced_check_says_why() -> None:
    found = [
        f"{path.relative_to(ROOT)}: {comment}"
        for package in ("scheduler", "notifications", "schedsite")
        for path in (ROOT / package).rglob("*.py")
        for comment in BARE.findall(path.read_text(encoding="utf-8"))
    ]

    assert found == []
