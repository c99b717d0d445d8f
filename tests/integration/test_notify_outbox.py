"""From outcomes to deliveries, and from there to the channel."""

from __future__ import annotations

from typing import Any

import pytest

from notifications.channels import REGISTRY
from notifications.models import Delivery
from notifications.services.sending import send_due
from tests.notify import NotebookChannel, finish_all, rule

pytestmark = pytest.mark.django_db


@pytest.fixture
def notebook(monkeypatch: pytest.MonkeyPatch) -> NotebookChannel:
    channel = NotebookChannel()
    monkeypatch.setitem(REGISTRY, "webhook", channel)
    return channel


def test_a_rule_of_a_task_tells_of_its_outcome(make_task: Any, notebook: NotebookChannel) -> None:
    task = make_task("a", task_notify=[rule("technical_failure", name="ops")])

    finish_all(task, "F")
    send_due()

    delivery = Delivery.objects.get()
    assert (delivery.state, delivery.response, delivery.attempts) == ("sent", "noted", 1)
    [(key, content)] = notebook.sent
    assert key == delivery.key
    assert content["event"] == "technical_failure"
    assert (content["task_id"], content["rule_name"], content["threshold_count"]) == ("a", "ops", 1)
