"""Password forms: a change revokes API tokens unless they are kept, and checks of the old password are rate-limited."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.auth.views import PasswordChangeView
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from unfold.forms import AdminOwnPasswordChangeForm, AdminPasswordChangeForm
from unfold.widgets import UnfoldBooleanWidget

from scheduler.exceptions import LimitReachedError
from scheduler.services import sign_in
from scheduler.services.audit import Origin
from scheduler.services.origin import origin_of
from scheduler.services.passwords import end_access, tokens_kept
from scheduler.views.login import said_wait


def keep_tokens_field() -> forms.BooleanField:
    """Return the checkbox that keeps the tokens of the account."""
    return forms.BooleanField(
        label=_("Keep the API tokens"),
        required=False,
        widget=UnfoldBooleanWidget(),
        help_text=_("Otherwise all API tokens of the account end with its password."),
    )


class PasswordForm(AdminPasswordChangeForm):
    """The password that an administrator sets for an account."""

    keep_tokens = keep_tokens_field()

    def save(self, commit: bool = True) -> Any:
        """Save the password and revoke sessions and tokens."""
        with tokens_kept(self.cleaned_data["keep_tokens"]):
            user = super().save(commit)
            if not user.has_usable_password():  # no new password, so the form did not record a change
                end_access(user)
        return user


class OwnPasswordForm(AdminOwnPasswordChangeForm):
    """Changes one's own password; attempts count like those of a login."""

    keep_tokens = keep_tokens_field()
    origin = Origin()
    wait = 0

    def clean_old_password(self) -> Any:
        """Check the old password unless the rate limit was exceeded."""
        account = self.user.get_username()
        try:
            attempt = sign_in.begin(account, origin=self.origin, device="", now=datetime.now(UTC))
        except LimitReachedError as error:
            self.wait = error.seconds
            raise ValidationError(said_wait(error.seconds), code="wait") from error
        try:
            password = super().clean_old_password()
        except ValidationError:
            sign_in.fail(attempt, now=datetime.now(UTC))
            raise
        sign_in.succeed(attempt)
        return password

    def save(self, commit: bool = True) -> Any:
        """Save the password and revoke sessions and tokens."""
        with tokens_kept(self.cleaned_data["keep_tokens"]):
            return super().save(commit)


class OwnPasswordView(PasswordChangeView):
    """The page to change one's own password."""

    form_class = OwnPasswordForm

    def get_form(self, form_class: Any = None) -> Any:
        """Return the form with the origin of the request."""
        form: Any = super().get_form(form_class)
        form.origin = origin_of(self.request)
        return form

    def form_invalid(self, form: Any) -> HttpResponse:
        """Show the form again, with status 429 if the rate limit was exceeded."""
        response = super().form_invalid(form)
        if form.wait:
            response.status_code = 429
            response["Retry-After"] = str(form.wait)
        return response


def password_change(request: HttpRequest) -> HttpResponseBase:
    """Return the password change page."""
    view = OwnPasswordView.as_view(
        success_url=reverse("admin:password_change_done"), extra_context=admin.site.each_context(request)
    )
    return view(request)
