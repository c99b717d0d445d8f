"""Missed deadlines: each sweep checks the tasks that have a deadline and an `overdue` rule."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime

from django.db import transaction
from django.db.models import OuterRef, Q, Subquery

from notifications.choices import Scope
from notifications.engine.deadlines import missed_deadline
from notifications.engine.rules import OVERDUE
from notifications.models import Delivery, NotificationRule
from notifications.services.firing import Firing, Rules, is_about
from notifications.services.outbox import write_firings
from scheduler.choices import Status
from scheduler.models import Execution, Task

logger = logging.getLogger(__name__)

FEW = 500  # up to this many tasks are selected by key rather than by their deadline


def write_overdue(now: datetime) -> None:
    """Write one delivery per channel and missed deadline of an enabled task; one query if no rule needs it."""
    watching = NotificationRule.objects.enabled().filter(watches_deadline=True)
    scopes = list(watching.order_by().values_list("scope", "task_id", "tag"))
    if not scopes:
        return
    own = {task for scope, task, _tag in scopes if scope == Scope.TASK}
    tags = {tag for scope, _task, tag in scopes if scope == Scope.TAG}
    is_for_all = any(scope == Scope.ALL for scope, _task, _tag in scopes)
    tasks = _with_deadline(own if not tags and not is_for_all else None)
    watched = [task for task in tasks if is_for_all or task.pk in own or tags.intersection(task.tags)]
    missed = [(task, at) for task in watched if (at := _missed(task, now)) is not None]
    if not missed:
        return
    with transaction.atomic():
        own_rules = Q(task__in=[task for task, _at in missed])
        rows = list(watching.filter(~Q(scope=Scope.TASK) | own_rules).order_by("pk"))
        write_firings(rows, lambda rules: _find(rules, missed), now=now)


def _with_deadline(task_pks: Collection[int] | None) -> Iterable[Task]:
    """Return the enabled tasks with a deadline, annotated with `last_success_at`."""
    # The status index is ordered by queued_at and finds the latest success regardless of its age.
    success = Execution.objects.filter(task=OuterRef("pk"), status=Status.SUCCESS).newest_first()
    tasks = Task.objects.filter(enabled=True, deadline__isnull=False)
    if task_pks is not None and len(task_pks) <= FEW:
        tasks = tasks.filter(pk__in=task_pks)
    known = tasks.only("task_id", "tags", "deadline", "schedule", "timezone", "updated_at")
    dated: Iterable[Task] = known.annotate(last_success_at=Subquery(success.values("finished_at")[:1]))
    return dated


def _missed(task: Task, now: datetime) -> datetime | None:
    assert task.deadline is not None  # noqa: S101 - the filter says so
    try:
        return missed_deadline(
            task.deadline,
            schedule=task.schedule,
            zone=task.zone,
            last_success_at=getattr(task, "last_success_at", None),
            since=task.updated_at,
            now=now,
        )
    except ValueError:
        logger.warning("the deadline of task %s cannot be read", task.task_id, exc_info=True)
        return None


def _find(rules: Rules, missed: Sequence[tuple[Task, datetime]]) -> list[Firing]:
    """Return a firing for each deadline that was not reported yet."""
    own: dict[int | None, Rules] = defaultdict(list)
    others: Rules = []
    for row, rule in rules:
        (own[row.task_id] if row.scope == Scope.TASK else others).append((row, rule))
    found = [
        Firing(row, rule, task.pk, OVERDUE, f"deadline:{task.pk}:{at.isoformat()}", at)
        for task, at in missed
        for row, rule in [*own.get(task.pk, ()), *others]
        if is_about(row, task)
    ]
    reported = set(
        Delivery.objects.filter(event=OVERDUE, occurred_at__in={at for _task, at in missed})
        .filter(rule__in=[row for row, _rule in rules], task__in=[task for task, _at in missed])
        .values_list("rule_id", "task_id", "occurred_at")
    )
    return [f for f in found if (f.row.pk, f.task_pk, f.occurred_at) not in reported]
