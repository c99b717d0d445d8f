"""The sample pipeline, imported as it is in the repository and run by a real worker."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime

import pytest
from django.conf import settings
from django.core.management import call_command

from scheduler.choices import Status, Trigger
from scheduler.models import Execution, Run, Task
from scheduler.selectors.logs import read_log
from scheduler.services.runs import request_run
from tests.stack import ROOT, Stack, wait_until


@pytest.fixture
def pipeline(transactional_db: None) -> Task:
    """Return the first task of the pipeline, imported with its scripts."""
    shutil.copytree(ROOT / "tasks", settings.SCHEDULER_TASKS_DIR, dirs_exist_ok=True)
    call_command("import_config", str(ROOT / "tasks" / "config.json"), verbosity=0)
    return Task.objects.get(task_id="nightly_extract")


def run_through(stack: Stack, first: Task) -> dict[str, str]:
    """Run the pipeline and return the status of each task in it."""
    stack.start("worker")
    execution = request_run(first, trigger=Trigger.MANUAL, user=None, now=datetime.now(UTC))
    wait_until(lambda: not Run.objects.open().filter(pk=execution.run_id).exists(), what="the end of the run")
    rows = Execution.objects.filter(run=execution.run_id, is_outcome=True).select_related("task")
    return {row.task.task_id.removeprefix("nightly_"): row.status for row in rows}


def log_of(task_id: str) -> str:
    return read_log(Execution.objects.filter(task__task_id=task_id).order_by("-pk")[0]).text


def test_the_nightly_pipeline_makes_its_report_and_cleans_up(stack: Stack, pipeline: Task) -> None:
    assert run_through(stack, pipeline) == {
        "extract": Status.SUCCESS,
        "orders": Status.SUCCESS,
        "customers": Status.SUCCESS,
        "report": Status.SUCCESS,
        "cleanup": Status.SUCCESS,
        "escalation": Status.SKIPPED,
    }
    assert len(log_of("nightly_report").splitlines()) == 5
    assert log_of("nightly_cleanup").endswith("removed\n")


def test_a_failed_transform_skips_the_report_cleans_up_and_escalates(stack: Stack, pipeline: Task) -> None:
    (settings.SCHEDULER_TASKS_DIR / "nightly_orders" / "main.py").write_text("raise SystemExit(3)")

    assert run_through(stack, pipeline) == {
        "extract": Status.SUCCESS,
        "orders": Status.TECHNICAL_FAILURE,
        "customers": Status.SUCCESS,
        "report": Status.SKIPPED,
        "cleanup": Status.SUCCESS,
        "escalation": Status.SUCCESS,
    }
    assert "somebody should look" in log_of("nightly_escalation")
