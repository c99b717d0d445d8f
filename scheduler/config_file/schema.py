"""The JSON Schema of the configuration: the one source of fields, types, bounds and defaults."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

SCHEMA_FILE = Path(__file__).resolve().parent.parent / "schema" / "config.schema.json"


@lru_cache(maxsize=1)
def load_schema() -> dict[str, Any]:
    """Return the schema; do not change it."""
    schema: dict[str, Any] = json.loads(SCHEMA_FILE.read_text(encoding="utf-8"))
    return schema


def fields_of(definition: str) -> dict[str, dict[str, Any]]:
    """Return the properties of one of the schema's definitions, in the order of the file."""
    fields: dict[str, dict[str, Any]] = load_schema()["$defs"][definition]["properties"]
    return fields
