"""The rules of a task as a field of its form."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.template.loader import render_to_string
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from notifications.choices import Scope
from notifications.drafts import Configs, RuleDraft, configs_of, draft_of, posted_drafts
from notifications.models import NotificationRule
from scheduler.models import Task


class RulesWidget(forms.Widget):
    """The editor of rules, one below the other."""

    field: RulesField

    def render(self, name: str, value: Any, attrs: Any = None, renderer: Any = None) -> SafeString:
        """Render with the templates of the project, where those of forms are not looked for."""
        context = {"drafts": value or [], "task_pk": self.field.task.pk, "is_listed": True, "may_test": True}
        return SafeString(render_to_string("notifications/_rules_field.html", context))

    def value_from_datadict(self, data: Any, files: Any, name: str) -> list[RuleDraft] | None:
        """Return the rules as they were typed, or None when the form did not show them."""
        return posted_drafts(data, self.field.configs) if "rules_shown" in data else None

    def value_omitted_from_data(self, data: Any, files: Any, name: str) -> bool:
        """A form without rules has none."""
        return False


class RulesField(forms.Field):
    """The rules of one task; what is refused stands beside its own field inside the editor."""

    widget = RulesWidget

    def __init__(self, task: Task) -> None:
        super().__init__(required=False, label=gettext_lazy("Rules"))
        self.task = task
        self.widget.field = self
        self.checked: list[RuleDraft] | None = None
        self.result: list[dict[str, Any]] | None = None

    @cached_property
    def rows(self) -> Sequence[NotificationRule]:
        """The stored rules in their order."""
        if self.task._state.adding:
            return []
        rules = NotificationRule.objects.filter(task=self.task, scope=Scope.TASK)
        return list(rules.order_by("position", "pk").prefetch_related("channels"))

    @cached_property
    def configs(self) -> Configs:
        """The stored channels whose secrets may be kept."""
        return configs_of(self.rows)

    def bound_data(self, data: Any, initial: Any) -> Any:
        """Return what was typed, with what was found wrong with it."""
        return self.checked if self.checked is not None else data

    def prepare_value(self, value: Any) -> list[RuleDraft]:
        """Return drafts; those of the stored rules as long as nothing was typed."""
        if self.checked is not None:
            return self.checked
        return [draft_of(rule, number=number) for number, rule in enumerate(self.rows)]

    def clean(self, value: list[RuleDraft] | None) -> list[dict[str, Any]]:
        """Return the rules in the words of task_notify.

        Raises:
            ValidationError: some are refused; the drafts say why.
        """
        if value is None:
            self.result = list(self.task.notify)
            return self.result
        self.checked = value
        found = [draft.check(self.configs) for draft in value]
        for draft in value:
            draft.is_open = draft.is_refused
        if any(draft.is_refused for draft in value):
            raise ValidationError(_("Not saved: what is wrong with the rules stands beside their fields."))
        self.result = [spec for spec in found if spec is not None]
        return self.result

    def has_changed(self, initial: Any, data: Any) -> bool:
        """Compare what the rules say."""
        return self.result is None or bool((initial or []) != self.result)
