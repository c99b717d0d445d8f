"""Answers with a good status that say no."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from notifications.engine.reasons import Code
from notifications.transport import answers
from notifications.transport.answers import HOSTS, Refusal, refusal, unmet
from tests.support.cases import each_case

ACCEPTED = [
    ("oapi.dingtalk.com", {"errcode": 0, "errmsg": "ok"}),
    ("qyapi.weixin.qq.com", {"errcode": 0, "errmsg": "ok"}),
    (
        "open.feishu.cn",
        {"StatusCode": 0, "StatusMessage": "success", "code": 0, "data": {}, "msg": "success"},
    ),
    ("open.larksuite.com", {"code": 0, "msg": "success"}),
    ("slack.com", {"ok": True, "ts": "1.2"}),
    ("api.telegram.org", {"ok": True, "result": {}}),
    ("sctapi.ftqq.com", {"code": 0, "message": "", "data": {"error": "SUCCESS", "errno": 0}}),
    ("12345.push.ft07.com", {"code": 0, "message": "SUCCESS"}),
    ("www.pushplus.plus", {"code": 200, "msg": "请求成功"}),
    ("api.day.app", {"code": 200, "message": "success"}),
    ("api2.pushdeer.com", {"code": 0, "content": {}}),
    ("wxpusher.zjiecode.com", {"code": 1000, "msg": "处理成功"}),
]
REFUSED: list[tuple[str, Any, Refusal]] = [
    (
        "oapi.dingtalk.com",
        {"errcode": 310000, "errmsg": "keywords not in content"},
        Refusal("errcode 310000: keywords not in content"),
    ),
    (
        "oapi.dingtalk.com",
        {"errcode": 130101, "errmsg": "too fast"},
        Refusal("errcode 130101: too fast", True),
    ),
    ("OAPI.DingTalk.com.", {"errcode": 410100}, Refusal("errcode 410100", True)),
    ("oapi.dingtalk.com", {"errcode": -1, "errmsg": "系统繁忙"}, Refusal("errcode -1: 系统繁忙", True)),
    ("qyapi.weixin.qq.com", {"errcode": 93000, "errmsg": "invalid"}, Refusal("errcode 93000: invalid")),
    (
        "qyapi.weixin.qq.com",
        {"errcode": 45009, "errmsg": "api freq out of limit"},
        Refusal("errcode 45009: api freq out of limit", True),
    ),
    (
        "open.feishu.cn",
        {"code": 19024, "msg": "Key Words Not Found"},
        Refusal("code 19024: Key Words Not Found"),
    ),
    ("open.feishu.cn", {"StatusCode": 9, "StatusMessage": "bad"}, Refusal("StatusCode 9: bad")),
    ("open.feishu.cn", {"code": 11232, "msg": "frequency"}, Refusal("code 11232: frequency", True)),
    ("slack.com", {"ok": False, "error": "channel_not_found"}, Refusal("ok false: channel_not_found")),
    ("hooks.slack.com", {"ok": False, "error": "ratelimited"}, Refusal("ok false: ratelimited", True)),
    (
        "api.telegram.org",
        {"ok": False, "error_code": 400, "description": "Bad Request: chat not found"},
        Refusal("ok false, error_code 400: Bad Request: chat not found"),
    ),
    (
        "api.telegram.org",
        {"ok": False, "error_code": 429, "description": "Too Many", "parameters": {"retry_after": 7}},
        Refusal("ok false, error_code 429: Too Many", True, 7.0),
    ),
    ("sctapi.ftqq.com", {"code": 40001, "message": "bad key"}, Refusal("code 40001: bad key")),
    ("sc.ftqq.com", {"errno": 1024, "errmsg": "bad pushtoken"}, Refusal("errno 1024: bad pushtoken")),
    ("www.pushplus.plus", {"code": 903, "msg": "无效的用户令牌"}, Refusal("code 903: 无效的用户令牌")),
    ("www.pushplus.plus", {"code": 500, "msg": "x"}, Refusal("code 500: x", True)),
    ("api.day.app", {"code": 400, "message": "no key"}, Refusal("code 400: no key")),
    ("api2.pushdeer.com", {"code": 80501, "error": "bad"}, Refusal("code 80501: bad")),
    ("wxpusher.zjiecode.com", {"code": 1001, "msg": "bad"}, Refusal("code 1001: bad")),
]


@each_case(("host", "document"), ACCEPTED)
def test_an_answer_that_says_yes_is_none(host: str, document: Any) -> None:
    assert refusal(host, json.dumps(document).encode()) is None


@each_case(("host", "document", "expected"), REFUSED)
def test_an_answer_that_says_no_is_a_refusal_with_its_text(
    host: str, document: Any, expected: Refusal
) -> None:
    assert refusal(host, json.dumps(document).encode()) == expected


@each_case(
    ("code", "expected"),
    [("413", False), ("429", True), ("500", True), ("403", False)],
)
def test_a_connector_of_teams_passes_the_status_on_as_a_sentence(code: str, expected: bool) -> None:
    text = f"Webhook message delivery failed with error: Microsoft Teams endpoint returned HTTP error {code} with id 1"

    assert refusal("team.webhook.office.com", text.encode()) == Refusal(text, expected)
    assert refusal("outlook.office.com", b"1") is None


@each_case("body", [b"", b"ok", b"null", b"[]", b"{}", b"\xff\xfe", b"[" * 60_000, b'{"errcode": '])
def test_an_answer_without_the_field_is_judged_by_its_status(body: bytes) -> None:
    assert [host for host in HOSTS if refusal(host, body) is not None] == []


def test_the_answer_of_a_host_that_is_not_known_is_not_looked_at() -> None:
    for host in (
        "hooks.example.org",
        "oapi.dingtalk.com.example.org",
        "xoapi.dingtalk.com",
        "",
        "push.ft07.com",
    ):
        assert refusal(host, b'{"errcode": 1, "code": 1, "ok": false}') is None


def test_a_long_text_is_one_line_that_is_cut() -> None:
    body = json.dumps({"errcode": 1, "errmsg": "a\n\u202e\x1b[31m" + "b" * 100_000}).encode()

    found = refusal("oapi.dingtalk.com", body)

    assert found is not None and found.text.startswith("errcode 1: a [31mb") and len(found.text) == 200


@given(st.binary(max_size=200), st.sampled_from(sorted(HOSTS)))
def test_whatever_comes_is_judged(body: bytes, host: str) -> None:
    refusal(host, body)
    unmet("a.0.b", 0, body)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["code", "ok", "error"]), inner)
        ),
        max_leaves=6,
    )
)
def test_whatever_document_comes_is_judged(document: Any) -> None:
    for rule in HOSTS.values():
        answers.refusal_by(rule, json.dumps(document).encode())


WANTED = [
    ("errcode", 0, {"errcode": 0}),
    ("errcode", 0, {"errcode": 0.0}),
    ("data.0.state", "done", {"data": [{"state": "done"}]}),
    ("ok", True, {"ok": True}),
    ("error", None, {"error": None}),
]
NOT_WANTED = [
    ("errcode", 0, {"errcode": 1}, (Code.ANSWER_DIFFERS, "1")),
    ("errcode", 0, {"errcode": "0"}, (Code.ANSWER_DIFFERS, '"0"')),
    ("errcode", 0, {"errcode": False}, (Code.ANSWER_DIFFERS, "false")),
    ("ok", True, {"ok": 1}, (Code.ANSWER_DIFFERS, "1")),
    ("ok", "yes", {"ok": ["yes"]}, (Code.ANSWER_DIFFERS, '["yes"]')),
    ("error", None, {}, (Code.ANSWER_WITHOUT_FIELD, "")),
    ("data.1", 0, {"data": [0]}, (Code.ANSWER_WITHOUT_FIELD, "")),
    ("data.-1", 0, {"data": [0]}, (Code.ANSWER_WITHOUT_FIELD, "")),
    ("a.b", 0, {"a.b": 0}, (Code.ANSWER_WITHOUT_FIELD, "")),
    ("a", 0, "ok", (Code.ANSWER_WITHOUT_FIELD, "")),
]


@each_case(("path", "equals", "document"), WANTED)
def test_an_answer_that_has_what_it_must_have_is_a_success(path: str, equals: Any, document: Any) -> None:
    assert unmet(path, equals, json.dumps(document).encode()) is None


@each_case(("path", "equals", "document", "expected"), NOT_WANTED)
def test_an_answer_that_has_something_else_says_what(
    path: str, equals: Any, document: Any, expected: Any
) -> None:
    assert unmet(path, equals, json.dumps(document).encode()) == expected


def test_an_answer_that_is_no_json_cannot_have_what_it_must_have() -> None:
    assert unmet("errcode", 0, b"<html>") == (Code.ANSWER_NOT_JSON, "")
