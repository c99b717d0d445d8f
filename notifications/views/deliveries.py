"""The list of deliveries, the page of one, and sending it again."""

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

from notifications.choices import OPEN, Event, State
from notifications.models import Delivery, NotificationRule
from notifications.querysets import DeliveryQuerySet
from notifications.sentences import KINDS
from notifications.services import trials
from notifications.views.access import require, rights_of
from scheduler.exceptions import ConflictError
from scheduler.models import Task
from scheduler.paging import BadCursorError, KeysetPage
from scheduler.phrases import retold
from scheduler.views.shell import choice, key_in, live_part, now, page, query, text_of

PAGE = 30


def delivery_list(request: HttpRequest) -> HttpResponse:
    """Show deliveries, newest first."""
    require(request, "view_delivery")
    asked = {
        "state": choice(request, "state", State.values),
        "channel": choice(request, "channel", list(KINDS)),
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
        "kinds": _tabs(asked, "channel", [(kind, label) for kind, (label, _icon) in KINDS.items()]),
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
    """Return what a search finds: a number, or tasks and rules by their names; all of these have an index."""
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
    """Return what else the list is narrowed to, each with the list without it."""
    chips = []
    if asked["task"]:
        chips.append((_("Task %(task)s") % {"task": asked["task"]}, query(**{**asked, "task": ""})))
    if asked["rule"]:
        chips.append((_("Rule %(id)s") % {"id": asked["rule"]}, query(**{**asked, "rule": ""})))
    if asked["event"]:
        chips.append((str(Event(asked["event"]).label), query(**{**asked, "event": ""})))
    return chips


def delivery_page(request: HttpRequest, pk: int) -> HttpResponse:
    """Show one delivery; it refreshes itself until it has ended."""
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
    """Return the content of a channel whose parts the page does not know."""
    if delivery.content is None or (isinstance(delivery.content, dict) and delivery.kind in KINDS):
        return ""
    return json.dumps(delivery.content, ensure_ascii=False, indent=2)


def _resend_text(delivery: Delivery) -> str:
    """Say what sending it again means."""
    if delivery.state == State.PENDING:
        return _("It waits for its next attempt. Send it now instead?")
    if delivery.state == State.FAILED:
        return _(
            "It failed. Try it again, as often as a new one would be? "
            "Those whom it reached nevertheless may get it twice; mail programs show it once."
        )
    if delivery.state == State.SUPPRESSED:
        return _("It was held back. Send it after all, as a new delivery?")
    return _("It was sent already. Send it once more, as a new delivery? Its receivers get it again.")


def resend(request: HttpRequest, pk: int) -> HttpResponse:
    """Have a delivery sent again, and say what happened."""
    require(request, "resend_delivery")
    delivery = get_object_or_404(Delivery, pk=pk)
    try:
        again = trials.resend(delivery, now=now())
    except ConflictError as error:
        messages.warning(request, retold(str(error)))
        return HttpResponseRedirect(reverse("admin:notifications_delivery_change", args=[pk]))
    if again.pk == pk:
        messages.success(request, _("It is sent as soon as a worker takes it."))
    else:
        text = _("Delivery %(new)s sends once more what delivery %(old)s told; a worker takes it soon.")
        messages.success(request, text % {"new": again.pk, "old": pk})
    return HttpResponseRedirect(reverse("admin:notifications_delivery_change", args=[again.pk]))
