"""The list of rules, the rule page, and its actions."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db.models import Count, Q
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from notifications.choices import Scope
from notifications.engine.rules import OVERDUE
from notifications.models import Delivery, NotificationRule
from notifications.querysets import RuleQuerySet
from notifications.services import definitions
from notifications.services.rule_sync import rule_spec
from notifications.views.access import require, rights_of
from notifications.views.cards import RuleCard, rule_cards
from notifications.views.editor import find_rule, rehearsal, tasks_of, test_results
from scheduler.admin.requests import go_back
from scheduler.config_file import ConfigError
from scheduler.exceptions import ConflictError
from scheduler.models import Task
from scheduler.views.frame import choice, now, page, query, text_of, whole_number
from scheduler.wording.reasons import told, told_error

PAGE = 30
LATEST = 10
STATES = ("task", "tag", "all", "broken", "off")


def state_filter(state: str) -> Q:
    """Return the filter for a state of the list."""
    return {
        "broken": ~Q(problem=""),
        "off": Q(enabled=False),
        **{scope.value: Q(scope=scope) for scope in Scope},
    }.get(state, Q())


def rule_list(request: HttpRequest) -> HttpResponse:
    """Show the rules: of all tasks, of tags, then of tasks."""
    require(request, "view_notificationrule")
    rights = rights_of(request)
    state, text = choice(request, "state", STATES), text_of(request, "q", 100)
    rows = NotificationRule.objects.all()
    if text:
        words = Q(name__icontains=text) | Q(tag__icontains=text) | Q(task__name__icontains=text)
        rows = rows.filter(words | Q(task__task_id__icontains=text))
    shown = rows.filter(state_filter(state)).select_related("task").prefetch_related("channels")
    ordered = shown.order_by("scope", "tag", "task__task_id", "position", "pk")
    paginator = Paginator(ordered, PAGE)
    part = paginator.get_page(whole_number(request, "page", 1, least=1, most=100_000))
    asked = {"state": state, "q": text}
    cards = rule_cards(part, shows_deliveries=rights.view_deliveries)
    context = {
        "title": _("Rules"),
        "cards": [(card, rights.changes(card.rule.scope)) for card in cards],
        "states": _states(rows, state, text),
        "q": text,
        "state": state,
        "rights": rights,
        "is_filtered": any(asked.values()),
        "count_text": ngettext("%(count)d rule", "%(count)d rules", paginator.count)
        % {"count": paginator.count},
        "page": part,
        "newer": query(**asked, page=part.previous_page_number()) if part.has_previous() else "",
        "older": query(**asked, page=part.next_page_number()) if part.has_next() else "",
    }
    return page(request, "notifications/rules.html", context)


def _states(rows: RuleQuerySet, chosen: str, text: str) -> list[dict[str, Any]]:
    """Return the states with their counts, in one query; empty states are omitted unless selected."""
    counts = rows.order_by().aggregate(
        every=Count("pk"), **{name: Count("pk", filter=state_filter(name)) for name in STATES}
    )
    labels = {
        "": _("All"),
        "task": _("One task"),
        "tag": _("Tag"),
        "all": _("All tasks"),
        "broken": _("Invalid"),
        "off": _("Disabled"),
    }
    return [
        {
            "value": name,
            "label": label,
            "count": counts[name or "every"],
            "href": query(q=text, state=name),
            "is_chosen": name == chosen,
        }
        for name, label in labels.items()
        if counts[name or "every"] or name in ("", chosen)
    ]


def rule_page(request: HttpRequest, pk: int) -> HttpResponse:
    """Show one rule: its description, recipients, and latest messages."""
    require(request, "view_notificationrule")
    rule, rights = find_rule(pk), rights_of(request)
    card = rule_cards([rule], shows_deliveries=rights.view_deliveries)[0]
    latest = Delivery.objects.filter(rule=rule).select_related("task", "rule").newest_first()
    context = {
        "title": rule.name or _("Rule %(id)s") % {"id": rule.pk},
        "card": card,
        "rule": rule,
        "notes": _notes(card),
        "deliveries": list(latest.defer("content")[:LATEST]) if rights.view_deliveries else [],
        "rights": rights,
        "may_change": rights.changes(rule.scope),
        "may_delete": rights.delete and rights.changes(rule.scope),
    }
    return page(request, "notifications/rule.html", context)


def _notes(card: RuleCard) -> list[str]:
    """Return why a valid rule sends no messages."""
    rule = card.rule
    if card.problem:
        return []
    found = []
    if not card.channels:
        found.append(_("It has no channel, so nobody is notified."))
    if rule.scope == Scope.TAG and not Task.objects.tagged(rule.tag).exists():
        found.append(_("No task has this tag."))
    if rule.task is not None and OVERDUE in rule.triggers and rule.task.deadline is None:
        found.append(_("The task has no deadline, so it is never overdue."))
    return found


def test_rule(request: HttpRequest, pk: int) -> HttpResponse:
    """Send a test message to each channel of a stored rule and return the results."""
    require(request, "test_notificationrule")
    rule = find_rule(pk)
    return test_results(request, list(rule.channels.all()), rule=rule, task=rule.task)


def rehearse_rule(request: HttpRequest, pk: int) -> HttpResponse:
    """Return what a stored rule would have sent."""
    require(request, "view_notificationrule")
    rule = find_rule(pk)
    try:
        spec = definitions.validate_rule(rule_spec(rule))
    except ConfigError as error:
        problems = [told(problem.why) for problem in error.problems]
        return render(request, "notifications/_trial_refused.html", {"problems": problems})
    return rehearsal(request, spec, tasks_of(rule.scope, rule.task, rule.tag))


def switch_rule(request: HttpRequest, pk: int) -> HttpResponse:
    """Enable or disable a rule."""
    require(request, "change_notificationrule")
    rule = find_rule(pk)
    if not rights_of(request).changes(rule.scope):
        raise PermissionDenied
    is_on, user = request.POST.get("enabled") == "1", _user(request)
    try:
        definitions.set_enabled(rule, is_on, user=user, now=now())
    except (ConfigError, ConflictError) as error:
        messages.warning(request, told_error(error))
    else:
        text = _("%(rule)s was enabled.") if is_on else _("%(rule)s was disabled and sends nothing.")
        messages.success(request, text % {"rule": rule.name or _("Rule %(id)s") % {"id": rule.pk}})
    return go_back(request)


def delete_rule(request: HttpRequest, pk: int) -> HttpResponse:
    """Delete a rule; its deliveries are kept."""
    require(request, "change_notificationrule", "delete_notificationrule")
    rule = find_rule(pk)
    if not rights_of(request).changes(rule.scope):
        raise PermissionDenied
    try:
        definitions.delete_rule(rule, user=_user(request), now=now())
    except (ConfigError, ConflictError) as error:
        messages.warning(request, told_error(error))
    else:
        messages.success(request, _("The rule was deleted. Its deliveries stay."))
    return HttpResponseRedirect(reverse("admin:notifications_notificationrule_changelist"))


def _user(request: HttpRequest) -> Any:
    return request.user
