"""Changes of a task with the labels and values of its form, instead of the names of config.json."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from django.utils.text import capfirst
from django.utils.translation import gettext as _

from scheduler.config_file import FieldChange
from scheduler.forms.task import FORM_FIELDS, TaskForm
from scheduler.models import Task
from scheduler.wording.times import sentence_duration

SECONDS = frozenset({"timeout", "retry_interval", "misfire_grace", "deadline"})


@dataclass(frozen=True)
class ShownChange:
    """A changed field in the language of the reader."""

    label: str
    old: str
    new: str


def shown_change(change: FieldChange) -> ShownChange:
    """Return a change as the form of the task would show it."""
    name = FORM_FIELDS[change.field]
    return ShownChange(_label(name), _value(name, change.old), _value(name, change.new))


def _label(name: str) -> str:
    field = TaskForm.base_fields.get(name)
    model: Any = Task._meta
    return str(field.label) if field is not None and field.label else _of_model(model.get_field(name))


def _of_model(field: Any) -> str:
    return capfirst(str(field.verbose_name))


def _value(name: str, value: Any) -> str:
    if value is None or value in ("", [], {}):
        return "–"
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    if isinstance(value, int | float) and name in SECONDS:
        return sentence_duration(value)
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return ", ".join(value)
    if isinstance(value, str):
        return _choice(name, value)
    return json.dumps(value, ensure_ascii=False)


def _choice(name: str, value: str) -> str:
    model: Any = Task._meta
    choices = {} if name == "depends_on" else dict(model.get_field(name).flatchoices)
    return str(choices.get(value, value))
