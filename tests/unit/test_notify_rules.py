"""When a rule fires: tables, and random histories against an oracle that was written from the words of the design."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from notifications.engine.rules import (
    ALWAYS,
    EVERY,
    ONCE,
    REPEATS,
    TRIGGERS,
    BrokenRuleError,
    Outcome,
    Rule,
    decide,
    held_back,
    in_order,
    is_settled,
    judge,
    replay,
)
from tests.conftest import NOON
from tests.notify import LETTERS
from tests.support.cases import each_case

WORDS = {letter: status.value for letter, status in LETTERS.items()}


def make(triggers: str, **fields: Any) -> Rule:
    """Return a rule; its triggers are letters of outcomes, R for recovered, O for overdue."""
    words = {**WORDS, "R": "recovered", "O": "overdue"}
    return Rule(frozenset(words[letter] for letter in triggers), **fields)


def history(letters: str) -> list[Outcome]:
    return [Outcome(WORDS[x], NOON + timedelta(minutes=i), i) for i, x in enumerate(letters)]


def fired(rule: Rule, letters: str) -> str:
    """Return one character for each outcome: the letter of the event that fired, or a dot."""
    letter = {"recovered": "R", **{word: x for x, word in WORDS.items()}}
    return "".join(letter.get(d.event, ".") for d in replay(rule, history(letters)))


@each_case(
    ("triggers", "threshold", "repeat", "outcomes", "messages"),
    [
        # the example of the specification: after the 3rd failure, and after the 3rd of the next streak
        ("F", 3, EVERY, "FFFSFFFF", "..F...F."),
        ("F", 3, EVERY, "FFFFFFFFF", "..F..F..F"),
        ("F", 3, ONCE, "FFFFFFSFFFF", "..F......F."),
        ("F", 3, ALWAYS, "FFFFFSFFF", "..FFF...F"),
        ("F", 1, EVERY, "FFSF", "FF.F"),
        ("F", 1, ONCE, "FFSF", "F..F"),
        # another failure in between ends the streak
        ("F", 3, EVERY, "FFBFFF", ".....F"),
        ("FB", 3, EVERY, "FFBFFF", "..B..F"),
        # skipped, missed and cancelled neither count nor break
        ("F", 3, EVERY, "FKFMFC", "....F."),
        ("F", 2, EVERY, "FCF", "..F"),
        # unless the rule names them
        ("FK", 3, EVERY, "FKF", "..F"),
        ("M", 2, EVERY, "MSM", "..."),
        ("M", 2, EVERY, "MKM", "..M"),
        ("K", 1, EVERY, "KSK", "K.K"),
        ("S", 2, EVERY, "SSFSS", ".S..S"),
        # recovered: the first success after an alert
        ("FR", 1, EVERY, "SFSS", ".FR."),
        ("FR", 3, EVERY, "FFSFFFSS", ".....FR."),
        ("FR", 3, EVERY, "FFFBS", "..F.R"),
        ("FR", 3, EVERY, "FFFKS", "..F.R"),
        ("FR", 1, EVERY, "FCS", "F.R"),
        ("FSR", 1, EVERY, "FSS", "FRS"),
        # a rule for recovered alone looks at all failures
        ("R", 1, EVERY, "SFBSS", "...R."),
        ("R", 2, EVERY, "FSFTSS", "....R."),
        ("R", 1, EVERY, "KCMS", "...."),
        ("MR", 1, EVERY, "MS", "MR"),
        # overdue is no outcome
        ("O", 1, EVERY, "FSF", "..."),
        ("OR", 1, EVERY, "FSF", "..."),
    ],
)
def test_a_rule_fires_at(triggers: str, threshold: int, repeat: str, outcomes: str, messages: str) -> None:
    assert fired(make(triggers, threshold=threshold, repeat=repeat), outcomes) == messages


def test_a_success_after_a_missed_deadline_is_recovered() -> None:
    decisions = replay(make("OR"), history("FSS"), overdue={1})

    assert [d.event for d in decisions] == ["", "recovered", ""]


def test_a_decision_tells_streak_and_reason() -> None:
    decision = decide(make("F", threshold=2), history("SFF"))

    assert (decision.fires, decision.event, decision.streak) == (True, "technical_failure", 2)
    assert str(decision.reason) == "2 consecutive matching outcomes; threshold 2, repeat every"
    assert str(decide(make("F"), history("FK")).reason) == "skipped neither counts nor breaks a streak"
    assert str(decide(make("F"), history("FB")).reason) == (
        "business_failure is not a trigger; it ends a streak"
    )
    assert decide(make("FR", threshold=2), history("FFFS")).streak == 3


def test_the_order_is_that_of_the_ends_and_of_ids_among_equal_ones() -> None:
    at = NOON
    rows = [
        Outcome("success", at, 7),
        Outcome("technical_failure", at, 9),
        Outcome("technical_failure", at - timedelta(seconds=1), 8),
    ]

    assert [row.id for row in in_order(rows)] == [8, 7, 9]
    assert decide(make("F", threshold=2), rows).event == ""


def test_nothing_to_decide_on_is_an_error() -> None:
    with pytest.raises(ValueError, match="there is no outcome to decide on"):
        decide(make("F"), [])


@each_case(
    ("fields", "message"),
    [
        ({"triggers": frozenset({"failure"})}, "triggers must be among success, .* but failure was found"),
        ({"triggers": frozenset()}, "triggers must be among success, .* but nothing was found"),
        ({"threshold": 0}, "threshold must be a whole number from 1, but 0 was found"),
        ({"threshold": 1.5}, "threshold must be a whole number from 1, but 1.5 was found"),
        ({"threshold": True}, "threshold must be a whole number from 1, but True was found"),
        ({"repeat": "never"}, "repeat must be one of every, once, always, but 'never' was found"),
        ({"cooldown": -1}, "cooldown must be seconds from 0, but -1 was found"),
        ({"cooldown": float("nan")}, "cooldown must be seconds from 0, but nan was found"),
    ],
)
def test_a_rule_that_cannot_be_evaluated_says_why(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(BrokenRuleError, match=message):
        Rule(**{"triggers": frozenset({"success"}), **fields})


def test_the_cooldown_holds_back_what_is_too_close() -> None:
    rule = make("F", cooldown=60)
    later = NOON + timedelta(seconds=59.9)

    assert not held_back(rule, at=NOON, last_reported_at=None)
    assert held_back(rule, at=later, last_reported_at=NOON)
    assert held_back(rule, at=NOON, last_reported_at=later)
    assert not held_back(rule, at=NOON + timedelta(seconds=60), last_reported_at=NOON)
    assert not held_back(make("F"), at=NOON, last_reported_at=NOON)


# --- two workers finish -----------------------------------------------------------------------------


def messages_of(rule: Rule, rows: list[Outcome], arrival: list[int]) -> list[tuple[int, str]]:
    """Return the messages written when outcomes are recorded in the order of `arrival` (places in the history)."""
    found = []
    for count in range(1, len(arrival) + 1):
        known = in_order(rows[place] for place in arrival[:count])
        new = {rows[arrival[count - 1]].id}
        found += [(outcome.id, decision.event) for outcome, decision in judge(rule, known, new=new)]
    return found


def test_a_late_outcome_makes_the_next_one_fire() -> None:
    rule, rows = make("F", threshold=2), history("FF")

    assert messages_of(rule, rows, [0, 1]) == [(1, "technical_failure")]
    assert messages_of(rule, rows, [1, 0]) == [(1, "technical_failure")]


def test_a_late_success_before_the_last_is_judged_in_its_place() -> None:
    rule, rows = make("F", threshold=2), history("FSFF")

    assert messages_of(rule, rows, [0, 2, 1, 3]) == [(2, "technical_failure"), (3, "technical_failure")]


# --- against an oracle ------------------------------------------------------------------------------

OUTCOMES = st.sampled_from(sorted(WORDS.values()))
RULES = st.builds(
    Rule,
    st.frozensets(st.sampled_from(TRIGGERS), min_size=1),
    threshold=st.integers(1, 5),
    repeat=st.sampled_from(REPEATS),
)
HISTORIES = st.lists(OUTCOMES, max_size=40)


def oracle(rule: Rule, statuses: list[str]) -> list[str]:
    """Return the event at each outcome, looked up anew in the whole history each time."""
    neutral = {"skipped", "missed", "cancelled"} - rule.triggers
    failures = {"business_failure", "technical_failure", "timeout"}

    def run_before(place: int, counted: set[str], ignored: set[str]) -> int:
        length = 0
        for status in reversed(statuses[: place + 1]):
            if status in ignored:
                continue
            if status not in counted:
                break
            length += 1
        return length

    def alert_before(place: int) -> bool:
        alarms = set(rule.triggers) - {"success", "recovered", "overdue"}
        if not alarms and "overdue" not in rule.triggers:
            alarms = failures
        start = max((i for i in range(place) if statuses[i] == "success"), default=-1)
        return any(
            statuses[i] in alarms and run_before(i, alarms, neutral) >= rule.threshold
            for i in range(start + 1, place)
        )

    events = []
    for place, status in enumerate(statuses):
        streak = run_before(place, set(rule.triggers), neutral)
        on_multiple = {"every": streak % rule.threshold == 0, "once": streak == rule.threshold}
        event = ""
        if status in rule.triggers and streak >= rule.threshold and on_multiple.get(rule.repeat, True):
            event = status
        if status == "success" and "recovered" in rule.triggers and alert_before(place):
            event = "recovered"
        events.append(event)
    return events


def as_outcomes(statuses: list[str]) -> list[Outcome]:
    # Two of them at each instant, so that ids decide as well.
    return [Outcome(s, NOON + timedelta(seconds=i // 2), i) for i, s in enumerate(statuses)]


def check_replay(rule: Rule, statuses: list[str]) -> None:
    assert [d.event for d in replay(rule, as_outcomes(statuses))] == oracle(rule, statuses)


def check_arrival(rule: Rule, statuses: list[str], arrival: list[int]) -> None:
    rows = as_outcomes(statuses)
    expected = {(i, event) for i, event in enumerate(oracle(rule, statuses)) if event}

    in_time = messages_of(rule, rows, list(range(len(rows))))
    mixed = messages_of(rule, rows, arrival)

    assert in_time == sorted(expected)
    assert expected <= set(mixed)  # the database refuses the same message a second time


def check_window(rule: Rule, statuses: list[str], begin: int) -> None:
    """What is judged from a settled point on is what is judged from the beginning."""
    rows = as_outcomes(statuses)
    for place in range(begin, len(rows)):
        if is_settled(rule, statuses[begin:place]):
            assert (
                replay(rule, rows[begin : place + 1])[-1].event == replay(rule, rows[: place + 1])[-1].event
            )


@given(RULES, HISTORIES)
@settings(max_examples=300, deadline=None)
def test_the_replay_equals_the_oracle(rule: Rule, statuses: list[str]) -> None:
    check_replay(rule, statuses)


@pytest.mark.proves("G15")
@given(RULES, st.lists(OUTCOMES, max_size=8), st.data())
@settings(max_examples=150, deadline=None)
def test_every_message_of_the_oracle_is_written_in_whatever_order_workers_finish(
    rule: Rule, statuses: list[str], data: st.DataObject
) -> None:
    check_arrival(rule, statuses, data.draw(st.permutations(range(len(statuses)))))


@given(RULES, HISTORIES, st.integers(0, 40))
@settings(max_examples=200, deadline=None)
def test_reading_back_to_a_settled_point_is_enough(rule: Rule, statuses: list[str], begin: int) -> None:
    check_window(rule, statuses, begin)


@pytest.mark.campaign
@given(RULES, HISTORIES, st.integers(0, 40), st.randoms(use_true_random=False))
@settings(max_examples=100_000, deadline=None, database=None)
def test_a_hundred_thousand_histories(rule: Rule, statuses: list[str], begin: int, chance: Any) -> None:
    check_replay(rule, statuses)
    check_window(rule, statuses, begin)
    some = statuses[:8]
    check_arrival(rule, some, chance.sample(range(len(some)), len(some)))
