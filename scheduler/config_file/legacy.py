"""Conversion of legacy forms of a task."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from scheduler.choices import FAILED, Status
from scheduler.config_file.channel_kinds import channel_kinds
from scheduler.config_file.problems import Finding, printable, refused
from scheduler.config_file.reasons import Code
from scheduler.config_file.schema import fields_of
from scheduler.config_file.schema_errors import unknown_field
from scheduler.engine.reasons import Reason

FAILURES = tuple(status.value for status in Status if status in FAILED)
OCCASIONS: Mapping[str, tuple[str, ...]] = {
    "on_success": ("success",),
    "on_failure": FAILURES,
    "on_timeout": ("timeout",),
}
EMPTY: Mapping[str, Any] = {
    "task_schedule": "",
    "task_desc": "",
    "task_timezone": "",
    "task_queue": "",
    "task_env": {},
    "task_dependencies": [],
    "task_tags": [],
    "task_notify": [],
    "task_exit_codes": {},
    "task_shell": "/bin/sh",
    "task_python": "",
    "task_encoding": "",
}


def upgrade_task(task: object) -> tuple[object, list[Reason]]:
    """Convert a task to the current form; return it and the conversions. Wrong types are left to the schema."""
    if not isinstance(task, dict):
        return task, []
    new: dict[str, Any] = {
        name: EMPTY[name] if value is None and name in EMPTY else value for name, value in task.items()
    }
    notes: list[Reason] = []
    if "task_log" in new:
        del new["task_log"]
        notes.append(Reason(Code.OLDER_LOG))
    if isinstance(new.get("task_notify"), dict):
        rules, about = _upgrade_notify(new["task_notify"])
        new["task_notify"] = rules
        notes += about
    name = {"task": printable(str(task.get("task_id", "?")), 64)}
    return new, [Reason(note.code, {**name, **note.params}) for note in notes]


def _upgrade_notify(notify: dict[Any, Any]) -> tuple[object, list[Reason]]:
    """Return rules for ``{"on_success": …, "on_failure": …}`` with addresses; an unknown form is returned unchanged.

    The value of an occasion is true, false, or its own addresses. Addresses without an occasion are for failures.
    """
    if not notify:
        return [], []
    names = names_of_addresses()
    if not set(notify) <= {*OCCASIONS, *names} or not all(map(_is_understood, notify.values())):
        return notify, []
    common = [address for name in names for address in _addresses(notify.get(name))]
    occasions = {name: notify[name] for name in OCCASIONS if name in notify} or {"on_failure": True}
    rules, notes = [], []
    for name, value in occasions.items():
        recipients = list(dict.fromkeys(_addresses(value) or common))
        if value and recipients:
            rules.append(_rule(name, _triggers(name, occasions), recipients))
        elif value:
            notes.append(Reason(Code.OLDER_NOTIFY_WITHOUT_ADDRESS, {"name": name}))
    return rules, [Reason(Code.OLDER_NOTIFY, {"number": len(rules)}), *notes]


def find_in_older_notify(notify: Mapping[str, Any]) -> Iterator[Finding]:
    """Yield why ``task_notify`` is invalid as the legacy form; nothing if it looks like a rule instead."""
    known = (*OCCASIONS, *names_of_addresses())
    if set(notify) & set(fields_of("rule")):
        return
    for name, value in notify.items():
        if name not in known:
            yield unknown_field(("task_notify", name), known)
        elif not _is_understood(value):
            yield refused(("task_notify", name), value, Reason(Code.OLDER_ADDRESSES))


def names_of_addresses() -> list[str]:
    """Return the names of address fields in the legacy ``task_notify``."""
    return [name for kind in channel_kinds() if kind.older for name in kind.older.names]


def _is_understood(value: object) -> bool:
    if isinstance(value, list):
        return all(isinstance(item, str) for item in value)
    return value is None or isinstance(value, bool | str)


def _addresses(value: object) -> list[str]:
    if isinstance(value, str):
        return [address for address in re.split(r"[,;\s]+", value) if address]
    return list(value) if isinstance(value, list) else []


def _triggers(name: str, occasions: Mapping[str, Any]) -> list[str]:
    return [
        trigger for trigger in OCCASIONS[name] if name != "on_failure" or not occasions.get("on_" + trigger)
    ]


def _rule(name: str, triggers: list[str], recipients: list[str]) -> dict[str, Any]:
    channels = [{"type": kind.name, kind.older.field: recipients} for kind in channel_kinds() if kind.older]
    return {"name": name, "triggers": triggers, "channels": channels}
