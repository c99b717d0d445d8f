"""What jsonschema found wrong, in sentences a person can act on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError
from jsonschema.validators import extend

from scheduler.config_file.fast_check import exact
from scheduler.config_file.problems import Finding, Keys, field_name, hint, printable, refused, shorten
from scheduler.config_file.schema import allowed_words, load_schema

LIMITS = ("minLength", "maxLength", "minItems", "maxItems", "maxProperties", "minProperties")


def _strict_pattern(_validator: Any, pattern: str, value: Any, _schema: Any) -> Iterator[ValidationError]:
    if isinstance(value, str) and not exact(pattern).search(value):
        yield ValidationError("does not match")


@lru_cache(maxsize=1)
def task_validator() -> Any:
    """Return the validator of one task; `$` in its patterns does not let a line break pass."""
    validator = extend(  # type: ignore[no-untyped-call]
        Draft202012Validator, {"pattern": _strict_pattern}
    )
    return validator({"$ref": "#/$defs/task", "$defs": load_schema()["$defs"]})


def find_schema_errors(task: object) -> Iterator[Finding]:
    """Yield what the schema refuses in one task, each place once for each kind of mistake."""
    told: set[tuple[Keys, str]] = set()
    for error in task_validator().iter_errors(task):
        for finding in _explain(error):
            if (finding.path, finding.message) not in told:
                told.add((finding.path, finding.message))
                yield finding


def _explain(error: Any) -> Iterator[Finding]:
    path: Keys = tuple(error.absolute_path)
    keyword, found, schema = error.validator, error.instance, error.schema
    if keyword == "required":
        yield _explain_missing(path, error)
    elif keyword == "additionalProperties":
        yield from _explain_unknown(path, found, tuple(schema["properties"]))
    elif "propertyNames" in error.absolute_schema_path:
        allowed = allowed_words(schema)
        message = f"the name {shorten(found)} in {field_name(path)} must have {allowed}"
        yield Finding((*path, found), message, shorten(found), allowed, is_key=True)
    else:
        yield _explain_value(path, keyword, found, schema)


def _explain_value(path: Keys, keyword: str, found: Any, schema: Mapping[str, Any]) -> Finding:
    shown = ""
    if keyword in LIMITS and len(found) > 40:
        unit = "text of {:,} characters" if isinstance(found, str) else "a list of {:,} items"
        shown = ("an object of {:,} names" if isinstance(found, dict) else unit).format(len(found))
    finding = refused(path, found, allowed_words(schema), shown=shown)
    if keyword != "enum" or not isinstance(found, str):
        return finding
    message = finding.message + hint(found, tuple(schema["enum"]))
    return Finding(path, message, finding.found, finding.allowed)


def _explain_missing(path: Keys, error: Any) -> Finding:
    """Return which name is missing: jsonschema yields an error for each."""
    name = next(name for name in error.validator_value if error.message.startswith(f"'{name}'"))
    fields = error.schema.get("properties", {})
    allowed = allowed_words(fields[name])
    return Finding(
        (*path, name), f"{name} is missing; it must be {allowed}", "nothing", allowed, is_absence=True
    )


def _explain_unknown(path: Keys, found: Mapping[str, Any], known: tuple[str, ...]) -> Iterator[Finding]:
    for name in found:
        if name not in known:
            yield unknown_field((*path, name), known)


def unknown_field(path: Keys, known: tuple[str, ...]) -> Finding:
    """Return the finding that the last name of `path` is not one of the `known` ones."""
    name, allowed = str(path[-1]), "one of " + ", ".join(known)
    near = hint(name, known) or f"; known are {', '.join(known)}"
    return Finding(
        path, f'"{printable(name)}" is not a known field{near}', shorten(name), allowed, is_key=True
    )
