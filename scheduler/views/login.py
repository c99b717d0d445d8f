"""The login page, with a rate limit on password checks."""

from __future__ import annotations

import unicodedata
from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from unfold.forms import AuthenticationForm

from scheduler.exceptions import LimitReachedError
from scheduler.services import sign_in
from scheduler.services.origin import origin_of
from scheduler.wording.times import sentence_duration

DEVICE_COOKIE = "device"
LONGEST_NAME = 150


def said_wait(seconds: int) -> str:
    """Return the message of a rate-limited attempt."""
    return _("Too many attempts. Try again in %(time)s.") % {"time": sentence_duration(seconds)}


class LoginForm(AuthenticationForm):
    """Login form; on public sites it rejects a password equal to the user name."""

    def clean(self) -> Any:
        """Check the password, then whether it is guessable."""
        cleaned = super().clean()
        account, password = (self.cleaned_data.get(name) or "" for name in ("username", "password"))
        if not settings.SERVES_THIS_MACHINE_ONLY and account and password.lower() == account.lower():
            raise ValidationError(
                _(
                    "The password of this account is its name. Set another one first: manage.py changepassword."
                ),
                code="weak",
            )
        return cleaned


@sensitive_post_parameters()
@never_cache
def login(request: HttpRequest) -> HttpResponse:
    """Show the login page; a minimal page with status 429 if the rate limit was exceeded."""
    # Normalised like the name in Django's form.
    account = unicodedata.normalize("NFKC", request.POST.get("username", "").strip())[:LONGEST_NAME]
    if request.method != "POST" or not account or not request.POST.get("password"):
        return admin.site.login(request)
    device = request.COOKIES.get(DEVICE_COOKIE, "")
    try:
        attempt = sign_in.begin(account, origin=origin_of(request), device=device, now=datetime.now(UTC))
    except LimitReachedError as error:
        page = render(request, "429.html", {"wait": said_wait(error.seconds)}, status=429)
        page["Retry-After"] = str(error.seconds)
        return page
    response: HttpResponse = admin.site.login(request)
    if response.status_code == 302 and request.user.is_authenticated:
        sign_in.succeed(attempt)
        _know(request, response, device)
    else:
        sign_in.fail(attempt, now=datetime.now(UTC))
    return response


def _know(request: HttpRequest, response: HttpResponse, device: str) -> None:
    """Remember the browser as a known device."""
    response.set_cookie(
        DEVICE_COOKIE,
        sign_in.device_cookie(request.user.get_username(), device),
        max_age=sign_in.DEVICE_DAYS * 86_400,
        path=request.path,
        secure=settings.SESSION_COOKIE_SECURE,
        httponly=True,
        samesite="Lax",
    )
