"""Older forms of a task that are still understood."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from scheduler.config_file.problems import Finding, printable, refused
from scheduler.config_file.schema import fields_of
from scheduler.config_file.schema_errors import unknown_field

FAILURES = ("business_failure", "technical_failure", "timeout")
OCCASIONS: Mapping[str, tuple[str, ...]] = {
    "on_success": ("success",),
    "on_failure": FAILURES,
    "on_timeout": ("timeout",),
}
ADDRESSES = ("email", "emails", "recipients")
EMPTY: Mapping[str, Any] = {
    "task_schedule": "",
    "task_desc": "",
    "task_timezone": "",
    "task_queue": "",
    "task_env": {},
    "task_dependencies": [],
    "task_tags": [],
    "task_notify": [],
}


def upgrade_task(task: object) -> tuple[object, list[str]]:
    """Return the task in the present form, and what was changed, in sentences; wrong types are left to the schema."""
    if not isinstance(task, dict):
        return task, []
    new: dict[str, Any] = {
        name: EMPTY[name] if value is None and name in EMPTY else value for name, value in task.items()
    }
    notes = []
    if "task_log" in new:
        del new["task_log"]
        notes.append("task_log is kept in the history instead")
    if isinstance(new.get("task_notify"), dict):
        rules, about = _upgrade_notify(new["task_notify"])
        new["task_notify"] = rules
        notes += about
    name = printable(str(task.get("task_id", "?")), 64)
    return new, [f"{name}: {note}" for note in notes]


def _upgrade_notify(notify: dict[Any, Any]) -> tuple[object, list[str]]:
    """Return rules for ``{"on_success": …, "on_failure": …, "email": …}``; an unknown form is left as it is.

    The value of an occasion is true, false, or addresses of its own. Addresses alone are told of failures.
    """
    if not notify:
        return [], []
    if not set(notify) <= {*OCCASIONS, *ADDRESSES} or not all(map(_is_understood, notify.values())):
        return notify, []
    common = [address for name in ADDRESSES for address in _addresses(notify.get(name))]
    occasions = {name: notify[name] for name in OCCASIONS if name in notify} or {"on_failure": True}
    rules, notes = [], []
    for name, value in occasions.items():
        recipients = list(dict.fromkeys(_addresses(value) or common))
        if value and recipients:
            rules.append(_rule(name, _triggers(name, occasions), recipients))
        elif value:
            notes.append(f"task_notify names no address for {name}, so it tells nobody")
    kept = "1 rule" if len(rules) == 1 else f"{len(rules)} rules"
    return rules, [f"task_notify in its older form became {kept}", *notes]


def find_in_older_notify(notify: Mapping[str, Any]) -> Iterator[Finding]:
    """Yield why ``task_notify`` is not understood as the older form; nothing when it looks like a rule instead."""
    known = (*OCCASIONS, *ADDRESSES)
    if set(notify) & set(fields_of("rule")):
        return
    for name, value in notify.items():
        if name not in known:
            yield unknown_field(("task_notify", name), known)
        elif not _is_understood(value):
            yield refused(("task_notify", name), value, "true, false, or mail addresses as text or a list")


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
    return {"name": name, "triggers": triggers, "channels": [{"type": "email", "recipients": recipients}]}
