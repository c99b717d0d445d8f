"""What a page does when its reader is logged out meanwhile: it says so, keeps what was typed, and goes on after."""

from __future__ import annotations

import re
from typing import Any

import pytest

from scheduler.choices import Status
from scheduler.models import AccountSession, Execution, ExecutionLog
from tests.conftest import NOON

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def log_in_elsewhere(page: Any) -> None:
    """Log in by the link of the banner, in the tab that it opens, and come back."""
    with page.expect_popup() as opened:
        page.get_by_role("link", name="Log in again in a new tab").click()
    other = opened.value
    other.fill("#id_username", "admin")
    other.fill("#id_password", "pw")
    other.click("[type=submit]")
    other.wait_for_url(page.url)
    other.close()
    page.evaluate("window.dispatchEvent(new Event('focus'))")
    page.wait_for_function("document.getElementById('s-logged-out').hidden")


def forgive_answers_of_401(page: Any) -> None:
    """Drop what the browser itself reports of the answers that these tests ask for; anything else still fails."""
    page.complaints[:] = [
        text for text in page.complaints if not re.search(r"status of 401|Error Code 401", text)
    ]


def test_what_is_typed_into_a_form_survives_a_session_that_ended(
    page: Any, live_server: Any, make_task: Any
) -> None:
    task = make_task("a", task_name="Before")
    page.goto(f"{live_server.url}/admin/scheduler/task/{task.pk}/change/")
    AccountSession.objects.all().delete()

    page.locator("#id_name").fill("Typed")
    page.locator("#id_schedule").fill("0 2 * * *")
    page.locator("#s-logged-out").filter(has_text="You are logged out.").wait_for()
    page.get_by_role("button", name="Save", exact=True).click()
    stayed = page.url.endswith("/change/")
    log_in_elsewhere(page)
    page.get_by_role("button", name="Save", exact=True).click()
    page.wait_for_url(f"**/task/{task.pk}/")

    task.refresh_from_db()
    assert stayed and page.locator("#id_password").count() == 0
    assert (task.name, task.schedule) == ("Typed", "0 2 * * *")
    forgive_answers_of_401(page)


def test_a_button_on_a_card_leaves_the_card_and_runs_after_logging_in(
    page: Any, live_server: Any, make_task: Any
) -> None:
    make_task("a", task_name="Alpha")
    page.goto(f"{live_server.url}/admin/scheduler/task/")
    title = page.title()
    AccountSession.objects.all().delete()

    page.get_by_role("button", name="Run now: Alpha").click()
    page.locator("#s-logged-out").filter(has_text="You are logged out.").wait_for()
    kept = (page.title(), page.locator("article.s-task").count(), Execution.objects.count())
    log_in_elsewhere(page)
    page.get_by_role("button", name="Run now: Alpha").click()
    page.get_by_role("link", name="Alpha was started.").wait_for()

    assert kept == (title, 1, 0)
    forgive_answers_of_401(page)


def test_the_history_of_a_reader_who_is_logged_out_gives_way_to_the_link(
    page: Any, live_server: Any, make_task: Any
) -> None:
    make_task("a")
    page.goto(f"{live_server.url}/admin/scheduler/task/")
    page.get_by_role("link", name="History", exact=True).click()
    dialog = page.locator("#s-dialog[open]")
    dialog.get_by_role("link", name="Timeout").wait_for()
    AccountSession.objects.all().delete()

    dialog.get_by_role("link", name="Timeout").click()
    page.get_by_role("link", name="Log in again in a new tab").wait_for()

    assert dialog.count() == 0
    forgive_answers_of_401(page)


def test_a_log_that_grows_stops_at_the_end_of_the_session_and_goes_on_after(
    page: Any, live_server: Any, make_task: Any
) -> None:
    execution = Execution.objects.create(
        task=make_task("a"), status=Status.RUNNING, trigger="manual", queued_at=NOON, started_at=NOON
    )
    asked: list[str] = []
    page.on("response", lambda answer: asked.append(answer.url) if answer.status == 401 else None)
    page.clock.install()
    page.goto(f"{live_server.url}/admin/scheduler/execution/{execution.pk}/change/")
    page.locator("#log").wait_for()
    AccountSession.objects.all().delete()

    page.locator("#s-logged-out").filter(has_text="You are logged out.").wait_for(timeout=15000)
    page.clock.run_for(30_000)
    before = page.locator("#log").text_content()
    ExecutionLog.objects.create(execution=execution, offset=0, size=6, text="after\n")
    log_in_elsewhere(page)
    page.locator("#log").filter(has_text="after").wait_for(timeout=15000)

    assert before == ""
    assert len([url for url in asked if "/log/" in url]) == 1
    assert len(asked) <= 3
    forgive_answers_of_401(page)
