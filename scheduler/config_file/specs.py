"""Task specs: normal form, differences, and text."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypedDict, cast

from scheduler.config_file.schema import fields_of, load_schema


class TaskSpec(TypedDict):
    """A task in the words of config.json, every field present."""

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
    task_history_days: int | None


@dataclass(frozen=True)
class FieldChange:
    """One field that differs between two specs."""

    field: str
    old: Any
    new: Any


def normal_task(data: Mapping[str, Any]) -> TaskSpec:
    """Return a valid task with its defaults filled in, numbers plain and rules complete."""
    spec = _normal(data, "task")
    spec["task_dependencies"] = sorted(spec["task_dependencies"])
    spec["task_notify"] = [_normal_rule(rule) for rule in spec["task_notify"]]
    return cast(TaskSpec, spec)


def _normal_rule(rule: Mapping[str, Any]) -> dict[str, Any]:
    normal = _normal(rule, "rule")
    normal["channels"] = [_normal(channel, channel["type"]) for channel in normal["channels"]]
    return normal


def _normal(data: Mapping[str, Any], definition: str) -> dict[str, Any]:
    """Return `data` in the order of the schema, with defaults."""
    normal = {}
    for name, field in fields_of(definition).items():
        if name in data:
            normal[name] = _plain(data[name])
        elif "default" in field:
            normal[name] = copy.deepcopy(field["default"])
    return normal


def _plain(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


def diff_spec(old: TaskSpec, new: TaskSpec) -> list[FieldChange]:
    """Return the fields that differ, in the order of the schema."""
    before, after = cast(dict[str, Any], old), cast(dict[str, Any], new)
    return [
        FieldChange(name, before[name], after[name])
        for name in fields_of("task")
        if _plain(before[name]) != _plain(after[name])
    ]


def dump_config(specs: Iterable[TaskSpec]) -> str:
    """Return the text of a config.json: tasks by id, fields in the order of the schema, defaults left out."""
    tasks = [_short(cast(dict[str, Any], spec)) for spec in sorted(specs, key=lambda spec: spec["task_id"])]
    document = {"$schema": "/api/scheduler/config/schema", "version": 1, "tasks": tasks}
    return json.dumps(document, ensure_ascii=False, indent=2) + "\n"


def _short(spec: Mapping[str, Any]) -> dict[str, Any]:
    required = load_schema()["$defs"]["task"]["required"]
    return {
        name: _plain(spec[name])
        for name, field in fields_of("task").items()
        if name in required or spec[name] != field["default"]
    }
