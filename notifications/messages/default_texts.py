"""Default subject and body of messages, in English and Simplified Chinese.

Written for the lock screen of a phone: the subject says what happened to which task; the body starts with the facts and
ends with the last log lines and the link. A line whose value is missing is omitted.
"""

from __future__ import annotations

from dataclasses import dataclass

from notifications.messages.context import Facts
from scheduler.config_file.notify_rules import PLACEHOLDER


@dataclass(frozen=True, slots=True)
class Texts:
    """Templates of one message."""

    subject: str
    body: str


@dataclass(frozen=True, slots=True)
class _Event:
    """Texts of an event.

    Attributes:
        once: the subject for a single occurrence, or where counting is meaningless.
        often: the subject for consecutive occurrences, with `NUMBER` as placeholder of their number.
        lines: first lines of the body; those without a value are omitted.
    """

    once: str
    often: str
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Language:
    """Texts of one language; `of_rule` is the line for a streak of mixed outcomes."""

    events: dict[str, _Event]
    log_heading: str
    of_rule: str


NUMBER = "#"


_EN_TIMES = (
    "Started: {{execution_start_time}}",
    "Ended: {{execution_end_time}}",
    "Duration: {{execution_duration}} s",
)
_EN_ATTEMPT = ("Exit code: {{exit_code}}", "Attempt: {{attempt}}")
_EN_SLOT = ("Scheduled for: {{scheduled_for}}",)
_EN_REASON = ("Reason: {{reason}}",)


def _english_outcome(word: str, more: tuple[str, ...]) -> _Event:
    return _Event(
        once=f"{{{{task_name}}}} {word}",
        often=f"{{{{task_name}}}} {word}, {NUMBER} times in a row",
        lines=(
            f"{{{{task_name}}}} ({{{{task_id}}}}) {word}.",
            "In a row: {{threshold_count}}",
            *more,
        ),
    )


_ENGLISH = _Language(
    events={
        "success": _english_outcome("succeeded", (*_EN_TIMES, *_EN_REASON)),
        "business_failure": _english_outcome(
            "did not reach its goal", (*_EN_REASON, *_EN_TIMES, *_EN_ATTEMPT)
        ),
        "technical_failure": _english_outcome("failed", (*_EN_REASON, *_EN_TIMES, *_EN_ATTEMPT)),
        "timeout": _english_outcome("ran too long and was stopped", (*_EN_REASON, *_EN_TIMES, *_EN_ATTEMPT)),
        "cancelled": _english_outcome("was cancelled", (*_EN_REASON, *_EN_TIMES)),
        "skipped": _english_outcome("was skipped", (*_EN_REASON, *_EN_SLOT)),
        "missed": _english_outcome("was missed", (*_EN_REASON, *_EN_SLOT)),
        "recovered": _Event(
            once="{{task_name}} works again",
            often="{{task_name}} works again",
            lines=("{{task_name}} ({{task_id}}) works again.", *_EN_REASON, *_EN_TIMES),
        ),
        "overdue": _Event(
            once="{{task_name}} is overdue",
            often="{{task_name}} is overdue",
            lines=("{{task_name}} ({{task_id}}) has not succeeded in time.", *_EN_REASON, *_EN_SLOT),
        ),
        "digest": _Event(
            once="{{threshold_count}} more message: {{rule_name}}",
            often=f"{NUMBER} more messages: {{{{rule_name}}}}",
            lines=(
                "Messages held back: {{threshold_count}}",
                "Rule: {{rule_name}}",
                "{{reason}}",
            ),
        ),
        "test": _Event(
            once="Test message of Schedsite: {{rule_name}}",
            often="Test message of Schedsite: {{rule_name}}",
            lines=(
                "This is a test. Messages of this rule arrive here.",
                "Rule: {{rule_name}}",
                "Task: {{task_name}} ({{task_id}})",
                *_EN_REASON,
                *_EN_TIMES,
            ),
        ),
    },
    log_heading="Last lines of the log:",
    of_rule="Outcomes in a row that the rule counts: {{threshold_count}}",
)

_ZH_TIMES = (
    "开始时间：{{execution_start_time}}",
    "结束时间：{{execution_end_time}}",
    "耗时：{{execution_duration}} 秒",
)
_ZH_ATTEMPT = ("退出码：{{exit_code}}", "第 {{attempt}} 次尝试")
_ZH_SLOT = ("计划时刻：{{scheduled_for}}",)
_ZH_REASON = ("原因：{{reason}}",)


