"""The template context of a message."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from scheduler.engine.reasons import Reason


@dataclass(frozen=True, slots=True)
class Facts:
    """The facts of a message.

    Attributes:
        values: the value of each template name, or None.
        event: a trigger of a rule, or "digest" or "test".
        language: "en" or "zh-hans"; for texts that the rule does not define itself.
        reason: why the execution ended in its status; None if it has none or the message is about something else.
        repeats: consecutive occurrences of this event; None: equal to `threshold_count`.
    """

    values: Mapping[str, str | int | float | None]
    event: str
    language: str
    repeats: int | None = None
    reason: Reason | None = None
