"""The form of a task in a real browser, which sends each line break as CR LF."""

from __future__ import annotations

import subprocess
from typing import Any

import pytest

from scheduler.models import Task, TaskRevision

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

SCRIPT = "if true; then\n  echo yes\nfi\n"


def save(page: Any) -> None:
    page.get_by_role("button", name="Save", exact=True).click()
    page.wait_for_url("**/admin/scheduler/task/*/")


def test_a_form_that_is_saved_untouched_leaves_the_script_as_it_was(
    page: Any, live_server: Any, make_task: Any
) -> None:
    task = make_task(
        "a",
        task_exec=SCRIPT,
        task_desc="\nfirst\nsecond\n",
        task_env={"LINES": "a\nb"},
        task_schedule="0 3 * * *",
        task_shell="/bin/bash",
        task_exit_codes={"success": [0, "24-30"]},
    )

    page.goto(f"{live_server.url}/admin/scheduler/task/{task.pk}/change/")
    save(page)

    stored = Task.objects.get()
    assert (stored.command, stored.description) == (SCRIPT, "\nfirst\nsecond\n")
    assert (stored.env, stored.exit_codes) == ({"LINES": "a\nb"}, {"success": [0, "24-30"]})
    assert (stored.next_run_at, stored.updated_at) == (task.next_run_at, task.updated_at)
    assert TaskRevision.objects.count() == 1


def test_what_is_typed_in_the_form_is_stored_and_runs(page: Any, live_server: Any, make_task: Any) -> None:
    task = make_task("a", task_exec="true")

    page.goto(f"{live_server.url}/admin/scheduler/task/{task.pk}/change/")
    page.get_by_label("Command").fill(SCRIPT)
    page.get_by_label("Name of the variable").first.fill("LINES")
    page.get_by_label("Value of the variable").first.fill("a\nb")
    page.get_by_label("Shell").fill("/bin/bash")
    page.get_by_label("Python").fill(".venv")
    page.get_by_label("Encoding of the output").fill("gb18030")
    page.get_by_label("Technical failure", exact=True).fill("1, 3-5")
    page.get_by_label("Not tried again").fill("4")
    save(page)

    stored = Task.objects.get()
    assert stored.env == {"LINES": "a\nb"}
    assert (stored.shell, stored.python, stored.encoding) == ("/bin/bash", ".venv", "gb18030")
    assert stored.exit_codes == {"technical_failure": [1, "3-5"], "no_retry": [4]}
    assert subprocess.run(["/bin/sh", "-c", stored.command], capture_output=True).stdout == b"yes\n"


def test_what_is_wrong_stands_beside_its_field(page: Any, live_server: Any, make_task: Any) -> None:
    task = make_task("a", task_exec="true")

    page.goto(f"{live_server.url}/admin/scheduler/task/{task.pk}/change/")
    page.get_by_label("Shell").fill("bash")
    page.get_by_label("Encoding of the output").fill("gbk2")
    page.get_by_label("Success", exact=True).fill("0 300")
    page.get_by_role("button", name="Save", exact=True).click()

    page.get_by_text("Shell must be the absolute path of a shell such as /bin/bash").wait_for()
    page.get_by_text("Encoding of the output must be the name of a text encoding such as gb18030").wait_for()
    page.get_by_text("an exit code from 0 to 255, or a range such as").wait_for()
    assert page.get_by_label("Success", exact=True).input_value() == "0, 300"
