"""The mapping between a stored task and its words in config.json (`TaskSpec`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from scheduler.config_file import TaskSpec
    from scheduler.models import Task

#: wire name -> attribute of Task; dependencies are edges and stand apart.
FIELDS: Mapping[str, str] = {
    "task_id": "task_id",
    "task_name": "name",
    "task_exec": "command",
    "task_schedule": "schedule",
    "task_desc": "description",
    "task_enabled": "enabled",
    "task_timeout": "timeout",
    "task_retry": "retry",
    "task_retry_interval": "retry_interval",
    "task_retry_backoff": "retry_backoff",
    "task_env": "env",
    "task_notify": "notify",
    "task_timezone": "timezone",
    "task_tags": "tags",
    "task_queue": "queue",
    "task_priority": "priority",
    "task_concurrency": "concurrency",
    "task_max_parallel": "max_parallel",
    "task_misfire_policy": "misfire_policy",
    "task_misfire_grace": "misfire_grace",
    "task_trigger_rule": "trigger_rule",
    "task_deadline": "deadline",
    "task_max_waiting": "max_waiting",
    "task_exit_codes": "exit_codes",
    "task_shell": "shell",
    "task_python": "python",
    "task_encoding": "encoding",
    "task_history_days": "history_days",
}


def task_to_spec(task: Task, upstream_ids: Sequence[str] | None = None) -> TaskSpec:
    """Return `task` in the words of config.json.

    Args:
        upstream_ids: task ids of its upstreams when the caller has read them; otherwise one query reads them.
    """
    if upstream_ids is None:
        upstream_ids = list(task.upstreams.order_by("task_id").values_list("task_id", flat=True))
    spec: dict[str, Any] = {wire: _plain(getattr(task, attribute)) for wire, attribute in FIELDS.items()}
    spec["task_dependencies"] = sorted(upstream_ids)  # a database may have another order of letters
    return cast("TaskSpec", spec)


def apply_spec(task: Task, spec: TaskSpec) -> None:
    """Set the attributes of `task` from `spec`; nothing is saved, edges are not touched."""
    for wire, attribute in FIELDS.items():
        setattr(task, attribute, spec[wire])  # type: ignore[literal-required]  # a name of the table above


def _plain(value: Any) -> Any:
    """Return a whole float as an int, so that a number comes out as it went in."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str):
        return str(value)  # a choice becomes its text
    return value
