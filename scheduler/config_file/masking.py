"""Masking of secrets in tasks and rules.

Channel kinds define their secret fields. The rest of an address may also contain secrets, so it is shown only to users
who may change the task, as are the values of the environment.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from scheduler.config_file.channel_kinds import kind_of
from scheduler.config_file.specs import FieldChange, TaskSpec
from scheduler.config_file.url_masking import MASK


def masked_spec(spec: TaskSpec, *, shows_env: bool) -> TaskSpec:
    """Return a task without the secrets of its rules.

    Args:
        shows_env: whether the reader may change the task, and so sees its environment and addresses of webhooks.
    """
    shown: dict[str, Any] = {**spec}
    if not shows_env:
        shown["task_env"] = dict.fromkeys(shown["task_env"], MASK)
    shown["task_notify"] = [masked_rule(rule, shows_address=shows_env) for rule in shown["task_notify"]]
    return cast("TaskSpec", shown)


def masked_change(change: FieldChange) -> FieldChange:
    """Return a change with secrets masked, for users who may change tasks."""
    if change.field != "task_notify":
        return change
    old, new = (
        [masked_rule(rule, shows_address=True) for rule in rules] for rules in (change.old, change.new)
    )
    return FieldChange(change.field, old, new)


def masked_rule(rule: Mapping[str, Any], *, shows_address: bool) -> dict[str, Any]:
    """Return a rule of task_notify without its secrets."""
    channels = [masked_channel(channel, shows_address=shows_address) for channel in rule["channels"]]
    return {**rule, "channels": channels}


def masked_channel(channel: Mapping[str, Any], *, shows_address: bool) -> dict[str, Any]:
    """Return a channel of task_notify without its secrets; for an unknown kind, only the field names."""
    kind = kind_of(channel)
    if kind is None:
        return {name: value if name == "type" else MASK for name, value in channel.items()}
    shown = dict(channel)
    for name, secret in kind.secrets.items():
        if name in shown:
            shown[name] = secret.masked(shown[name], shows_address=shows_address)
    return shown
