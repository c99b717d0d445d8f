"""The JSON Schema of the configuration: the single source of fields, types, bounds and defaults."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from scheduler.config_file.channel_kinds import ChannelKind, channel_kinds, on_change
from scheduler.config_file.reasons import Code
from scheduler.engine.reasons import Reason, as_reason

SCHEMA_FILE = Path(__file__).with_name("config.schema.json")
TYPES = {
    "string": Code.TEXT,
    "boolean": Code.BOOLEAN,
    "array": Code.LIST,
    "object": Code.OBJECT,
    "null": Code.NULL,
}
#: Length keywords of the schema by type, with the codes for both bounds and for an upper bound only.
LENGTHS = {
    "string": ("minLength", "maxLength", Code.TEXT_FROM_TO, Code.TEXT_AT_MOST),
    "array": ("minItems", "maxItems", Code.LIST_FROM_TO, Code.LIST_AT_MOST),
    "object": ("minProperties", "maxProperties", None, Code.OBJECT_AT_MOST),
}


@dataclass(frozen=True)
class FieldMetadata:
    """The schema of one field.

    Attributes:
        allowed: description of types and bounds.
        default: None without a default, see `is_required`.
    """

    name: str
    title: str
    description: str
    allowed: Reason
    default: Any
    is_required: bool
    examples: list[Any]


@lru_cache(maxsize=1)
def load_schema() -> dict[str, Any]:
    """Return the schema, completed with the channel kinds; do not modify it."""
    schema: dict[str, Any] = json.loads(SCHEMA_FILE.read_text(encoding="utf-8"))
    if kinds := channel_kinds():
        _add_kinds(schema["$defs"], kinds)
    return schema


on_change(load_schema.cache_clear)


def _add_kinds(definitions: dict[str, Any], kinds: Sequence[ChannelKind]) -> None:
    """Insert the channel kinds and example channels into the schema."""
    channel, example = definitions["channel"], kinds[0].example()
    channel["properties"]["type"] |= {
        "enum": [kind.name for kind in kinds],
        "examples": [example["type"]],
    }
    channel["allOf"] = [_branch(kind.name) for kind in kinds]
    definitions["rule"]["properties"]["channels"]["examples"] = [[example]]
    for rule in definitions["task"]["properties"]["task_notify"]["examples"][0]:
        rule["channels"] = [example]
    definitions |= {kind.name: kind.schema for kind in kinds}


def _branch(kind: str) -> dict[str, Any]:
    is_kind = {"properties": {"type": {"const": kind}}, "required": ["type"]}
    return {"if": is_kind, "then": {"$ref": f"#/$defs/{kind}"}}


def channel_schema(
    kind: str, *, title: str, description: str, required: Sequence[str], fields: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the schema of a channel kind.

    Args:
        required: names of the required fields.
        fields: all fields except `type`; each has a title, a description and examples, and a default unless required.
    """
    type_field = {
        "title": "Type",
        "description": "The kind of channel.",
        "const": kind,
        "examples": [kind],
    }
    return {
        "title": title,
        "description": description,
        "type": "object",
        "additionalProperties": False,
        "required": ["type", *required],
        "properties": {"type": type_field, **fields},
    }


def fields_of(definition: str) -> dict[str, dict[str, Any]]:
    """Return the properties of a definition of the schema, in file order."""
    fields: dict[str, dict[str, Any]] = load_schema()["$defs"][definition]["properties"]
    return fields


def task_fields(definition: str = "task") -> list[FieldMetadata]:
    """Return the metadata of each field of a task, or of another definition, in file order."""
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


def allowed_words(field: Mapping[str, Any]) -> Reason:
    """Return the allowed values of a field; ``$comment`` of the schema describes them where bounds cannot."""
    if "$comment" in field:
        return Reason(Code.AS_SCHEMA, {"words": str(field["$comment"])})
    if "enum" in field:
        return Reason(Code.ONE_OF, {"names": [str(word) for word in field["enum"]]})
    if "const" in field:
        return as_reason(json.dumps(field["const"]))
    if "$ref" in field:
        return Reason(Code.OBJECT)
    types = field["type"] if isinstance(field["type"], list) else [field["type"]]
    choices = [_of_type(kind, field) for kind in types]
    return choices[0] if len(choices) == 1 else Reason(Code.EITHER, {"choices": choices})


def _of_type(kind: str, field: Mapping[str, Any]) -> Reason:
    if kind in ("number", "integer"):
        return _of_numbers(kind, field)
    if kind not in LENGTHS:
        return Reason(TYPES[kind])
    least, most, between, at_most = LENGTHS[kind]
    if between is not None and least in field and most in field:
        return Reason(between, {"low": field[least], "high": field[most]})
    return Reason(at_most, {"high": field[most]}) if most in field else Reason(TYPES[kind])


def _of_numbers(kind: str, field: Mapping[str, Any]) -> Reason:
    if "exclusiveMinimum" in field:
        return Reason(Code.NUMBER_ABOVE_TO, {"low": field["exclusiveMinimum"], "high": field["maximum"]})
    code = Code.WHOLE_NUMBER_FROM_TO if kind == "integer" else Code.NUMBER_FROM_TO
    return Reason(code, {"low": field["minimum"], "high": field["maximum"]})
