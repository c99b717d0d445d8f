"""The list of deliveries, the delivery page, and resending."""

from __future__ import annotations

import json
from typing import Any

from django.contrib import messages
from django.db.models import Q
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.translation import gettext as _

from notifications.channels.registry import REGISTRY
from notifications.choices import OPEN, Event, State
from notifications.models import Delivery, NotificationRule
from notifications.querysets import DeliveryQuerySet
from notifications.services import resending
from notifications.views.access import require, rights_of
from scheduler.exceptions import ConflictError, LimitReachedError
from scheduler.models import Task
from scheduler.selectors.keyset import BadCursorError, KeysetPage
from scheduler.services.limits import Scope as LimitScope
from scheduler.services.origin import origin_of
from scheduler.services.rates import count_request
from scheduler.views.frame import choice, key_in, live_part, now, page, query, text_of
from scheduler.views.login import said_wait
from scheduler.wording.reasons import told_error

PAGE = 30


def delivery_list(request: HttpRequest) -> HttpResponse:
    """Show deliveries, newest first."""
    require(request, "view_delivery")
    asked = {
        "state": choice(request, "state", State.values),
        "channel": choice(request, "channel", list(REGISTRY)),
        "event": choice(request, "event", Event.values),
        "task": text_of(request, "task", 64),
        "rule": key_in(request.GET.get("rule", "")),
        "q": text_of(request, "q", 100),
    }
    rows = _filtered(asked).select_related("task", "rule").defer("content", "response")
    cursor = request.GET.get("cursor", "")
    try:
        found: KeysetPage[Delivery] = KeysetPage(rows, size=PAGE, cursor=cursor, instant="created_at")
    except BadCursorError:
        found = KeysetPage(rows, size=PAGE, instant="created_at")
    context = {
        "title": _("Deliveries"),
        "rows": found.rows,
        "asked": asked,
        "states": _tabs(asked, "state", State.choices),
        "kinds": _tabs(asked, "channel", [(kind, one.label) for kind, one in REGISTRY.items()]),
        "events": Event.choices,
        "chips": _chips(asked),
        "is_filtered": any(asked.values()),
        "newer": query(**asked, cursor=found.newer) if found.newer else "",
        "older": query(**asked, cursor=found.older) if found.older else "",
    }
    return page(request, "notifications/deliveries.html", context)


def _filtered(asked: dict[str, str]) -> DeliveryQuerySet:
    rows = Delivery.objects.all()
    if asked["state"]:
        rows = rows.filter(state=asked["state"])
    if asked["channel"]:
        rows = rows.filter(kind=asked["channel"])
    if asked["event"]:
        rows = rows.filter(event=asked["event"])
    if asked["task"]:
        rows = rows.filter(task__in=Task.all_objects.filter(task_id=asked["task"]).values("pk"))
    if asked["rule"]:
        rows = rows.filter(rule=int(asked["rule"]))
    return rows.filter(_words(asked["q"])) if asked["q"] else rows


def _words(text: str) -> Q:
    """Return the search filter: a number, or names of tasks and rules; all of them are indexed."""
    if key_in(text):
        return Q(pk=int(text)) | Q(execution=int(text))
    matching = Task.all_objects.filter(Q(task_id__icontains=text) | Q(name__icontains=text))
    rules = NotificationRule.objects.filter(name__icontains=text)
    return Q(task__in=matching.values("pk")) | Q(rule__in=rules.values("pk"))


def _tabs(asked: dict[str, str], name: str, choices: Any) -> list[dict[str, Any]]:
    return [
        {
            "value": value,
            "label": label,
            "href": query(**{**asked, name: value}),
            "is_chosen": asked[name] == value,
        }
        for value, label in [("", _("All")), *choices]
    ]


