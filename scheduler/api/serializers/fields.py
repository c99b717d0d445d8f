"""Fields of answers whose values are not JSON yet."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from rest_framework import serializers

from scheduler.engine.reasons import Reason
from scheduler.engine.times import iso
from scheduler.wording.reasons import told

TASK_ID = r"^[A-Za-z0-9_-]{1,64}$"
TEXT_OF_REASON = "English, for people; the wording may change."
CODE_OF_REASON = "Stable; null without a reason, and in rows of versions that had no codes."
PARAMS_OF_REASON = "The values of the code, by name: docs/reasons.md lists them."


class InstantField(serializers.DateTimeField):
    """An instant."""

    def __init__(self, *, help_text: str = "ISO 8601, UTC, with Z.", **more: Any) -> None:
        super().__init__(help_text=help_text, **more)

    def to_representation(self, value: datetime) -> str:
        """Return ISO 8601 in UTC with Z."""
        return iso(value)


class TaskIdField(serializers.RegexField):
    """The id of a task, given the task."""

    def __init__(self, **more: Any) -> None:
        super().__init__(TASK_ID, **more)

    def to_representation(self, value: Any) -> str:
        """Return the id."""
        return str(value.task_id)


class UsernameField(serializers.CharField):
    """The name of an account."""

    def to_representation(self, value: Any) -> str:
        """Return the name."""
        return str(value.get_username())


class RowIdsField(serializers.ListField):
    """The ids of related rows, which should be prefetched in lists."""

    child = serializers.IntegerField()

    def to_representation(self, data: Any) -> list[Any]:
        """Return the ids."""
        return [row.pk for row in data.all()]


class SentenceField(serializers.CharField):
    """A reason in words."""

    def to_representation(self, value: Any) -> str:
        """Return the sentence in the language of the request."""
        return told(value)


# --- the reason in the columns of a row -------------------------------------------------------------


def text_of_reason(help_text: str = TEXT_OF_REASON) -> serializers.CharField:
    """Return the field of the English text of a reason; it is empty without one."""
    return serializers.CharField(help_text=help_text)


def code_of_reason() -> serializers.CharField:
    """Return the field of the code of a reason."""
    return serializers.CharField(allow_null=True, help_text=CODE_OF_REASON)


def params_of_reason() -> serializers.DictField:
    """Return the field of the values of a reason."""
    return serializers.DictField(allow_null=True, help_text=PARAMS_OF_REASON)


# --- the same of a reason as a value, None without one ----------------------------------------------


class ReasonTextField(serializers.CharField):
    """The English text of the reason in the attribute `of`; empty without one."""

    def __init__(self, of: str, help_text: str = TEXT_OF_REASON) -> None:
        super().__init__(source="*", help_text=help_text)
        self.of = of

    def to_representation(self, value: Any) -> str:
        """Return the text."""
        reason: Reason | None = getattr(value, self.of)
        return "" if reason is None else str(reason)


class ReasonCodeField(serializers.CharField):
    """The code of the reason in the attribute `of`."""

    def __init__(self, of: str) -> None:
        super().__init__(source="*", allow_null=True, help_text=CODE_OF_REASON)
        self.of = of

    def to_representation(self, value: Any) -> str | None:  # type: ignore[override]  # the stubs say that it is never None
        """Return the code."""
        reason: Reason | None = getattr(value, self.of)
        return None if reason is None else reason.code.value


class ReasonParamsField(serializers.DictField):
    """The values of the reason in the attribute `of`."""

    def __init__(self, of: str) -> None:
        super().__init__(source="*", allow_null=True, help_text=PARAMS_OF_REASON)
        self.of = of

    def to_representation(self, value: Any) -> dict[str, Any] | None:  # type: ignore[override]  # the stubs say that it is never None
        """Return the values by name."""
        reason: Reason | None = getattr(value, self.of)
        return None if reason is None else reason.params_json()
