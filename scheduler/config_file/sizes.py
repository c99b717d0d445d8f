"""Size checks before validation: report values that exceed the schema's limits, and truncate them.

This bounds the cost of a hostile body by the limits of the schema. Valid values are not copied; too large values are
truncated to the allowed size, so that all other problems are reported as well.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from typing import Any

from scheduler.config_file.compiled import TYPES
from scheduler.config_file.problems import Finding, Keys
from scheduler.config_file.sanity import MAX_DEPTH
from scheduler.config_file.schema import load_schema
from scheduler.config_file.schema_errors import explain_value

MOST_TOLD = 200  # reported problems of one task; a hostile body could have a million
#: Unknown names reported per object, enough to find a misspelt name.
MOST_UNKNOWN = 100
#: Values kept of a list or object of the wrong type: more than an error shows.
OUTLINE = 1_000


def within_limits(data: object, definition: str) -> tuple[Any, list[Finding]]:
    """Return `data` truncated to the limits of a definition of the schema, and the values that exceed them."""
    findings: list[Finding] = []
    return _cut(load_schema()["$defs"][definition], data, (), findings), findings


def _cut(schema: Mapping[str, Any], value: Any, path: Keys, findings: list[Finding]) -> Any:
    if not isinstance(value, list | dict):
        return value
    schema = _shape(schema, value)
    if not _takes(schema, value):
        return _outline(value, [OUTLINE], len(path))
    if isinstance(value, list):
        return _cut_list(schema, value, path, findings)
    return _cut_object(schema, value, path, findings)


def _shape(schema: Mapping[str, Any], value: list[Any] | dict[Any, Any]) -> Mapping[str, Any]:
    """Return the effective schema of a value: references resolved; for a channel, that of its type."""
    while "$ref" in schema or "allOf" in schema:
        if "$ref" in schema:
            schema = load_schema()["$defs"][schema["$ref"].rpartition("/")[2]]
            continue
        kind = value.get("type") if isinstance(value, dict) else None
        branches = (b for b in schema["allOf"] if b["if"]["properties"]["type"]["const"] == kind)
        branch = next(branches, None)
        if branch is None:
            return {name: part for name, part in schema.items() if name != "allOf"}
        schema = branch["then"]
    return schema


def _takes(schema: Mapping[str, Any], value: list[Any] | dict[Any, Any]) -> bool:
    types = schema.get("type", [])
    return any(TYPES[name](value) for name in ([types] if isinstance(types, str) else types))


def _cut_list(schema: Mapping[str, Any], value: list[Any], path: Keys, findings: list[Finding]) -> list[Any]:
    most = schema.get("maxItems", OUTLINE)
    if len(value) > most:
        findings.append(explain_value(path, "maxItems", value, schema))
    items = schema.get("items", {})
    # Scalars are cheap to check, so keep as many as problems are reported.
    most = most if "$ref" in items else max(most, MOST_TOLD)
    return [_cut(items, item, (*path, place), findings) for place, item in enumerate(islice(value, most))]


def _cut_object(
    schema: Mapping[str, Any], value: dict[str, Any], path: Keys, findings: list[Finding]
) -> dict[str, Any]:
    known: Mapping[str, Any] = schema.get("properties", {})
    other = schema.get("additionalProperties", True)
    most = schema.get("maxProperties", len(known) + MOST_UNKNOWN)
    names = list(value)
    if len(names) > most:
        limit = {"type": "object", "maxProperties": schema.get("maxProperties", len(known))}
        findings.append(explain_value(path, "maxProperties", value, limit))
        names = [name for name in known if name in value] + list(
            islice((name for name in names if name not in known), most - len(known))
        )
    rest = other if isinstance(other, dict) else {}
    return {name: _cut(known.get(name, rest), value[name], (*path, name), findings) for name in names}


def _outline(value: Any, left: list[int], depth: int) -> Any:
    """Return a copy of the beginning of a value with a limited number of values, as much as an error shows.

    Values nested too deeply are kept, to be rejected by the depth check.
    """
    left[0] -= 1
    if depth > MAX_DEPTH:
        return value
    if isinstance(value, list):
        return [_outline(item, left, depth + 1) for item in value if left[0] > 0]
    if isinstance(value, dict):
        return {name: _outline(item, left, depth + 1) for name, item in value.items() if left[0] > 0}
    return value