def _chips(asked: dict[str, str]) -> list[tuple[str, str]]:
    """Return the other active filters, each with a link that removes it."""
    chips = []
    if asked["task"]:
        chips.append((_("Task %(task)s") % {"task": asked["task"]}, query(**{**asked, "task": ""})))
    if asked["rule"]:
        chips.append((_("Rule %(id)s") % {"id": asked["rule"]}, query(**{**asked, "rule": ""})))
    if asked["event"]:
        chips.append((str(Event(asked["event"]).label), query(**{**asked, "event": ""})))
    return chips


def delivery_page(request: HttpRequest, pk: int) -> HttpResponse:
    """Show one delivery; the page refreshes until the delivery has ended."""
    require(request, "view_delivery")
    delivery = get_object_or_404(Delivery.objects.select_related("task", "rule", "execution"), pk=pk)
    part, digest = _part(request, delivery)
    if request.GET.get("seen") is not None:
        return HttpResponse(status=204) if request.GET["seen"] == digest else HttpResponse(part)
    context = {
        "title": _("Delivery %(id)s") % {"id": delivery.pk},
        "delivery": delivery,
        "part": part,
    }
    return page(request, "notifications/delivery.html", context)


def _part(request: HttpRequest, delivery: Delivery) -> tuple[str, str]:
    is_open = delivery.state in OPEN
    rights = rights_of(request)
    context = {
        "delivery": delivery,
        "content": delivery.content if isinstance(delivery.content, dict) else None,
        "content_template": f"channels/{delivery.kind}/content.html",
        "raw": _raw(delivery),
        "may_resend": rights.resend and delivery.channel_id is not None and delivery.state != State.SENDING,
        "resend_text": _resend_text(delivery),
        "may_see_rule": rights.view and delivery.rule_id is not None,
    }
    body, digest = live_part(request, "notifications/_delivery.html", context)
    url = reverse("admin:notifications_delivery_change", args=[delivery.pk]) + query(seen=digest)
    frame = {"id": "delivery", "url": url if is_open else "", "body": body, "every": 2}
    return render_to_string("scheduler/_live.html", frame), digest


def _raw(delivery: Delivery) -> str:
    """Return the content as JSON, for channels without a template of their own."""
    if delivery.content is None or (isinstance(delivery.content, dict) and delivery.kind in REGISTRY):
        return ""
    return json.dumps(delivery.content, ensure_ascii=False, indent=2)


def _resend_text(delivery: Delivery) -> str:
    """Return an explanation of what resending does."""
    if delivery.state == State.PENDING:
        return _("It waits for its next attempt. Send it now instead?")
    if delivery.state == State.FAILED:
        return _(
            "It failed. Try again, with as many attempts as a new one? Recipients who got it nevertheless may get "
            "it twice; mail programs show it once."
        )
    if delivery.state == State.SUPPRESSED:
        return _("It was suppressed. Send it after all, as a new delivery?")
    return _("It was sent already. Send it once more, as a new delivery? Its recipients get it again.")


def resend(request: HttpRequest, pk: int) -> HttpResponse:
    """Resend a delivery, subject to the account's rate limit, and report the result."""
    require(request, "resend_delivery")
    delivery = get_object_or_404(Delivery, pk=pk)
    account = request.user.get_username()
    try:
        count_request(LimitScope.TEST, account=account, origin=origin_of(request), now=now())
        again = resending.resend(delivery, now=now())
    except LimitReachedError as error:
        messages.warning(request, said_wait(error.seconds))
        return HttpResponseRedirect(reverse("admin:notifications_delivery_change", args=[pk]))
    except ConflictError as error:
        messages.warning(request, told_error(error))
        return HttpResponseRedirect(reverse("admin:notifications_delivery_change", args=[pk]))
    if again.pk == pk:
        messages.success(request, _("A worker will send it shortly."))
    else:
        text = _(
            "Delivery %(new)s sends the message of delivery %(old)s again; a worker will send it shortly."
        )
        messages.success(request, text % {"new": again.pk, "old": pk})
    return HttpResponseRedirect(reverse("admin:notifications_delivery_change", args=[again.pk]))
