"""The task form: it builds a config.json task and has the common validator check it."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

from django import forms
from django.core.exceptions import ValidationError
from django.utils.html import escape
from django.utils.translation import gettext_lazy as _
from unfold.widgets import (
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
)

from scheduler.config_file import ConfigError, ConfigProblem, TaskSpec, diff_spec, validate_task
from scheduler.config_file.reasons import Code
from scheduler.engine.reasons import Reason, as_reason
from scheduler.forms.fields import (
    WHILE_TYPED,
    DeadlineField,
    EnvironmentField,
    ExitCodesField,
    LinesField,
    LinesWidget,
    PrettyJSONField,
    ScheduleWidget,
    TagsField,
    UpstreamsField,
    UpstreamsWidget,
    ZoneWidget,
)
from scheduler.models import Task, TaskRevision
from scheduler.services.locks import lock_graph
from scheduler.services.tasks import Definition, find_problems
from scheduler.task_mapping import FIELDS
from scheduler.wording.reasons import told

FORM_FIELDS = {**FIELDS, "task_dependencies": "depends_on"}
WITH_DEFAULT = ("task_notify", "task_max_waiting", "task_shell")  # fields whose empty input means the default
FIRST_WORD = re.compile(r"^\w+")
#: Replacements of schema terms in form errors: null is an empty field.
OF_FORM = {
    "a local time HH:MM, a number of seconds above 0 up to 31536000, or null": (
        "a local time HH:MM, a number of seconds above 0 up to 31536000, or empty"
    ),
}

_rules_fields: list[Callable[[Task], forms.Field]] = []


def use_rules_field(make: Callable[[Task], forms.Field]) -> None:
    """Use the field returned by `make` to edit rules in the task form, instead of JSON."""
    _rules_fields[:] = [make]


if TYPE_CHECKING:
    TaskModelForm = forms.ModelForm[Task]
else:
    TaskModelForm = forms.ModelForm


class TaskForm(TaskModelForm):
    """A task with its upstreams; `spec` is the valid task in config.json format."""

    depends_on = UpstreamsField(
        Task.objects.all(),
        required=False,
        label=_("Depends on"),
        help_text=_("Tasks that must end before this one starts. Type to search."),
    )
    command = LinesField(
        label=_("Command"),
        widget=LinesWidget(attrs={"class": "s-mono", "spellcheck": "false"}),
        help_text=_("Run by the shell in the task's own folder below tasks/ if there is one."),
    )
    description = LinesField(required=False, label=_("Description"))
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
        help_text=_(
            "HH:MM by which it should have succeeded, or the maximum number of seconds without a success; empty: "
            "none."
        ),
    )

    exit_codes = ExitCodesField(
        required=False,
        label=_("Exit codes"),
        help_text=_(
            "Codes and ranges, such as 0, 64-78. For other codes: 0 is a success, 1 a business failure, all "
            "others technical failures."
        ),
    )
    max_waiting = forms.IntegerField(
        required=False,
        label=_("At most waiting"),
        initial=100,
        widget=UnfoldAdminIntegerFieldWidget(),
        help_text=_("Executions that may wait when the overlap is “queue”; empty: 100."),
    )
    shell = forms.CharField(
        required=False,
        label=_("Shell"),
        initial="/bin/sh",
        widget=UnfoldAdminTextInputWidget(attrs={"class": "s-mono", "spellcheck": "false"}),
        help_text=_("Runs the command, such as /bin/bash; empty: /bin/sh."),
    )
    python = forms.CharField(
        required=False,
        label=_("Python"),
        widget=UnfoldAdminTextInputWidget(attrs={"class": "s-mono", "spellcheck": "false"}),
        help_text=_(
            "What “python” means: an interpreter, or the folder of a virtual environment such as .venv in the folder "
            "of the task; empty: the interpreter of Schedsite."
        ),
    )
    encoding = forms.CharField(
        required=False,
        label=_("Encoding of the output"),
        widget=UnfoldAdminTextInputWidget(attrs={"class": "s-mono", "spellcheck": "false"}),
        help_text=_("Such as gb18030 or shift_jis; empty: UTF-8."),
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
        self.fields["depends_on"].widget.choices = self.fields["depends_on"].choices  # type: ignore[attr-defined]  # of a choice field
        if own:
            self.initial.setdefault("depends_on", list(self.instance.upstreams.order_by("task_id")))
        self.fields["seen_revision"].initial = self.instance.revision_id
        self.fields["schedule"].widget = ScheduleWidget()
        self.fields["timezone"].widget = ZoneWidget()
        for field in self.fields.values():
            field.initial = plain(field.initial)
        self.initial = {name: plain(value) for name, value in self.initial.items()}
        self.fields["command"].help_text = escape(self.fields["command"].help_text)

    def clean(self) -> dict[str, Any]:
        """Validate the task and the graph; each problem is attached to its field, all in one pass.

        The graph stays locked until the end of the request's transaction, so the checked state is the saved one.
        """
        cleaned = super().clean() or self.cleaned_data
        data = self._wire_data(cleaned)
        spec: TaskSpec | None = None
        try:
            # Fields with errors of their own are missing; validate the others nevertheless.
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
        """Return the problems of id and upstreams among all tasks, of whichever of the two is valid."""
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
        """Reject the first save if the task changed since the form was opened."""
        if self.instance.pk is None or seen is None:
            return
        stored = Task.objects.filter(pk=self.instance.pk).select_related("revision").first()
        current = None if stored is None else stored.revision
        before = TaskRevision.objects.filter(task=self.instance.pk, pk=seen).first()
        if current is None or before is None or current == before:
            return
        was = cast(
            "TaskSpec", {**current.spec, **before.spec}
        )  # fields added later have their present values
        changes = diff_spec(was, cast("TaskSpec", current.spec))
        names = ", ".join(str(self.fields[FORM_FIELDS[change.field]].label) for change in changes)
        said = _(
            "This task was changed after you opened the form (%(fields)s). Save again to overwrite those changes."
        )
        self.add_error(None, ValidationError(said, params={"fields": names}))
        self.data = data = self.data.copy()  # type: ignore[attr-defined]  # a QueryDict
        data[self.add_prefix("seen_revision")] = str(current.pk)

    def show_problems(self, problems: list[ConfigProblem]) -> None:
        """Attach each problem to its field."""
        for problem in problems:
            field = field_of(problem)
            known = field if field in self.fields else None
            label = str(self.fields[known].label) if known else ""
            self.add_error(known, ValidationError(told_beside(problem, label)))

    def _wire_data(self, cleaned: dict[str, Any]) -> dict[str, Any]:
        """Return the valid fields in config.json format."""
        data = {wire: self._value(name, cleaned[name]) for wire, name in FIELDS.items() if name in cleaned}
        for wire in WITH_DEFAULT:
            if data.get(wire) in (None, ""):
                data.pop(wire, None)
        if "depends_on" in cleaned:
            data["task_dependencies"] = [task.task_id for task in cleaned["depends_on"]]
        return data

    def _value(self, name: str, cleaned: Any) -> Any:
        """Return the value of a field; stripped whitespace around a stored text is not a change."""
        stored = getattr(self.instance, name)
        if isinstance(cleaned, str) and isinstance(stored, str) and stored.strip() == cleaned:
            return stored
        return plain(cleaned)

    def _post_clean(self) -> None:
        """Leave the instance unchanged: the service writes it, and the validator has checked it."""

    def save(self, commit: bool = True) -> Task:
        """Return the instance unchanged; `save_task` writes it."""
        return self.instance

    def _save_m2m(self) -> None:
        """No-op: the service writes the edges."""

    save_m2m = _save_m2m


def field_of(problem: ConfigProblem) -> str | None:
    """Return the field of a problem."""
    match = FIRST_WORD.match(problem.path)
    return FORM_FIELDS.get(match[0]) if match else None


def told_beside(problem: ConfigProblem, label: str) -> str:
    """Return a problem in form terms: the label of the field, items counted from 1, and null as empty."""
    match = FIRST_WORD.match(problem.path)
    inner = problem.path[match.end() :].lstrip(".") if match else problem.path
    reason = as_reason(problem.why)
    text = told(_of_form(reason, match[0], label) if match and label else _of_form(reason, "", ""))
    is_told = inner.strip("[]") in problem.message or problem.path.startswith("task_dependencies")
    return text if is_told else f"{inner}: {text}"


def _of_form(value: Any, wire: str, label: str) -> Any:
    """Return a reason or a reason's value in form terms; `wire` is the config.json name of the labelled field."""
    if isinstance(value, list):
        return [_of_form(part, wire, label) for part in value]
    if not isinstance(value, Reason):
        return OF_FORM.get(value, value) if isinstance(value, str) else value
    if value.code == Code.NULL:
        return Reason(Code.EMPTY)
    params = {name: _of_form(part, wire, label) for name, part in value.params.items()}
    field = params.get("field")
    if label and isinstance(field, str) and field.partition("[")[0] == wire:
        place = field.removeprefix(wire).strip("[]")
        params["field"] = f"{label} #{int(place) + 1}" if place.isdigit() else label
    return Reason(value.code, params)


def plain(value: Any) -> Any:
    """Return a float with an integral value as int."""
    return int(value) if isinstance(value, float) and value.is_integer() else value
