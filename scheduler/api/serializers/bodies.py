"""Small bodies, read strictly: an unknown field, a missing one or one of another type is refused."""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any, ClassVar

from rest_framework import serializers
from rest_framework.fields import empty
from rest_framework.request import Request

from scheduler.api.parameters import not_allowed, whole_number
from scheduler.api.problems import RequestRefusedError
from scheduler.api.reasons import Code
from scheduler.api.serializers.base import ClosedSerializer
from scheduler.config_file.problems import shorten
from scheduler.config_file.reasons import Code as Refusal
from scheduler.engine.reasons import Reason


def without_read_only(body: Any, read_only: Collection[str]) -> dict[str, Any]:
    """Return a copy of a body without what only answers carry, so that an answer can be edited and sent back.

    Raises:
        RequestRefusedError: it is no object.
    """
    if not isinstance(body, dict):
        why = Reason(Code.BODY_NOT_OBJECT, {"found": shorten(body)})
        raise RequestRefusedError("", why, found=json.dumps(body), allowed=Reason(Refusal.OBJECT))
    return {name: value for name, value in body.items() if name not in read_only}


class BodySerializer(ClosedSerializer):
    """A body whose fields are those of this module.

    Attributes:
        ignored: fields of answers that may be sent back, and say nothing.
    """

    ignored: ClassVar[Collection[str]] = ()

    @classmethod
    def read(cls, request: Request) -> dict[str, Any]:
        """Return the fields of the body of a request; those that are absent have their defaults, if they have one.

        Raises:
            RequestRefusedError: names the first field that is wrong.
        """
        body = cls(data=request.data)
        body.is_valid(raise_exception=True)
        fields: dict[str, Any] = body.validated_data
        return fields

    def run_validation(self, data: Any = empty) -> dict[str, Any]:
        """Check the fields in the order in which they were sent, then what is missing."""
        body = without_read_only(data, self.ignored)
        for name, value in body.items():
            if name not in self.fields:
                raise _unknown(str(name)[:80], list(self.fields))
            self.fields[name].run_validation(value)
        for field in self._writable_fields:
            if field.field_name not in body:
                if field.required:
                    raise _missing(field)
                if field.default is not empty:
                    body[str(field.field_name)] = field.default
        return body


def _unknown(name: str, known: list[str]) -> RequestRefusedError:
    if not known:
        why = Reason(Refusal.UNKNOWN_FIELD, {"name": name})
    else:
        why = Reason(Refusal.UNKNOWN_FIELD_AMONG, {"name": name, "known": known})
    return RequestRefusedError(name, why, found=name, allowed=", ".join(known) or "none")


def _missing(field: Any) -> RequestRefusedError:
    allowed = getattr(field, "allowed", Reason(Refusal.JSON_VALUE))
    why = Reason(Refusal.MISSING, {"field": field.field_name, "what": allowed})
    return RequestRefusedError(field.field_name, why, found="nothing", allowed=allowed)


class NothingSerializer(BodySerializer):
    """A body without fields; it may be left out."""


class _Exact:
    """A field that takes values of one type of JSON, and no text that would mean one."""

    exact_type: ClassVar[type]
    allowed: Reason

    def run_validation(self, data: Any = empty) -> Any:
        """Return the value."""
        if type(data) is not self.exact_type:
            self._refuse(data)
        return data

    def _refuse(self, data: Any) -> None:
        name = getattr(self, "field_name", "")
        why = not_allowed(name, shorten(data), self.allowed)
        raise RequestRefusedError(name, why, found=json.dumps(data), allowed=self.allowed)


class TrueOrFalse(_Exact, serializers.BooleanField):
    """``true`` or ``false``."""

    exact_type = bool
    allowed = Reason(Refusal.BOOLEAN)


class Text(_Exact, serializers.CharField):
    """Text, which may be empty."""

    exact_type = str
    allowed = Reason(Refusal.TEXT)


class WholeNumber(_Exact, serializers.IntegerField):
    """A whole number from `min_value` to `max_value`, both inclusive."""

    exact_type = int

    def __init__(self, *, min_value: int, max_value: int, **more: Any) -> None:
        super().__init__(min_value=min_value, max_value=max_value, **more)
        self.allowed = whole_number(min_value, max_value)

    def run_validation(self, data: Any = empty) -> Any:
        """Return the number."""
        value = super().run_validation(data)
        if not self.min_value <= value <= self.max_value:
            self._refuse(data)
        return value
