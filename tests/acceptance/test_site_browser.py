"""The site in a real browser: dialog, live log, language; no console error and no request to another host."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User

from scheduler.choices import Status
from scheduler.models import Execution, ExecutionLog
from tests.conftest import NOON, is_required

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def page(live_server: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Return a page of a person who is logged in; what the console and the network complain of fails the test."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        if is_required("chromium"):
            pytest.fail("Chromium is missing")
        pytest.skip("Chromium is missing")
    monkeypatch.setitem(
        os.environ, "DJANGO_ALLOW_ASYNC_UNSAFE", "true"
    )  # Playwright runs a loop in this thread
    from playwright.sync_api import sync_playwright

    User.objects.create_superuser("admin", "", "pw")
    complaints: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page()
        page.on("console", lambda m: complaints.append(m.text) if m.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", lambda dialog: (complaints.append(dialog.message), dialog.dismiss()))
        page.on(
            "request", lambda r: complaints.append(r.url) if _is_foreign(r.url, live_server.url) else None
        )
        page.goto(f"{live_server.url}/admin/")
        page.fill("#id_username", "admin")
        page.fill("#id_password", "pw")
        page.click("[type=submit]")
        page.wait_for_url(f"{live_server.url}/admin/")
        yield page
        browser.close()
    assert complaints == []


def _is_foreign(url: str, own: str) -> bool:
    return not url.startswith((own, "data:", "blob:"))


def store_executions(task: Any, count: int, status: Status = Status.SUCCESS) -> None:
    """Store executions that ended, one a minute."""
    for number in range(count):
        at = NOON + timedelta(minutes=number)
        Execution.objects.create(
            task=task,
            status=status,
            is_outcome=True,
            trigger="schedule",
            queued_at=at,
            started_at=at,
            finished_at=at,
        )


def test_the_history_dialog_pages_and_filters(page: Any, live_server: Any, make_task: Any) -> None:
    task = make_task("a", task_name="<img src=x onerror=alert(1)>")
    store_executions(task, 25)
    store_executions(task, 2, Status.TIMEOUT)

    page.goto(f"{live_server.url}/admin/scheduler/task/")
    page.get_by_role("link", name="History", exact=True).click()
    dialog = page.locator("#schedsite-dialog[open]")
    dialog.locator("tbody tr").nth(19).wait_for()
    dialog.get_by_role("link", name="Older").click()
    dialog.get_by_role("link", name="Newer").wait_for()
    second = dialog.locator("tbody tr").count()
    dialog.get_by_role("link", name="Timeout").click()
    page.wait_for_function("document.querySelectorAll('#schedsite-dialog tbody tr').length === 2")
    dialog.get_by_role("button", name="Close").click()

    assert second == 7
    assert dialog.count() == 0


def test_the_log_of_a_running_execution_grows_and_is_text(
    page: Any, live_server: Any, make_task: Any
) -> None:
    execution = Execution.objects.create(
        task=make_task("a"), status=Status.RUNNING, trigger="manual", queued_at=NOON, started_at=NOON
    )
    first, second = "<script>alert(1)</script>\n", "and the end\n"
    ExecutionLog.objects.create(execution=execution, offset=0, size=len(first), text=first)

    page.goto(f"{live_server.url}/admin/scheduler/execution/{execution.pk}/change/")
    page.get_by_text("<script>alert(1)</script>").wait_for()
    ExecutionLog.objects.create(execution=execution, offset=len(first), size=len(second), text=second)

    page.wait_for_function("document.getElementById('log').textContent.includes('and the end')", timeout=5000)
    assert page.locator("#log").text_content() == first + second


def test_the_language_is_switched_from_the_menu(page: Any, live_server: Any, make_task: Any) -> None:
    make_task("a")

    page.locator("#nav-sidebar [x-on\\:click*='openUserLinks'], #nav-sidebar >> text=admin").last.click()
    page.get_by_role("button", name="简体中文").click()

    page.get_by_role("heading", name="需要关注").wait_for()


def test_the_overview_refreshes_itself(page: Any, live_server: Any, make_task: Any) -> None:
    task = make_task("a", task_name="Watched")
    page.goto(f"{live_server.url}/admin/")
    store_executions(task, 2, Status.TIMEOUT)

    page.get_by_role("link", name="Watched").wait_for(timeout=8000)
