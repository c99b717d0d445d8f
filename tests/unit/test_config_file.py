"""Broken configurations are refused with the place and a sentence that a person can act on."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler.config_file import ConfigError, dump_config, parse_config

GOOD = {"task_id": "a", "task_name": "A", "task_exec": "true"}


def refused(text: str | bytes) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        parse_config(text, file="c.json")
    return [str(problem) for problem in caught.value.problems]


def with_field(name: str, value: Any) -> str:
    return '{"tasks": [\n' + json.dumps({**GOOD, name: value}) + "\n]}"


BROKEN = [
    ("", "c.json:1:1: the file is empty"),
    ('{"tasks": [1,]}', "c.json:1:14: there is a comma before the closing bracket"),
    ("{'tasks': []}", "c.json:1:2: text stands in double quotes in JSON, not in single ones"),
    ('{"tasks": [] // x\n}', "c.json:1:14: JSON has no comments"),
    ('{"tasks": [}', "c.json:1:12: this is no JSON: Expecting value"),
    ('{"tasks": [], "tasks": []}', 'c.json:1:15: the key "tasks" stands twice in one object'),
    ('{"tasks": [NaN]}', "c.json:1:12: the number NaN is not allowed"),
    ('{"tasks": [1e999]}', "c.json:1:12: the number 1e999 is not allowed"),
    ("[" * 40, "c.json:1:33: it is nested deeper than 32 levels"),
    ('{"tasks": {}}', "c.json:1:11: tasks: a list of tasks is needed"),
    ('{"tasks": [], "version": 2}', "c.json:1:26: version: version 2 was found; 1 is allowed"),
    ('{"tasks": [], "task": 1}', 'c.json:1:15: task: "task" is no known field'),
    ('"x"', "c.json:1:1: no tasks were found"),
    ('{"tasks": [5]}', "c.json:1:12: tasks[0]: 5 was found; an object is allowed"),
    ('{"tasks": [{}]}', 'c.json:1:12: tasks[0].task_id: the field "task_id" is missing'),
    (
        with_field("task_timout", 5),
        'tasks[0].task_timout: "task_timout" is no known field; did you mean "task_timeout"?',
    ),
    (with_field("task_timeout", 0), "tasks[0].task_timeout: 0 was found; a number above 0 up to"),
    (with_field("task_timeout", "5"), 'tasks[0].task_timeout: "5" was found; a number or null is allowed'),
    (with_field("task_retry", True), "tasks[0].task_retry: true was found; a whole number is allowed"),
    (
        with_field("task_retry", 101),
        "tasks[0].task_retry: 101 was found; a number from 0 up to 100 is allowed",
    ),
    (with_field("task_id", "a b"), 'tasks[0].task_id: "a b" was found; text that matches'),
    (with_field("task_id", "a\n"), 'tasks[0].task_id: "a\\n" ends with a line break'),
    (
        with_field("task_name", ""),
        'tasks[0].task_name: "" was found; text of at least 1 characters is allowed',
    ),
    (with_field("task_name", "\0"), "tasks[0].task_name: the text contains a NUL character"),
    (
        with_field("task_name", "\ud800"),
        "tasks[0].task_name: the text contains a NUL character or half of a surrogate",
    ),
    (
        with_field("task_concurrency", "no"),
        'task_concurrency: "no" was found; one of skip, queue, replace, allow is',
    ),
    (with_field("task_schedule", "61 * * * *"), "tasks[0].task_schedule: the minute field of the schedule"),
    (with_field("task_schedule", "0 0 30 2 *"), "never fires"),
    (
        with_field("task_timezone", "Mars/Base"),
        'tasks[0].task_timezone: the time zone "Mars/Base" is unknown',
    ),
    (
        with_field("task_dependencies", ["a"]),
        "task_dependencies[0]: the dependencies would form a cycle: a → a",
    ),
    (with_field("task_dependencies", ["b", "b"]), 'tasks[0].task_dependencies[1]: "b" stands twice'),
    (with_field("task_env", {"A": 1}), "tasks[0].task_env.A: 1 was found; text is allowed"),
    (
        with_field("task_env", {"_ENV_FILE": "../x"}),
        'task_env._ENV_FILE: "../x" leads out of the base folder',
    ),
    (with_field("task_max_parallel", 2), "task_max_parallel: it counts only with task_concurrency allow"),
    (
        with_field(
            "task_notify",
            [{"triggers": ["sucess"], "channels": [{"type": "email", "recipients": ["a@b.cc"]}]}],
        ),
        'task_notify[0].triggers[0]: "sucess" was found; one of success',
    ),
    (
        with_field("task_notify", [{"triggers": ["success"], "channels": [{"type": "pigeon"}]}]),
        'task_notify[0].channels[0].type: "pigeon" was found as the type of a channel; one of email, webhook, apprise',
    ),
    (
        with_field(
            "task_notify",
            [{"triggers": ["success"], "channels": [{"type": "email", "recipients": ["a@b, c"]}]}],
        ),
        'channels[0].recipients[0]: "a@b, c" is no mail address',
    ),
    (
        with_field(
            "task_notify",
            [
                {
                    "triggers": ["success"],
                    "channels": [{"type": "email", "recipients": ["a@b.cc"], "body_template": "{{x}}"}],
                }
            ],
        ),
        'channels[0].body_template: "x" is no known name in a template; known are task_id',
    ),
]


@pytest.mark.parametrize(("text", "message"), BROKEN)
def test_a_broken_configuration_is_refused_with_its_place(text: str, message: str) -> None:
    assert any(message in problem for problem in refused(text)), refused(text)


def test_utf_16_is_refused_in_words() -> None:
    assert refused("[]".encode("utf-16")) == ["c.json:1:1: the file is UTF-16 or UTF-32; save it as UTF-8"]


def test_a_byte_that_is_no_utf_8_is_named() -> None:
    assert refused(b'{"tasks":\n "\xff"}') == ["c.json:2:3: the byte 0xff at offset 12 is no UTF-8"]


def test_a_file_of_more_than_five_megabytes_is_refused() -> None:
    assert "at most 5,242,880 are allowed" in refused(" " * (5 * 1024 * 1024 + 1))[0]


def test_a_byte_order_mark_is_accepted() -> None:
    assert parse_config(b"\xef\xbb\xbf[]", file="c.json").specs == []


def test_all_problems_are_reported_at_once() -> None:
    text = json.dumps([{**GOOD, "task_retry": -1}, {**GOOD, "task_timeout": -1}])

    assert len(refused(text)) == 3  # both values, and the id that stands twice


@pytest.mark.parametrize(
    "layout", [[GOOD], GOOD, {"tasks": [GOOD]}, {"$schema": "x", "version": 1, "tasks": [GOOD]}]
)
def test_each_layout_is_understood(layout: Any) -> None:
    assert [spec["task_id"] for spec in parse_config(json.dumps(layout), file="c.json").specs] == ["a"]


def test_the_older_notification_form_becomes_rules_and_says_so() -> None:
    task = {**GOOD, "task_notify": {"on_failure": True, "email": "a@b.cc"}, "task_log": "x.log"}

    document = parse_config(json.dumps(task), file="c.json")

    rule = document.specs[0]["task_notify"][0]
    assert rule["triggers"] == ["business_failure", "technical_failure", "timeout"]
    assert rule["channels"][0]["recipients"] == ["a@b.cc"]
    assert document.notes == [
        "a: task_log is kept in the history instead",
        "a: task_notify in its older form became 1 rules",
    ]


def test_a_dump_parses_to_the_same_and_dumps_the_same() -> None:
    task = {**GOOD, "task_timeout": 5.0, "task_tags": ["每晚"], "task_env": {"A": "é"}}
    first = parse_config(json.dumps(task), file="c.json").specs

    text = dump_config(first)

    assert parse_config(text, file="c.json").specs == first
    assert dump_config(parse_config(text, file="c.json").specs) == text
    assert '"task_timeout": 5,' in text and "每晚" in text


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200))
def test_no_bytes_make_it_fall_over(raw: bytes) -> None:
    try:
        parse_config(raw, file="c.json")
    except ConfigError as error:
        assert error.problems


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(sorted(parse_config(json.dumps(GOOD), file="").specs[0])), JSON_VALUES)
def test_no_value_of_any_field_makes_it_fall_over(name: str, value: Any) -> None:
    try:
        parse_config(json.dumps([{**GOOD, name: value}]), file="c.json")
    except ConfigError as error:
        assert error.problems
