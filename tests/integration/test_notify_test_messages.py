"""Test messages: sent at once, from stored rules and from drafts."""

from __future__ import annotations

import threading
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from notifications.exceptions import SendError
from notifications.models import Delivery, NotificationRule, RuleChannel
from notifications.services import attempts, test_messages
from notifications.services.outbox import write_for
from tests.conftest import NOON
from tests.notify import NotebookChannel, outcomes, rule

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)


def test_a_test_message_goes_to_each_channel_and_is_kept(make_task: Any, notebook: NotebookChannel) -> None:
    two = {"triggers": ["timeout"], "name": "ops", "channels": [*rule("timeout")["channels"]] * 2}
    task = make_task("a", task_name="备份", task_notify=[two])
    notebook.answers = ["noted", SendError("503 of the server")]
    row = NotificationRule.objects.get()

    sent = test_messages.send_test_messages(list(row.channels.all()), rule=row, task=task, now=NOON)

    assert sorted((d.state, d.reason, d.response) for d in sent) == [
        ("failed", "503 of the server", ""),
        ("sent", "", "noted"),
    ]
    assert not Delivery.objects.exclude(next_attempt_at=None).exists()
    assert {d.event for d in sent} == {"test"}
    content = notebook.sent[0][1]
    assert (content["event"], content["rule_name"], content["task_name"]) == ("test", "ops", "备份")
    assert all(value not in (None, "") for value in content.values())


def test_a_draft_is_tried_out_without_being_stored(notebook: NotebookChannel, db: None) -> None:
    draft = RuleChannel(kind="webhook", config={"url": "https://hooks.example.org/new"})

    [delivery] = test_messages.send_test_messages([draft], rule_name="draft", now=NOON)

    assert (delivery.state, delivery.channel, delivery.rule_name) == ("sent", None, "draft")
    assert not RuleChannel.objects.exists()


def test_a_test_message_that_hangs_ends_with_the_deadline(
    notebook: NotebookChannel, db: None, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.SCHEDULER_NOTIFY_DEADLINE = 0.05
    monkeypatch.setattr(test_messages, "GRACE", 0.05)
    release = threading.Event()
    notebook.answers = [release.wait]

    [delivery] = test_messages.send_test_messages(
        [RuleChannel(kind="webhook", config={"url": "https://a.example"})], now=NOON
    )

    assert (delivery.state, delivery.reason) == ("failed", "no response within 0.05 s")
    [stuck] = attempts.abandoned("webhook")
    release.set()
    stuck._thread.join(10)


def test_a_test_message_that_cannot_be_composed_says_why(db: None) -> None:
    broken = RuleChannel(kind="webhook", config={"url": "https://a.example", "body_template": "{{exit_code"})

    [delivery] = test_messages.send_test_messages([broken], now=NOON)

    assert delivery.state == "failed"
    assert delivery.reason.startswith("the message cannot be composed: ValueError: ")


def test_test_messages_neither_use_the_limit_nor_start_a_cooldown(
    make_task: Any, notebook: NotebookChannel, settings: Any
) -> None:
    settings.SCHEDULER_NOTIFY_HOURLY_LIMIT = 1
    task = make_task("a", task_notify=[rule("technical_failure", cooldown=600)])
    row = NotificationRule.objects.get()
    for _ in range(3):
        test_messages.send_test_messages(list(row.channels.all()), rule=row, task=task, now=NOON)

    rows = outcomes(task, "F")
    write_for({r.task_id for r in rows}, rows, now=NOON)

    assert Delivery.objects.get(event="technical_failure").state == "pending"


@pytest.mark.parametrize("by", ["id", "name"])
def test_the_command_prints_what_became_of_each_message(
    make_task: Any, notebook: NotebookChannel, by: str
) -> None:
    make_task("a", task_notify=[rule("timeout", name="ops")])
    name = "ops" if by == "name" else str(NotificationRule.objects.get().pk)
    out = StringIO()

    call_command("test_notification", name, stdout=out)

    assert out.getvalue() == "webhook: sent: noted\n"


def test_the_command_exits_with_1_when_a_channel_fails(make_task: Any, notebook: NotebookChannel) -> None:
    make_task("a", task_notify=[rule("timeout", name="ops")])
    notebook.answers = [SendError("410 gone", is_permanent=True)]
    out = StringIO()

    with pytest.raises(SystemExit) as caught:
        call_command("test_notification", "ops", stdout=out)

    assert caught.value.code == 1
    assert out.getvalue() == "webhook: failed: 410 gone\n"


def test_the_command_refuses_a_rule_that_does_not_exist_or_is_not_the_only_one(make_task: Any) -> None:
    make_task("a", task_notify=[rule("timeout", name="ops"), rule("success", name="ops")])
    ids = ", ".join(str(pk) for pk in NotificationRule.objects.order_by("pk").values_list("pk", flat=True))

    with pytest.raises(CommandError, match='there is no notification rule "nobody"; give its id or its name'):
        call_command("test_notification", "nobody")
    with pytest.raises(CommandError, match=f'several notification rules have the name "ops"; .* {ids}$'):
        call_command("test_notification", "ops")
