"""Sizes are checked before items: what a refusal costs does not grow with the size of what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.http import QueryDict

from notifications.channels.email.definition import COMMON_ADDRESS, is_address
from notifications.forms.drafts import posted_drafts
from notifications.services.definitions import validate_rule
from scheduler.config_file import ConfigError, parse_config, validate_task
from scheduler.config_file.kept_secrets import with_kept_values
from tests.effort import calls_of
from tests.support.cases import each_case

TASK = {"task_id": "a", "task_name": "A", "task_exec": "true"}
MAIL = {"type": "email", "recipients": ["a@b.org"]}
RULE = {"triggers": ["timeout"], "channels": [MAIL]}
BAD_MAIL = {"type": "email", "recipients": ["a"]}
BAD_RULE = {"triggers": ["x"], "channels": [BAD_MAIL]}


def nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


def channel(**fields: Any) -> dict[str, Any]:
    return {**TASK, "task_notify": [{**RULE, "channels": [fields]}]}


Make = Callable[[int], dict[str, Any]]
#: A task with so many of something, and what is said of that.
CASES: dict[str, tuple[Make, str]] = {
    "rules": (
        lambda n: {**TASK, "task_notify": [RULE] * n},
        "task_notify must be a list of at most 100 items, but a list of {n:,} items was found",
    ),
    "bad rules": (lambda n: {**TASK, "task_notify": [BAD_RULE] * n}, "task_notify must be a list of at most 100 items"),
    "empty rules": (lambda n: {**TASK, "task_notify": [{}] * n}, "task_notify must be a list of at most 100 items"),
    "channels": (
        lambda n: {**TASK, "task_notify": [{**RULE, "channels": [MAIL] * n}]},
        "channels must be a list of 1 to 20 items, but a list of {n:,} items was found",
    ),
    "bad channels": (
        lambda n: {**TASK, "task_notify": [{**RULE, "channels": [BAD_MAIL] * n}]},
        "channels must be a list of 1 to 20 items",
    ),
    "recipients": (lambda n: channel(type="email", recipients=["a@b.org"] * n), "recipients must be a list of 1 to 100"),
    "bad recipients": (lambda n: channel(type="email", recipients=["a"] * n), "recipients must be a list of 1 to 100"),
    "urls": (lambda n: channel(type="apprise", urls=["ntfy://a"] * n), "urls must be a list of 1 to 20 items"),
    "headers": (
        lambda n: channel(type="webhook", url="https://a.org", headers={f"k {i}": "" for i in range(n)}),
        "headers must be an object of at most 50 names, but an object of {n:,} names was found",
    ),
    "triggers": (
        lambda n: {**TASK, "task_notify": [{**RULE, "triggers": ["timeout"] * n}]},
        "triggers must be a list of 1 to 9 items",
    ),
    "nested lists in the place of rules": (
        lambda n: {**TASK, "task_notify": [nested(8)] * n},
        "task_notify must be a list of at most 100 items",
    ),
    "nested lists in the place of text": (
        lambda n: {**TASK, "task_name": [nested(8)] * n},
        "task_name must be ",
    ),
    "dependencies": (
        lambda n: {**TASK, "task_dependencies": ["b"] * n},
        "task_dependencies must be a list of at most 1000 items",
    ),
    "tags": (lambda n: {**TASK, "task_tags": ["x y"] * n}, "task_tags must be a list of at most 20 items"),
    "variables": (
        lambda n: {**TASK, "task_env": {f"K{i}": 1 for i in range(n)}},
        "task_env must be an object of at most 500 names",
    ),
    "unknown fields": (lambda n: {**TASK, **{f"x{i}": 1 for i in range(n)}}, "the task must be an object of at most "),
    "unknown fields of a rule": (
        lambda n: {**TASK, "task_notify": [{**RULE, **{f"x{i}": 1 for i in range(n)}}]},
        "task_notify[0] must be an object of at most 7 names",
    ),
    "unknown fields of the older form": (
        lambda n: {**TASK, "task_notify": {f"x{i}": 1 for i in range(n)}},
        'unknown field "x0"; allowed: on_success',
    ),
    "exit codes": (
        lambda n: {**TASK, "task_exit_codes": {"success": [-1] * n}},
        "success must be a list of exit codes",
    ),
}  # fmt: skip
SMALL, LARGE = 1_100, 2_200  # more than the largest limit, a thousand dependencies
STEPS_OF_READING = 40


def refusal(work: Callable[[], object]) -> tuple[list[str], int]:
    """Return the messages of a refusal, and how many functions were called for it."""

    def refused() -> list[str]:
        with pytest.raises(ConfigError) as caught:
            work()
        return [problem.message for problem in caught.value.problems]

    refused()  # what is compiled or cached once does not count
    return calls_of(refused)


@each_case(("make", "message"), CASES.values(), ids=CASES)
def test_what_is_too_large_is_refused_by_the_api_without_a_look_at_all_of_it(
    make: Make, message: str
) -> None:
    _few, small = refusal(lambda: validate_task(make(SMALL)))
    messages, large = refusal(lambda: validate_task(make(LARGE)))

    assert messages[0].startswith(message.format(n=LARGE)), messages[0]
    assert len(messages) <= 200
    assert large < 1.1 * small + 500


@each_case(("make", "message"), CASES.values(), ids=CASES)
def test_what_is_too_large_is_refused_in_a_file_without_a_look_at_all_of_it(make: Make, message: str) -> None:
    texts = {size: json.dumps({"tasks": [make(size)]}) for size in (SMALL, LARGE)}

    _few, small = refusal(lambda: parse_config(texts[SMALL], file="c"))
    messages, large = refusal(lambda: parse_config(texts[LARGE], file="c"))

    assert any(text.startswith(message.format(n=LARGE)) for text in messages), messages[:3]
    # Reading the text and finding places in it take some steps for each item, judging it would take hundreds.
    assert large - small < STEPS_OF_READING * (LARGE - SMALL), (large - small) / (LARGE - SMALL)


@each_case("field", ["rules", "bad rules", "empty rules", "nested lists in the place of rules"])
def test_masks_are_looked_for_in_no_more_rules_than_there_may_be(field: str) -> None:
    make = CASES[field][0]

    _kept, small = calls_of(lambda: with_kept_values(make(SMALL), None))
    kept, large = calls_of(lambda: with_kept_values(make(LARGE), None))

    assert len(kept["task_notify"]) == LARGE
    assert large < 1.1 * small + 100


def test_a_rule_of_its_own_is_refused_alike() -> None:
    def made(size: int) -> Callable[[], object]:
        return lambda: validate_rule({**RULE, "channels": [MAIL] * size})

    _few, small = refusal(made(SMALL))
    messages, large = refusal(made(LARGE))

    assert messages == [f"channels must be a list of 1 to 20 items, but a list of {LARGE:,} items was found"]
    assert large < 1.1 * small + 100


def test_a_form_with_too_many_rules_channels_and_addresses_is_refused_alike() -> None:
    def posted(size: int) -> Callable[[], object]:
        data = QueryDict(mutable=True)
        data.setlist("rule", [f"r{i}" for i in range(size)])
        data.setlist("r0-channel", [f"c{i}" for i in range(size)])
        for i in range(40):
            data[f"r0-c{i}-kind"], data[f"r0-c{i}-recipients"] = "email", "a@b.org\n" * 100
        data["r0-c0-recipients"] = "a@b.org\n" * size
        data.setlist("r0-triggers", ["timeout"] * size)
        return lambda: [draft.check({}) for draft in posted_drafts(data, {})][:1]

    posted(SMALL)()
    found, small = calls_of(posted(SMALL))
    _found, large = calls_of(posted(LARGE))

    assert found == [None]
    assert large < 1.5 * small + 500


def test_what_is_wrong_in_the_part_that_is_looked_at_is_told_as_well() -> None:
    with pytest.raises(ConfigError) as caught:
        validate_task({**TASK, "task_priority": 1000, "task_notify": [RULE, BAD_RULE, *[RULE] * 200]})

    assert [(p.path, p.message.partition(" must ")[0]) for p in caught.value.problems] == [
        ("task_notify", "task_notify"),
        ("task_notify[1].triggers[0]", "triggers[0]"),
        ("task_priority", "task_priority"),
        ("task_notify[1].channels[0].recipients[0]", "recipients[0]"),
    ]


@each_case("text", ["[" * 20 + "]" * 20, '{"a":[]}'])
def test_more_lists_and_objects_than_any_configuration_has_are_not_even_read(text: str) -> None:
    body = "[" + ",".join([text] * (5_000_000 // (len(text) + 1))) + "]"

    messages, calls = refusal(lambda: parse_config(body, file="c"))

    assert len(messages) == 1
    assert messages[0].startswith("the file must have at most 250,000 lists and objects, but ")
    assert calls < 500


def test_brackets_in_texts_are_no_lists() -> None:
    document = parse_config(json.dumps({**TASK, "task_exec": '"[{' * 20_000}), file="c")

    assert document.specs[0]["task_exec"] == '"[{' * 20_000


@each_case(
    ("address", "is_common"),
    [
        ("a@b.org", True),
        ("First.Last+tag_x-y@mail.sub-domain.example", True),
        ("a..b@b.org", False),
        (".a@b.org", False),
        ("a@-b.org", False),
        ("a@b", False),
        ("a@b.org\n", False),
        ("o'hara@b.org", False),
        ("用户@例子.中国", False),
    ],
)
def test_common_addresses_are_some_of_those_that_are_accepted(address: str, is_common: bool) -> None:
    assert bool(COMMON_ADDRESS.fullmatch(address)) is is_common
    assert not is_common or is_address(address)
