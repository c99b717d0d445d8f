"""Rehearsals: what a rule would have sent about the history."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from notifications.choices import Scope
from notifications.models import Delivery, NotificationRule
from notifications.services.definitions import save_rule, validate_rule
from notifications.services.rehearsal import MOST_MESSAGES, Rehearsal
from notifications.services.rehearsal import rehearse as rehearse_rule
from scheduler.models import Task
from tests.conftest import NOON
from tests.notify import finish_all, outcomes, rule

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)


def rehearse(task: Task, *triggers: str, **fields: Any) -> Rehearsal:
    days = fields.pop("days", 30)
    return rehearse_rule(validate_rule(rule(*triggers, **fields)), [task], days=days, now=NOON + DAY)


def shown(rehearsal: Rehearsal) -> list[tuple[str, int, str]]:
    """Return event, streak and what held it back of each message, oldest first."""
    return [(m.event, m.streak, str(m.held_back or "")) for m in reversed(rehearsal.messages)]


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


@pytest.mark.parametrize("count", [2_000, pytest.param(20_000, marks=pytest.mark.campaign)])
def test_of_many_messages_a_rehearsal_counts_all_and_shows_the_latest(make_task: Any, count: int) -> None:
    task = make_task("a", task_deadline=1)
    task.created_at = NOON - DAY
    outcomes(task, "S" * count, begin=NOON - timedelta(hours=23), every=3)

    rehearsal = rehearse(task, "overdue", "recovered")

    assert (len(rehearsal.messages), rehearsal.outcomes) == (MOST_MESSAGES, count)
    assert rehearsal.sent + rehearsal.suppressed == 2 * count + 1


def test_a_rule_for_all_tasks_is_rehearsed_over_all_of_them(make_task: Any) -> None:
    tasks = [make_task(name) for name in "ab"]
    for task in tasks:
        outcomes(task, "F")
    spec = validate_rule(rule("technical_failure"))
    save_rule(spec, scope=Scope.ALL, user=None, now=NOON)

    rehearsal = rehearse_rule(spec, tasks, days=30, now=NOON + DAY)

    assert sorted(m.task_id for m in rehearsal.messages) == ["a", "b"]
