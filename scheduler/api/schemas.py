"""Parts of the JSON Schema of the configuration in the words of OpenAPI 3.0, and the token."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension

from scheduler.config_file import load_schema

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
BOOLEAN: Schema = {"type": "boolean"}
COUNT: Schema = {"type": "integer", "minimum": 0}
UNKNOWN_TO_OPENAPI = ("$comment", "examples", "propertyNames", "title", "$id", "$schema")


def from_json_schema(schema: Mapping[str, Any]) -> Schema:
    """Return a part of the configuration's JSON Schema in the words of OpenAPI 3.0, references filled in."""
    if "$ref" in schema:
        return from_json_schema(load_schema()["$defs"][schema["$ref"].rsplit("/", 1)[1]])
    if "allOf" in schema:  # a channel: its type says which of the shapes counts
        return {"oneOf": [from_json_schema(branch["then"]) for branch in schema["allOf"]]}
    new: Schema = {key: value for key, value in schema.items() if key not in UNKNOWN_TO_OPENAPI}
    if "oneOf" in new:
        new["oneOf"] = [from_json_schema(branch) for branch in new["oneOf"]]
    if schema.get("examples"):
        new["example"] = schema["examples"][0]
    if "const" in new:
        new["enum"] = [new.pop("const")]
    if "enum" in new and "type" not in new:
        new["type"] = "string"
    if isinstance(new.get("type"), list):
        _name_one_type(new)
    if "exclusiveMinimum" in new:
        new["minimum"], new["exclusiveMinimum"] = new["exclusiveMinimum"], True
    if isinstance(new.get("additionalProperties"), dict):
        new["additionalProperties"] = from_json_schema(new["additionalProperties"])
    if "items" in new:
        new["items"] = from_json_schema(new["items"])
    if "properties" in new:
        new["properties"] = {name: from_json_schema(inner) for name, inner in new["properties"].items()}
    return new


def _name_one_type(schema: Schema) -> None:
    given = schema.pop("type")
    types = [name for name in given if name != "null"]
    if "null" in given:
        schema["nullable"] = True
    if len(types) == 1:
        schema["type"] = types[0]
        return
    bounds: Schema = {
        key: schema.pop(key) for key in ("exclusiveMinimum", "minimum", "maximum") if key in schema
    }
    pattern = {"pattern": schema.pop("pattern")} if "pattern" in schema else {}
    if "exclusiveMinimum" in bounds:
        bounds = {**bounds, "minimum": bounds["exclusiveMinimum"], "exclusiveMinimum": True}
    schema["anyOf"] = [{"type": t, **(pattern if t == "string" else bounds)} for t in types]


def definition_in_openapi(name: str) -> Schema:
    """Return a definition of the configuration's JSON Schema in the words of OpenAPI.

    A copy of which no part is shared: drf-spectacular moves what is enumerated elsewhere, in place.
    """
    return deepcopy(from_json_schema(load_schema()["$defs"][name]))


class TokenExtension(OpenApiAuthenticationExtension):
    """Describes the token."""

    target_class = "scheduler.api.authentication.TokenAuthentication"
    name = "token"

    def get_security_definition(self, auto_schema: Any) -> Schema:
        """Return the scheme."""
        return {"type": "http", "scheme": "bearer"}
