"""Errors in responses with a good status: robots reject messages with status 200 and an error code in the body.

Pure, and without Django, because the Apprise process uses it as well. The rules are data: which values mean success,
and after which codes a retry may succeed. Any other code is a permanent refusal, like a 4xx status.
Only fields of the response decide: a response without the field, or that is not JSON, is judged by its status alone.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from notifications.engine.reasons import Code

#: Characters of a response that are shown.
SHOWN = 200

Scalar = str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class Refusal:
    """An error reported in a response.

    Attributes:
        text: its message, on one line.
        is_temporary: a retry may succeed.
        retry_after: requested delay in seconds, or None.
    """

    text: str
    is_temporary: bool = False
    retry_after: float | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """How a service reports errors.

    Attributes:
        good: the value that means success, by field path; every such field in the response must have it.
        code: path of the code that decides about retries; "" if the field of `good` is the code.
        texts: paths of the error message; the first that exists is shown.
        temporary: codes after which a retry may succeed.
        wait: path of the requested delay in seconds.
    """

    good: Mapping[str, Scalar]
    texts: tuple[str, ...]
    temporary: frozenset[Scalar] = frozenset()
    code: str = ""
    wait: str = ""


# "-1" is "system busy, try again"; 130101 and 410100 are "sent too fast", more than 20 messages a minute.
# Source: https://open.dingtalk.com/document/orgapp/custom-robot-access, "errors".
DINGTALK = Rule({"errcode": 0}, ("errmsg",), frozenset({-1, 130101, 410100}))
# -1 system busy, 45009 called too often, 45033 too many calls at once.
# Source: https://developer.work.weixin.qq.com/document/path/90313 (global error codes).
WECOM = Rule({"errcode": 0}, ("errmsg",), frozenset({-1, 45009, 45033}))
# For both generations of robots. 11232 and 11233 are rate limits, 230020 is one per group, 99991400 one of the API.
# Source: https://open.feishu.cn/document/client-docs/bot-v3/add-custom-bot and .../getting-started/server-error-codes.
FEISHU = Rule(
    {"code": 0, "StatusCode": 0},
    ("msg", "StatusMessage"),
    frozenset({11232, 11233, 230020, 99991400}),
)
# Source: https://docs.slack.dev/reference/methods/chat.postMessage, "errors": those that are not the caller's fault.
SLACK = Rule(
    {"ok": True},
    ("error",),
    frozenset(
        {"ratelimited", "rate_limited", "internal_error", "fatal_error", "service_unavailable"}
        | {"request_timeout", "team_added_to_org"}
    ),
    code="error",
)
# Source: https://core.telegram.org/bots/api#making-requests; the codes are those of HTTP.
TELEGRAM = Rule(
    {"ok": True},
    ("description",),
    frozenset({408, 429, 500, 502, 503, 504}),
    code="error_code",
    wait="parameters.retry_after",
)
# Source: https://sct.ftqq.com and https://sc3.ft07.com; the older service uses errno.
SERVERCHAN = Rule({"code": 0, "errno": 0}, ("message", "errmsg"))
# 500 is "system error, try again later"; 900 is "too many messages", and further ones prolong the ban.
# Source: https://www.pushplus.plus/doc (codes of answers).
PUSHPLUS = Rule({"code": 200}, ("msg",), frozenset({500}))
# Source: https://bark.day.app and the server's own code: the codes are those of HTTP.
BARK = Rule({"code": 200}, ("message",), frozenset({408, 429, 500, 502, 503, 504}))
# Source: https://www.pushdeer.com/dev.html.
PUSHDEER = Rule({"code": 0}, ("error", "message"))
# Source: https://wxpusher.zjiecode.com/docs (codes of answers).
WXPUSHER = Rule({"code": 1000}, ("msg",))

HOSTS: Mapping[str, Rule] = {
    "oapi.dingtalk.com": DINGTALK,
    "api.dingtalk.com": DINGTALK,
    "qyapi.weixin.qq.com": WECOM,
    "api.weixin.qq.com": WECOM,
    "open.feishu.cn": FEISHU,
    "www.feishu.cn": FEISHU,
    "open.larksuite.com": FEISHU,
    "hooks.slack.com": SLACK,
    "slack.com": SLACK,
    "www.slack.com": SLACK,
    "api.telegram.org": TELEGRAM,
    "sctapi.ftqq.com": SERVERCHAN,
    "sc.ftqq.com": SERVERCHAN,
    "www.pushplus.plus": PUSHPLUS,
    "pushplus.plus": PUSHPLUS,
    "api.day.app": BARK,
    "api2.pushdeer.com": PUSHDEER,
    "wxpusher.zjiecode.com": WXPUSHER,
}
#: Rules for all subdomains.
DOMAINS: Mapping[str, Rule] = {".push.ft07.com": SERVERCHAN}
#: Hosts of Microsoft's connectors, which return the status of Teams as a sentence.
# Source: https://learn.microsoft.com/microsoftteams/platform/webhooks-and-connectors/how-to/connectors-using
TEAMS = ("outlook.office.com", "outlook.office365.com", ".webhook.office.com")
_OF_TEAMS = re.compile(r"Microsoft Teams endpoint returned HTTP error (\d{3})")


def refusal(host: str, body: bytes) -> Refusal | None:
    """Return the error that a known host reports in a response with a good status, or None.

    Args:
        host: name of the requested host, in any case.
        body: the response, or its beginning.
    """
    name = host.lower().rstrip(".")
    if name in TEAMS or name.endswith(TEAMS[2:]):
        return _refusal_of_teams(body)
    rule = HOSTS.get(name) or next((rule for end, rule in DOMAINS.items() if name.endswith(end)), None)
    return None if rule is None else refusal_by(rule, body)


def refusal_by(rule: Rule, body: bytes) -> Refusal | None:
    """Return the error in a response according to a rule, or None."""
    document = _json(body)
    for path, good in rule.good.items():
        is_there, found = value_at(document, path)
        if is_there and not is_same(found, good):
            return _refusal(rule, document, path, found)
    return None


def _refusal(rule: Rule, document: Any, path: str, found: Any) -> Refusal:
    code = value_at(document, rule.code)[1] if rule.code else found
    said = next((text for name in rule.texts if (text := value_at(document, name)[1])), "")
    parts = [f"{path} {shown(found)}"]
    if rule.code and rule.code not in rule.texts and code is not None:
        parts.append(f"{rule.code} {shown(code)}")
    text = ", ".join(parts) + (f": {said}" if said else "")
    wait = value_at(document, rule.wait)[1] if rule.wait else None
    return Refusal(
        one_line(text),
        any(is_same(code, one) for one in rule.temporary),
        float(wait) if isinstance(wait, int | float) and not isinstance(wait, bool) and wait > 0 else None,
    )


def _refusal_of_teams(body: bytes) -> Refusal | None:
    text = body.decode("utf-8", "replace")
    match = _OF_TEAMS.search(text)
    if match is None:
        return None
    return Refusal(one_line(text), match[1] in ("408", "429") or match[1].startswith("5"))


def unmet(path: str, equals: Scalar, body: bytes) -> tuple[Code, str] | None:
    """Return how a response differs from the expected value, or None if it matches.

    Args:
        path: object keys and list indexes, separated by dots.

    Returns:
        the reason code, and the actual value as JSON; "" if there is none.
    """
    try:
        document = json.loads(body.decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return Code.ANSWER_NOT_JSON, ""
    is_there, found = value_at(document, path)
    if not is_there:
        return Code.ANSWER_WITHOUT_FIELD, ""
    if is_same(found, equals):
        return None
    return Code.ANSWER_DIFFERS, shown(found)


def value_at(document: Any, path: str) -> tuple[bool, Any]:
    """Return whether a JSON document has a value at a path, and that value."""
    for name in path.split("."):
        if isinstance(document, dict) and name in document:
            document = document[name]
        elif (
            isinstance(document, list) and name.isascii() and name.isdigit() and int(name[:9]) < len(document)
        ):
            document = document[int(name[:9])]
        else:
            return False, None
    return True, document


def is_same(found: Any, wanted: Scalar) -> bool:
    """Return whether two JSON values are equal: true differs from 1 and "0" from 0, but 0.0 equals 0."""
    return bool(found == wanted) and isinstance(found, bool) == isinstance(wanted, bool)


def one_line(text: str) -> str:
    """Return the beginning of a text on one line, without unprintable characters."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text[: 4 * SHOWN]).split())
    return line if len(line) <= SHOWN else line[: SHOWN - 1] + "…"


def _json(body: bytes) -> Any:
    try:
        return json.loads(body.decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return None


def shown(value: Any) -> str:
    """Return a value as JSON on one line."""
    try:
        return one_line(json.dumps(value, ensure_ascii=False))
    except RecursionError:
        return "…"