def _chinese_outcome(once: str, often: str, more: tuple[str, ...]) -> _Event:
    return _Event(
        once=f"{{{{task_name}}}} {once}",
        often=f"{{{{task_name}}}} {often}",
        lines=(
            f"{{{{task_name}}}}（{{{{task_id}}}}）{once}。",
            "连续次数：{{threshold_count}}",
            *more,
        ),
    )


_CHINESE = _Language(
    events={
        "success": _chinese_outcome("运行成功", "连续 # 次运行成功", (*_ZH_TIMES, *_ZH_REASON)),
        "business_failure": _chinese_outcome(
            "业务失败", "连续 # 次业务失败", (*_ZH_REASON, *_ZH_TIMES, *_ZH_ATTEMPT)
        ),
        "technical_failure": _chinese_outcome(
            "运行失败", "连续 # 次运行失败", (*_ZH_REASON, *_ZH_TIMES, *_ZH_ATTEMPT)
        ),
        "timeout": _chinese_outcome(
            "运行超时，已被停止",
            "连续 # 次运行超时",
            (*_ZH_REASON, *_ZH_TIMES, *_ZH_ATTEMPT),
        ),
        "cancelled": _chinese_outcome("已取消", "连续 # 次被取消", (*_ZH_REASON, *_ZH_TIMES)),
        "skipped": _chinese_outcome("已跳过", "连续 # 次被跳过", (*_ZH_REASON, *_ZH_SLOT)),
        "missed": _chinese_outcome("错过运行", "连续 # 次错过运行", (*_ZH_REASON, *_ZH_SLOT)),
        "recovered": _Event(
            once="{{task_name}} 已恢复正常",
            often="{{task_name}} 已恢复正常",
            lines=("{{task_name}}（{{task_id}}）已恢复正常。", *_ZH_REASON, *_ZH_TIMES),
        ),
        "overdue": _Event(
            once="{{task_name}} 逾期未完成",
            often="{{task_name}} 逾期未完成",
            lines=("{{task_name}}（{{task_id}}）未能按时成功完成。", *_ZH_REASON, *_ZH_SLOT),
        ),
        "digest": _Event(
            once="另有 {{threshold_count}} 条通知：{{rule_name}}",
            often=f"另有 {NUMBER} 条通知：{{{{rule_name}}}}",
            lines=("合并的通知数：{{threshold_count}}", "规则：{{rule_name}}", "{{reason}}"),
        ),
        "test": _Event(
            once="Schedsite 测试通知：{{rule_name}}",
            often="Schedsite 测试通知：{{rule_name}}",
            lines=(
                "这是一条测试通知。该规则的通知会发送到这里。",
                "规则：{{rule_name}}",
                "任务：{{task_name}}（{{task_id}}）",
                *_ZH_REASON,
                *_ZH_TIMES,
            ),
        ),
    },
    log_heading="日志最后几行：",
    of_rule="规则关注的结果连续次数：{{threshold_count}}",
)

_LANGUAGES = {"en": _ENGLISH, "zh-hans": _CHINESE}
#: Events with texts.
EVENTS = tuple(_ENGLISH.events)


def texts_for(facts: Facts) -> Texts:
    """Return the default templates for these facts.

    Raises:
        ValueError: the event has no texts. An unknown language falls back to English.
    """
    language = _LANGUAGES.get(facts.language, _ENGLISH)
    if facts.event not in language.events:
        raise ValueError(f"no texts for the event {facts.event!r}; there are texts for {', '.join(EVENTS)}")
    event = language.events[facts.event]
    streak = _count(facts)
    repeats = streak if facts.repeats is None else facts.repeats
    lines = [
        line if repeats == streak or not _is_streak_line(line, facts) else language.of_rule
        for line in event.lines
        if _has_values(line, facts) and (streak > 1 or not _is_streak_line(line, facts))
    ]
    parts = ["\n".join(lines)]
    if _has_value("execution_log_tail", facts):
        parts.append(f"{language.log_heading}\n{{{{execution_log_tail}}}}")
    if _has_value("execution_url", facts):
        parts.append("{{execution_url}}")
    subject = event.often.replace(NUMBER, f"{repeats:.0f}") if repeats > 1 else event.once
    return Texts(subject, "\n\n".join(part for part in parts if part) + "\n")


def _count(facts: Facts) -> float:
    count = facts.values.get("threshold_count")
    return count if isinstance(count, (int, float)) else 0


def _is_streak_line(line: str, facts: Facts) -> bool:
    return facts.event != "digest" and "{{threshold_count}}" in line


def _has_values(line: str, facts: Facts) -> bool:
    return all(_has_value(match[1].strip(), facts) for match in PLACEHOLDER.finditer(line))


def _has_value(name: str, facts: Facts) -> bool:
    value = facts.values.get(name)
    return value is not None and str(value).strip() != ""
