"""Schedules in words."""

from __future__ import annotations

import re
from calendar import day_name, month_name
from functools import lru_cache

from cron_descriptor import ExpressionDescriptor, Options

from scheduler.engine.cron import ALIASES
from scheduler.engine.cron_readings import plain_items

LOCALES = {"en": "en_US", "zh-hans": "zh_CN"}
#: The library leaves names of days and months in English, and words of Chinese in the order of English.
CHINESE = (
    *((name, f"星期{numeral}") for name, numeral in zip(day_name, "一二三四五六日", strict=True)),
    *((rf"\b{name}\b", f"{number} 月") for number, name in enumerate(month_name) if name),
    (r", ", "，"),
    (r"在 (第.个\S+|最后一个\S+) 每月", r"每月\1"),
    (r"每月的 最接近 (\d+) 号的平日", r"每月最接近 \1 号的工作日"),
    (r"每月的 ?", "每月 "),
    (r"每月 (?=\D)", "每月"),
    (r"(?<=[\u4e00-\u9fff]) (?=[\u4e00-\u9fff])", ""),
    (r"(?<=月) (?=[到和])|(?<=[到和]) (?=星期)", ""),
    (r"^在 (?=\d)", ""),
    (r"^\d\d:\d\d[^，]*$", r"每天 \g<0>"),
)


@lru_cache(maxsize=5000)
def describe_schedule(expression: str, language: str = "en") -> str:
    """Return a valid cron expression in words of `language` ("en" or "zh-hans"); "" for an empty one."""
    if not expression:
        return ""
    options = Options()
    options.use_24hour_time_format = True
    options.locale_code = LOCALES.get(language, "en_US")
    text = plain_items(ALIASES.get(expression.strip().lower(), expression))
    try:
        words = str(ExpressionDescriptor(text, options).get_description())
        return _polished(words) if options.locale_code == "zh_CN" else words
    except Exception:  # the library raises many kinds; the expression itself is the fallback
        return expression


def _polished(words: str) -> str:
    for pattern, replacement in CHINESE:
        words = re.sub(pattern, replacement, words)
    return words.strip()
