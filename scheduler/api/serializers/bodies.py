"""Small bodies, read strictly: an unknown field, a missing one or one of another type is refused."""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any, ClassVar

from rest_framework import serializers
from rest_framework.fields import empty
from rest_framework.request import Request

from scheduler.api.problems import RequestRefusedError
from scheduler.api.serializers.base import ClosedSerializer


def without_read_only(body: Any, read_only: Collection[str]) -> dict[str, Any]:
    """Return a copy of a body without what only answers carry, so that an answer can be edited and sent back.

    Raises:
        RequestRefusedError: it is no object.
    """
    if not isinstance(body, dict):
        raise RequestRefusedError(
            "", "the body is no object", found=json.dumps(body), allowed="an object of fields"
        )
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
        known = ", ".join(self.fields) or "none"
        for name, value in body.items():
            if name not in self.fields:
                shown = str(name)[:80]
                message = f"“{shown}” is no known field; known are {known}"
                raise RequestRefusedError(shown, message, found=shown, allowed=known)
            self.fields[name].run_validation(value)
        for field in self._writable_fields:
            if field.field_name not in body:
                if field.required:
                    allowed = getattr(field, "allowed", "")
                    raise RequestRefusedError(
                        str(field.field_name), "the field is missing", found="nothing", allowed=allowed
                    )
                if field.default is not empty:
                    body[str(field.field_name)] = field.default
        return body


class NothingSerializer(BodySerializer):
    """A body without fields; it may be left out."""


class _Exact:
    """A field that takes values of one type of JSON, and no text that would mean one."""

    exact_type: ClassVar[type]
    allowed: str

    def run_validation(self, data: Any = empty) -> Any:
        """Return the value."""
        if type(data) is not self.exact_type:
            self._refuse(data)
        return data

    def _refuse(self, data: Any) -> None:
        found = json.dumps(data)
        message = f"{found[:80]} was found; {self.allowed} is allowed"
        raise RequestRefusedError(getattr(self, "field_name", ""), message, found=found, allowed=self.allowed)


class TrueOrFalse(_Exact, serializers.BooleanField):
    """``true`` or ``false``."""

    exact_type = bool
    allowed = "true or false"


class Text(_Exact, serializers.CharField):
    """Text, which may be empty."""

    exact_type = str
    allowed = "text"


class WholeNumber(_Exact, serializers.IntegerField):
    """A whole number from `min_value` to `max_value`, both inclusive."""

    exact_type = int

    def __init__(self, *, min_value: int, max_value: int, **more: Any) -> None:
        super().__init__(min_value=min_value, max_value=max_value, **more)
        self.allowed = f"a whole number from {min_value} to {max_value}"

    def run_validation(self, data: Any = empty) -> Any:
        """Return the number."""
        value = super().run_validation(data)
        if not self.min_value <= value <= self.max_value:
            self._refuse(data)
        return value
