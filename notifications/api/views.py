"""The views of the API: parse, call one service or selector, answer."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from django.db import transaction
from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request
from rest_framework.response import Response

from notifications.api import documents as docs
from notifications.api.documents import operation
from notifications.api.wire import delivery_json, rehearsal_json, rule_json
from notifications.channels import REGISTRY
from notifications.choices import Event, Scope, State
from notifications.models import Delivery, NotificationRule
from notifications.querysets import DeliveryQuerySet, RuleQuerySet
from notifications.services import definitions, trials
from notifications.services.projection import rule_spec
from scheduler.api.base import (
    StrictViewSet,
    now,
    numbered_page,
    read_body,
    task_named,
    user_of,
    without_read_only,
)
from scheduler.api.pagination import CursorPage
from scheduler.api.parameters import boolean, choices, instant, integer, single
from scheduler.api.problems import NotFoundError, RequestRefusedError
from scheduler.models import Task
from scheduler.services.tasks import lock_graph

LARGEST_ID = 10**18 - 1
TEST_RULE, VIEW_RULE = "notifications.test_notificationrule", "notifications.view_notificationrule"
CHANGE_RULE, CHANGE_TASK = "notifications.change_notificationrule", "scheduler.change_task"


class DeliveryPage(CursorPage[Delivery]):
    """A page of deliveries."""

    instant = "created_at"


class RuleViewSet(StrictViewSet):
    """Notification rules of tasks, of tags and of all tasks."""

    permissions_by_action = {
        "list": VIEW_RULE,
        "retrieve": VIEW_RULE,
        "create": "notifications.add_notificationrule",
        "update": CHANGE_RULE,
        "partial_update": CHANGE_RULE,
        "destroy": "notifications.delete_notificationrule",
        "test": TEST_RULE,
        "rehearse": VIEW_RULE,
        "rehearse_draft": VIEW_RULE,
    }

    @operation(
        "list_notification_rules",
        answer=docs.NotificationRulePage,
        takes=("scope", "task_id", "tag", "enabled", "page", "page_size"),
    )
    def list(self, request: Request) -> Response:
        """Return rules: of all tasks, of tags, then of tasks. A page has 100 when nothing is said."""
        rows = _filtered(request).order_by("scope", "tag", "task__task_id", "position", "pk")
        return numbered_page(request, rows, lambda shown: [_rule_json(rule, request) for rule in shown])

    @operation(
        "create_notification_rule",
        answer=docs.NotificationRule,
        status=201,
        request=docs.NotificationRule,
        conflicts=True,
    )
    def create(self, request: Request) -> Response:
        """Create a rule. One of a task is written to the task as its last."""
        body = without_read_only(request.data, docs.READ_ONLY)
        scope, task, tag = _place(body)
        spec = definitions.validate_rule(_words_of_rule(body))
        _may_write(request, scope)
        rule = definitions.save_rule(spec, scope=scope, task=task, tag=tag, user=user_of(request), now=now())
        return Response(_rule_json(_rule(rule.pk), request), status=201)

    @operation("read_notification_rule", answer=docs.NotificationRule, of="rule_id")
    def retrieve(self, request: Request, rule_id: int) -> Response:
        """Return one rule."""
        return Response(_rule_json(_rule(rule_id), request))

    @operation(
        "replace_notification_rule",
        answer=docs.NotificationRule,
        request=docs.NotificationRule,
        of="rule_id",
        conflicts=True,
    )
    def update(self, request: Request, rule_id: int) -> Response:
        """Replace a rule; fields that are absent get their defaults. Scope and task stay."""
        body = without_read_only(request.data, docs.READ_ONLY)
        definitions.validate_rule(_words_of_rule(body), stored=_rule(rule_id))  # before anything is locked
        with transaction.atomic():
            lock_graph()
            row = _rule(rule_id)
            return _write(row, body, _words_of_rule(body), request)

    @operation(
        "change_notification_rule",
        answer=docs.NotificationRule,
        request=docs.NotificationRuleChange,
        of="rule_id",
        conflicts=True,
    )
    def partial_update(self, request: Request, rule_id: int) -> Response:
        """Change the fields that are given."""
        body = without_read_only(request.data, docs.READ_ONLY)
        row = _rule(rule_id)
        definitions.validate_rule(
            {**rule_spec(row), **_words_of_rule(body)}, stored=row
        )  # before anything is locked
        with transaction.atomic():
            # Two changes of different fields at once must not undo each other.
            lock_graph()
            row = _rule(rule_id)
            return _write(row, body, {**rule_spec(row), **_words_of_rule(body)}, request)

    @operation("delete_notification_rule", answer=None, status=204, of="rule_id", conflicts=True)
    def destroy(self, request: Request, rule_id: int) -> Response:
        """Delete a rule; its deliveries stay."""
        row = _rule(rule_id)
        _may_write(request, Scope(row.scope))
        definitions.delete_rule(row, user=user_of(request), now=now())
        return Response(status=204)

    @operation("test_notification_rule", answer=docs.TestAnswer, of="rule_id")
    def test(self, request: Request, rule_id: int) -> Response:
        """Send a test message to each channel of a rule and wait for the answers."""
        read_body(request, {}, read_only=docs.READ_ONLY)
        row = _rule(rule_id)
        sent = trials.test_send(list(row.channels.all()), rule=row, task=row.task, now=now())
        return Response({"results": [delivery_json(delivery) for delivery in sent]})

    @operation(
        "rehearse_notification_rule",
        answer=docs.Rehearsal,
        request=docs.RehearseStoredRequest,
        of="rule_id",
    )
    def rehearse(self, request: Request, rule_id: int) -> Response:
        """Tell what a rule would have sent in the last days."""
        row = _rule(rule_id)
        days = _days(read_body(request, {"days": 30}, read_only=docs.READ_ONLY))
        return _rehearsal(rule_spec(row), Scope(row.scope), row.task, row.tag, days)

    @operation("rehearse_notification_draft", answer=docs.Rehearsal, request=docs.RehearseRequest)
    def rehearse_draft(self, request: Request) -> Response:
        """Tell what a rule that is not stored would have sent in the last days."""
        body = without_read_only(request.data, docs.READ_ONLY)
        days = _days({"days": body.pop("days", 30)})
        scope, task, tag = _place(body)
        spec = definitions.validate_rule(_words_of_rule(body))
        return _rehearsal(spec, scope, task, tag, days)


class DeliveryViewSet(StrictViewSet):
    """Deliveries: what was told, what waits, and what was held back."""

    permissions_by_action = {
        "list": "notifications.view_delivery",
        "retrieve": "notifications.view_delivery",
        "resend": "notifications.resend_delivery",
    }

    @operation(
        "list_deliveries",
        answer=docs.DeliveryPage,
        takes=("state", "event", "channel", "task_id", "rule", "since", "until", "page_size", "cursor"),
    )
    def list(self, request: Request) -> Response:
        """Return deliveries, newest first, by cursor. A page has 50 when nothing is said."""
        page = DeliveryPage(request, _filtered_deliveries(request))
        return page.response([delivery_json(row) for row in page.rows])

    @operation("read_delivery", answer=docs.Delivery, of="delivery_id")
    def retrieve(self, request: Request, delivery_id: int) -> Response:
        """Return one delivery."""
        return Response(delivery_json(_delivery(delivery_id)))

    @operation("resend_delivery", answer=docs.Delivery, status=202, of="delivery_id", conflicts=True)
    def resend(self, request: Request, delivery_id: int) -> Response:
        """Have a delivery sent: one that waits or failed at once, one that was sent or held back once more."""
        read_body(request, {}, read_only=docs.READ_ONLY)
        again = trials.resend(_delivery(delivery_id), now=now())
        return Response(delivery_json(_delivery(again.pk)), status=202)


# --- rules ------------------------------------------------------------------------------------------


def _filtered(request: Request) -> RuleQuerySet:
    rows = NotificationRule.objects.select_related("task").prefetch_related("channels")
    if scope := single(request, "scope"):
        if scope not in Scope.values:
            allowed = f"one of {', '.join(Scope.values)}"
            raise RequestRefusedError(
                "scope", f"“{scope[:80]}” was found; {allowed} is allowed", found=scope, allowed=allowed
            )
        rows = rows.filter(scope=scope)
    if task_id := single(request, "task_id"):
        rows = rows.filter(task=task_named(task_id))
    if tag := single(request, "tag"):
        rows = rows.filter(tag=tag)
    is_enabled = boolean(request, "enabled")
    return rows if is_enabled is None else rows.filter(enabled=is_enabled)


def _rule(rule_id: int) -> NotificationRule:
    rows = NotificationRule.objects.select_related("task").prefetch_related("channels")
    rule = rows.filter(pk=rule_id).first()
    if rule is None:
        raise NotFoundError(f"There is no notification rule {rule_id}.")
    return rule


def _rule_json(rule: NotificationRule, request: Request) -> dict[str, Any]:
    return rule_json(rule, shows_address=request.user.has_perm(CHANGE_RULE))


def _place(body: Mapping[str, Any]) -> tuple[Scope, Task | None, str]:
    """Return for which tasks a rule is; what does not belong to its scope is refused."""
    scope = body.get("scope")
    if scope not in Scope.values:
        allowed = f"one of {', '.join(Scope.values)}"
        found = json.dumps(scope) if "scope" in body else "nothing"
        raise RequestRefusedError(
            "scope", f"{found[:80]} was found; {allowed} is needed", found=found, allowed=allowed
        )
    scope = Scope(scope)
    if scope != Scope.TASK:
        _refuse_beside(body, "task_id", Scope.TASK)
    if scope != Scope.TAG:
        _refuse_beside(body, "tag", Scope.TAG)
    task = task_named(body.get("task_id")) if scope == Scope.TASK else None
    tag = definitions.validate_tag(body.get("tag")) if scope == Scope.TAG else ""
    return scope, task, tag


def _refuse_beside(body: Mapping[str, Any], name: str, scope: Scope) -> None:
    if body.get(name) not in (None, ""):
        found = json.dumps(body[name])
        message = f"{name} goes with the scope {scope.value}, but {found[:80]} was found"
        raise RequestRefusedError(name, message, found=found, allowed="null or empty")


def _words_of_rule(body: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in body.items() if name not in docs.OWN}


def _write(
    row: NotificationRule, body: Mapping[str, Any], words: Mapping[str, Any], request: Request
) -> Response:
    """Write what `words` say of a rule whose scope and task stay."""
    known: dict[str, Any] = {"scope": row.scope, "task_id": row.task and row.task.task_id}
    for name, value in known.items():
        if name in body and body[name] != value:
            found = json.dumps(body[name])
            message = f"{name} of a rule stays {json.dumps(value)}; {found[:80]} was found"
            raise RequestRefusedError(name, message, found=found, allowed=json.dumps(value))
    _scope, task, tag = _place({**known, "tag": row.tag, **body})
    spec = definitions.validate_rule(dict(words), stored=row)
    _may_write(request, Scope(row.scope))
    rule = definitions.save_rule(
        spec, scope=Scope(row.scope), task=task, tag=tag, row=row, user=user_of(request), now=now()
    )
    return Response(_rule_json(_rule(rule.pk), request))


def _may_write(request: Request, scope: Scope) -> None:
    if scope == Scope.TASK and not request.user.has_perm(CHANGE_TASK):
        raise PermissionDenied


def _rehearsal(spec: Mapping[str, Any], scope: Scope, task: Task | None, tag: str, days: int) -> Response:
    tasks: Sequence[Task] = [task] if task is not None else []
    if scope != Scope.TASK:
        rows = Task.objects.all() if scope == Scope.ALL else Task.objects.tagged(tag)
        tasks = list(rows.order_by("task_id"))
    return Response(rehearsal_json(trials.rehearse(spec, tasks, days=days, now=now())))


def _days(body: Mapping[str, Any]) -> int:
    days = body["days"]
    if type(days) is not int or not 1 <= days <= trials.MOST_DAYS:
        found, allowed = json.dumps(days), f"a whole number from 1 to {trials.MOST_DAYS}"
        message = f"{found[:80]} was found; {allowed} is allowed"
        raise RequestRefusedError("days", message, found=found, allowed=allowed)
    return days


# --- deliveries -------------------------------------------------------------------------------------


def _filtered_deliveries(request: Request) -> DeliveryQuerySet:
    rows = Delivery.objects.select_related("task").newest_first()
    if states := choices(request, "state", State.values):
        rows = rows.filter(state__in=states)
    if events := choices(request, "event", Event.values):
        rows = rows.filter(event__in=events)
    if kinds := choices(request, "channel", sorted(REGISTRY)):
        rows = rows.filter(kind__in=kinds)
    if task_id := single(request, "task_id"):
        rows = rows.filter(task=task_named(task_id, with_deleted=True))
    if single(request, "rule"):
        rows = rows.filter(rule=integer(request, "rule", 1, minimum=1, maximum=LARGEST_ID))
    if since := instant(request, "since"):
        rows = rows.filter(created_at__gte=since)
    if until := instant(request, "until"):
        rows = rows.filter(created_at__lt=until)
    return rows


def _delivery(delivery_id: int) -> Delivery:
    delivery = Delivery.objects.select_related("task").filter(pk=delivery_id).first()
    if delivery is None:
        raise NotFoundError(f"There is no delivery {delivery_id}.")
    return delivery
