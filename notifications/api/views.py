"""The views of the API: parse, call one service or selector, answer."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from django.db import transaction
from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request
from rest_framework.response import Response

from notifications.api.operations import operation
from notifications.api.serializers.deliveries import (
    LARGEST_ID,
    DeliveryPageSerializer,
    DeliverySerializer,
    TestAnswerSerializer,
)
from notifications.api.serializers.rules import (
    KnownRule,
    NotificationRulePageSerializer,
    NotificationRuleSerializer,
    RehearsalSerializer,
    RehearseRequestSerializer,
    RehearseStoredRequestSerializer,
    RuleBodySerializer,
)
from notifications.channels.registry import REGISTRY
from notifications.choices import Event, Scope, State
from notifications.models import Delivery, NotificationRule
from notifications.querysets import DeliveryQuerySet, RuleQuerySet
from notifications.services import definitions, rehearsal, resending, test_messages
from notifications.services.rule_sync import rule_spec
from scheduler.api.base import (
    StrictViewSet,
    now,
    numbered_page,
    task_named,
    user_of,
)
from scheduler.api.pagination import CursorPage
from scheduler.api.parameters import boolean, choices, instant, integer, not_allowed, one_of, single
from scheduler.api.problems import NotFoundError, RequestRefusedError
from scheduler.api.reasons import Code
from scheduler.api.serializers.bodies import NothingSerializer, without_read_only
from scheduler.config_file.problems import Words, shorten
from scheduler.config_file.reasons import Code as Refusal
from scheduler.engine.reasons import Reason
from scheduler.models import Task
from scheduler.services.limits import Scope as LimitScope
from scheduler.services.locks import lock_graph

TEST_RULE, VIEW_RULE = "notifications.test_notificationrule", "notifications.view_notificationrule"
OF_THE_PLACE = ("scope", "task_id", "tag")
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
    limits_by_action = {"test": LimitScope.TEST}

    @operation(
        "list_notification_rules",
        answer=NotificationRulePageSerializer,
        takes=("scope", "task_id", "tag", "enabled", "page", "page_size"),
    )
    def list(self, request: Request) -> Response:
        """Return rules: of all tasks, of tags, then of tasks. A page has 100 when nothing is said."""
        rows = _filtered(request).order_by("scope", "tag", "task__task_id", "position", "pk")
        page = numbered_page(request, rows)
        page = replace(page, rows=[_known(rule, request) for rule in page.rows])
        return Response(NotificationRulePageSerializer(page).data)

    @operation(
        "create_notification_rule",
        answer=NotificationRuleSerializer,
        status=201,
        request=NotificationRuleSerializer,
        conflicts=True,
    )
    def create(self, request: Request) -> Response:
        """Create a rule. One of a task is written to the task as its last."""
        body = without_read_only(request.data, RuleBodySerializer.ignored)
        scope, task, tag = _place(body)
        spec = definitions.validate_rule(_words_of_rule(body))
        _may_write(request, scope)
        rule = definitions.save_rule(spec, scope=scope, task=task, tag=tag, user=user_of(request), now=now())
        return Response(_shown(_rule(rule.pk), request), status=201)

    @operation("read_notification_rule", answer=NotificationRuleSerializer, of="rule_id")
    def retrieve(self, request: Request, rule_id: int) -> Response:
        """Return one rule."""
        return Response(_shown(_rule(rule_id), request))

    @operation(
        "replace_notification_rule",
        answer=NotificationRuleSerializer,
        request=NotificationRuleSerializer,
        of="rule_id",
        conflicts=True,
    )
    def update(self, request: Request, rule_id: int) -> Response:
        """Replace a rule; fields that are absent get their defaults. Scope and task stay."""
        body = without_read_only(request.data, RuleBodySerializer.ignored)
        definitions.validate_rule(_words_of_rule(body), stored=_rule(rule_id))  # before anything is locked
        with transaction.atomic():
            lock_graph()
            row = _rule(rule_id)
            return _write(row, body, _words_of_rule(body), request)

    @operation(
        "change_notification_rule",
        answer=NotificationRuleSerializer,
        request=NotificationRuleSerializer,
        of="rule_id",
        conflicts=True,
    )
    def partial_update(self, request: Request, rule_id: int) -> Response:
        """Change the fields that are given."""
        body = without_read_only(request.data, RuleBodySerializer.ignored)
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

    @operation("test_notification_rule", answer=TestAnswerSerializer, request=NothingSerializer, of="rule_id")
    def test(self, request: Request, rule_id: int) -> Response:
        """Send a test message to each channel of a rule and wait for the answers."""
        RuleBodySerializer.read(request)
        row = _rule(rule_id)
        sent = test_messages.send_test_messages(list(row.channels.all()), rule=row, task=row.task, now=now())
        return Response(TestAnswerSerializer({"results": sent}).data)

    @operation(
        "rehearse_notification_rule",
        answer=RehearsalSerializer,
        request=RehearseStoredRequestSerializer,
        of="rule_id",
    )
    def rehearse(self, request: Request, rule_id: int) -> Response:
        """Tell what a rule would have sent in the last days."""
        row = _rule(rule_id)
        days = RehearseStoredRequestSerializer.read(request)["days"]
        return _rehearsal(rule_spec(row), Scope(row.scope), row.task, row.tag, days)

    @operation("rehearse_notification_draft", answer=RehearsalSerializer, request=RehearseRequestSerializer)
    def rehearse_draft(self, request: Request) -> Response:
        """Tell what a rule that is not stored would have sent in the last days."""
        body = without_read_only(request.data, RuleBodySerializer.ignored)
        days = RehearseRequestSerializer().fields["days"].run_validation(body.pop("days", 30))
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
    limits_by_action = {"resend": LimitScope.TEST}

    @operation(
        "list_deliveries",
        answer=DeliveryPageSerializer,
        takes=("state", "event", "channel", "task_id", "rule", "since", "until", "page_size", "cursor"),
    )
    def list(self, request: Request) -> Response:
        """Return deliveries, newest first, by cursor. A page has 50 when nothing is said."""
        page = DeliveryPage(request, _filtered_deliveries(request))
        return Response(DeliveryPageSerializer(page).data)

    @operation("read_delivery", answer=DeliverySerializer, of="delivery_id")
    def retrieve(self, request: Request, delivery_id: int) -> Response:
        """Return one delivery."""
        return Response(DeliverySerializer(_delivery(delivery_id)).data)

    @operation(
        "resend_delivery",
        answer=DeliverySerializer,
        status=202,
        request=NothingSerializer,
        of="delivery_id",
        conflicts=True,
    )
    def resend(self, request: Request, delivery_id: int) -> Response:
        """Have a delivery sent: one that waits or failed at once, one that was sent or held back once more."""
        RuleBodySerializer.read(request)
        again = resending.resend(_delivery(delivery_id), now=now())
        return Response(DeliverySerializer(_delivery(again.pk)).data, status=202)


# --- rules ------------------------------------------------------------------------------------------


def _filtered(request: Request) -> RuleQuerySet:
    rows = NotificationRule.objects.select_related("task").prefetch_related("channels")
    if scope := single(request, "scope"):
        if scope not in Scope.values:
            raise _not_allowed("scope", json.dumps(scope), one_of(Scope.values))
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


def _shown(rule: NotificationRule, request: Request) -> dict[str, Any]:
    return NotificationRuleSerializer(_known(rule, request)).data


def _known(rule: NotificationRule, request: Request) -> KnownRule:
    return KnownRule(rule, shows_address=request.user.has_perm(CHANGE_RULE))


def _place(body: Mapping[str, Any]) -> tuple[Scope, Task | None, str]:
    """Return for which tasks a rule is; what does not belong to its scope is refused."""
    scope = body.get("scope")
    if scope not in Scope.values:
        found = shorten(scope) if "scope" in body else Reason(Refusal.NOTHING)
        raise _not_allowed("scope", found, one_of(Scope.values))
    scope = Scope(scope)
    if scope != Scope.TASK:
        _refuse_beside(body, "task_id", Scope.TASK)
    if scope != Scope.TAG:
        _refuse_beside(body, "tag", Scope.TAG)
    task = task_named(body.get("task_id")) if scope == Scope.TASK else None
    tag = definitions.validate_tag(body.get("tag")) if scope == Scope.TAG else ""
    return scope, task, tag


def _not_allowed(name: str, found: Words, allowed: Reason) -> RequestRefusedError:
    return RequestRefusedError(name, not_allowed(name, found, allowed), found=str(found), allowed=allowed)


def _refuse_beside(body: Mapping[str, Any], name: str, scope: Scope) -> None:
    if body.get(name) not in (None, ""):
        found = shorten(body[name])
        why = Reason(Code.ONLY_WITH_SCOPE, {"field": name, "scope": scope.value, "found": found})
        allowed = Reason(Refusal.EITHER, {"choices": [Reason(Refusal.NULL), Reason(Refusal.EMPTY)]})
        raise RequestRefusedError(name, why, found=found, allowed=allowed)


def _words_of_rule(body: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in body.items() if name not in OF_THE_PLACE}


def _write(
    row: NotificationRule, body: Mapping[str, Any], words: Mapping[str, Any], request: Request
) -> Response:
    """Write what `words` say of a rule whose scope and task stay."""
    known: dict[str, Any] = {"scope": row.scope, "task_id": row.task and row.task.task_id}
    for name, value in known.items():
        if name in body and body[name] != value:
            found, allowed = shorten(body[name]), json.dumps(value)
            why = Reason(Code.FIELD_NOT_CHANGEABLE, {"field": name, "value": allowed, "found": found})
            raise RequestRefusedError(name, why, found=found, allowed=allowed)
    _scope, task, tag = _place({**known, "tag": row.tag, **body})
    spec = definitions.validate_rule(dict(words), stored=row)
    _may_write(request, Scope(row.scope))
    rule = definitions.save_rule(
        spec, scope=Scope(row.scope), task=task, tag=tag, row=row, user=user_of(request), now=now()
    )
    return Response(_shown(_rule(rule.pk), request))


def _may_write(request: Request, scope: Scope) -> None:
    if scope == Scope.TASK and not request.user.has_perm(CHANGE_TASK):
        raise PermissionDenied


def _rehearsal(spec: Mapping[str, Any], scope: Scope, task: Task | None, tag: str, days: int) -> Response:
    tasks: Sequence[Task] = [task] if task is not None else []
    if scope != Scope.TASK:
        rows = Task.objects.all() if scope == Scope.ALL else Task.objects.tagged(tag)
        tasks = list(rows.order_by("task_id"))
    return Response(RehearsalSerializer(rehearsal.rehearse(spec, tasks, days=days, now=now())).data)


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
