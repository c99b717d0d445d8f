"""Whatever is stored is text wherever it is shown: nothing of it runs, nothing of it becomes an element."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import cycle
from typing import Any

import pytest
from django.apps import apps
from django.db import models

from schedsite.demo.seeding import seed_demonstration
from scheduler.choices import Status
from scheduler.models import Execution, ExecutionLog, Task
from tests import site_pages
from tests.conftest import NOON
from tests.payloads import PAYLOADS

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

APPS = ("admin", "auth", "scheduler", "notifications")
KEPT = {
    "scheduler.Task.timezone": "names a file of the system; what names none is refused at every door",
    "scheduler.Task.schedule": "what is none stands in schedule_error, which is replaced",
    "scheduler.Task.notify": "the validator of config.json alone writes it; rules have rows of their own",
    "scheduler.Task.deadline": "a time or a number",
    "scheduler.RunGraph.edges": "numbers",
    "notifications.NotificationRule.triggers": "a choice",
    "notifications.NotificationRule.tag": "empty but for rules of a tag; tags of tasks are replaced",
    "notifications.RuleChannel.kind": "names a class",
    "notifications.RuleChannel.config": "encrypted or read by the channel of its kind",
    "notifications.Delivery.kind": "names a class",
    "auth.User.password": "a digest, never shown",
    "scheduler.AccountSession.session_data": "signed: what is changed logs the reader out",
    "auth.Permission.codename": "names of the program",
}
JSON_OF_WORDS = {"task_name", "task_desc", "task_exec", "task_tags", "task_env"}
BAIT = """() => [...document.querySelectorAll(
    ".pwned, [href^='javascript' i], [src^='javascript' i], [onerror], [onfocus], [onmouseover], [x-init='alert(38)']"
)].map((element) => element.outerHTML.slice(0, 200))"""


def poison() -> None:
    """Write the payloads into every text of every row, as many as fit."""
    for name in APPS:
        for model in apps.get_app_config(name).get_models():
            for field in model._meta.concrete_fields:
                if f"{name}.{model.__name__}.{field.name}" not in KEPT:
                    _poison_field(model, field)


def _poison_field(model: type[models.Model], field: Any) -> None:
    if field.choices or field.primary_key or field.remote_field:
        return
    rows = list(model._default_manager.order_by("pk"))
    texts = _texts(field.max_length if isinstance(field, models.CharField) else None, is_unique=field.unique)
    for row in rows:
        old = getattr(row, field.attname)
        if isinstance(field, models.JSONField):
            setattr(row, field.attname, _poisoned(old))
        elif isinstance(field, models.CharField | models.TextField) and old is not None:
            setattr(row, field.attname, next(texts))
        else:
            return
    model._default_manager.bulk_update(rows, [field.name], batch_size=200)


def _texts(length: int | None, *, is_unique: bool) -> Iterator[str]:
    """Yield texts of payloads that fit into a field, each payload in one of them; with a number when they must differ."""
    if length is None:
        yield from cycle(["\n".join(PAYLOADS)])
    fitting = cycle([payload for payload in PAYLOADS if len(payload) + 5 <= (length or 0)] or ["<b>"])
    waiting = next(fitting)
    number = 0
    while True:
        number += 1
        text = str(number) if is_unique else ""
        while len(text) + len(waiting) <= (length or 0):
            text += waiting
            waiting = next(fitting)
            if is_unique:
                break
        yield text


def _poisoned(value: Any) -> Any:
    """Return JSON of the same shape with payloads for its texts; of a definition, in the fields that are free text."""
    if isinstance(value, dict) and "task_id" in value:
        return {key: _poisoned(old) if key in JSON_OF_WORDS else old for key, old in value.items()}
    if isinstance(value, dict):
        return {**{key: _poisoned(old) for key, old in value.items()}, "<b class=pwned>": PAYLOADS[3]}
    if isinstance(value, list):
        return [payload for payload in PAYLOADS if len(payload) < 60]
    return "\n".join(PAYLOADS) if isinstance(value, str) else value


def addresses() -> list[str]:
    """Return every page, and the pages of each task and of an execution of each."""
    found = site_pages.keys()
    tasks: Sequence[Task] = list(Task.objects.all())
    places = [address for _, address in site_pages.walk(found)]
    for task in tasks:
        latest = Execution.objects.filter(task=task, log_size__gt=0).order_by("-pk").first()
        places += [
            address
            for name, address in site_pages.walk(
                {**found, "task": task.pk, "execution": latest.pk if latest else found["execution"]}
            )
            if name in ("admin:scheduler_task_page", "admin:scheduler_execution_change")
        ]
    return list(dict.fromkeys(places))


def test_nothing_that_is_stored_runs_on_any_page(page: Any, live_server: Any) -> None:
    seed_demonstration(now=datetime.now(UTC), days=2, task_count=14)
    site_pages.keys()
    poison()

    found = {}
    for address in addresses():
        answer = page.goto(live_server.url + address)
        elements = page.evaluate(BAIT)
        if elements or answer.status != 200:
            found[address] = (answer.status, elements)

    assert found == {}
    stored = "".join(Task.objects.values_list("name", flat=True))
    assert len(PAYLOADS) == 50 and all(payload in stored for payload in PAYLOADS if len(payload) < 195)


def test_nothing_that_a_script_says_runs_while_it_is_watched(
    page: Any, live_server: Any, make_task: Any
) -> None:
    execution = Execution.objects.create(
        task=make_task("a"), status=Status.RUNNING, trigger="manual", queued_at=NOON, started_at=NOON
    )
    page.goto(f"{live_server.url}/admin/scheduler/execution/{execution.pk}/change/")
    offset = 0
    for part in ("\n".join(PAYLOADS[:25]) + "\n", "\n".join(PAYLOADS[25:]) + "\nthe end\n"):
        size = len(part.encode())
        ExecutionLog.objects.create(execution=execution, offset=offset, size=size, text=part)
        offset += size
        page.wait_for_function(
            "text => document.getElementById('log').textContent.includes(text)", arg=part.splitlines()[0]
        )
    page.locator("#log").filter(has_text="the end").wait_for()

    assert page.evaluate(BAIT) == []
    assert all(payload in page.locator("#log").text_content() for payload in PAYLOADS[:40])


def test_what_looks_for_injected_elements_finds_them(page: Any) -> None:
    page.set_content("".join(PAYLOADS[:7]))

    assert len(page.evaluate(BAIT)) >= 5
    page.complaints.clear()
