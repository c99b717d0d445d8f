"""Custom fields of the task form."""

from __future__ import annotations

import json
import re
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin
from django.contrib.admin.widgets import AutocompleteSelectMultiple
from django.core.exceptions import ValidationError
from django.template.loader import render_to_string
from django.urls import reverse_lazy
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from unfold.widgets import UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget

from scheduler.choices import BY_EXIT_CODE
from scheduler.config_file.line_breaks import with_lf
from scheduler.engine.exit_codes import NO_RETRY, OUTCOMES
from scheduler.models import TaskDependency

WHILE_TYPED = "input changed delay:250ms, input from:#id_timezone delay:250ms"


class PrettyJSONField(forms.JSONField):
    """JSON, shown indented and without ASCII escapes."""

    def prepare_value(self, value: Any) -> Any:
        """Return text; submitted text unchanged."""
        if isinstance(value, str):
            return value
        return json.dumps(value, ensure_ascii=False, indent=2)


class TagsField(forms.CharField):
    """A comma-separated list of words."""

    def prepare_value(self, value: Any) -> Any:
        """Return the words joined by commas."""
        return ", ".join(value) if isinstance(value, list) else value

    def to_python(self, value: Any) -> list[str]:  # type: ignore[override]  # not the type of the base class
        """Return the distinct words."""
        words = re.split(r"[,，]", value or "")
        return list(dict.fromkeys(word.strip() for word in words if word.strip()))

    def has_changed(self, initial: Any, data: Any) -> bool:
        """Compare words, not text."""
        return bool(list(initial or []) != self.to_python(data))


class DeadlineField(forms.CharField):
    """``HH:MM``, a number of seconds, or empty."""

    def to_python(self, value: Any) -> str | float | None:  # type: ignore[override]  # not the type of the base class
        """Return a number if the text is one."""
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
    """Variables as rows of name and value, with an initial empty row."""

    template_name = "scheduler/widgets/environment.html"

    def render(self, name: str, value: Any, attrs: Any = None, renderer: Any = None) -> SafeString:
        """Render with the project's template engine, which the form renderer does not use."""
        return SafeString(render_to_string(self.template_name, self.get_context(name, value, attrs)))

    def get_context(self, name: str, value: Any, attrs: dict[str, Any] | None) -> dict[str, Any]:
        """Add the rows."""
        context = super().get_context(name, None, attrs)
        pairs = list(value.items()) if isinstance(value, dict) else list(value or [])
        context["widget"]["rows"] = [*pairs, ("", "")]
        return context

    def value_from_datadict(self, data: Any, files: Any, name: str) -> list[tuple[str, str]]:
        """Return the submitted rows."""
        names, values = data.getlist(f"{name}_name"), data.getlist(f"{name}_value")
        return [(key, value) for key, value in zip(names, values, strict=False) if key or value]

    def value_omitted_from_data(self, data: Any, files: Any, name: str) -> bool:
        """Return False: a form without rows submits no variables."""
        return False


class EnvironmentField(forms.Field):
    """A mapping of strings to strings; the validator of config.json checks the names."""

    widget = EnvironmentWidget

    def clean(self, value: Any) -> dict[str, str]:
        """Return the variables.

        Raises:
            ValidationError: a value has no name, or a name is repeated.
        """
        found: dict[str, str] = {}
        for name, text in value or []:
            key = name.strip()
            if not key:
                raise ValidationError(_("The value “%(value)s” has no name."), params={"value": text[:80]})
            if key in found:
                raise ValidationError(_("The name %(name)s comes twice."), params={"name": key})
            found[key] = with_lf(text)
        return found

    def has_changed(self, initial: Any, data: Any) -> bool:
        """Compare names and values, not rows."""
        return bool(with_lf(dict(initial or {})) != with_lf(dict(data or [])))


class ScheduleWidget(UnfoldAdminTextInputWidget):
    """A cron expression, with a live explanation below it."""

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
        """Add the container for the explanation."""
        return format_html(
            '{}<div id="schedule-hint" aria-live="polite"></div>', super().render(*args, **kwargs)
        )


class ZoneWidget(UnfoldAdminTextInputWidget):
    """A time zone, with completion of the known names."""

    def __init__(self) -> None:
        default = _("Server default (%(zone)s)") % {"zone": settings.SCHEDULER_TIME_ZONE}
        super().__init__(attrs={"list": "zones", "placeholder": default, "autocomplete": "off"})

    def render(self, *args: Any, **kwargs: Any) -> SafeString:
        """Add the datalist of names."""
        return format_html("{}{}", super().render(*args, **kwargs), render_to_string("scheduler/_zones.html"))


