"""Rules and deliveries on the pages of the scheduler."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.dispatch import receiver
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from notifications import selectors
from notifications.choices import Scope
from notifications.models import Delivery, NotificationRule
from notifications.views.access import rights_of
from notifications.views.cards import rule_cards
from notifications.wording.rules import kind_word, problem_of
from scheduler.models import Execution, Task
from scheduler.views.extension_points import (
    AttentionItem,
    execution_page_cards,
    overview_attention,
    task_page_cards,
)
from scheduler.wording.reasons import told

BROKEN, FAILING, LATEST, OF_EXECUTION = 10, 10, 5, 50
REASON = 160  # characters


@receiver(overview_attention, dispatch_uid="notifications.overview")
def concerns(request: HttpRequest, now: datetime, **_kwargs: Any) -> list[AttentionItem]:
    """Tell of rules that cannot be followed, and of channels whose latest message failed."""
    rights, found = rights_of(request), []
    if rights.view:
        broken = NotificationRule.objects.enabled().exclude(problem="")
        for rule in broken.select_related("task").order_by("pk")[:BROKEN]:
            found.append(
                AttentionItem(
                    f"rule-{rule.pk}",
                    _name(rule),
                    reverse("admin:notifications_rule_page", args=[rule.pk]),
                    _("This rule is invalid and sends nothing: %(why)s") % {"why": problem_of(rule)[:REASON]},
                )
            )
    if rights.view_deliveries:
        for delivery in selectors.failing_channels(now)[:FAILING]:
            facts = {"kind": kind_word(delivery.kind), "why": told(delivery.why)[:REASON]}
            found.append(
                AttentionItem(
                    f"delivery-{delivery.pk}",
                    delivery.rule_name or _("Rule %(id)s") % {"id": delivery.rule_id},
                    reverse("admin:notifications_delivery_change", args=[delivery.pk]),
                    _("%(kind)s channel is failing: %(why)s") % facts,
                )
            )
    return found


def _name(rule: NotificationRule) -> str:
    if rule.name:
        return rule.name
    return rule.task.name if rule.task is not None else _("Rule %(id)s") % {"id": rule.pk}


@receiver(task_page_cards, dispatch_uid="notifications.task")
def task_card(request: HttpRequest, task: Task, **_kwargs: Any) -> SafeString | None:
    """Return the rules that apply to a task and its latest deliveries."""
    rights = rights_of(request)
    if not rights.view:
        return None
    rules = selectors.rules_about(task)
    cards = rule_cards(rules, shows_deliveries=rights.view_deliveries)
    latest = Delivery.objects.filter(task=task).select_related("rule", "task").newest_first()
    context = {
        "task": task,
        "own": [card for card in cards if card.rule.scope == Scope.TASK],
        "others": [card for card in cards if card.rule.scope != Scope.TASK],
        "deliveries": list(latest.defer("content")[:LATEST]) if rights.view_deliveries else [],
        "rights": rights,
        "may_change": rights.changes(Scope.TASK),
    }
    return render_to_string("notifications/_task_card.html", context, request)


@receiver(execution_page_cards, dispatch_uid="notifications.execution")
def execution_card(request: HttpRequest, execution: Execution, **_kwargs: Any) -> SafeString | None:
    """Return the deliveries caused by an execution, or None."""
    if not rights_of(request).view_deliveries:
        return None
    rows = Delivery.objects.filter(execution=execution).select_related("rule", "task").order_by("pk")
    deliveries = list(rows.defer("content")[:OF_EXECUTION])
    if not deliveries:
        return None
    context = {"deliveries": deliveries}
    return render_to_string("notifications/_execution_card.html", context, request)
