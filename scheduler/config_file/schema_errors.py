"""Translation of jsonschema errors into actionable messages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from scheduler.config_file.channel_kinds import on_change
from scheduler.config_file.compiled import Check, compile_check, exact
from scheduler.config_file.problems import (
    Finding,
    Keys,
    Words,
    field_name,
    nearest,
    printable,
    refused,
    shorten,
    suggesting,
)
from scheduler.config_file.reasons import Code
from scheduler.config_file.schema import allowed_words, load_schema
from scheduler.engine.reasons import Reason, as_reason

if TYPE_CHECKING:
    from jsonschema.exceptions import ValidationError

LIMITS = ("minLength", "maxLength", "minItems", "maxItems", "maxProperties", "minProperties")


def _strict_pattern(_validator: Any, pattern: str, value: Any, _schema: Any) -> Iterator[ValidationError]:
    from jsonschema.exceptions import ValidationError

    if isinstance(value, str) and not exact(pattern).search(value):
        yield ValidationError("does not match")


def _bad_items(validator: Any, schema: Any, value: Any, _around: Any) -> Iterator[ValidationError]:
    for place, item in enumerate(value if isinstance(value, list) else ()):
        if not _is_sound(schema, item):
            yield from validator.descend(item, schema, path=place)


def _bad_properties(validator: Any, fields: Any, value: Any, _around: Any) -> Iterator[ValidationError]:
    for name, schema in fields.items() if isinstance(value, dict) else ():
        if name in value and not _is_sound(schema, value[name]):
            yield from validator.descend(value[name], schema, path=name, schema_path=name)


def _checked_already(*_given: Any) -> Iterator[ValidationError]:
    """Ignore size keywords, which `sizes.within_limits` has checked already."""
    return iter(())


def _is_sound(schema: Mapping[str, Any], value: Any) -> bool:
    check = _CHECKS.get(id(schema))
    if check is None:
        check = _CHECKS[id(schema)] = compile_check(schema)
    return check(value)


#: By the identity of schema parts, which are kept until the channel kinds change.
_CHECKS: dict[int, Check] = {}


@lru_cache(maxsize=1)
def task_validator() -> Any:
    """Return the validator of one task; `$` in its patterns does not match before a final line break.

    It descends only into values that the fast check rejects, which are few in a large task with one mistake.
    """
    # Imported lazily: takes 0.1 s to load, and is needed only for rejected values.
    from jsonschema import Draft202012Validator
    from jsonschema.validators import extend

    sizes = dict.fromkeys(("maxItems", "maxProperties"), _checked_already)
    keywords = {"pattern": _strict_pattern, "items": _bad_items, "properties": _bad_properties, **sizes}
    validator = extend(Draft202012Validator, keywords)
    return validator({"$ref": "#/$defs/task", "$defs": load_schema()["$defs"]})


on_change(task_validator.cache_clear)
on_change(_CHECKS.clear)


def find_schema_errors(task: object) -> Iterator[Finding]:
    """Yield the schema errors of one task, one per place and kind of mistake."""
    reported: set[tuple[Keys, str]] = set()
    for error in task_validator().iter_errors(task):
        for finding in _explain(error):
            if (finding.path, str(finding.why)) not in reported:
                reported.add((finding.path, str(finding.why)))
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
        values = {"found": shorten(found), "field": field_name(path), "what": allowed}
        why = Reason(Code.NAME_NOT_ALLOWED, values)
        yield Finding((*path, found), why, shorten(found), allowed, is_key=True)
    else:
        yield explain_value(path, keyword, found, schema)


def explain_value(path: Keys, keyword: str, found: Any, schema: Mapping[str, Any]) -> Finding:
    """Return the finding for a value that violates a keyword of its schema."""
    shown: Words = ""
    if keyword in LIMITS and len(found) > 40:
        unit = Code.CHARACTERS_FOUND if isinstance(found, str) else Code.ITEMS_FOUND
        shown = Reason(Code.NAMES_FOUND if isinstance(found, dict) else unit, {"count": len(found)})
    finding = refused(path, found, allowed_words(schema), shown=shown)
    if keyword != "enum" or not isinstance(found, str):
        return finding
    why = suggesting(as_reason(finding.why), nearest(found, tuple(schema["enum"])))
    return Finding(path, why, finding.what, finding.wanted)


def _explain_missing(path: Keys, error: Any) -> Finding:
    """Return the finding for a missing field: jsonschema yields one error per field."""
    name = next(name for name in error.validator_value if error.message.startswith(f"'{name}'"))
    fields = error.schema.get("properties", {})
    allowed = allowed_words(fields[name])
    why = Reason(Code.MISSING, {"field": name, "what": allowed})
    return Finding((*path, name), why, Reason(Code.NOTHING), allowed, is_absence=True)


def _explain_unknown(path: Keys, found: Mapping[str, Any], known: tuple[str, ...]) -> Iterator[Finding]:
    for name in found:
        if name not in known:
            yield unknown_field((*path, name), known)


def unknown_field(path: Keys, known: tuple[str, ...]) -> Finding:
    """Return the finding for an unknown field at `path`."""
    name, allowed = str(path[-1]), Reason(Code.ONE_OF, {"names": list(known)})
    near, values = nearest(name, known), {"name": printable(name)}
    if near is None:
        why = Reason(Code.UNKNOWN_FIELD_AMONG, {**values, "known": list(known)})
    else:
        why = suggesting(Reason(Code.UNKNOWN_FIELD, values), near)
    return Finding(path, why, shorten(name), allowed, is_key=True)
