"""The JSON Schema of the configuration: the one source of fields, types, bounds and defaults."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

SCHEMA_FILE = Path(__file__).resolve().parent.parent / "schema" / "config.schema.json"
TYPE_WORDS = {
    "string": "text",
    "number": "a number",
    "integer": "a whole number",
    "boolean": "true or false",
    "array": "a list",
    "object": "an object",
    "null": "null",
}


@dataclass(frozen=True)
class FieldMetadata:
    """What the schema says of one field.

    Attributes:
        allowed: types and bounds in words.
        default: None when there is none, see `is_required`.
    """

    name: str
    title: str
    description: str
    allowed: str
    default: Any
    is_required: bool
    examples: list[Any]


@lru_cache(maxsize=1)
def load_schema() -> dict[str, Any]:
    """Return the schema; do not change it."""
    schema: dict[str, Any] = json.loads(SCHEMA_FILE.read_text(encoding="utf-8"))
    return schema


def fields_of(definition: str) -> dict[str, dict[str, Any]]:
    """Return the properties of one of the schema's definitions, in the order of the file."""
    fields: dict[str, dict[str, Any]] = load_schema()["$defs"][definition]["properties"]
    return fields


def task_fields(definition: str = "task") -> list[FieldMetadata]:
    """Return what the schema says of each field of a task, or of another definition, in the order of the file."""
    required = load_schema()["$defs"][definition].get("required", [])
    return [
        FieldMetadata(
            name=name,
            title=field["title"],
            description=field["description"],
            allowed=allowed_words(field),
            default=field.get("default"),
            is_required=name in required,
            examples=field["examples"],
        )
        for name, field in fields_of(definition).items()
    ]


def allowed_words(field: Mapping[str, Any]) -> str:
    """Return what a field may hold, in words; ``$comment`` of the schema says it where bounds cannot."""
    if "$comment" in field:
        return str(field["$comment"])
    if "enum" in field:
        return "one of " + ", ".join(map(str, field["enum"]))
    if "const" in field:
        return json.dumps(field["const"])
    if "$ref" in field:
        return "an object"
    types = field["type"] if isinstance(field["type"], list) else [field["type"]]
    return " or ".join(TYPE_WORDS[kind] + _bounds(kind, field) for kind in types)


def _bounds(kind: str, field: Mapping[str, Any]) -> str:
    if kind in ("number", "integer"):
        low = f"above {field['exclusiveMinimum']}" if "exclusiveMinimum" in field else ""
        low = low or f"from {field['minimum']}"
        return f" {low} {'up ' if 'exclusiveMinimum' in field else ''}to {field['maximum']}"
    limits = {
        "string": ("minLength", "maxLength", "characters"),
        "array": ("minItems", "maxItems", "items"),
        "object": ("minProperties", "maxProperties", "names"),
    }
    if kind not in limits:
        return ""
    least, most, unit = limits[kind]
    if least in field and most in field:
        return f" of {field[least]} to {field[most]} {unit}"
    return f" of at most {field[most]} {unit}" if most in field else ""
