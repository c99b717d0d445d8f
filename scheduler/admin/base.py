"""Base classes of the model admins, which handle manipulated input without server errors."""

from __future__ import annotations

from typing import Any

from django.contrib.admin.options import IncorrectLookupParameters
from django.core.exceptions import BadRequest, FieldDoesNotExist, PermissionDenied, ValidationError
from django.db import DataError, ProgrammingError
from django.forms import ModelMultipleChoiceField
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from unfold.admin import ModelAdmin
from unfold.views import ChangeList

from scheduler.admin.requests import with_keys_only


class CheckedChangeList(ChangeList):
    """A change list that treats an impossible filter value as an invalid lookup instead of failing."""

    def get_results(self, request: HttpRequest) -> None:
        """Fetch the rows of the page.

        Raises:
            IncorrectLookupParameters: the database rejects a value; the admin shows the list unfiltered.
        """
        try:
            super().get_results(request)
        except (ValueError, TypeError, OverflowError, DataError, ProgrammingError, ValidationError) as error:
            raise IncorrectLookupParameters(error) from error


class SiteModelAdmin(ModelAdmin):
    """Base of all model admins."""

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        """Return the change list that validates its filters."""
        return CheckedChangeList

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """Show the list, or apply an action to the selected rows; invalid keys are ignored."""
        if request.method == "POST":
            request.POST = with_keys_only(request.POST)  # type: ignore[assignment]  # a mutable copy
        return super().changelist_view(request, extra_context)

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        """Refuse regular expressions: a wrong one is an error of the database, and another may take hours there."""
        if lookup.endswith(("__regex", "__iregex")):
            return False
        return bool(super().lookup_allowed(lookup, value, request))

    def to_field_allowed(self, request: HttpRequest, to_field: str) -> bool:
        """Refuse the names of relations from other models, at which Django fails.

        Source: `ModelAdmin.to_field_allowed` of Django 5.2.
        """
        is_field = to_field in {field.name for field in self.opts.concrete_fields}
        return is_field and bool(super().to_field_allowed(request, to_field))

    def history_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> HttpResponse:
        """Show the history of a row; users without view permission cannot probe which rows exist."""
        if not self.has_view_or_change_permission(request):
            raise PermissionDenied
        return super().history_view(request, object_id, extra_context)

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        """Return the initial values of a new form from the query string.

        Raises:
            BadRequest: a value is invalid for its field.
        """
        initial: dict[str, Any] = super().get_changeform_initial_data(request)
        fields = self.get_form(request).base_fields
        for name in initial.keys() & fields.keys():
            if isinstance(fields[name], ModelMultipleChoiceField) and isinstance(initial[name], str):
                initial[name] = [key for key in initial[name].split(",") if key]
            _check_initial(name, fields[name], initial[name])
        return initial


def _check_initial(name: str, field: Any, value: Any) -> None:
    try:
        if value not in ("", []):
            field.clean(value)
    except (ValidationError, ValueError, OverflowError, FieldDoesNotExist, DataError) as error:
        found = str(value)[:80]
        raise BadRequest(
            _("Invalid value “%(found)s” for “%(field)s”.") % {"found": found, "field": name}
        ) from error
