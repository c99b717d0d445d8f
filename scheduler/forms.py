"""The form of a task: it builds the words of config.json and lets their one validator judge."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

from django import forms
from django.conf import settings
from django.contrib import admin
from django.contrib.admin.widgets import AutocompleteSelectMultiple
from django.core.exceptions import ValidationError
from django.template.loader import render_to_string
from django.urls import reverse_lazy
from django.utils.html import escape, format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from unfold.widgets import (
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
)

from scheduler.config_file import ConfigError, ConfigProblem, TaskSpec, diff_spec, validate_task
from scheduler.models import Task, TaskDependency, TaskRevision
from scheduler.phrases import retold
from scheduler.services.tasks import Definition, find_problems, lock_graph
from scheduler.specs import FIELDS

FORM_FIELDS = {**FIELDS, "task_dependencies": "depends_on"}
FIRST_WORD = re.compile(r"^\w+")
OR_NULL = re.compile(r"(,?) or null\b")
WHILE_TYPED = "input changed delay:250ms, input from:#id_timezone delay:250ms"

_rules_fields: list[Callable[[Task], forms.Field]] = []


def use_rules_field(make: Callable[[Task], forms.Field]) -> None:
    """Have the rules on the form of a task edited by the field that `make` returns for it, instead of as JSON."""
    _rules_fields[:] = [make]


class PrettyJSONField(forms.JSONField):
    """JSON shown indented and in its own script."""

    def prepare_value(self, value: Any) -> Any:
        """Return text; what was typed stays as it was typed."""
        if isinstance(value, str):
            return value
        return json.dumps(value, ensure_ascii=False, indent=2)


class TagsField(forms.CharField):
    """A list of words, written with commas."""

    def prepare_value(self, value: Any) -> Any:
        """Return the words joined by commas."""
        return ", ".join(value) if isinstance(value, list) else value

    def to_python(self, value: Any) -> list[str]:  # type: ignore[override]
        """Return the words, each once."""
        words = re.split(r"[,，]", value or "")
        return list(dict.fromkeys(word.strip() for word in words if word.strip()))

    def has_changed(self, initial: Any, data: Any) -> bool:
        """Compare words, not text."""
        return bool(list(initial or []) != self.to_python(data))


class DeadlineField(forms.CharField):
    """``HH:MM``, a number of seconds, or nothing."""

    def to_python(self, value: Any) -> str | float | None:  # type: ignore[override]
        """Return a number when it reads as one."""
        text = super().to_python(value)
        if not text:
            return None
        try:
            return float(text)
        except ValueError:
            return text

    def has_changed(self, initial: Any, data: Any) -> bool:
        """Compare values, not text."""
        return bool(initial != self.to_python(data))


class EnvironmentWidget(forms.Widget):
    """Variables as rows of name and value, with an empty one to begin with."""

    template_name = "scheduler/widgets/environment.html"

    def render(self, name: str, value: Any, attrs: Any = None, renderer: Any = None) -> SafeString:
        """Render with the templates of the project, where those of forms are not looked for."""
        return SafeString(render_to_string(self.template_name, self.get_context(name, value, attrs)))

    def get_context(self, name: str, value: Any, attrs: dict[str, Any] | None) -> dict[str, Any]:
        """Add the rows."""
        context = super().get_context(name, None, attrs)
        pairs = list(value.items()) if isinstance(value, dict) else list(value or [])
        context["widget"]["rows"] = [*pairs, ("", "")]
        return context

    def value_from_datadict(self, data: Any, files: Any, name: str) -> list[tuple[str, str]]:
        """Return the rows as they were typed."""
        names, values = data.getlist(f"{name}_name"), data.getlist(f"{name}_value")
        return [(key, value) for key, value in zip(names, values, strict=False) if key or value]

    def value_omitted_from_data(self, data: Any, files: Any, name: str) -> bool:
        """A form without rows has no variables."""
        return False


class EnvironmentField(forms.Field):
    """An object of text to text; the validator of config.json judges the names."""

    widget = EnvironmentWidget

    def clean(self, value: Any) -> dict[str, str]:
        """Return the variables.

        Raises:
            ValidationError: a value has no name, or a name comes twice.
        """
        found: dict[str, str] = {}
        for name, text in value or []:
            key = name.strip()
            if not key:
                raise ValidationError(_("The value “%(value)s” has no name."), params={"value": text[:80]})
            if key in found:
                raise ValidationError(_("The name %(name)s comes twice."), params={"name": key})
            found[key] = text
        return found

    def has_changed(self, initial: Any, data: Any) -> bool:
        """Compare names and values, not rows."""
        return dict(initial or {}) != dict(data or [])


class ScheduleWidget(UnfoldAdminTextInputWidget):
    """A cron expression; what it means is said below it while it is typed."""

    def __init__(self) -> None:
        super().__init__(
            attrs={
                "class": "s-mono",
                "spellcheck": "false",
                "autocomplete": "off",
                "hx-get": reverse_lazy("admin:scheduler_schedule_hint"),
                "hx-trigger": f"load, {WHILE_TYPED}",
                "hx-include": "#id_timezone",
                "hx-target": "#schedule-hint",
                "hx-swap": "innerHTML",
                "hx-sync": "this:replace",
            }
        )

    def render(self, *args: Any, **kwargs: Any) -> SafeString:
        """Add the place of the answer."""
        return format_html(
            '{}<div id="schedule-hint" aria-live="polite"></div>', super().render(*args, **kwargs)
        )


class ZoneWidget(UnfoldAdminTextInputWidget):
    """A time zone, with the known ones offered while it is typed."""

    def __init__(self) -> None:
        default = _("As the installation: %(zone)s") % {"zone": settings.SCHEDULER_TIME_ZONE}
        super().__init__(attrs={"list": "zones", "placeholder": default, "autocomplete": "off"})

    def render(self, *args: Any, **kwargs: Any) -> SafeString:
        """Add the names."""
        return format_html("{}{}", super().render(*args, **kwargs), render_to_string("scheduler/_zones.html"))


class UpstreamsWidget(AutocompleteSelectMultiple):
    """Searches tasks; the task itself is not offered."""

    def __init__(self, excluded: int | None = None) -> None:
        super().__init__(TaskDependency._meta.get_field("upstream"), admin.site)
        self.excluded = excluded

    def get_url(self) -> str:
        """Return the address of the search."""
        url = super().get_url()
        return f"{url}?exclude={self.excluded}" if self.excluded else url


if TYPE_CHECKING:
    TaskModelForm = forms.ModelForm[Task]
else:
    TaskModelForm = forms.ModelForm


class TaskForm(TaskModelForm):
    """A task with its upstreams; `spec` is what it says in the words of config.json, once it is valid."""

    depends_on = forms.ModelMultipleChoiceField(
        Task.objects.all(),
        required=False,
        label=_("Depends on"),
        help_text=_("Tasks that have to end before this one starts. Type to search."),
    )
    env = EnvironmentField(
        required=False,
        label=_("Variables"),
        help_text=_("_ENV_FILE names a dotenv file. Empty rows are left out."),
    )
    notify = PrettyJSONField(
        required=False,
        initial=list,
        label=_("Rules"),
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 8, "class": "s-mono", "spellcheck": "false"}),
        help_text=_("A JSON list of rules with triggers, threshold and channels."),
    )
    tags = TagsField(
        required=False,
        label=_("Tags"),
        widget=UnfoldAdminTextInputWidget(),
        help_text=_("Separated by commas."),
    )
    deadline = DeadlineField(
        required=False,
        label=_("Deadline"),
        widget=UnfoldAdminTextInputWidget(),
        help_text=_("HH:MM, by which it should have succeeded, or seconds without a success; empty: none."),
    )

    seen_revision = forms.IntegerField(required=False, label="", widget=forms.HiddenInput)

    class Meta:
        model = Task
        fields = list(FIELDS.values())

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.spec: TaskSpec | None = None
        for make in _rules_fields:
            self.fields["notify"] = make(self.instance)
        own = self.instance.pk
        self.fields["depends_on"].widget = UpstreamsWidget(excluded=own)
        self.fields["depends_on"].widget.choices = self.fields["depends_on"].choices  # type: ignore[attr-defined]
        if own:
            self.initial.setdefault("depends_on", list(self.instance.upstreams.order_by("task_id")))
        self.fields["seen_revision"].initial = self.instance.revision_id
        self.fields["schedule"].widget = ScheduleWidget()
        self.fields["timezone"].widget = ZoneWidget()
        for field in self.fields.values():
            field.initial = plain(field.initial)
        self.initial = {name: plain(value) for name, value in self.initial.items()}
        command = self.fields["command"].widget
        command.attrs["class"] = f"{command.attrs.get('class', '')} s-mono"
        command.attrs["spellcheck"] = "false"
        self.fields["command"].help_text = escape(self.fields["command"].help_text)
        self.fields["command"].widget.attrs["rows"] = 3
        self.fields["description"].widget.attrs["rows"] = 3

    def clean(self) -> dict[str, Any]:
        """Ask the validator of config.json and the graph; each problem stands beside its field, all in one round.

        The graph stays locked until the transaction of the page ends, so what is checked is what is saved.
        """
        cleaned = super().clean() or self.cleaned_data
        data = self._wire_data(cleaned)
        spec: TaskSpec | None = None
        try:
            # What a field has refused itself is missing; the rest is judged nevertheless.
            spec = validate_task(data, partial=bool(self.errors))
        except ConfigError as error:
            self.show_problems(error.problems)
        self.show_problems(self._graph_problems(data))
        self._look_for_other_edits(cleaned.get("seen_revision"))
        if spec is not None and not self.errors:
            self.spec = spec
        if "schedule" in self.errors:
            self.fields["schedule"].widget.attrs["hx-trigger"] = WHILE_TYPED  # it is said already
        return cleaned

    def _graph_problems(self, data: dict[str, Any]) -> list[ConfigProblem]:
        """Return what is wrong with id and upstreams among all tasks, of those of the two that are sound."""
        task = self.instance if self.instance.pk else None
        refused = set(self.errors)
        task_id = data["task_id"] if "task_id" not in refused else task.task_id if task else None
        if task_id is None:
            return []
        upstreams = data["task_dependencies"] if "depends_on" not in refused else []
        lock_graph()
        spec = cast("TaskSpec", {**data, "task_id": task_id, "task_dependencies": upstreams})
        found = [problem for _index, problem in find_problems([Definition(task, spec)])]
        return [problem for problem in found if field_of(problem) not in refused]

    def _look_for_other_edits(self, seen: int | None) -> None:
        """Refuse once what would undo an edit that somebody saved since the form was opened."""
        if self.instance.pk is None or seen is None:
            return
        stored = Task.objects.filter(pk=self.instance.pk).select_related("revision").first()
        current = None if stored is None else stored.revision
        before = TaskRevision.objects.filter(task=self.instance.pk, pk=seen).first()
        if current is None or before is None or current == before:
            return
        was = cast(
            "TaskSpec", {**current.spec, **before.spec}
        )  # of fields that are younger, what they are now
        changes = diff_spec(was, cast("TaskSpec", current.spec))
        names = ", ".join(str(self.fields[FORM_FIELDS[change.field]].label) for change in changes)
        said = _(
            "Somebody has changed this task since you opened the form (%(fields)s). Save again to put what stands "
            "here in its place."
        )
        self.add_error(None, ValidationError(said, params={"fields": names}))
        self.data = data = self.data.copy()  # type: ignore[attr-defined]
        data[self.add_prefix("seen_revision")] = str(current.pk)

    def show_problems(self, problems: list[ConfigProblem]) -> None:
        """Put each problem beside the field it is about."""
        for problem in problems:
            field = field_of(problem)
            known = field if field in self.fields else None
            label = str(self.fields[known].label) if known else ""
            self.add_error(known, ValidationError(told_beside(problem, label)))

    def _wire_data(self, cleaned: dict[str, Any]) -> dict[str, Any]:
        """Return the words of config.json for the fields that are sound."""
        data = {wire: plain(cleaned[name]) for wire, name in FIELDS.items() if name in cleaned}
        if data.get("task_notify", []) is None:
            data["task_notify"] = []
        if "depends_on" in cleaned:
            data["task_dependencies"] = [task.task_id for task in cleaned["depends_on"]]
        return data

    def _post_clean(self) -> None:
        """Leave the instance alone: the service writes it, and the validator has judged."""

    def save(self, commit: bool = True) -> Task:
        """Return the instance untouched; `save_task` writes."""
        return self.instance

    def _save_m2m(self) -> None:
        """Edges are written by the service too."""

    save_m2m = _save_m2m


def field_of(problem: ConfigProblem) -> str | None:
    """Return the field that a problem is about."""
    match = FIRST_WORD.match(problem.path)
    return FORM_FIELDS.get(match[0]) if match else None


def told_beside(problem: ConfigProblem, label: str) -> str:
    """Return a problem in the words of a form: its field by the label, items counted from 1, and null as empty."""
    match = FIRST_WORD.match(problem.path)
    inner = problem.path[match.end() :].lstrip(".") if match else problem.path
    said = problem.message
    if match and label:
        # A function, because a label may hold what a template of `re` would understand.
        wire = re.compile(rf"\b{match[0]}\b(?:\[(\d+)\])?")
        said = wire.sub(lambda found: f"{label} #{int(found[1]) + 1}" if found[1] else label, said, count=1)
    text = retold(OR_NULL.sub(r"\1 or empty", said))
    is_told = inner.strip("[]") in problem.message or problem.path.startswith("task_dependencies")
    return text if is_told else f"{inner}: {text}"


def plain(value: Any) -> Any:
    """Return a whole number as one."""
    return int(value) if isinstance(value, float) and value.is_integer() else value
