"""Fixtures of the tests that use a browser."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection

from tests.conftest import is_required

TELL_BREACHES = """
document.addEventListener("securitypolicyviolation",
    (event) => console.error(`policy: ${event.violatedDirective} ${event.blockedURI} ${event.sourceFile}`));
"""


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
        page.complaints = complaints
        page.add_init_script(TELL_BREACHES)
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
        connection.close()  # while Playwright's loop runs, this thread has another one than afterwards
    assert complaints == []


def _is_foreign(url: str, own: str) -> bool:
    return not url.startswith((own, "data:", "blob:"))
