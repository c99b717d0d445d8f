"""Task specs: normalisation, differences, and serialisation."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypedDict, cast

from scheduler.config_file.line_breaks import with_lf
from scheduler.config_file.schema import fields_of


class TaskSpec(TypedDict):
    """A task with the field names of config.json, all fields present."""

    task_id: str
    task_name: str
    task_exec: str
    task_schedule: str
    task_desc: str
    task_enabled: bool
    task_timeout: float | None
    task_retry: int
    task_retry_interval: float
    task_retry_backoff: float
    task_env: dict[str, str]
    task_dependencies: list[str]
    task_notify: list[dict[str, Any]]
    task_timezone: str
    task_tags: list[str]
    task_queue: str
    task_priority: int
    task_concurrency: str
    task_max_parallel: int | None
    task_misfire_policy: str
    task_misfire_grace: float
    task_trigger_rule: str
    task_deadline: str | float | None
    task_max_waiting: int
    task_exit_codes: dict[str, list[int | str]]
    task_shell: str
    task_python: str
    task_encoding: str
    task_history_days: int | None


@dataclass(frozen=True)
class FieldChange:
    """One field that differs between two specs."""

    field: str
    old: Any
    new: Any


def normal_task(data: Mapping[str, Any]) -> TaskSpec:
    """Normalise a valid task: fill in defaults, complete rules, simplify numbers, sort sets and names."""
    return given_fields({**_defaults(), **data})


def given_fields(data: Mapping[str, Any]) -> TaskSpec:
    """Return the given fields of a valid task, normalised and in schema order."""
    spec = {name: _normal_value(name, data[name]) for name in fields_of("task") if name in data}
    return cast(TaskSpec, spec)


def _normal_value(name: str, value: Any) -> Any:
    if name == "task_dependencies":
        return sorted(value)
    if name == "task_notify":
        return [_normal_rule(rule) for rule in value]
    return _plain(value)


def _normal_rule(rule: Mapping[str, Any]) -> dict[str, Any]:
    normal = _with_defaults(rule, "rule")
    normal["channels"] = [normal_channel(channel) for channel in rule["channels"]]
    return normal


def normal_channel(channel: Mapping[str, Any]) -> dict[str, Any]:
    """Return a valid channel of task_notify with its defaults filled in."""
    return _with_defaults(channel, channel["type"])


def _with_defaults(data: Mapping[str, Any], definition: str) -> dict[str, Any]:
    return {
        name: _plain(data.get(name, field.get("default")))
        for name, field in fields_of(definition).items()
        if name in data or "default" in field
    }


def _plain(value: Any) -> Any:
    """Return a copy with whole floats as integers, LF line breaks, and sorted names, as databases may reorder them."""
    if isinstance(value, str):
        return with_lf(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {name: _plain(value[name]) for name in sorted(value)}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value


def complete_spec(stored: Mapping[str, Any]) -> TaskSpec:
    """Complete a spec stored by an older version: newer fields get their default, lines end in LF."""
    return cast(TaskSpec, {**_defaults(), **with_lf(stored)})


def _defaults() -> dict[str, Any]:
    return {name: field["default"] for name, field in fields_of("task").items() if "default" in field}


def diff_spec(old: TaskSpec, new: TaskSpec) -> list[FieldChange]:
    """Return the fields that differ, in schema order."""
    before, after = (cast(dict[str, Any], complete_spec(spec)) for spec in (old, new))
    return [
        FieldChange(name, before[name], after[name])
        for name in fields_of("task")
        if _plain(before[name]) != _plain(after[name])
    ]


def dump_config(specs: Iterable[TaskSpec]) -> str:
    """Return the text of a config.json: tasks sorted by id, fields in schema order, defaults omitted."""
    tasks = [_without_defaults(spec) for spec in sorted(specs, key=lambda spec: spec["task_id"])]
    document = {"$schema": "/api/scheduler/config/schema", "version": 1, "tasks": tasks}
    return json.dumps(document, ensure_ascii=False, indent=2) + "\n"


def _without_defaults(given: TaskSpec) -> dict[str, Any]:
    spec = cast(dict[str, Any], normal_task(cast(dict[str, Any], given)))
    return {
        name: spec[name]
        for name, field in fields_of("task").items()
        if "default" not in field or spec[name] != field["default"]
    }
