"""The page of a log and the messages about it show the same text."""

from __future__ import annotations

from typing import Any

import pytest

from notifications.services.facts import log_tail
from scheduler.choices import Status
from scheduler.models import Execution, ExecutionLog
from tests.conftest import NOON
from tests.unit.corpora.logs import SHOWN

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def test_the_tail_in_a_message_is_what_the_page_shows(page: Any, live_server: Any, make_task: Any) -> None:
    task = make_task("a")
    differing = {}
    for text, _expected in SHOWN:
        text = f"begin\n{text}"
        execution = Execution.objects.create(
            task=task,
            status=Status.SUCCESS,
            trigger="manual",
            queued_at=NOON,
            finished_at=NOON,
            is_outcome=True,
        )
        stored = text.replace("\0", "\u2400")  # as the reader of output stores it
        ExecutionLog.objects.create(execution=execution, offset=0, size=len(text.encode()), text=stored)

        page.goto(f"{live_server.url}/admin/scheduler/execution/{execution.pk}/change/")
        page.wait_for_function("document.getElementById('log').dataset.offset !== undefined")
        shown = page.locator("#log").text_content()

        if shown.rstrip("\n") != log_tail(execution):
            differing[text] = (shown, log_tail(execution))

    assert differing == {}
