"""The texts that people get when a rule brings none."""

from __future__ import annotations

import re

import pytest

from notifications.channels.base import Facts
from notifications.default_texts import EVENTS, texts_for
from notifications.rendering import render, render_subject
from scheduler.config_file.notify_rules import TEMPLATE_NAMES

FULL: dict[str, str | int | float | None] = {
    "task_id": "backup",
    "task_name": "Nightly backup",
    "execution_status": "technical_failure",
    "execution_start_time": "2026-06-01 12:00:00 UTC",
    "execution_end_time": "2026-06-01 12:00:07 UTC",
    "execution_duration": 7.25,
    "threshold_count": 3,
    "execution_log_tail": "copying\nNo space left on device\n",
    "execution_id": 4711,
    "execution_url": "https://schedsite.example.org/x/4711",
    "exit_code": 28,
    "attempt": 2,
    "reason": "exit code 28",
    "scheduled_for": "2026-06-01 12:00:00 UTC",
    "run_id": 99,
    "rule_name": "Three failures in a row",
}
LANGUAGES = ("en", "zh-hans")
OF_A_TASK = [event for event in EVENTS if event not in {"digest", "test"}]


def message(event: str, language: str, **values: str | int | float | None) -> tuple[str, str]:
    facts = Facts({**FULL, **values}, event, language)
    texts = texts_for(facts)
    return render_subject(texts.subject, facts.values), render(texts.body, facts.values)


def test_there_are_texts_for_all_triggers_and_for_digest_and_test() -> None:
    assert set(EVENTS) == {
        *("success", "business_failure", "technical_failure", "timeout", "cancelled", "skipped", "missed"),
        *("recovered", "overdue", "digest", "test"),
    }
    assert set(FULL) == set(TEMPLATE_NAMES)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("event", OF_A_TASK)
def test_message_names_the_task_and_ends_with_log_and_link(event: str, language: str) -> None:
    subject, body = message(event, language)

    assert subject.startswith("Nightly backup")
    assert body.startswith("Nightly backup")
    assert "exit code 28" in body
    assert body.endswith("copying\nNo space left on device\n\n\nhttps://schedsite.example.org/x/4711\n")


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("event", ["business_failure", "technical_failure", "timeout"])
def test_streak_is_told_in_subject_and_body(event: str, language: str) -> None:
    subject, body = message(event, language)

    assert "3" in subject
    assert re.search(r"^(In a row: |连续次数：)3$", body, re.MULTILINE)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("event", OF_A_TASK)
@pytest.mark.parametrize("count", [None, 0, 1])
def test_single_outcome_is_not_called_a_streak(event: str, language: str, count: int | None) -> None:
    subject, body = message(event, language, threshold_count=count)

    assert not re.search(r"in a row|连续", subject + body, re.IGNORECASE)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("event", EVENTS)
def test_line_without_a_value_is_left_out(event: str, language: str) -> None:
    nothing = dict.fromkeys(TEMPLATE_NAMES)
    subject, body = message(
        event, language, **{**nothing, "task_name": "Nightly backup", "task_id": "backup"}
    )

    assert subject
    assert not [line for line in body.splitlines() if re.search(r"[:：]\s*$", line)]
    assert "None" not in subject + body


@pytest.mark.parametrize("event", EVENTS)
def test_chinese_text_has_no_english_sentence(event: str) -> None:
    values = dict.fromkeys(TEMPLATE_NAMES, "甲")

    subject, body = message(event, "zh-hans", **values)

    assert set(re.findall(r"[A-Za-z]+", subject + body)) <= {"Schedsite"}


@pytest.mark.parametrize("language", LANGUAGES)
def test_subject_fits_the_lock_screen_of_a_phone(language: str) -> None:
    for event in OF_A_TASK:
        assert len(message(event, language)[0]) <= 70


def test_failure_reads_like_this_in_english() -> None:
    subject, body = message("technical_failure", "en")

    assert subject == "Nightly backup failed, 3 times in a row"
    assert body == (
        "Nightly backup (backup) failed.\n"
        "In a row: 3\n"
        "Reason: exit code 28\n"
        "Started: 2026-06-01 12:00:00 UTC\n"
        "Ended: 2026-06-01 12:00:07 UTC\n"
        "Duration: 7.25 s\n"
        "Exit code: 28\n"
        "Attempt: 2\n"
        "\n"
        "Last lines of the log:\n"
        "copying\n"
        "No space left on device\n"
        "\n\n"
        "https://schedsite.example.org/x/4711\n"
    )


def test_digest_reads_like_this_in_both_languages() -> None:
    values = {
        **dict.fromkeys(TEMPLATE_NAMES),
        "threshold_count": 412,
        "rule_name": "All",
        "reason": "backup: 400\nsync: 12",
    }

    assert message("digest", "en", **values) == (
        "412 more messages: All",
        "Messages held back: 412\nRule: All\nbackup: 400\nsync: 12\n",
    )
    assert message("digest", "zh-hans", **values) == (
        "另有 412 条通知：All",
        "合并的通知数：412\n规则：All\nbackup: 400\nsync: 12\n",
    )


def test_unknown_event_is_refused_and_unknown_language_is_english() -> None:
    with pytest.raises(ValueError, match=r"^no texts for the event 'party'; there are texts for success, "):
        message("party", "en")
    assert message("success", "fr") == message("success", "en")
