"""Fast validation, compiled from the schema.

jsonschema needs about 0.2 ms per task, which is 4 s for 20,000 and more with notification rules. Valid tasks, the great
majority, are accepted here, and only the others are passed to jsonschema, which explains the errors.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from scheduler.config_file.channel_kinds import on_change
from scheduler.config_file.schema import load_schema

Check = Callable[[Any], bool]
WITHOUT_CHECK = frozenset(
    {"title", "description", "default", "examples", "$comment", "then"}
)  # "if" does "then"
TYPES: Mapping[str, Check] = {
    "string": lambda value: isinstance(value, str),
    "number": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    "integer": lambda value: type(value) is int or (type(value) is float and value.is_integer()),
    "boolean": lambda value: isinstance(value, bool),
    "array": lambda value: isinstance(value, list),
    "object": lambda value: isinstance(value, dict),
    "null": lambda value: value is None,
}
#: keywords that apply to one type only; values of other types pass
LIMITS: Mapping[str, tuple[str, Callable[[Any, Any], bool]]] = {
    "minLength": ("string", lambda value, limit: len(value) >= limit),
    "maxLength": ("string", lambda value, limit: len(value) <= limit),
    "minItems": ("array", lambda value, limit: len(value) >= limit),
    "maxItems": ("array", lambda value, limit: len(value) <= limit),
    "maxProperties": ("object", lambda value, limit: len(value) <= limit),
    "minimum": ("number", lambda value, limit: value >= limit),
    "maximum": ("number", lambda value, limit: value <= limit),
    "exclusiveMinimum": ("number", lambda value, limit: value > limit),
    "required": ("object", lambda value, names: all(name in value for name in names)),
}


@lru_cache(maxsize=32)
def definition_check(name: str) -> Check:
    """Return the check for one definition of the schema."""
    return compile_check(load_schema()["$defs"][name])


def accepted(name: str, data: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the fields of an object that are valid under one definition of the schema.

    Invalid items of a list are replaced with None, so that the others keep their indexes.
    """
    if definition_check(name)(data):
        return data
    fields = {
        field: _parts(name, field) for field in data if field in load_schema()["$defs"][name]["properties"]
    }
    found: dict[str, Any] = {}
    for field, (whole, item) in fields.items():
        value = data[field]
        if isinstance(value, list) and item is not None:
            found[field] = [part if item(part) else None for part in value]
        elif whole(value):
            found[field] = value
    return found


@lru_cache(maxsize=64)
def _parts(name: str, field: str) -> tuple[Check, Check | None]:
    """Return the checks for a field and for its list items."""
    schema = load_schema()["$defs"][name]["properties"][field]
    return compile_check(schema), compile_check(schema["items"]) if "items" in schema else None


on_change(definition_check.cache_clear)
on_change(_parts.cache_clear)


def compile_check(schema: Mapping[str, Any]) -> Check:
    """Return a function that returns whether a value is valid.

    Raises:
        ValueError: the schema has an unsupported keyword; none is silently ignored.
    """
    words = [word for word in schema if word not in WITHOUT_CHECK]
    # Sizes before items: too large values are refused without checking their content.
    checks = [_check(word, schema) for word in sorted(words, key=lambda word: word not in LIMITS)]
    return checks[0] if len(checks) == 1 else _every(checks)


def exact(pattern: str) -> re.Pattern[str]:
    r"""Compile `pattern` with JSON Schema semantics: ``$`` does not match before a final line break."""
    return re.compile(pattern[:-1] + r"\Z" if pattern.endswith("$") else pattern)


def _every(checks: list[Check]) -> Check:
    def check(value: Any) -> bool:
        for part in checks:  # noqa: SIM110 - a generator doubles the time
            if not part(value):
                return False
        return True

    return check


def _check(word: str, schema: Mapping[str, Any]) -> Check:
    if word in LIMITS:
        (kind, compare), limit = LIMITS[word], schema[word]
        is_kind = TYPES[kind]
        return lambda value: not is_kind(value) or compare(value, limit)
    if word not in BUILDERS:
        raise ValueError(f"unknown schema keyword {word}; allowed: {', '.join([*LIMITS, *BUILDERS])}")
    return BUILDERS[word](schema)


def _type(schema: Mapping[str, Any]) -> Check:
    if isinstance(schema["type"], str):
        return TYPES[schema["type"]]
    checks = [TYPES[name] for name in schema["type"]]
    return lambda value: any(check(value) for check in checks)


def _enum(schema: Mapping[str, Any]) -> Check:
    words = schema["enum"]
    return lambda value: value in words


def _const(schema: Mapping[str, Any]) -> Check:
    word = schema["const"]
    return lambda value: bool(value == word)


def _pattern(schema: Mapping[str, Any]) -> Check:
    search = exact(schema["pattern"]).search
    return lambda value: not isinstance(value, str) or search(value) is not None


def _ref(schema: Mapping[str, Any]) -> Check:
    return definition_check(schema["$ref"].removeprefix("#/$defs/"))


def _items(schema: Mapping[str, Any]) -> Check:
    check = compile_check(schema["items"])
    return lambda value: not isinstance(value, list) or all(map(check, value))


def _property_names(schema: Mapping[str, Any]) -> Check:
    check = compile_check(schema["propertyNames"])
    return lambda value: not isinstance(value, dict) or all(map(check, value))


def _all_of(schema: Mapping[str, Any]) -> Check:
    return _every([compile_check(inner) for inner in schema["allOf"]])


def _if(schema: Mapping[str, Any]) -> Check:
    condition, then = compile_check(schema["if"]), compile_check(schema["then"])
    return lambda value: not condition(value) or then(value)


def _properties(schema: Mapping[str, Any]) -> Check:
    checks = {name: compile_check(field) for name, field in schema.get("properties", {}).items()}
    more = schema.get("additionalProperties", True)
    other: Check = (lambda _value: bool(more)) if isinstance(more, bool) else compile_check(more)

    def check(value: Any) -> bool:
        for name, item in value.items() if isinstance(value, dict) else ():  # noqa: SIM110 - as above
            if not checks.get(name, other)(item):
                return False
        return True

    return check


BUILDERS: Mapping[str, Callable[[Mapping[str, Any]], Check]] = {
    "type": _type,
    "enum": _enum,
    "const": _const,
    "pattern": _pattern,
    "$ref": _ref,
    "items": _items,
    "propertyNames": _property_names,
    "allOf": _all_of,
    "if": _if,
    "properties": _properties,
    "additionalProperties": _properties,
}
