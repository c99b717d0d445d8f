"""What is refused, and what is allowed instead, is told in the language of the reader."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from django.utils import translation

from notifications.channels.webhook.checks import check_url
from notifications.engine.rules import BrokenRuleError, Rule
from scheduler.config_file import ConfigError, load_schema, parse_config, task_fields, validate_task
from scheduler.config_file.reasons import Code
from scheduler.config_file.schema import SCHEMA_FILE
from scheduler.engine.reasons import Reason, reason_of
from scheduler.engine.schedules import parse_schedule
from scheduler.exceptions import InvalidScheduleError
from scheduler.wording.config_reasons import OF_SCHEMA
from scheduler.wording.reasons import told, told_error
from tests.support.cases import each_case

CHINESE = re.compile(r"[\u4e00-\u9fff]")
LEFT_ENGLISH = re.compile(
    r"\b(must|was found|were found|allowed|unknown|waits?|ended|execution|upstream|but)\b"
)
SUCCESS_AT = datetime(2026, 11, 25, 2, 0, tzinfo=UTC)


def in_chinese(reason: Reason | str) -> str:
    with translation.override("zh-hans"):
        return told(reason)


GOOD: dict[str, Any] = {"task_id": "a", "task_name": "A", "task_exec": "true"}
EMAIL = {"type": "email", "recipients": ["a@b.org"]}
RULE = {"triggers": ["timeout"], "channels": [EMAIL]}
BAD_FIELDS: list[tuple[str, Any]] = [
    ("task_id", "a b"),
    ("task_id", 5),
    ("task_name", ""),
    ("task_name", "   "),
    ("task_exec", None),
    ("task_exec", "x" * 300_000),
    ("task_schedule", "60 * * * *"),
    ("task_schedule", "* * * * * * * *"),
    ("task_schedule", "* * * 13 *"),
    ("task_schedule", "* * * * 9"),
    ("task_schedule", "*/0 * * * *"),
    ("task_schedule", "5-1 * * * *"),
    ("task_schedule", "0 0 31 2 *"),
    ("task_schedule", "@daly"),
    ("task_schedule", "0 0 15W * 1"),
    ("task_schedule", "\x07"),
    ("task_timezone", "Asia/Shangai"),
    ("task_timeout", 0),
    ("task_timeout", "5"),
    ("task_timeout", float("nan")),
    ("task_retry", 1.5),
    ("task_retry", -1),
    ("task_enabled", "yes"),
    ("task_env", {"A B": "x"}),
    ("task_env", {"_ENV_FILE": "../x"}),
    ("task_env", []),
    ("task_dependencies", ["a"]),
    ("task_dependencies", ["b", "b"]),
    ("task_dependencies", "b"),
    ("task_dependencies", ["nobody"]),
    ("task_tags", ["x", "x"]),
    ("task_tags", ["a b"]),
    ("task_concurrency", "skpi"),
    ("task_max_parallel", 2),
    ("task_deadline", "25:00"),
    ("task_timout", 5),
    ("zzz", 5),
    ("task_desc", "a\0b"),
    ("task_notify", [{**RULE, "threshold": 0}]),
    ("task_notify", [{**RULE, "triggers": ["timout"]}]),
    ("task_notify", [{**RULE, "channels": []}]),
    ("task_notify", [{"triggers": ["timeout"]}]),
    ("task_notify", [{**RULE, "channels": [{"type": "email", "recipients": ["nobody"]}]}]),
    ("task_notify", [{**RULE, "channels": [{"type": "webhook", "url": "http://127.0.0.1/"}]}]),
    ("task_notify", [{**RULE, "channels": [{"type": "webhook", "url": "ftp://x.org/"}]}]),
    ("task_notify", [{**RULE, "channels": [{"type": "apprise", "urls": ["dbus://x"]}]}]),
    ("task_notify", [{**RULE, "channels": [{**EMAIL, "subject_template": "{{task_nam}}"}]}]),
    ("task_notify", [{**RULE, "channels": [{**EMAIL, "subject_template": "{{task_name"}]}]),
]


@each_case(("name", "value"), BAD_FIELDS)
def test_refusals_of_a_task_are_told_in_chinese(name: str, value: Any) -> None:
    with pytest.raises(ConfigError) as refused:
        validate_task({**GOOD, name: value}, known={"b"})

    for problem in refused.value.problems:
        for text in (problem.why, problem.wanted):
            chinese = in_chinese(text)
            assert chinese != str(text) or re.fullmatch(r"one of .*|[\w{}., ]+", str(text)), text
        chinese = in_chinese(problem.why)
        assert CHINESE.search(chinese) and not LEFT_ENGLISH.search(chinese), chinese


TEXTS = [
    "",
    "[",
    "{'a': 1}",
    '[{"task_id": "a",}]',
    "[1, 2] x",
    "[// c\n]",
    "[True]",
    '["a\tb"]',
    '["a',
    '{"tasks": 5}',
    '{"tasks": [], "version": 2}',
    '{"task": []}',
    "5",
    "[" * 40,
    '[{"task_id": "a", "task_id": "b"}]',
    "[" + json.dumps(GOOD) + "," + json.dumps(GOOD) + "]",
    "[nul]",
]


@each_case("text", [*TEXTS, *(text.encode("utf-16") for text in TEXTS[:1] + TEXTS[-2:]), b"\xff"])
def test_refusals_of_a_file_are_told_in_chinese(text: str | bytes) -> None:
    with pytest.raises(ConfigError) as refused:
        parse_config(text, file="config.json", known=())

    for problem in refused.value.problems:
        chinese = in_chinese(problem.why)
        assert CHINESE.search(chinese) and not LEFT_ENGLISH.search(chinese), chinese


@each_case("definition", ["task", "rule", "email", "webhook", "apprise"])
def test_what_a_field_may_hold_is_told_in_chinese(definition: str) -> None:
    for field in task_fields(definition):
        is_word = re.fullmatch(r'"\w+"', str(field.allowed))
        assert CHINESE.search(in_chinese(field.allowed)) or is_word, field.allowed


def test_a_hint_is_told_too() -> None:
    with pytest.raises(ConfigError) as refused:
        validate_task({**GOOD, "task_timout": 5})

    (problem,) = refused.value.problems
    assert in_chinese(problem.why) == '未知字段 "task_timout"；是否想写“task_timeout”？'


def test_a_schedule_that_cannot_be_read_is_told_in_chinese() -> None:
    with pytest.raises(InvalidScheduleError) as refused:
        parse_schedule("61 * * * *", "UTC")

    assert in_chinese(reason_of(refused.value)) == (
        '调度表达式 "61 * * * *" 的分字段为 "61"；允许的是 0 至 59、*、列表、递增的范围和步长'
    )


def test_a_step_that_is_refused_is_told_in_chinese() -> None:
    with pytest.raises(InvalidScheduleError) as refused:
        parse_schedule("*/0 * * * *", "UTC")

    assert in_chinese(reason_of(refused.value)) == (
        '调度表达式 "*/0 * * * *" 的分字段为 步长 "/0"；允许的是 步长 /1 至 /59'
    )


def test_what_was_found_is_told_in_chinese_within_a_sentence_too() -> None:
    for found, chinese in (
        (Reason(Code.UTF16_FOUND), "UTF-16 或 UTF-32"),
        (Reason(Code.CHARACTERS_FOUND, {"count": 3_000_000}), "3,000,000 个字符的文本"),
        (Reason(Code.ITEMS_FOUND, {"count": 601}), "601 项的列表"),
        (Reason(Code.NAMES_FOUND, {"count": 601}), "601 个名称的对象"),
        (Reason(Code.NOTHING), "无"),
    ):
        refused = {"field": "task_env", "what": Reason(Code.OBJECT), "found": found}
        assert in_chinese(found) == chinese
        assert chinese in in_chinese(Reason(Code.NOT_ALLOWED, refused))


def words_within(schema: Any) -> Iterator[str]:
    """Yield what a schema says of the values that it allows."""
    if isinstance(schema, dict) and isinstance(schema.get("$comment"), str):
        yield schema["$comment"]
    for part in schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else ():
        yield from words_within(part)


def test_all_that_the_schema_says_in_words_is_told_in_chinese() -> None:
    own = set(words_within(json.loads(SCHEMA_FILE.read_text(encoding="utf-8"))))
    said = {*OF_SCHEMA, *words_within(load_schema())}

    assert own <= set(OF_SCHEMA) and own < said
    assert [
        text for text in said if not CHINESE.search(in_chinese(Reason(Code.AS_SCHEMA, {"words": text})))
    ] == []


def test_what_channels_and_rules_refuse_is_told_in_chinese() -> None:
    with pytest.raises(ValueError, match="is not a permitted target") as refused:
        check_url("http://169.254.169.254/")
    with pytest.raises(BrokenRuleError) as broken:
        Rule(frozenset({"timeout"}), threshold=0)

    with translation.override("zh-hans"):
        assert told_error(refused.value) == (
            "169.254.169.254 不是允许的目标（链路本地地址）；可用 SCHEDULER_WEBHOOK_ALLOW 放行"
        )
        assert told_error(broken.value) == "threshold 必须是从 1 开始的整数，但实际为 0"


@each_case(
    ("field", "value"),
    [
        ("task_exit_codes", {"success": [300]}),
        ("task_exit_codes", {"success": [0], "business_failure": ["0-3"]}),
        ("task_exit_codes", {"no_retry": [1]}),
        ("task_exit_codes", {"success": 0}),
        ("task_exit_codes", []),
        ("task_shell", "bash"),
        ("task_encoding", "gbk2"),
        ("task_exec", "x" * 131_072),
        ("task_exec", "é" * 65_536),
        ("task_env", {"A": "é" * 65_536}),
        ("task_env", {"_ENV_FILE": "../x"}),
    ],
)
def test_what_is_refused_of_how_a_command_runs_is_told_in_chinese(field: str, value: Any) -> None:
    with pytest.raises(ConfigError) as caught:
        validate_task({"task_id": "a", "task_name": "A", "task_exec": "true", field: value})

    for problem in caught.value.problems:
        chinese = in_chinese(problem.why)
        assert CHINESE.search(chinese) and not LEFT_ENGLISH.search(chinese), chinese
