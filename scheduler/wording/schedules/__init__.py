"""Schedules in words. The words say the slots exactly: `tests/unit/test_schedule_words.py` reads them back."""

from __future__ import annotations

from functools import lru_cache

from scheduler.engine.cron import read_cron
from scheduler.exceptions import InvalidScheduleError
from scheduler.wording.schedules.chinese import Chinese
from scheduler.wording.schedules.english import English
from scheduler.wording.schedules.parts import Language, sentence_of

LANGUAGES: dict[str, Language] = {"en": English(), "zh-hans": Chinese()}


@lru_cache(maxsize=5000)
def describe_schedule(expression: str, language: str = "en") -> str:
    """Return a cron expression in words of `language` ("en" or "zh-hans"); one that cannot be read as it is."""
    if not expression:
        return ""
    try:
        rule = read_cron(expression)
    except InvalidScheduleError:
        return expression
    return sentence_of(rule, LANGUAGES.get(language, LANGUAGES["en"]))
