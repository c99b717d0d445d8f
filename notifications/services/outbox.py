"""From outcomes to deliveries: evaluates the rules, applies cooldowns and limits, and writes rows for the sender.

Runs in the transaction that records the outcomes; the number of queries does not depend on the number of outcomes. A
rule that cannot be evaluated is marked with its problem and never fails that transaction.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import datetime

from django.db import OperationalError, connection, transaction

from notifications.engine.rules import BrokenRuleError
from notifications.models import NotificationRule
from notifications.services.delivery_rows import write_messages
from notifications.services.firing import Firing, Rules, find_firings
from scheduler.models import Execution

logger = logging.getLogger(__name__)


def write_for(task_pks: Collection[int], executions: Sequence[Execution], *, now: datetime) -> None:
    """Write the deliveries that outcomes cause, in the caller's transaction; wake the sender after the commit.

    One query if no rule applies. Errors are logged and marked on the rule; only a database error that aborted the
    transaction (a deadlock, a lost connection) propagates, because the outcomes have to be recorded again.

    Args:
        task_pks: the tasks of the outcomes.
        executions: with their tasks; not evaluated if no rule applies.
    """
    rows = list(NotificationRule.objects.about(task_pks))
    if rows:
        write_firings(rows, lambda rules: find_firings(rules, executions), now=now)


def write_firings(
    rows: Sequence[NotificationRule],
    find: Callable[[Rules], list[Firing]],
    *,
    now: datetime,
) -> None:
    """Write the firings that `find` returns; if that fails, retry rule by rule and mark the failing ones."""
    rules = _read(rows)
    try:
        with transaction.atomic():
            write_messages(find(rules), now=now)
            _clear_problems(rules)
        return
    except Exception as error:
        _pass_on(error)
        if len(rules) == 1:
            logger.exception("rule %s could not be evaluated", rules[0][0].pk)
            _mark(rules[0][0], error)
            return
        logger.exception("rules could not be evaluated together; trying them one by one")
    for row, _rule in rules:
        write_firings([row], find, now=now)


def _read(rows: Iterable[NotificationRule]) -> Rules:
    """Return the readable rules and mark the others."""
    rules = []
    for row in rows:
        try:
            rules.append((row, row.policy()))
        except BrokenRuleError as error:
            logger.warning("rule %s is broken: %s", row.pk, error)
            _mark(row, error)
    return rules


def _pass_on(error: Exception) -> None:
    if isinstance(error, OperationalError) and connection.vendor == "postgresql":
        raise error


def _mark(row: NotificationRule, error: Exception) -> None:
    problem = str(error) if isinstance(error, BrokenRuleError) else f"{type(error).__name__}: {error}"
    if row.problem != problem:
        NotificationRule.objects.filter(pk=row.pk).update(problem=problem)
        row.problem = problem


def _clear_problems(rules: Rules) -> None:
    healed = [row.pk for row, _rule in rules if row.problem]
    if healed:
        NotificationRule.objects.filter(pk__in=healed).update(problem="")
