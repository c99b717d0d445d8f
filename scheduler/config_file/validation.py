"""One task against the schema, and what a schema cannot say; messages a person can act on."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from functools import lru_cache
from typing import Any

from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError as SchemaError

from scheduler.config_file.older import upgrade_task
from scheduler.config_file.problems import ConfigError, ConfigProblem
from scheduler.config_file.schema import load_schema
from scheduler.config_file.specs import TaskSpec, normal_task
from scheduler.engine.schedules import parse_schedule
from scheduler.exceptions import InvalidScheduleError

TEMPLATE_NAMES = (
    "task_id",
    "task_name",
    "execution_status",
    "execution_start_time",
    "execution_end_time",
    "execution_duration",
    "threshold_count",
    "execution_log_tail",
    "execution_id",
    "execution_url",
    "exit_code",
    "attempt",
    "reason",
    "scheduled_for",
    "run_id",
    "rule_name",
)
PLACEHOLDER = re.compile(r"\{\{\s*([^{}]*?)\s*\}\}")
TYPE_WORDS = {
    "string": "text",
    "number": "a number",
    "integer": "a whole number",
    "boolean": "true or false",
    "array": "a list",
    "object": "an object",
    "null": "null",
}

Path = tuple[str | int, ...]


class Finding:
    """A problem with its path inside one task; a position is added by whoever knows the text."""

    def __init__(
        self, path: Path, message: str, found: object, allowed: str, *, is_key: bool = False
    ) -> None:
        self.path = path
        self.message = message
        self.found = _short(found)
        self.allowed = allowed
        self.is_key = is_key


@lru_cache(maxsize=1)
def _validator() -> Draft202012Validator:
    schema = load_schema()
    return Draft202012Validator({"$ref": "#/$defs/task", "$defs": schema["$defs"]})


def validate_task(data: object, *, file: str = "", partial: bool = False) -> TaskSpec:
    """Return the normal form of one task from the API or a form.

    Args:
        partial: fields that are required may be missing; the caller fills them.

    Raises:
        ConfigError: with all problems; paths begin at the task.
    """
    task, _notes = upgrade_task(data)
    findings = list(find_in_task(task))
    if partial:
        findings = [f for f in findings if not f.message.endswith("is missing")]
    if findings:
        raise ConfigError(
            [
                ConfigProblem(file, None, None, path_text(f.path), f.message, f.found, f.allowed)
                for f in findings
            ]
        )
    assert isinstance(task, dict)  # noqa: S101 - the schema said so
    return normal_task(task)


def path_text(path: Path) -> str:
    """Return a path such as ``task_notify[0].threshold``."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def find_in_task(task: object) -> Iterator[Finding]:
    """Yield all that is wrong with one task."""
    is_sound = True
    for finding in find_bad_text(task, ()):
        is_sound = False
        yield finding
    for error in _validator().iter_errors(task):
        is_sound = False
        yield from _explain(error)
    if isinstance(task, Mapping):
        yield from _beyond_schema(task, is_sound=is_sound)


def find_bad_text(value: object, path: Path) -> Iterator[Finding]:
    """Yield text that no database takes: NUL and lone surrogates."""
    if isinstance(value, str):
        if "\0" in value or any("\ud800" <= c <= "\udfff" for c in value):
            yield Finding(
                path, "the text contains a NUL character or half of a surrogate pair", value, "Unicode text"
            )
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from find_bad_text(key, path)
            yield from find_bad_text(item, (*path, str(key)))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from find_bad_text(item, (*path, index))


def _explain(error: SchemaError) -> Iterator[Finding]:
    path: Path = tuple(error.absolute_path)
    details: Any = error  # the stubs know an unset state that errors of iter_errors never have
    keyword, found, schema = str(details.validator), details.instance, details.schema
    if keyword == "oneOf":
        yield from _explain_channel(error)
    elif keyword == "required":
        missing = next(
            name for name in details.validator_value if name not in found and f"'{name}'" in error.message
        )
        yield Finding(
            (*path, missing), f'the field "{missing}" is missing', "nothing", "this field is required"
        )
    elif keyword == "additionalProperties" and isinstance(details.validator_value, bool):
        yield from _explain_unknown(path, found, list(schema["properties"]))
    elif keyword in ("propertyNames",) or "propertyNames" in error.absolute_schema_path:
        yield Finding(
            path,
            f"{_short(found)} is no valid name here",
            found,
            f"a name that matches {schema.get('pattern')}",
        )
    else:
        allowed = _allowed(keyword, details.validator_value, schema)
        yield Finding(path, f"{_short(found)} was found; {allowed} is allowed", found, allowed)


def _allowed(keyword: str, value: Any, schema: Any) -> str:
    if keyword == "type":
        types = value if isinstance(value, list) else [value]
        return " or ".join(TYPE_WORDS[name] for name in types)
    if keyword == "enum":
        return "one of " + ", ".join(map(str, value))
    if keyword in ("minimum", "maximum", "exclusiveMinimum"):
        low, above, high = (schema.get(k) for k in ("minimum", "exclusiveMinimum", "maximum"))
        return (
            f"a number {'above ' + format(above, 'g') if above is not None else 'from ' + format(low or 0, 'g')}"
            + (f" up to {high:g}" if high is not None else "")
        )
    words = {
        "minLength": f"text of at least {value} characters",
        "maxLength": f"text of at most {value} characters",
        "minItems": f"a list of at least {value}",
        "maxItems": f"a list of at most {value}",
        "pattern": f"text that matches {value}",
        "const": f"{value}",
    }
    return words.get(keyword, f"{keyword} {value}")


