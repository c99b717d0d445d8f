"""Admin of accounts, roles and API tokens."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from django.apps import apps
from django.contrib import admin, messages
from django.contrib.auth.admin import GroupAdmin as StockGroupAdmin
from django.contrib.auth.admin import UserAdmin as StockUserAdmin
from django.contrib.auth.models import Group, Permission, User
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import path
from django.utils.translation import gettext, gettext_noop, pgettext, pgettext_lazy
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST
from unfold.forms import UserChangeForm, UserCreationForm

from scheduler.admin.base import SiteModelAdmin
from scheduler.admin.read_only import ReadOnlyAdmin
from scheduler.choices import AuditKind, AuditOutcome
from scheduler.models import ApiToken
from scheduler.services import audit, grants
from scheduler.services.origin import origin_of
from scheduler.services.owners import LastOwnerError
from scheduler.views.new_token import new_token
from scheduler.views.passwords import PasswordForm
from scheduler.views.sessions import end_session, sessions_page

ROLES = (
    pgettext_lazy("role", "Admin"),
    pgettext_lazy("role", "Editor"),
    pgettext_lazy("role", "Operator"),
    pgettext_lazy("role", "Viewer"),
)
"""Names of the roles that come with the site: only shown in the language of the reader, for they are known by them."""


def role_name(group: Group) -> str:
    """Return the translated name of a built-in role; other names unchanged."""
    return pgettext("role", group.name) if group.name else ""


ACTS = {
    "add": gettext_noop("Can add %(model)s"),
    "change": gettext_noop("Can change %(model)s"),
    "delete": gettext_noop("Can delete %(model)s"),
    "view": gettext_noop("Can view %(model)s"),
}
OWN_ACTS = (
    gettext_noop("Can cancel executions"),
    gettext_noop("Can run, cancel, resume and pause tasks"),
    gettext_noop("Can send deliveries again"),
    gettext_noop("Can send test messages"),
)
NAMES_OF_MODELS = (gettext_noop("task revision"),)


def permission_name(permission: Permission) -> str:
    """Return a permission with its app, in the language of the reader."""
    kind = permission.content_type
    model = kind.model_class()
    act = ACTS.get(permission.codename.removesuffix(f"_{kind.model}"))
    name = gettext(str(model._meta.verbose_name)) if model is not None else kind.model
    what = gettext(permission.name) if act is None else gettext(act) % {"model": name}
    app = apps.app_configs.get(kind.app_label)
    return f"{gettext(str(app.verbose_name)) if app else kind.app_label} | {what}"


@admin.register(ApiToken)
class ApiTokenAdmin(ReadOnlyAdmin):
    """API tokens: users create their own; administrators list and revoke all."""

    list_display = ["__str__", "user", "created_at", "last_used_at", "expires_at"]
    fields = ["user", "name", "created_at", "last_used_at", "expires_at"]

    def get_urls(self) -> list[Any]:
        """Add the session pages."""
        site = self.admin_site.admin_view
        own = [
            path("sessions/", site(sessions_page), name="scheduler_sessions"),
            path("sessions/end/", site(require_POST(end_session)), name="scheduler_session_end"),
        ]
        return [*own, *super().get_urls()]

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Return whether the user may create tokens."""
        return bool(request.user.has_perm("scheduler.add_apitoken"))

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Create a token for the current user."""
        return new_token(request)


admin.site.unregister(User)
admin.site.unregister(Group)


@admin.register(User)
class UserAdmin(StockUserAdmin, SiteModelAdmin):  # type: ignore[type-arg]  # the stubs want a type argument that Django does not take
    """Accounts. Users cannot change an account with more permissions than theirs, or grant permissions they lack."""

    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = PasswordForm

    def has_change_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        """Return whether the user may change the account; it must not have more permissions."""
        return super().has_change_permission(request, obj) and self._may_manage(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        """Return whether the user may delete the account; it must not have more permissions."""
        return super().has_delete_permission(request, obj) and self._may_manage(request, obj)

    def _may_manage(self, request: HttpRequest, obj: User | None) -> bool:
        return obj is None or grants.may_manage(request.user, obj)

    def get_readonly_fields(self, request: HttpRequest, obj: User | None = None) -> Any:
        """Make superuser status read-only for other users."""
        fields = super().get_readonly_fields(request, obj)
        return fields if request.user.is_superuser else (*fields, "is_superuser")

    def formfield_for_manytomany(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """Offer only roles and permissions that the user has; translate role names."""
        field: Any = super().formfield_for_manytomany(db_field, request, **kwargs)
        if db_field.name == "groups" and field is not None:
            setattr(field, "label_from_instance", role_name)  # noqa: B010 - it has no other hook
            field.queryset = field.queryset.filter(pk__in=grants.grantable_groups(request.user))
        if db_field.name == "user_permissions" and field is not None:
            setattr(field, "label_from_instance", permission_name)  # noqa: B010 - it has no other hook
            field.queryset = field.queryset.filter(pk__in=grants.permissions_of(request.user))
        return field

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        """Show and store an account."""
        return _unless_last(request, lambda: super(UserAdmin, self).changeform_view(request, *args, **kwargs))

    def delete_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        """Ask, then delete an account."""
        return _unless_last(request, lambda: super(UserAdmin, self).delete_view(request, *args, **kwargs))

    def changelist_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        """List accounts, and carry out actions on them."""
        return _unless_last(request, lambda: super(UserAdmin, self).changelist_view(request, *args, **kwargs))

    def user_change_password(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        """Set the password of an account."""
        return _unless_last(
            request, lambda: super(UserAdmin, self).user_change_password(request, *args, **kwargs)
        )


def _unless_last(request: HttpRequest, answer: Callable[[], Any]) -> Any:
    """Return the response, or an error if the last owner would be lost and the transaction was rolled back."""
    if request.method != "POST":
        return answer()
    try:
        with transaction.atomic():
            return answer()
    except LastOwnerError as error:
        audit.record(
            AuditKind.ACCOUNT,
            AuditOutcome.REFUSED,
            account=request.user.get_username(),
            origin=origin_of(request),
            about=str(error),
            now=datetime.now(UTC),
        )
        messages.error(
            request,
            _(
                "The last owner (an active superuser who can log in) cannot be removed. Add another one first."
            ),
        )
        return HttpResponseRedirect(request.get_full_path())


@admin.register(Group)
class GroupAdmin(StockGroupAdmin, SiteModelAdmin):
    """Roles. Users cannot change a role with more permissions than theirs, or grant permissions they lack."""

    list_display = ["role"]

    def has_change_permission(self, request: HttpRequest, obj: Group | None = None) -> bool:
        """Return whether the user may change the role; it must not have more permissions."""
        return super().has_change_permission(request, obj) and self._may_manage(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Group | None = None) -> bool:
        """Return whether the user may delete the role; it must not have more permissions."""
        return super().has_delete_permission(request, obj) and self._may_manage(request, obj)

    def _may_manage(self, request: HttpRequest, obj: Group | None) -> bool:
        return obj is None or grants.may_manage_group(request.user, obj)

    def formfield_for_manytomany(
        self, db_field: Any, request: HttpRequest | None = None, **kwargs: Any
    ) -> Any:
        """Offer only permissions that the user has."""
        field: Any = super().formfield_for_manytomany(db_field, request, **kwargs)
        if db_field.name == "permissions" and field is not None and request is not None:
            setattr(field, "label_from_instance", permission_name)  # noqa: B010 - it has no other hook
            field.queryset = field.queryset.filter(pk__in=grants.permissions_of(request.user))
        return field

    @admin.display(description=_("name"), ordering="name")
    def role(self, group: Group) -> str:
        """Return the display name."""
        return role_name(group)

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """Omit the through rows of members and permissions, which have no display names."""
        told, _counts, lacking, protected = super().get_deleted_objects(objs, request)
        roles = [line for line in told if isinstance(line, str)]
        return roles, {Group._meta.verbose_name_plural: len(roles)}, lacking, protected
