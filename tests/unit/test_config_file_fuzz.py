"""Whatever is read, only ConfigError comes out; what was written is read back the same."""

from __future__ import annotations

import contextlib
import json
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scheduler.config_file import ConfigError, dump_config, parse_config, validate_task
from scheduler.config_file.compiled import definition_check
from scheduler.config_file.schema import fields_of, load_schema
from scheduler.config_file.schema_errors import task_validator

CHANNELS = [
    {"type": "email", "recipients": ["ops@example.org"], "subject_template": "{{ task_id }}"},
    {"type": "webhook", "url": "https://example.org/x", "method": "PUT", "headers": {"X-A": "1"}},
    {"type": "apprise", "urls": ["ntfy://topic"]},
]
FULL: dict[str, Any] = {
    name: field["examples"][0] for name, field in fields_of("task").items() if name != "task_max_parallel"
}
FULL["task_notify"] = [{"triggers": ["success"], "channels": CHANNELS, "cooldown": 1.5}]
SOUND = [FULL, {"task_id": "b", "task_name": "B", "task_exec": "true", "task_log": 1}]
TEXT = json.dumps({"version": 1, "tasks": SOUND}, indent=1).encode()
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
)
WORDS = sorted({example for field in fields_of("task").values() for example in field.get("enum", [])})
QUICK = settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))


def read(raw: bytes | str) -> None:
    """Read, and let only ConfigError pass; its text must be printable."""
    try:
        parse_config(raw, file="config.json")
    except ConfigError as error:
        str(error).encode()
        assert error.problems


@QUICK
@given(st.binary(max_size=200) | st.text(max_size=200))
def test_random_input_raises_only_config_error(raw: bytes | str) -> None:
    read(raw)


@QUICK
@given(JSON)
def test_random_json_raises_only_config_error(data: Any) -> None:
    read(json.dumps(data))
    with contextlib.suppress(ConfigError):
        validate_task(data)


@QUICK
@given(
    st.lists(st.tuples(st.integers(0, len(TEXT) - 1), st.integers(0, 9), st.binary(max_size=4)), max_size=4)
)
def test_mutated_text_raises_only_config_error(edits: list[tuple[int, int, bytes]]) -> None:
    raw = TEXT
    for at, length, new in edits:
        raw = raw[:at] + new + raw[at + length :]

    read(raw)


def paths_of(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the paths of all values below a value."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(found for key, item in inner for found in paths_of(item, (*path, key)))]


def replaced(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    """Return a copy with one value replaced."""
    if not path:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = replaced(value[path[0]], path[1:], new)
    return copy


@QUICK
@given(st.sampled_from(paths_of(FULL)), JSON | st.sampled_from(WORDS) | st.integers(-2, 101))
def test_mutated_task_is_judged_alike_by_the_quick_check_and_by_jsonschema(
    path: tuple[Any, ...], new: Any
) -> None:
    task = replaced(FULL, path, new)

    assert definition_check("task")(task) == task_validator().is_valid(task)
    read(json.dumps([task]))
    with contextlib.suppress(ConfigError):
        validate_task(task)


def test_schema_is_itself_valid_and_accepts_the_written_layout() -> None:
    validator = type(task_validator())

    validator.check_schema(load_schema())

    text = dump_config(parse_config(TEXT, file="").specs)
    assert validator(load_schema()).is_valid(json.loads(text))


def test_written_text_is_read_back_the_same() -> None:
    specs = parse_config(TEXT, file="").specs

    text = dump_config(reversed(specs))

    again = parse_config(text, file="")
    assert again.specs == sorted(specs, key=lambda spec: spec["task_id"])
    assert again.notes == []
    assert dump_config(again.specs) == text


@QUICK
@given(
    st.fixed_dictionaries(
        {"task_id": st.from_regex(r"[A-Za-z0-9_-]{1,64}", fullmatch=True), "task_exec": st.text(min_size=1)},
        optional={
            "task_desc": st.text(),
            "task_retry_backoff": st.floats(1, 10),
            "task_retry_interval": st.floats(0, 604800) | st.integers(0, 604800),
            "task_deadline": st.none() | st.floats(0.001, 1e6) | st.just("06:30"),
            "task_env": st.dictionaries(st.from_regex(r"[A-Z_]{1,5}", fullmatch=True), st.text(), max_size=4),
            "task_dependencies": st.lists(st.sampled_from("uvwxyz"), unique=True),
        },
    )
)
def test_any_accepted_task_survives_writing_and_reading(task: dict[str, Any]) -> None:
    try:
        spec = validate_task({**task, "task_name": "name"})
    except ConfigError:
        return

    text = dump_config([spec])

    assert parse_config(text, file="").specs == [spec]
    assert dump_config(parse_config(text, file="").specs) == text
