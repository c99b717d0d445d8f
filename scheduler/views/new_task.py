"""A new task from a template: name, schedule and kind of script, and it can run."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.text import capfirst
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from scheduler.config_file import ConfigError, ConfigProblem, validate_task
from scheduler.exceptions import ConflictError
from scheduler.forms.fields import TagsField
from scheduler.forms.task import field_of, plain, told_beside
from scheduler.models import Task
from scheduler.services.scripts import COMMANDS, FILES, TEXTS, create_from_template
from scheduler.views.frame import now, page, require
from scheduler.wording.reasons import told_error


class NewTaskForm(forms.Form):
    """What a new task needs at least; the validator of config.json judges the values."""

    kind = forms.ChoiceField(
        choices=[("python", "Python"), ("shell", gettext_lazy("Shell"))],
        initial="python",
        widget=forms.RadioSelect,
    )
    task_id = forms.CharField(max_length=64)
    name = forms.CharField(max_length=200)
    schedule = forms.CharField(max_length=255, required=False)
    timezone = forms.CharField(max_length=64, required=False)
    tags = TagsField(required=False)
    timeout = forms.FloatField(required=False)

    def add_problems(self, problems: list[ConfigProblem]) -> None:
        """Attach each problem to its field."""
        for problem in problems:
            field = field_of(problem)
            known = field if field in self.fields else None
            label = capfirst(str(Task._meta.get_field(known).verbose_name)) if known else ""  # type: ignore[union-attr]  # a field with a column
            self.add_error(known, told_beside(problem, label))


def new_task(request: HttpRequest) -> HttpResponse:
    """Ask for the little that a new task needs, and make it with its script."""
    require(request, "add_task", "change_task")
    form = NewTaskForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        data = form.cleaned_data
        try:
            spec = validate_task(
                {
                    "task_id": data["task_id"],
                    "task_name": data["name"],
                    "task_exec": COMMANDS[data["kind"]],
                    "task_schedule": data["schedule"],
                    "task_timezone": data["timezone"],
                    "task_tags": data["tags"],
                    "task_timeout": plain(data["timeout"]),
                }
            )
            user: Any = request.user
            task = create_from_template(spec, kind=data["kind"], user=user, now=now())
        except ConfigError as error:
            form.add_problems(error.problems)
        except ConflictError as error:
            form.add_error("task_id", told_error(error))
        else:
            path = f"tasks/{task.task_id}/{FILES[data['kind']]}"
            text = _("%(task)s was created. Its script is %(path)s.") % {"task": task.name, "path": path}
            messages.success(request, text)
            return HttpResponseRedirect(reverse("admin:scheduler_task_page", args=[task.pk]))
    context = {
        "title": _("New task"),
        "form": form,
        "chosen": form["kind"].value() or "python",
        "kinds": [(kind, FILES[kind], text) for kind, text in TEXTS.items()],
    }
    return page(request, "scheduler/new_task.html", context)
