"""Which exit codes mean which outcome."""

from __future__ import annotations

from typing import Any

import pytest

from scheduler.config_file import ConfigError, validate_task
from scheduler.engine.exit_codes import codes_of, find_wrong_codes, is_final, outcome_named, with_outcome
from tests.support.cases import each_case

TASK = {"task_id": "a", "task_name": "A", "task_exec": "true"}
CODE = 'an exit code from 0 to 255, or a range such as "64-78"'


@each_case(
    ("code", "exit_codes", "outcome"),
    [
        (0, {}, "success"),
        (1, {}, "business_failure"),
        (2, {}, "technical_failure"),
        (255, {}, "technical_failure"),
        (24, {"success": [0, 24]}, "success"),
        (1, {"technical_failure": [1]}, "technical_failure"),
        (0, {"technical_failure": ["0-1"]}, "technical_failure"),
        (70, {"business_failure": ["64-78"]}, "business_failure"),
        (79, {"business_failure": ["64-78"]}, "technical_failure"),
        (0, {"success": [24]}, "success"),
    ],
)
def test_code_means_what_names_it_and_else_what_it_always_meant(
    code: int, exit_codes: dict[str, Any], outcome: str
) -> None:
    assert outcome_named(code, exit_codes) == outcome


def test_technical_failure_is_final_where_no_retry_names_its_code() -> None:
    exit_codes: dict[str, Any] = {"no_retry": [2, "64-78"]}

    assert [code for code in (1, 2, 3, 63, 64, 78, 79) if is_final(code, exit_codes)] == [2, 64, 78]
    assert not is_final(2, {})


def test_item_is_a_code_or_a_rising_range() -> None:
    assert list(codes_of(7)) == [7]
    assert list(codes_of("7-9")) == [7, 8, 9]
    for wrong in (256, -1, "9-7", "0-256"):
        with pytest.raises(ValueError):
            codes_of(wrong)


@each_case(
    ("exit_codes", "found"),
    [
        ({"success": [0, 24], "technical_failure": ["1-23"], "no_retry": [1, "64-78"]}, []),
        ({"success": [0, "9-3"]}, [(("success", 1), "9-3", CODE)]),
        (
            {"success": [0, 1], "business_failure": [1]},
            [(("business_failure", 0), 1, "codes that are named once (exit code 1 is in success)")],
        ),
        (
            {"success": [5, "3-9"]},
            [(("success", 1), "3-9", "codes that are named once (exit code 5 is in success)")],
        ),
        (
            {"no_retry": [1]},
            [(("no_retry", 0), 1, "codes of technical failures (exit code 1 means business_failure)")],
        ),
    ],
)
def test_wrong_codes_are_found_with_their_place_and_what_is_allowed(
    exit_codes: dict[str, Any], found: list[Any]
) -> None:
    told = [(path, item, str(allowed)) for path, item, allowed in find_wrong_codes(exit_codes)]

    assert told == found


@each_case(
    ("exit_codes", "message"),
    [
        (
            [],
            "task_exit_codes must be an object of success, business_failure, technical_failure and no_retry",
        ),
        ({"sucess": [0]}, 'unknown field "sucess"; did you mean "success"?'),
        ({"success": 0}, "success must be a list of exit codes from 0 to 255, or ranges"),
        ({"success": [256]}, f"success[0] must be {CODE}, but 256 was found"),
        ({"success": [True]}, f"success[0] must be {CODE}, but true was found"),
        ({"success": ["64"]}, f'success[0] must be {CODE}, but "64" was found'),
        ({"success": ["9-3"]}, f'success[0] must be {CODE}, but "9-3" was found'),
    ],
)
def test_task_with_wrong_codes_is_refused_once_with_a_sentence(exit_codes: Any, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        validate_task({**TASK, "task_exit_codes": exit_codes})

    assert [problem.message.startswith(message) for problem in caught.value.problems] == [True]


def test_whole_floats_are_codes_and_are_stored_as_whole_numbers() -> None:
    spec = validate_task({**TASK, "task_exit_codes": {"success": [0.0, 24]}})

    assert repr(spec["task_exit_codes"]) == "{'success': [0, 24]}"


@each_case(
    ("field", "value", "allowed"),
    [
        ("task_shell", "bash", "the absolute path of a shell such as /bin/bash, at most 255 characters"),
        ("task_shell", "/bin/", "the absolute path of a shell such as /bin/bash, at most 255 characters"),
        (
            "task_encoding",
            "gbk2",
            "the name of a text encoding such as gb18030, shift_jis or latin-1, or empty",
        ),
        (
            "task_encoding",
            "zip",
            "the name of a text encoding such as gb18030, shift_jis or latin-1, or empty",
        ),
        (
            "task_encoding",
            "idna",
            "the name of a text encoding such as gb18030, shift_jis or latin-1, or empty",
        ),
        ("task_python", "a\nb", "one line of at most 1000 characters"),
        ("task_max_waiting", 0, "a whole number from 1 to 100000"),
    ],
)
def test_wrong_way_to_run_is_refused_with_field_value_and_what_is_allowed(
    field: str, value: Any, allowed: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        validate_task({**TASK, field: value})

    (problem,) = caught.value.problems
    assert (problem.path, problem.allowed) == (field, allowed)


def test_fields_that_are_null_or_absent_have_their_defaults() -> None:
    expected = {
        "task_shell": "/bin/sh",
        "task_python": "",
        "task_encoding": "",
        "task_exit_codes": {},
        "task_max_waiting": 100,
    }
    texts = dict.fromkeys(("task_shell", "task_python", "task_encoding", "task_exit_codes"))

    for given in ({}, texts):
        spec = validate_task({**TASK, **given})
        assert {name: spec[name] for name in expected} == expected  # type: ignore[literal-required]


@each_case(
    ("before", "after"),
    [
        ({}, {"technical_failure": [1]}),
        ({"success": [0, 24]}, {"success": [0, 24], "technical_failure": [1]}),
        ({"business_failure": [1]}, {"technical_failure": [1]}),
        ({"business_failure": ["0-5"]}, {"business_failure": [0, "2-5"], "technical_failure": [1]}),
        (
            {"business_failure": ["1-2"], "no_retry": ["5-6"]},
            {"business_failure": [2], "no_retry": ["5-6"], "technical_failure": [1]},
        ),
        ({"technical_failure": [1]}, {"technical_failure": [1]}),
    ],
)
def test_one_code_gets_another_outcome_and_the_others_keep_theirs(before: Any, after: Any) -> None:
    found = with_outcome(1, "technical_failure", before)

    assert found == after
    assert not list(find_wrong_codes(found))
    assert all(outcome_named(code, found) == outcome_named(code, before) for code in range(256) if code != 1)
