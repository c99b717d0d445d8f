"""Pages of accounts, roles and keys to the API."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin as StockGroupAdmin
from django.contrib.auth.admin import UserAdmin as StockUserAdmin
from django.contrib.auth.models import Group, User
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext, pgettext_lazy
from unfold.admin import ModelAdmin
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from scheduler.admin.read_only import ReadOnlyAdmin
from scheduler.models import ApiToken
from scheduler.views.new_token import new_token

ROLES = (
    pgettext_lazy("role", "Admin"),
    pgettext_lazy("role", "Editor"),
    pgettext_lazy("role", "Operator"),
    pgettext_lazy("role", "Viewer"),
)
"""Names of the roles that come with the site: only shown in the language of the reader, for they are known by them."""


def role_name(group: Group) -> str:
    """Return the name of a role in the language of the reader; of one that people made, as it is."""
    return pgettext("role", group.name) if group.name else ""


@admin.register(ApiToken)
class ApiTokenAdmin(ReadOnlyAdmin):
    """Tokens: everybody makes their own; those of all are seen and revoked."""

    list_display = ["__str__", "user", "created_at", "last_used_at", "expires_at"]
    fields = ["user", "name", "created_at", "last_used_at", "expires_at"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        """As the account may."""
        return bool(request.user.has_perm("scheduler.add_apitoken"))

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Make a token of the person who asks."""
        return new_token(request)


admin.site.unregister(User)
admin.site.unregister(Group)


@admin.register(User)
class UserAdmin(StockUserAdmin, ModelAdmin):  # type: ignore[type-arg]
    """Accounts."""

    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm

    def formfield_for_manytomany(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """Name the roles in the language of the reader."""
        field = super().formfield_for_manytomany(db_field, request, **kwargs)
        if db_field.name == "groups" and field is not None:
            setattr(field, "label_from_instance", role_name)  # noqa: B010 - it has no other hook
        return field


@admin.register(Group)
class GroupAdmin(StockGroupAdmin, ModelAdmin):
    """Roles."""

    list_display = ["role"]

    @admin.display(description=_("name"), ordering="name")
    def role(self, group: Group) -> str:
        """Return the name that is shown."""
        return role_name(group)

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """Leave out the rows that only link a role with its members and permissions: they have no names."""
        told, _counts, lacking, protected = super().get_deleted_objects(objs, request)
        roles = [line for line in told if isinstance(line, str)]
        return roles, {Group._meta.verbose_name_plural: len(roles)}, lacking, protected
