"""Trying a rule out: test messages, rehearsal against the history, and sending once more."""

from __future__ import annotations

import threading
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from notifications.choices import Scope
from notifications.exceptions import SendError
from notifications.models import Delivery, NotificationRule, RuleChannel
from notifications.services import resending, trials
from notifications.services.definitions import save_rule, validate_rule
from notifications.services.outbox import write_for
from notifications.services.send_threads import send_due
from scheduler.exceptions import ConflictError
from scheduler.models import Task
from tests.conftest import NOON
from tests.notify import NotebookChannel, finish_all, outcomes, rule

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)


def rehearse(task: Task, *triggers: str, **fields: Any) -> trials.Rehearsal:
    days = fields.pop("days", 30)
    return trials.rehearse(validate_rule(rule(*triggers, **fields)), [task], days=days, now=NOON + DAY)


def shown(rehearsal: trials.Rehearsal) -> list[tuple[str, int, str]]:
    """Return event, streak and what held it back of each message, oldest first."""
    return [(m.event, m.streak, str(m.held_back or "")) for m in reversed(rehearsal.messages)]


# --- rehearsal --------------------------------------------------------------------------------------


def test_a_rehearsal_tells_what_a_rule_would_have_sent_and_writes_nothing(make_task: Any) -> None:
    task = make_task("a")
    rows = outcomes(task, "FFFSFFFF")

    rehearsal = rehearse(task, "technical_failure", "recovered", threshold=3)

    assert shown(rehearsal) == [
        ("technical_failure", 3, ""),
        ("recovered", 3, ""),
        ("technical_failure", 3, ""),
    ]
    assert [m.execution_id for m in reversed(rehearsal.messages)] == [rows[2].pk, rows[3].pk, rows[6].pk]
    assert str(rehearsal.messages[0].reason) == "3 consecutive matching outcomes; threshold 3, repeat every"
    assert (rehearsal.sent, rehearsal.suppressed, rehearsal.outcomes) == (3, 0, 8)
    assert rehearsal.is_complete
    assert not Delivery.objects.exists() and not NotificationRule.objects.exists()


@pytest.mark.parametrize(
    "fields",
    [
        {"threshold": 3},
        {"threshold": 2, "repeat": "once"},
        {"threshold": 2, "repeat": "always", "cooldown": 150},
        {"cooldown": 600},
    ],
)
def test_a_rehearsal_equals_what_really_was_sent(make_task: Any, fields: dict[str, Any]) -> None:
    words = ("technical_failure", "timeout", "recovered")
    task = make_task("a", task_notify=[rule(*words, **fields)])
    finish_all(task, "FFTSKFFCFFBSFFTTTTSF")

    rehearsal = rehearse(task, *words, **fields)

    sent = Delivery.objects.exclude(state="suppressed").order_by("occurred_at")
    told = [(m.event, m.at) for m in reversed(rehearsal.messages) if not m.held_back]
    assert told == list(sent.values_list("event", "occurred_at"))
    held = sum(Delivery.objects.filter(state="suppressed").values_list("count", flat=True))
    assert (rehearsal.sent, rehearsal.suppressed) == (len(told), held)


def test_a_rehearsal_follows_a_streak_that_began_before_its_days(make_task: Any) -> None:
    task = make_task("a")
    outcomes(task, "SFF", begin=NOON - timedelta(hours=3))
    outcomes(task, "F", begin=NOON + timedelta(hours=1))

    rehearsal = rehearse(task, "technical_failure", threshold=3, days=1)

    assert shown(rehearsal) == [("technical_failure", 3, "")]


def test_a_rehearsal_says_what_the_hourly_limit_would_hold_back(make_task: Any, settings: Any) -> None:
    settings.SCHEDULER_NOTIFY_HOURLY_LIMIT = 2
    task = make_task("a")
    outcomes(task, "FFFF")

    held = [held for _event, _streak, held in shown(rehearse(task, "technical_failure"))]

    assert held == ["", "", *["more than 2 messages in the hour"] * 2]


def test_a_rehearsal_tells_missed_deadlines_and_their_recovery(make_task: Any) -> None:
    begin = NOON - 5 * DAY
    task = make_task("a", task_deadline="13:00", task_schedule="30 12 * * *")
    task.created_at = begin
    for day, hour in ((0, 12.6), (1, 14), (2, 12.6), (4, 12.6)):
        outcomes(task, "S", begin=begin.replace(hour=0, minute=0) + day * DAY + timedelta(hours=hour))

    rehearsal = rehearse(task, "overdue", "recovered")

    late = [begin.replace(hour=13) + day * DAY for day in (1, 3, 5)]
    assert [m.at for m in reversed(rehearsal.messages) if m.event == "overdue"] == late
    assert [event for event, *_ in shown(rehearsal)].count("recovered") == 2


def test_of_many_messages_a_rehearsal_counts_all_and_shows_the_latest(make_task: Any) -> None:
    task = make_task("a", task_deadline=1)
    task.created_at = NOON - DAY
    outcomes(task, "S" * 20_000, begin=NOON - timedelta(hours=23), every=3)

    rehearsal = rehearse(task, "overdue", "recovered")

    assert (len(rehearsal.messages), rehearsal.outcomes) == (trials.MOST_MESSAGES, 20_000)
    assert rehearsal.sent + rehearsal.suppressed == 40_001


