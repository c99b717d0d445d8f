"""A new token for the API, shown once: it is in no address, message, session or log."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _

from scheduler.services.tokens import LONGEST_DAYS, LONGEST_NAME, create_token
from scheduler.views.shell import now, page, require


class NewTokenForm(forms.Form):
    """What a token is for, and when it ends."""

    name = forms.CharField(max_length=LONGEST_NAME, required=False)
    days = forms.IntegerField(min_value=1, max_value=LONGEST_DAYS, required=False)


def new_token(request: HttpRequest) -> HttpResponse:
    """Make a token of the person who asks, and show it in the answer, which no cache keeps."""
    require(request, "add_apitoken")
    form = NewTokenForm(request.POST or None)
    context: dict[str, Any] = {
        "title": _("New API token"),
        "form": form,
        "longest_name": LONGEST_NAME,
        "longest_days": LONGEST_DAYS,
        "may_view": request.user.has_perm("scheduler.view_apitoken"),
    }
    if request.method == "POST" and form.is_valid():
        days = form.cleaned_data["days"]
        expires_at = None if days is None else now() + timedelta(days=days)
        user: Any = request.user
        context["token"] = create_token(user, name=form.cleaned_data["name"], expires_at=expires_at)
        context["expires_at"] = expires_at
    response = page(request, "scheduler/new_token.html", context)
    response["Cache-Control"] = "no-store"
    return response
