"""Older forms of a task that are still understood."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

FAILURES = ["business_failure", "technical_failure", "timeout"]


def upgrade_task(task: object) -> tuple[object, list[str]]:
    """Return the task in the present form, and what was changed, in sentences; wrong types are left to the schema."""
    if not isinstance(task, Mapping):
        return task, []
    new: dict[str, Any] = dict(task)
    notes = []
    name = str(new.get("task_id", "?"))[:64]
    if "task_log" in new:
        del new["task_log"]
        notes.append(f"{name}: task_log is kept in the history instead")
    for field in ("task_schedule", "task_desc"):
        if new.get(field, "") is None:
            new[field] = ""
    notify = new.get("task_notify")
    if isinstance(notify, Mapping) and (not notify or set(notify) <= {"on_success", "on_failure", "email"}):
        new["task_notify"] = _rules(notify)
        if notify:
            notes.append(f"{name}: task_notify in its older form became {len(new['task_notify'])} rules")
    elif notify is None and "task_notify" in new:
        new["task_notify"] = []
    return new, notes


def _rules(notify: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return rules for ``{"on_success": …, "on_failure": …, "email": …}``; a value may hold its own addresses."""
    rules = []
    for key, triggers in (("on_success", ["success"]), ("on_failure", FAILURES)):
        value = notify.get(key)
        own = value if isinstance(value, str | list) else None
        addresses = own or notify.get("email") or []
        recipients = [addresses] if isinstance(addresses, str) else addresses
        if value and recipients:
            channel = {"type": "email", "recipients": recipients}
            rules.append({"name": key, "triggers": triggers, "channels": [channel]})
    return rules
