"""Journeys of people through a running installation: a real browser, a real dispatcher and a real worker."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from scheduler.choices import Status
from scheduler.models import Execution, Process, Task
from tests.stack import Stack, wait_until

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

PATIENCE = 60_000  # milliseconds; a loaded machine takes its time


@pytest.fixture
def running(stack: Stack) -> Stack:
    """Return an installation whose dispatcher and worker give heartbeats."""
    stack.start("dispatcher")
    stack.start("worker")
    for kind in (Process.Kind.DISPATCHER, Process.Kind.WORKER):
        wait_until(Process.objects.filter(kind=kind, stopped_at=None).exists, what=f"a {kind}")
    return stack


def test_from_the_first_start_to_the_first_success(page: Any, live_server: Any, running: Stack) -> None:
    page.set_default_timeout(PATIENCE)
    page.goto(f"{live_server.url}/admin/")

    page.get_by_role("heading", name="Welcome to Schedsite").wait_for()
    page.get_by_role("link", name="New from a template").click()
    page.get_by_label("Name", exact=True).fill("First steps")
    page.get_by_label("Task id").fill("first-steps")
    page.get_by_role("button", name="Create task").click()
    page.get_by_text("First steps was created. Its script is tasks/first-steps/main.py.").wait_for()
    page.get_by_role("button", name="Run now").click()
    page.locator("#facts").get_by_text("Success", exact=True).wait_for()
    page.locator("#log").filter(has_text="Hello from First steps, attempt 1.").wait_for()
    page.get_by_role("link", name="Overview").click()
    page.get_by_role("link", name=re.compile(r"^1\s+Success")).click()

    page.locator("#executions").get_by_role("link", name="First steps").wait_for()
    assert Execution.objects.get().status == Status.SUCCESS


def test_a_script_is_run_watched_while_it_speaks_and_cancelled(
    page: Any, live_server: Any, running: Stack, settings: Any
) -> None:
    page.set_default_timeout(PATIENCE)
    page.goto(f"{live_server.url}/admin/scheduler/task/new/")

    page.get_by_role("radio", name="Shell").check()
    page.get_by_label("Name", exact=True).fill("Long work")
    page.get_by_label("Task id").fill("long-work")
    page.get_by_role("button", name="Create task").click()
    page.get_by_text("Its script is tasks/long-work/main.sh.").wait_for()
    folder = Path(settings.SCHEDULER_TASKS_DIR) / "long-work"
    (folder / "main.sh").write_text(
        "echo first line\nwhile ! test -e go; do sleep 0.1; done\necho second line\nsleep 600\n"
    )
    page.get_by_role("button", name="Run now").click()
    log = page.locator("#log")
    log.filter(has_text="first line").wait_for()
    before = log.text_content()
    (folder / "go").touch()
    log.filter(has_text="second line").wait_for()
    page.get_by_role("button", name="Cancel this execution").click()
    question = page.locator("#s-confirm[open]")
    question.get_by_role("button", name="Cancel this execution").click()
    page.locator("#facts").get_by_text("Cancelled", exact=True).wait_for()

    assert before == "first line\n"
    assert log.text_content() == "first line\nsecond line\n"
    execution = Execution.objects.get()
    assert (execution.status, execution.cancel_reason != "" or execution.reason != "") == (
        Status.CANCELLED,
        True,
    )
    page.get_by_role("button", name="Run again").wait_for()


def test_a_task_is_found_run_and_its_history_read_with_the_keyboard_alone(
    page: Any, live_server: Any, make_task: Any, running: Stack
) -> None:
    page.set_default_timeout(PATIENCE)
    make_task("alpha", task_name="Alpha")
    make_task("beta", task_name="Beta")
    page.goto(f"{live_server.url}/admin/")

    page.keyboard.press("t")
    page.keyboard.type("alph")
    page.keyboard.press("Enter")
    page.wait_for_url("**/task/?q=alph")
    page.get_by_role("button", name="Run now: Alpha").focus()
    page.keyboard.press("Enter")
    page.get_by_role("link", name="Alpha was started.").wait_for()
    wait_until(Execution.objects.filter(status=Status.SUCCESS).exists, what="the success")
    page.locator(f"#task-{Task.objects.get(task_id='alpha').pk}").get_by_role("link", name="History").focus()
    page.keyboard.press("Enter")
    dialog = page.locator("#s-dialog[open]")
    dialog.locator("tbody tr").get_by_text("Success").wait_for()
    inside = page.evaluate("document.getElementById('s-dialog').contains(document.activeElement)")
    page.keyboard.press("Escape")
    page.wait_for_function("!document.getElementById('s-dialog').open")

    assert inside
    assert page.evaluate("document.activeElement.textContent").strip() == "History"
    assert page.get_by_text("Beta").count() == 0
