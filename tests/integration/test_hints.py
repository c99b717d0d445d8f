"""What the page of an execution says of an end that is often misunderstood."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from scheduler.choices import Status, Trigger
from scheduler.models import Execution, ExecutionLog, Task, TaskRevision
from scheduler.services.tasks import delete_task
from tests.conftest import NOON
from tests.support.pages import member, text_of

LOG = 'started\nTraceback (most recent call last):\n  File "job.py", line 3, in <module>\nValueError: <b>no</b>\n'
SAID = "The log ends with an uncaught exception (ValueError: &lt;b&gt;no&lt;/b&gt;)."
BUTTON = "Count exit code 1 as a technical failure"


@pytest.fixture
def failed(make_task: Any) -> Execution:
    """Store an execution that ended with exit code 1 and a traceback, in two pieces."""
    execution = Execution.objects.create(
        task=make_task("a", task_retry=2),
        status=Status.BUSINESS_FAILURE,
        is_outcome=True,
        trigger=Trigger.MANUAL,
        queued_at=NOON,
        started_at=NOON,
        finished_at=NOON,
        exit_code=1,
        log_size=len(LOG),
    )
    for begin, end in ((0, 60), (60, len(LOG))):
        ExecutionLog.objects.create(execution=execution, offset=begin, size=end - begin, text=LOG[begin:end])
    return execution


def page(client: Client, execution: Execution) -> str:
    return text_of(client.get(reverse("admin:scheduler_execution_change", args=[execution.pk])))


def test_exit_1_after_an_uncaught_exception_is_explained_and_the_switch_is_offered(failed: Execution) -> None:
    editor = member("Editor")
    url = reverse("admin:scheduler_execution_count_as_technical", args=[failed.pk])

    html = page(editor, failed)
    answer = editor.post(url, follow=True)

    task = Task.objects.get()
    assert SAID in html and BUTTON in html and f'formaction="{url}"' in html and "data-confirm=" in html
    assert "Exit code 1 of a is a technical failure from its next execution on." in text_of(answer)
    assert task.exit_codes == {"technical_failure": [1]}
    revision = TaskRevision.objects.get(number=2)
    assert revision.created_by is not None and revision.created_by.username == "editor"
    assert SAID in page(editor, failed) and BUTTON not in page(editor, failed)


def test_the_hint_is_told_in_chinese(failed: Execution) -> None:
    editor = member("Editor")
    editor.cookies["django_language"] = "zh-hans"

    assert "日志以一个未捕获的异常结尾" in page(editor, failed)


def test_who_may_not_edit_reads_the_hint_without_a_button(failed: Execution) -> None:
    operator = member("Operator")
    url = reverse("admin:scheduler_execution_count_as_technical", args=[failed.pk])

    html = page(operator, failed)

    assert SAID in html and BUTTON not in html
    assert operator.post(url).status_code == 403
    assert member("Editor").get(url).status_code == 405
    assert Task.objects.get().exit_codes == {}


@pytest.mark.parametrize(
    "changes",
    [{"status": Status.TECHNICAL_FAILURE, "exit_code": 2}, {"status": Status.SUCCESS, "exit_code": 0}],
)
def test_other_ends_have_no_hint(failed: Execution, changes: dict[str, Any]) -> None:
    Execution.objects.update(**changes)

    assert "nobody caught" not in page(member("Editor"), failed)


def test_exit_1_without_a_traceback_has_no_hint(failed: Execution) -> None:
    ExecutionLog.objects.update(text="no rows today\n")

    assert "nobody caught" not in page(member("Editor"), failed)


def test_a_deleted_task_is_not_changed(failed: Execution) -> None:
    delete_task(failed.task, user=None, now=NOON)
    editor = member("Editor")
    url = reverse("admin:scheduler_execution_count_as_technical", args=[failed.pk])

    assert BUTTON not in page(editor, failed)
    assert editor.post(url).status_code == 404


@pytest.mark.parametrize(
    ("python", "said"),
    [
        (
            "",
            "The Python that runs Schedsite has no module requests, and packages of scripts do not belong there. Make a "
            "virtual environment in the folder of the task (python3 -m venv .venv), install what the script needs "
            "(.venv/bin/pip install …), and set “Python” of the task (task_python) to .venv.",
        ),
        (
            "my/.venv",
            "The Python of this task (task_python is my/.venv) has no module requests. Install the package that has it "
            "with the pip of that virtual environment.",
        ),
    ],
)
@pytest.mark.parametrize("status", [Status.BUSINESS_FAILURE, Status.TECHNICAL_FAILURE])
def test_a_module_that_python_did_not_find_is_named_with_what_to_do(
    failed: Execution, status: Status, python: str, said: str
) -> None:
    log = LOG.replace("ValueError: <b>no</b>", "ModuleNotFoundError: No module named 'requests'")
    ExecutionLog.objects.all().delete()
    ExecutionLog.objects.create(execution=failed, offset=0, size=len(log), text=log)
    Execution.objects.update(status=status)
    Task.objects.update(python=python)

    assert said in page(member("Editor"), Execution.objects.get())


def test_a_success_is_told_of_no_missing_module(failed: Execution) -> None:
    log = LOG.replace("ValueError: <b>no</b>", "ModuleNotFoundError: No module named 'requests'")
    ExecutionLog.objects.update(text=log)
    Execution.objects.update(status=Status.SUCCESS, exit_code=0)

    assert "has no module" not in page(member("Editor"), Execution.objects.get())
