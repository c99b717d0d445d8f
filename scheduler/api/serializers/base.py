"""What all shapes have in common: no fields but those that they declare, in OpenAPI as well, and fast rendering.

The docstrings of serializers are read by users of the API, as the descriptions of the shapes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from operator import attrgetter
from typing import Any, ClassVar

from drf_spectacular.extensions import OpenApiSerializerExtension
from drf_spectacular.utils import extend_schema_serializer
from rest_framework import serializers

from scheduler.api.schemas import Schema, definition_in_openapi

#: Fields whose values are JSON already, since rows and dataclasses have the types that the fields name.
PLAIN_FIELDS = {
    serializers.BooleanField,
    serializers.CharField,
    serializers.ChoiceField,
    serializers.DictField,
    serializers.FloatField,
    serializers.IntegerField,
    serializers.URLField,
}
#: name of a field, what reads its value from an object, and what makes JSON of the value where that is needed
Step = tuple[str, Callable[[Any], Any], Callable[[Any], Any] | None]


@extend_schema_serializer(many=False)  # also in answers of actions called `list`
class ClosedSerializer(serializers.Serializer[Any]):
    """An object without further fields.

    Attributes:
        definition: the definition of config.schema.json whose fields are among its own, in OpenAPI too.
    """

    definition: ClassVar[str] = ""

    @classmethod
    def read_only_fields(cls) -> list[str]:
        """Return the names of the fields that only answers carry."""
        return [name for name, field in cls._declared_fields.items() if field.read_only]


class AnswerSerializer(ClosedSerializer):
    """An object in an answer; it depends on nothing but the object, and on no context."""

    def to_representation(self, instance: Any) -> dict[str, Any]:
        """Return the fields of an object as JSON.

        The framework copies all fields for each answer and converts each value, which takes longer than all else about
        a page of 200 rows. Here a class is prepared once, and plain fields give their values as they are. Of a mapping,
        which may lack fields, the framework takes care.
        """
        if isinstance(instance, Mapping):
            answer: dict[str, Any] = super().to_representation(instance)
            return answer
        answer = {}
        for name, read, write in self._steps():
            value = read(instance)
            answer[name] = value if value is None or write is None else write(value)
        return answer

    @classmethod
    @cache
    def _steps(cls) -> list[Step]:
        return [_step(field) for field in cls()._readable_fields]


def _step(field: serializers.Field[Any, Any, Any, Any]) -> Step:
    read = attrgetter(".".join(field.source_attrs)) if field.source_attrs else _itself
    return str(field.field_name), read, None if type(field) in PLAIN_FIELDS else field.to_representation


def _itself(instance: Any) -> Any:
    return instance


class ClosedExtension(OpenApiSerializerExtension):
    """Tells OpenAPI that there are no further fields, and which of them the configuration's schema has."""

    target_class = ClosedSerializer
    match_subclasses = True

    def map_serializer(self, auto_schema: Any, direction: Any) -> Schema:
        """Return the schema of a serializer."""
        schema: Schema = auto_schema._map_serializer(self.target, direction, bypass_extensions=True)
        if self.target.definition:
            own = definition_in_openapi(self.target.definition)
            schema["properties"] = {**own["properties"], **schema["properties"]}
            if not self.target.partial:
                schema["required"] = sorted({*own["required"], *schema.get("required", ())})
        return {**schema, "additionalProperties": False}
