"""The texts that people get when a rule brings none."""

from __future__ import annotations

import re
from datetime import timedelta
from itertools import product

import pytest

from notifications.engine.rules import Outcome, Rule, replay
from notifications.messages.context import Facts
from notifications.messages.default_texts import EVENTS, texts_for
from notifications.messages.templates import render, render_subject
from scheduler.config_file.notify_rules import TEMPLATE_NAMES
from tests.conftest import NOON
from tests.notify import FULL, LETTERS
from tests.support.cases import each_case

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


@each_case("language", LANGUAGES)
@each_case("event", OF_A_TASK)
def test_message_names_the_task_and_ends_with_log_and_link(event: str, language: str) -> None:
    subject, body = message(event, language)

    assert subject.startswith("Nightly backup")
    assert body.startswith("Nightly backup")
    assert "exit code 28" in body
    assert body.endswith("copying\nNo space left on device\n\n\nhttps://schedsite.example.org/x/4711\n")


@each_case("language", LANGUAGES)
@each_case("event", ["business_failure", "technical_failure", "timeout"])
def test_streak_is_told_in_subject_and_body(event: str, language: str) -> None:
    subject, body = message(event, language)

    assert "3" in subject
    assert re.search(r"^(In a row: |连续次数：)3$", body, re.MULTILINE)


@each_case("language", LANGUAGES)
@each_case("event", OF_A_TASK)
@each_case("count", [None, 0, 1])
def test_single_outcome_is_not_called_a_streak(event: str, language: str, count: int | None) -> None:
    subject, body = message(event, language, threshold_count=count)

    assert not re.search(r"in a row|连续", subject + body, re.IGNORECASE)


WORDS = {letter: status.value for letter, status in LETTERS.items()}
NEUTRAL = "KMC"


def times_in_a_row(letters: str, triggers: str) -> int:
    """Return how often the last outcome happened in a row, counted by hand; what a rule passes over is passed over."""
    seen = [letter for letter in letters if letter in triggers or letter not in NEUTRAL]
    count = 0
    while seen and seen.pop() == letters[-1]:
        count += 1
    return count


def told(letters: str, triggers: str, threshold: int, language: str) -> tuple[str, str] | None:
    """Return subject and body of the message about the last outcome, or None when there is none."""
    rule = Rule(frozenset(WORDS[letter] for letter in triggers), threshold, "always")
    history = [Outcome(WORDS[x], NOON + timedelta(minutes=i), i) for i, x in enumerate(letters)]
    decision = replay(rule, history)[-1]
    if not decision.fires:
        return None
    facts = Facts({**FULL, "threshold_count": decision.streak}, decision.event, language, decision.repeats)
    texts = texts_for(facts)
    return render_subject(texts.subject, facts.values), render(texts.body, facts.values)


def test_the_number_beside_a_verb_counts_that_event_in_every_history_of_up_to_five_outcomes() -> None:
    wrong, looked_at = [], 0
    for triggers, threshold, size in product(("F", "SF", "FB", "FK", "SFBK"), (1, 2, 3), range(1, 6)):
        for letters in map("".join, product("SFBK", repeat=size)):
            for language in LANGUAGES:
                message = told(letters, triggers, threshold, language)
                if message is None:
                    continue
                looked_at += 1
                count = times_in_a_row(letters, triggers)
                numbers = re.findall(r"\d+", message[0])
                if numbers != ([str(count)] if count > 1 else []) or ("连续" in message[0]) > (count > 1):
                    wrong.append((letters, triggers, threshold, message[0]))

    assert looked_at > 10_000 and wrong == []


@each_case(
    ("letters", "triggers", "threshold", "subject", "line"),
    [
        ("SSF", "SF", 3, "Nightly backup failed", "Outcomes in a row that the rule counts: 3"),
        ("SFF", "SF", 3, "Nightly backup failed, 2 times in a row", "Outcomes in a row that the rule counts: 3"),
        ("FFF", "SF", 3, "Nightly backup failed, 3 times in a row", "In a row: 3"),
        ("FKF", "F", 2, "Nightly backup failed, 2 times in a row", "In a row: 2"),
        ("FTF", "FT", 3, "Nightly backup failed", "Outcomes in a row that the rule counts: 3"),
        ("FFT", "FT", 3, "Nightly backup ran too long and was stopped", "Outcomes in a row that the rule counts: 3"),
        ("SF", "F", 1, "Nightly backup failed", "Reason: exit code 28"),
    ],
)  # fmt: skip
def test_a_streak_of_several_kinds_reads_like_this(
    letters: str, triggers: str, threshold: int, subject: str, line: str
) -> None:
    message = told(letters, triggers, threshold, "en")

    assert message is not None
    assert message[0] == subject
    assert message[1].splitlines()[1] == line


def test_a_streak_of_several_kinds_reads_like_this_in_chinese() -> None:
    message = told("SSF", "SF", 3, "zh-hans")

    assert message is not None
    assert message[0] == "Nightly backup 运行失败"
    assert message[1].splitlines()[1] == "规则关注的结果连续次数：3"


@each_case("language", LANGUAGES)
@each_case("event", EVENTS)
def test_line_without_a_value_is_left_out(event: str, language: str) -> None:
    nothing = dict.fromkeys(TEMPLATE_NAMES)
    subject, body = message(
        event, language, **{**nothing, "task_name": "Nightly backup", "task_id": "backup"}
    )

    assert subject
    assert not [line for line in body.splitlines() if re.search(r"[:：]\s*$", line)]
    assert "None" not in subject + body


@each_case("event", EVENTS)
def test_chinese_text_has_no_english_sentence(event: str) -> None:
    values = dict.fromkeys(TEMPLATE_NAMES, "甲")

    subject, body = message(event, "zh-hans", **values)

    assert set(re.findall(r"[A-Za-z]+", subject + body)) <= {"Schedsite"}


@each_case("language", LANGUAGES)
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