class UpstreamsWidget(AutocompleteSelectMultiple):
    """Task search; excludes the task itself."""

    def __init__(self, excluded: int | None = None) -> None:
        super().__init__(TaskDependency._meta.get_field("upstream"), admin.site)
        self.excluded = excluded

    def get_url(self) -> str:
        """Return the search URL."""
        url = super().get_url()
        return f"{url}?exclude={self.excluded}" if self.excluded else url

    def optgroups(self, name: str, value: Any, attr: Any = None) -> Any:
        """Look up only valid keys; the field rejects the others."""
        return super().optgroups(name, [str(one) for one in value if _is_key(str(one))], attr)


class UpstreamsField(forms.ModelMultipleChoiceField):  # type: ignore[type-arg]  # the stubs want a type argument that Django does not take
    """Tasks by primary key; impossible keys are rejected before a query."""

    def clean(self, value: Any) -> Any:
        """Return the tasks."""
        for one in value or ():
            if not _is_key(str(one)):
                params = {"pk": str(one)[:80]}
                raise ValidationError(
                    self.error_messages["invalid_pk_value"], code="invalid_pk_value", params=params
                )
        return super().clean(value)


def _is_key(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 19


class LinesWidget(UnfoldAdminTextareaWidget):
    """Three lines initially. The theme's template lacks the line break that HTML strips from a textarea."""

    template_name = "django/forms/widgets/textarea.html"

    def __init__(self, attrs: dict[str, Any] | None = None) -> None:
        super().__init__(attrs={"rows": 3, **(attrs or {})})


class LinesField(forms.CharField):
    """Multi-line text, kept verbatim with LF line endings."""

    widget = LinesWidget

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(strip=False, **kwargs)

    def to_python(self, value: Any) -> str:
        """Return the text without the CRs added by browsers."""
        return str(with_lf(super().to_python(value)))

    def has_changed(self, initial: Any, data: Any) -> bool:
        """Compare lines, ignoring their line endings."""
        return super().has_changed(with_lf(initial), data)


EXIT_CODE_LABELS = {
    **{status.value: status.label for status in BY_EXIT_CODE},
    NO_RETRY: _("Not tried again"),
}


class ExitCodesWidget(forms.Widget):
    """One input of codes per outcome."""

    template_name = "scheduler/widgets/exit_codes.html"

    def render(self, name: str, value: Any, attrs: Any = None, renderer: Any = None) -> SafeString:
        """Render with the project's template engine, which the form renderer does not use."""
        return SafeString(render_to_string(self.template_name, self.get_context(name, value, attrs)))

    def get_context(self, name: str, value: Any, attrs: dict[str, Any] | None) -> dict[str, Any]:
        """Add the rows: name of the input, label, and the codes as text."""
        context = super().get_context(name, None, attrs)
        given = value or {}
        context["widget"]["rows"] = [
            (f"{name}_{key}", EXIT_CODE_LABELS[key], ", ".join(map(str, given.get(key, ()))))
            for key in (*OUTCOMES, NO_RETRY)
        ]
        return context

    def value_from_datadict(self, data: Any, files: Any, name: str) -> dict[str, list[int | str]]:
        """Return the non-empty lists; invalid numbers stay text, for the validator to reject."""
        typed = {key: re.split(r"[,，;\s]+", data.get(f"{name}_{key}", "")) for key in (*OUTCOMES, NO_RETRY)}
        codes = {key: [_code(part) for part in parts if part] for key, parts in typed.items()}
        return {key: items for key, items in codes.items() if items}

    def value_omitted_from_data(self, data: Any, files: Any, name: str) -> bool:
        """Return False: a form without these inputs submits no codes."""
        return False


def _code(text: str) -> int | str:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else text


class ExitCodesField(forms.Field):
    """A mapping of outcomes to lists of exit codes; the validator of config.json checks the codes."""

    widget = ExitCodesWidget

    def clean(self, value: Any) -> dict[str, list[int | str]]:
        """Return the lists as submitted."""
        return value or {}

    def has_changed(self, initial: Any, data: Any) -> bool:
        """Compare codes regardless of the key order; an empty list equals a missing one."""
        return {key: items for key, items in (initial or {}).items() if items} != (data or {})
