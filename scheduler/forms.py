"""The form of a task: its fields become a spec, and the validator of the configuration judges it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from django import forms
from django.utils.translation import gettext_lazy as _
from unfold.widgets import (
    UnfoldAdminSelect2MultipleWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
)

from scheduler.config_file import ConfigError, ConfigProblem, TaskSpec, validate_task
from scheduler.models import Task
from scheduler.services.tasks import Definition, find_problems
from scheduler.specs import FIELDS

if TYPE_CHECKING:
    TaskModelForm = forms.ModelForm[Task]
else:
    TaskModelForm = forms.ModelForm


class TaskForm(TaskModelForm):
    """Shows each problem beside its field; `spec` is the task in the words of config.json once it is valid."""

    depends_on = forms.ModelMultipleChoiceField(
        queryset=Task.objects.none(),
        required=False,
        label=_("Depends on"),
        help_text=_("The task starts when these have succeeded."),
        widget=UnfoldAdminSelect2MultipleWidget,
    )
    tags = forms.CharField(
        required=False,
        label=_("Tags"),
        help_text=_("Separated by commas."),
        widget=UnfoldAdminTextInputWidget,
    )
    deadline = forms.CharField(
        required=False,
        label=_("Deadline"),
        help_text=_("A time of day such as 06:00, or seconds without a success."),
        widget=UnfoldAdminTextInputWidget,
    )
    env = forms.JSONField(
        required=False,
        label=_("Environment"),
        help_text=_('An object such as {"REGION": "eu"}; _ENV_FILE names a dotenv file.'),
        widget=UnfoldAdminTextareaWidget,
        encoder=None,
    )
    notify = forms.JSONField(
        required=False,
        label=_("Notification rules"),
        help_text=_("A list of rules."),
        widget=UnfoldAdminTextareaWidget,
    )

    class Meta:
        model = Task
        fields = [name for name in FIELDS.values()]  # noqa: C416 - a plain list is what Django wants

    spec: TaskSpec

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        others: Any = Task.objects.exclude(pk=self.instance.pk).order_by("task_id")
        self.fields["depends_on"].queryset = others  # type: ignore[attr-defined]
        if self.instance.pk:
            self.initial["depends_on"] = list(self.instance.upstreams.values_list("pk", flat=True))
            self.initial["tags"] = ", ".join(self.instance.tags)
            self.initial["deadline"] = "" if self.instance.deadline is None else str(self.instance.deadline)
        for name, empty in (("env", {}), ("notify", [])):
            self.initial.setdefault(name, empty)
        self.fields["command"].widget = UnfoldAdminTextareaWidget(attrs={"rows": 3})

    def clean(self) -> dict[str, Any]:
        """Judge all fields together by the validator of the configuration."""
        data: dict[str, Any] = super().clean() or {}
        if self.errors:
            return data
        words: dict[str, Any] = {wire: data.get(attribute) for wire, attribute in FIELDS.items()}
        words["task_tags"] = [tag for tag in re.split(r"[,，\s]+", data["tags"]) if tag]
        words["task_deadline"] = _deadline(data["deadline"])
        words["task_env"] = data["env"] or {}
        words["task_notify"] = data["notify"] or []
        words["task_dependencies"] = [task.task_id for task in data["depends_on"]]
        try:
            self.spec = validate_task(words)
        except ConfigError as error:
            self._show(error.problems)
            return data
        existing = self.instance if self.instance.pk else None
        self._show([problem for _, problem in find_problems([Definition(existing, self.spec)])])
        return data

    def _show(self, problems: list[ConfigProblem]) -> None:
        for problem in problems:
            wire, _dot, rest = problem.path.partition(".")
            wire = wire.split("[")[0]
            field = "depends_on" if wire == "task_dependencies" else FIELDS.get(wire)
            message = f"{problem.path}: {problem.message}" if rest or "[" in problem.path else problem.message
            self.add_error(field if field in self.fields else None, message)

    def _post_clean(self) -> None:
        """Leave the instance alone: the service writes it, from the spec."""

    def save(self, commit: bool = True) -> Task:
        """Return the instance; `TaskAdmin.save_model` calls the service."""
        return self.instance

    def _save_m2m(self) -> None:
        """Edges are written by the service too."""

    save_m2m = _save_m2m


def _deadline(text: str) -> str | float | None:
    if not text.strip():
        return None
    try:
        return float(text)
    except ValueError:
        return text.strip()
