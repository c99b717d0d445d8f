"""Creates an API token, shown once: it is not stored in a URL, message, session or log."""

from __future__ import annotations

import secrets
from datetime import timedelta
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.translation import gettext as _

from scheduler.services.origin import origin_of
from scheduler.services.tokens import LONGEST_DAYS, LONGEST_NAME, create_token
from scheduler.views.frame import now, page, require

USED = "used_token_forms"
USED_KEPT = 50


class NewTokenForm(forms.Form):
    """Purpose and expiry of a token."""

    name = forms.CharField(max_length=LONGEST_NAME)
    days = forms.IntegerField(min_value=1, max_value=LONGEST_DAYS, required=False)


def new_token(request: HttpRequest) -> HttpResponse:
    """Create a token for the current user and show it in the response, which is not cached.

    Reloading the response resubmits the form without creating a second token: each form is valid once.
    """
    require(request, "add_apitoken")
    used: list[str] = request.session.get(USED, [])
    form_key = request.POST.get("form_key", "")[:64]
    if form_key and form_key in used:
        messages.warning(request, _("That token was created already; it cannot be shown again."))
        return HttpResponseRedirect(request.path)
    form = NewTokenForm(request.POST or None)
    context: dict[str, Any] = {
        "title": _("New API token"),
        "form": form,
        "form_key": secrets.token_urlsafe(16),
        "longest_name": LONGEST_NAME,
        "longest_days": LONGEST_DAYS,
        "days": settings.SCHEDULER_TOKEN_DAYS,
        "may_view": request.user.has_perm("scheduler.view_apitoken"),
    }
    if request.method == "POST" and form.is_valid():
        days = form.cleaned_data["days"]
        expires_at = now() + timedelta(days=days or settings.SCHEDULER_TOKEN_DAYS)
        user: Any = request.user
        context["token"] = create_token(
            user, name=form.cleaned_data["name"], expires_at=expires_at, origin=origin_of(request)
        )
        context["expires_at"] = expires_at
        request.session[USED] = [*used, form_key][-USED_KEPT:]
    response = page(request, "scheduler/new_token.html", context)
    response["Cache-Control"] = "no-store"
    return response
