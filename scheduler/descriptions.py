"""Schedules in words."""

from __future__ import annotations

from functools import lru_cache

from cron_descriptor import ExpressionDescriptor, Options

from scheduler.engine.cron import ALIASES

LOCALES = {"en": "en_US", "zh-hans": "zh_CN"}


@lru_cache(maxsize=5000)
def describe_schedule(expression: str, language: str = "en") -> str:
    """Return a valid cron expression in words of `language` ("en" or "zh-hans"); "" for an empty one."""
    if not expression:
        return ""
    options = Options()
    options.use_24hour_time_format = True
    options.locale_code = LOCALES.get(language, "en_US")
    text = ALIASES.get(expression.strip().lower(), expression)
    try:
        return str(ExpressionDescriptor(text, options).get_description())
    except Exception:  # the library raises many kinds; the expression itself is the fallback
        return expression