# --- test messages ----------------------------------------------------------------------------------


def test_a_test_message_goes_to_each_channel_and_is_kept(make_task: Any, notebook: NotebookChannel) -> None:
    two = {"triggers": ["timeout"], "name": "ops", "channels": [*rule("timeout")["channels"]] * 2}
    task = make_task("a", task_name="备份", task_notify=[two])
    notebook.answers = ["noted", SendError("503 of the server")]
    row = NotificationRule.objects.get()

    sent = trials.test_send(list(row.channels.all()), rule=row, task=task, now=NOON)

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

    [delivery] = trials.test_send([draft], rule_name="draft", now=NOON)

    assert (delivery.state, delivery.channel, delivery.rule_name) == ("sent", None, "draft")
    assert not RuleChannel.objects.exists()


def test_a_test_message_that_hangs_ends_with_the_deadline(
    notebook: NotebookChannel, db: None, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.SCHEDULER_NOTIFY_DEADLINE = 0.05
    monkeypatch.setattr(trials, "GRACE", 0.05)
    release = threading.Event()
    notebook.answers = [release.wait]

    [delivery] = trials.test_send(
        [RuleChannel(kind="webhook", config={"url": "https://a.example"})], now=NOON
    )

    assert (delivery.state, delivery.reason) == ("failed", "no answer within 0.05 s")
    [stuck] = resending.abandoned("webhook")
    release.set()
    stuck._thread.join(10)


def test_a_test_message_that_cannot_be_composed_says_why(db: None) -> None:
    broken = RuleChannel(kind="webhook", config={"url": "https://a.example", "body_template": "{{exit_code"})

    [delivery] = trials.test_send([broken], now=NOON)

    assert delivery.state == "failed"
    assert delivery.reason.startswith("the message cannot be composed: ValueError: ")


def test_test_messages_neither_use_the_limit_nor_start_a_cooldown(
    make_task: Any, notebook: NotebookChannel, settings: Any
) -> None:
    settings.SCHEDULER_NOTIFY_HOURLY_LIMIT = 1
    task = make_task("a", task_notify=[rule("technical_failure", cooldown=600)])
    row = NotificationRule.objects.get()
    for _ in range(3):
        trials.test_send(list(row.channels.all()), rule=row, task=task, now=NOON)

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


# --- once more --------------------------------------------------------------------------------------


def test_a_failed_delivery_is_resent_with_its_key(make_task: Any, notebook: NotebookChannel) -> None:
    finish_all(make_task("a", task_notify=[rule("technical_failure")]), "F")
    notebook.answers = [SendError("410 gone", is_permanent=True)]
    send_due()

    trials.resend(Delivery.objects.get(), now=NOON)
    send_due()

    delivery = Delivery.objects.get()
    assert (delivery.state, delivery.attempts) == ("sent", 1)
    assert {key for key, _content in notebook.sent} == {delivery.key}


def test_a_sent_delivery_is_resent_in_a_row_and_with_a_key_of_its_own(
    make_task: Any, notebook: NotebookChannel
) -> None:
    finish_all(make_task("a", task_notify=[rule("technical_failure")]), "F")
    send_due()
    first = Delivery.objects.get()

    again = trials.resend(first, now=NOON)
    send_due()

    assert again.pk != first.pk
    assert list(Delivery.objects.values_list("state", flat=True)) == ["sent", "sent"]
    (key, content), (other_key, other_content) = notebook.sent
    assert key != other_key and content == other_content


def test_a_suppressed_delivery_can_be_sent_after_all(make_task: Any, notebook: NotebookChannel) -> None:
    finish_all(make_task("a", task_notify=[rule("technical_failure", cooldown=600)]), "FFF")
    held = Delivery.objects.get(state="suppressed")

    trials.resend(held, now=NOON)
    send_due()

    assert len(notebook.sent) == 2
    held.refresh_from_db()
    assert (held.state, held.count) == ("suppressed", 2)


def test_what_is_being_sent_or_has_no_channel_is_not_resent(
    make_task: Any, notebook: NotebookChannel
) -> None:
    finish_all(make_task("a", task_notify=[rule("technical_failure")]), "F")
    delivery = Delivery.objects.get()
    Delivery.objects.update(state="sending")

    with pytest.raises(ConflictError, match=f"Delivery {delivery.pk} is being sent."):
        trials.resend(delivery, now=NOON)
    NotificationRule.objects.all().delete()
    with pytest.raises(ConflictError, match=f"The channel of delivery {delivery.pk} no longer exists."):
        trials.resend(delivery, now=NOON)


def test_a_rule_for_all_tasks_is_rehearsed_over_all_of_them(make_task: Any) -> None:
    tasks = [make_task(name) for name in "ab"]
    for task in tasks:
        outcomes(task, "F")
    spec = validate_rule(rule("technical_failure"))
    save_rule(spec, scope=Scope.ALL, user=None, now=NOON)

    rehearsal = trials.rehearse(spec, tasks, days=30, now=NOON + DAY)

    assert sorted(m.task_id for m in rehearsal.messages) == ["a", "b"]
