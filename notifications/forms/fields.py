"""The rules of a task as a form field."""

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

from notifications.channels.drafts import Configs
from notifications.choices import Scope
from notifications.forms.drafts import RuleDraft, configs_of, draft_of, posted_drafts
from notifications.models import NotificationRule
from scheduler.models import Task


class RulesWidget(forms.Widget):
    """The editor of rules, in a vertical list."""

    field: RulesField

    def render(self, name: str, value: Any, attrs: Any = None, renderer: Any = None) -> SafeString:
        """Render with the project's template engine, which the form renderer does not use."""
        context = {"drafts": value or [], "task_pk": self.field.task.pk, "is_listed": True, "may_test": True}
        return SafeString(render_to_string("notifications/_rules_field.html", context))

    def value_from_datadict(self, data: Any, files: Any, name: str) -> list[RuleDraft] | None:
        """Return the submitted rules, or None when the form did not include them."""
        return posted_drafts(data, self.field.configs) if "rules_shown" in data else None

    def value_omitted_from_data(self, data: Any, files: Any, name: str) -> bool:
        """Return False: a form without rules submits an empty list."""
        return False


class RulesField(forms.Field):
    """The rules of one task; errors are rendered next to their own inputs inside the editor."""

    widget = RulesWidget

    def __init__(self, task: Task) -> None:
        super().__init__(required=False, label=gettext_lazy("Rules"))
        self.task = task
        self.widget.field = self
        self.checked: list[RuleDraft] | None = None
        self.result: list[dict[str, Any]] | None = None

    @cached_property
    def rows(self) -> Sequence[NotificationRule]:
        """The stored rules in order."""
        if self.task._state.adding:
            return []
        rules = NotificationRule.objects.filter(task=self.task, scope=Scope.TASK)
        return list(rules.order_by("position", "pk").prefetch_related("channels"))

    @cached_property
    def configs(self) -> Configs:
        """Stored channels whose secrets may be kept."""
        return configs_of(self.rows)

    def bound_data(self, data: Any, initial: Any) -> Any:
        """Return the submitted drafts with their errors."""
        return self.checked if self.checked is not None else data

    def prepare_value(self, value: Any) -> list[RuleDraft]:
        """Return drafts; those of the stored rules if nothing was submitted."""
        if self.checked is not None:
            return self.checked
        return [draft_of(rule, number=number) for number, rule in enumerate(self.rows)]

    def clean(self, value: list[RuleDraft] | None) -> list[dict[str, Any]]:
        """Return the rules in `task_notify` format.

        Raises:
            ValidationError: a rule is invalid; the drafts hold the errors.
        """
        if value is None:
            self.result = list(self.task.notify)
            return self.result
        self.checked = value
        found = [draft.check(self.configs) for draft in value]
        for draft in value:
            draft.is_open = draft.is_refused
        if any(draft.is_refused for draft in value):
            raise ValidationError(_("Not saved. Fix the rule fields marked below."))
        self.result = [spec for spec in found if spec is not None]
        return self.result

    def has_changed(self, initial: Any, data: Any) -> bool:
        """Compare the normal forms of the rules."""
        return self.result is None or bool((initial or []) != self.result)
