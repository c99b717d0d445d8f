"""What engine, validator and workers say is told in the language of the reader."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from django.utils import translation

from notifications.channels import webhook
from notifications.rules import BrokenRuleError, Outcome, Rule, decide
from scheduler.choices import Status, TriggerRule
from scheduler.config_file import ConfigError, parse_config, task_fields, validate_task
from scheduler.engine.dependencies import UpstreamState, readiness, slot_readiness
from scheduler.engine.schedules import parse_schedule
from scheduler.engine.states import reason_of_exit
from scheduler.exceptions import InvalidScheduleError
from scheduler.phrases import retold
from scheduler.services.outcomes import REPLACED
from scheduler.services.rows import overlap_reason

CHINESE = re.compile(r"[\u4e00-\u9fff]")
LEFT_ENGLISH = re.compile(
    r"\b(must|was found|were found|allowed|known are|waits?|ended|execution|upstream|but)\b"
)
SUCCESS_AT = datetime(2026, 11, 25, 2, 0, tzinfo=UTC)


def in_chinese(text: str) -> str:
    with translation.override("zh-hans"):
        return retold(text)


def reasons() -> Iterator[str]:
    """Yield what the engine writes beside executions, by the functions that write it."""
    for code in (None, -9, 2, 126, 127, 137, 255):
        yield reason_of_exit(code)
    yield overlap_reason([])
    yield overlap_reason([(812, Status.RUNNING.value)])
    yield REPLACED
    for state in (
        UpstreamState("b", in_run=True),
        UpstreamState("b", in_run=True, status=Status.RUNNING, execution_id=812),
        UpstreamState("b", in_run=True, status=Status.TIMEOUT, is_final=True, execution_id=812),
        UpstreamState("b", in_run=False),
        UpstreamState("b", in_run=False, last_success_at=SUCCESS_AT),
        UpstreamState("b", in_run=False, last_success_at=SUCCESS_AT, used_by=812),
    ):
        yield readiness(TriggerRule.ALL_SUCCESS, [state]).reason
    yield slot_readiness(TriggerRule.ANY_FAILED, [UpstreamState("b", in_run=False)]).reason
    success = UpstreamState("b", in_run=True, status=Status.SUCCESS, is_final=True)
    yield readiness(TriggerRule.ANY_FAILED, [success]).reason
    yield readiness(TriggerRule.ANY_FAILED, [UpstreamState("b", in_run=False)]).reason
    outcome = Outcome(Status.TIMEOUT, SUCCESS_AT, 1)
    yield decide(Rule(frozenset({"timeout"}), 1), [outcome]).reason
    yield decide(Rule(frozenset({"timeout"}), 3), [outcome, Outcome(Status.TIMEOUT, SUCCESS_AT, 2)]).reason


@pytest.mark.parametrize("reason", list(reasons()))
def test_reasons_of_the_engine_are_told_in_chinese(reason: str) -> None:
    told = in_chinese(reason)

    assert CHINESE.search(told) and not LEFT_ENGLISH.search(told), told


def test_what_stands_in_the_places_stays_and_statuses_are_told_too() -> None:
    assert in_chinese("upstream nightly_load ended technical_failure, execution 812") == (
        "上游 nightly_load 的结果为“技术失败”（执行 812）"
    )
    assert in_chinese("exit code 137: a process of the command was killed by SIGKILL") == (
        "退出码 137：命令的某个进程被 SIGKILL 终止"
    )


@pytest.mark.parametrize("reason", [*reasons(), "", "550 mailbox unavailable"])
def test_english_readers_see_what_was_said(reason: str) -> None:
    with translation.override("en"):
        assert retold(reason) == reason


def test_a_status_of_two_words_is_told_as_words_in_english() -> None:
    with translation.override("en"):
        told = retold("upstream nightly_load ended technical_failure, execution 812")

    assert told == "upstream nightly_load ended in technical failure, execution 812"


def test_what_is_no_phrase_stays_as_it_is() -> None:
    for text in ("550 mailbox unavailable", "HTTP 404: no_such_hook", "100 % of it %(x)s", ""):
        assert in_chinese(text) == text


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


@pytest.mark.parametrize(("name", "value"), BAD_FIELDS)
def test_refusals_of_a_task_are_told_in_chinese(name: str, value: Any) -> None:
    with pytest.raises(ConfigError) as refused:
        validate_task({**GOOD, name: value}, known={"b"})

    for problem in refused.value.problems:
        for text in (problem.message, problem.allowed):
            told = in_chinese(text)
            assert told != text or re.fullmatch(r"one of .*|[\w{}., ]+", text), text
        told = in_chinese(problem.message)
        assert CHINESE.search(told) and not LEFT_ENGLISH.search(told), told


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


@pytest.mark.parametrize(
    "text", [*TEXTS, *(text.encode("utf-16") for text in TEXTS[:1] + TEXTS[-2:]), b"\xff"]
)
def test_refusals_of_a_file_are_told_in_chinese(text: str | bytes) -> None:
    with pytest.raises(ConfigError) as refused:
        parse_config(text, file="config.json", known=())

    for problem in refused.value.problems:
        told = in_chinese(problem.message)
        assert CHINESE.search(told) and not LEFT_ENGLISH.search(told), told


@pytest.mark.parametrize("definition", ["task", "rule", "email", "webhook", "apprise"])
def test_what_a_field_may_hold_is_told_in_chinese(definition: str) -> None:
    for field in task_fields(definition):
        is_word = re.fullmatch(r'"\w+"', field.allowed)
        assert CHINESE.search(in_chinese(field.allowed)) or is_word, field.allowed


def test_a_hint_is_told_too() -> None:
    with pytest.raises(ConfigError) as refused:
        validate_task({**GOOD, "task_timout": 5})

    (problem,) = refused.value.problems
    assert in_chinese(problem.message) == '"task_timout" 不是已知字段；是否想写“task_timeout”？'


def test_a_schedule_that_cannot_be_read_is_told_in_chinese() -> None:
    with pytest.raises(InvalidScheduleError) as refused:
        parse_schedule("61 * * * *", "UTC")

    assert in_chinese(str(refused.value)) == (
        '调度表达式 "61 * * * *" 的分字段为 "61"；允许的是 0 至 59、*、列表、递增的范围和步长'
    )


def test_a_step_that_is_refused_is_told_in_chinese() -> None:
    with pytest.raises(InvalidScheduleError) as refused:
        parse_schedule("*/0 * * * *", "UTC")

    assert in_chinese(str(refused.value)) == (
        '调度表达式 "*/0 * * * *" 的分字段为 步长 "/0"；允许的是 步长 /1 至 /59'
    )


@pytest.mark.parametrize(
    ("found", "told"),
    [
        ("UTF-16 or UTF-32", "UTF-16 或 UTF-32"),
        ("text of 3,000,000 characters", "3,000,000 个字符的文本"),
        ("a list of 601 items", "601 项的列表"),
        ("an object of 601 names", "601 个名称的对象"),
        ("nothing", "无"),
    ],
)
def test_what_was_found_is_told_in_chinese_within_a_sentence_too(found: str, told: str) -> None:
    assert in_chinese(found) == told
    assert told in in_chinese(f"task_env must be an object, but {found} was found")


def test_what_channels_and_rules_refuse_is_told_in_chinese() -> None:
    with pytest.raises(ValueError, match="is not a permitted target") as refused:
        webhook.check_url("http://169.254.169.254/")
    with pytest.raises(BrokenRuleError) as broken:
        Rule(frozenset({"timeout"}), threshold=0)

    assert in_chinese(str(refused.value)) == (
        "169.254.169.254 不是允许的目标（链路本地地址）；可用 SCHEDULER_WEBHOOK_ALLOW 放行"
    )
    assert in_chinese(str(broken.value)) == "threshold 必须是从 1 开始的整数，但实际为 0"
