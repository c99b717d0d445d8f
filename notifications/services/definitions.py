"""Writes rules. Rules of a task are written through the task; rules of a tag and of all tasks are independent rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, cast

from django.db import transaction

from notifications.choices import Scope
from notifications.engine.reasons import Code
from notifications.models import NotificationRule
from notifications.services.rule_sync import Draft, draft_rule, rule_spec
from scheduler.config_file import ConfigError, ConfigProblem, validate_task
from scheduler.config_file.compiled import definition_check
from scheduler.config_file.kept_secrets import with_kept_secrets
from scheduler.engine.reasons import Reason
from scheduler.exceptions import ConflictError
from scheduler.models import Task
from scheduler.services.locks import lock_graph
from scheduler.services.tasks import save_task
from scheduler.task_mapping import task_to_spec

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser

WITHIN_TASK = "task_notify[0]"


def validate_rule(data: object, *, stored: NotificationRule | None = None) -> dict[str, Any]:
    """Return the normal form of one rule in `task_notify` format, with masks replaced by the stored secrets.

    Raises:
        ConfigError: with all problems; paths are relative to the rule.
    """
    if definition_check("rule")(data):
        before = None if stored is None else rule_spec(stored)
        data, findings = with_kept_secrets(cast("dict[str, Any]", data), before)
        if findings:
            raise ConfigError([finding.as_problem("") for finding in findings])
    try:
        return validate_task({"task_notify": [data]}, partial=True)["task_notify"][0]
    except ConfigError as error:
        raise ConfigError([_from_rule(problem) for problem in error.problems]) from error


def _from_rule(problem: ConfigProblem) -> ConfigProblem:
    return replace(problem, path=problem.path.removeprefix(WITHIN_TASK).removeprefix("."))


def validate_tag(tag: object) -> str:
    """Return a valid tag.

    Raises:
        ConfigError: the tag is invalid.
    """
    try:
        return validate_task({"task_tags": [tag]}, partial=True)["task_tags"][0]
    except ConfigError as error:
        raise ConfigError([replace(problem, path="tag") for problem in error.problems]) from error


def save_rule(
    spec: Mapping[str, Any],
    *,
    scope: Scope,
    task: Task | None = None,
    tag: str = "",
    row: NotificationRule | None = None,
    user: AbstractBaseUser | None,
    now: datetime,
) -> NotificationRule:
    """Create a rule or update `row`, whose scope is fixed; a rule of a task is written to the task.

    Args:
        spec: the result of `validate_rule`.

    Raises:
        ConfigError: the task has too many rules.
        ConflictError: the task or rule was deleted meanwhile.
    """
    with transaction.atomic():
        if scope == Scope.TASK:
            return _save_rule_of_task(spec, task, row, user=user, now=now)
        fresh = NotificationRule(scope=scope, tag=tag) if row is None else _fresh(row)
        draft = Draft()
        if row is not None and (fresh.tag != tag):
            fresh.tag = tag
            NotificationRule.objects.filter(pk=fresh.pk).update(tag=tag)
        draft_rule(fresh, spec, fresh.position, draft)
        fresh.problem = ""
        draft.write()
        return NotificationRule.objects.get(pk=fresh.pk)


def _fresh(row: NotificationRule) -> NotificationRule:
    found = NotificationRule.objects.prefetch_related("channels").filter(pk=row.pk).first()
    if found is None:
        raise ConflictError(Reason(Code.RULE_DELETED, {"rule": row.pk}))
    return found


def _save_rule_of_task(
    spec: Mapping[str, Any],
    task: Task | None,
    row: NotificationRule | None,
    *,
    user: AbstractBaseUser | None,
    now: datetime,
) -> NotificationRule:
    lock_graph()
    fresh = Task.objects.filter(pk=None if task is None else task.pk).first()
    if fresh is None:
        raise ConflictError(Reason(Code.TASK_OF_RULE_DELETED))
    rules = list(fresh.notify)
    place = len(rules) if row is None else _fresh(row).position
    rules[place : place + 1] = [dict(spec)]
    _write_rules(fresh, rules, user=user, now=now)
    return NotificationRule.objects.get(task=fresh, scope=Scope.TASK, position=place)


def set_enabled(
    row: NotificationRule, enabled: bool, *, user: AbstractBaseUser | None, now: datetime
) -> None:
    """Enable or disable a rule.

    Raises:
        ConflictError: the rule was deleted meanwhile.
    """
    with transaction.atomic():
        if row.scope != Scope.TASK:
            _fresh(row)
            NotificationRule.objects.filter(pk=row.pk).update(enabled=enabled)
            return
        lock_graph()
        task = Task.objects.filter(pk=row.task_id).first()
        if task is None:
            raise ConflictError(Reason(Code.TASK_OF_RULE_DELETED))
        place = _fresh(row).position
        rules = [
            {**rule, "enabled": enabled} if index == place else rule for index, rule in enumerate(task.notify)
        ]
        _write_rules(task, rules, user=user, now=now)


def delete_rule(row: NotificationRule, *, user: AbstractBaseUser | None, now: datetime) -> None:
    """Delete a rule; its deliveries are kept, and pending ones fail.

    Raises:
        ConflictError: the rule was deleted meanwhile.
    """
    with transaction.atomic():
        if row.scope != Scope.TASK:
            NotificationRule.objects.filter(pk=row.pk).delete()
            return
        lock_graph()
        task = Task.objects.filter(pk=row.task_id).first()
        if task is None:
            raise ConflictError(Reason(Code.TASK_OF_RULE_DELETED))
        place = _fresh(row).position
        rules = [rule for index, rule in enumerate(task.notify) if index != place]
        _write_rules(task, rules, user=user, now=now)


def _write_rules(task: Task, rules: list[Any], *, user: AbstractBaseUser | None, now: datetime) -> None:
    spec = validate_task({**task_to_spec(task), "task_notify": rules})
    save_task(spec, task=task, user=user, now=now)