def _explain_unknown(path: Path, found: Mapping[str, Any], known: list[str]) -> Iterator[Finding]:
    for name in found:
        if name not in known:
            near = get_close_matches(name, known, n=1, cutoff=0.5)
            hint = f'; did you mean "{near[0]}"?' if near else ""
            yield Finding(
                (*path, name), f'"{name[:80]}" is no known field{hint}', name, ", ".join(known), is_key=True
            )


def _explain_channel(error: SchemaError) -> Iterator[Finding]:
    kinds = {"email": 0, "webhook": 1, "apprise": 2}
    kind = error.instance.get("type") if isinstance(error.instance, Mapping) else None
    path: Path = tuple(error.absolute_path)
    if not isinstance(kind, str) or kind not in kinds:
        allowed = "one of " + ", ".join(kinds)
        yield Finding(
            (*path, "type"),
            f"{_short(kind)} was found as the type of a channel; {allowed} is allowed",
            kind,
            allowed,
        )
        return
    for inner in error.context or ():
        if inner.relative_schema_path[0] == kinds[kind]:
            yield from _explain(inner)


def _beyond_schema(task: Mapping[str, Any], *, is_sound: bool) -> Iterator[Finding]:
    yield from _check_patterns(task)
    yield from _check_schedule(task)
    yield from _check_list(task, "task_dependencies")
    yield from _check_list(task, "task_tags")
    task_id, upstreams = task.get("task_id"), task.get("task_dependencies")
    if isinstance(upstreams, list) and task_id in upstreams:
        index = upstreams.index(task_id)
        message = f"the dependencies would form a cycle: {task_id} → {task_id}"
        yield Finding(("task_dependencies", index), message, task_id, "the id of another task")
    if task.get("task_max_parallel") is not None and task.get("task_concurrency", "skip") != "allow":
        yield Finding(
            ("task_max_parallel",),
            "it counts only with task_concurrency allow",
            task["task_max_parallel"],
            "null, or task_concurrency allow",
        )
    yield from _check_env_file(task)
    if is_sound:
        for index, rule in enumerate(task.get("task_notify", [])):
            yield from _check_rule(rule, ("task_notify", index))


def _check_patterns(task: Mapping[str, Any]) -> Iterator[Finding]:
    """Refuse a newline at the end, which `$` in a pattern lets pass."""
    for name in ("task_id", "task_queue", "task_deadline"):
        value = task.get(name)
        if isinstance(value, str) and value.endswith("\n"):
            yield Finding((name,), f"{_short(value)} ends with a line break", value, "one line")


def _check_schedule(task: Mapping[str, Any]) -> Iterator[Finding]:
    expression, zone = task.get("task_schedule", ""), task.get("task_timezone", "")
    if isinstance(zone, str) and zone:
        try:
            parse_schedule("0 0 * * *", zone)
        except InvalidScheduleError as error:
            yield Finding(("task_timezone",), str(error), zone, "a name of the IANA database")
            return
    if isinstance(expression, str) and expression:
        try:
            parse_schedule(expression, zone if isinstance(zone, str) and zone else "UTC")
        except InvalidScheduleError as error:
            yield Finding(("task_schedule",), str(error), expression, "a cron expression or empty text")


def _check_list(task: Mapping[str, Any], name: str) -> Iterator[Finding]:
    values = task.get(name)
    seen: set[str] = set()
    for index, value in enumerate(values if isinstance(values, list) else []):
        if isinstance(value, str) and value in seen:
            yield Finding((name, index), f"{_short(value)} stands twice", value, "each once")
        if isinstance(value, str):
            seen.add(value)


def _check_env_file(task: Mapping[str, Any]) -> Iterator[Finding]:
    env = task.get("task_env")
    path = env.get("_ENV_FILE") if isinstance(env, Mapping) else None
    if isinstance(path, str) and (not path or path.startswith("/") or ".." in path.split("/")):
        yield Finding(
            ("task_env", "_ENV_FILE"),
            f"{_short(path)} leads out of the base folder",
            path,
            "a relative path without ..",
        )


def _check_rule(rule: Mapping[str, Any], path: Path) -> Iterator[Finding]:
    yield from (
        Finding((*path, *f.path), f.message, f.found, f.allowed) for f in _check_list(rule, "triggers")
    )
    for number, channel in enumerate(rule["channels"]):
        where = (*path, "channels", number)
        for index, address in enumerate(channel.get("recipients", [])):
            try:
                validate_email(address)
            except ValidationError:
                yield Finding(
                    (*where, "recipients", index),
                    f"{_short(address)} is no mail address",
                    address,
                    "one mail address",
                )
        for name in ("subject_template", "body_template"):
            if name in channel:
                yield from _check_template(channel[name], (*where, name))


def _check_template(text: str, path: Path) -> Iterator[Finding]:
    allowed = ", ".join(TEMPLATE_NAMES)
    for match in PLACEHOLDER.finditer(text):
        if match[1] not in TEMPLATE_NAMES:
            yield Finding(
                path,
                f'"{match[1][:80]}" is no known name in a template; known are {allowed}',
                match[0],
                allowed,
            )
    rest = PLACEHOLDER.sub("", text)
    if "{{" in rest or "}}" in rest:
        yield Finding(path, "the braces {{ and }} are not balanced", text, "{{name}}")


def _short(value: object, length: int = 80) -> str:
    text = json.dumps(value, ensure_ascii=True, default=str)
    return text if len(text) <= length else text[: length - 1] + "…"
