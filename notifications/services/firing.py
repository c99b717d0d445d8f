"""Determines which rules fire for a set of outcomes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from notifications import selectors
from notifications.choices import Scope
from notifications.engine.rules import RECOVERED, Decision, Outcome, Rule, is_settled, judge
from notifications.models import NotificationRule
from scheduler.choices import Status
from scheduler.models import Execution, Task
from scheduler.services.locks import Space, lock_numbers

BEFORE = 8  # outcomes read first, in addition to the threshold; enough where `skipped` is rare
MOST_AT_FIRST = 64
LARGER = 8  # factor by which the next read is larger


@dataclass(frozen=True)
class Firing:
    """A rule that fires: one message per channel."""

    row: NotificationRule
    rule: Rule
    task_pk: int
    event: str
    occasion: str
    occurred_at: datetime
    execution_id: int | None = None
    streak: int | None = None
    repeats: int | None = None


Rules = list[tuple[NotificationRule, Rule]]


@dataclass
class _Group:
    """The new outcomes of one task, and the rules that apply to it."""

    task: Task
    outcomes: list[Outcome] = field(default_factory=list)
    rules: Rules = field(default_factory=list)

    @property
    def new(self) -> set[int]:
        return {outcome.id for outcome in self.outcomes}

    @property
    def readers(self) -> list[Rule]:
        return [rule for _row, rule in self.rules if rule.needs_history]


def find_firings(rules: Rules, executions: Iterable[Execution]) -> list[Firing]:
    """Return the firings caused by outcomes, ordered by finish time; few queries in total."""
    groups = _groups(rules, executions)
    readers = [group for group in groups if group.readers]
    # Two transactions that do not see each other's outcomes of a task would miss a streak.
    remembered = [group.task.pk for group in groups if any(_remembers(rule) for _row, rule in group.rules)]
    lock_numbers(Space.STREAKS, {pk % 2**31 for pk in remembered})
    histories = _read_histories(readers)
    unseen = _read_unseen_alerts(readers)
    found: list[Firing] = []
    for group in groups:
        for row, rule in group.rules:
            if not rule.needs_history:
                found += [
                    _firing(row, rule, group.task.pk, outcome, Decision(outcome.status, 0))
                    for outcome in group.outcomes
                    if outcome.status in rule.triggers
                ]
                continue
            history = histories[group.task.pk]
            late = _made_good(history, unseen.get((row.pk, group.task.pk)))
            found += [
                _firing(row, rule, group.task.pk, outcome, decision)
                for outcome, decision in judge(rule, history, new=group.new, overdue=late)
            ]
    return sorted(found, key=lambda firing: (firing.occurred_at, firing.execution_id, firing.row.pk))


def _firing(row: NotificationRule, rule: Rule, task_pk: int, outcome: Outcome, decision: Decision) -> Firing:
    """Return a firing; counts are None for a decision made without history."""
    return Firing(
        row,
        rule,
        task_pk,
        decision.event,
        f"execution:{outcome.id}",
        outcome.finished_at,
        outcome.id,
        streak=decision.streak or None,
        repeats=decision.repeats if decision.streak else None,
    )


def _groups(rules: Rules, executions: Iterable[Execution]) -> list[_Group]:
    groups: dict[int, _Group] = {}
    for execution in executions:
        group = groups.setdefault(execution.task_id, _Group(execution.task))
        at = execution.finished_at or execution.queued_at
        group.outcomes.append(Outcome(execution.status, at, execution.pk))
    for row, rule in rules:
        for group in groups.values():
            if is_about(row, group.task):
                group.rules.append((row, rule))
    return [group for group in groups.values() if group.rules]


def is_about(row: NotificationRule, task: Task) -> bool:
    """Return whether a rule applies to a task."""
    if row.scope == Scope.TASK:
        return row.task_id == task.pk
    return row.scope == Scope.ALL or row.tag in task.tags


def _remembers(rule: Rule) -> bool:
    return rule.needs_history or rule.cooldown > 0


def _read_histories(groups: Sequence[_Group]) -> dict[int, list[Outcome]]:
    """Return the latest outcomes per task, as far back as its rules need them; few queries in total."""
    sizes = {
        g.task.pk: min(max(r.threshold for r in g.readers), MOST_AT_FIRST) + len(g.outcomes) + BEFORE
        for g in groups
    }
    histories: dict[int, list[Outcome]] = {}
    open_groups = list(groups)
    while open_groups:
        histories |= selectors.latest_outcomes({g.task.pk: sizes[g.task.pk] for g in open_groups})
        open_groups = [
            g for g in open_groups if not _suffices(g, histories[g.task.pk], limit=sizes[g.task.pk])
        ]
        for group in open_groups:
            sizes[group.task.pk] *= LARGER
    return histories


def _suffices(group: _Group, history: Sequence[Outcome], *, limit: int) -> bool:
    if len(history) < limit:
        return True  # the whole history was read
    new = group.new
    first = next((index for index, outcome in enumerate(history) if outcome.id in new), len(history))
    if len([outcome for outcome in history if outcome.id in new]) < len(new):
        return False  # a late outcome precedes the rows read
    earlier = [outcome.status for outcome in history[:first]]
    return all(is_settled(rule, earlier) for rule in group.readers)


def _read_unseen_alerts(groups: Sequence[_Group]) -> dict[tuple[int, int], datetime]:
    rules = {row.pk for g in groups for row, rule in g.rules if RECOVERED in rule.triggers}
    succeeded = [g.task.pk for g in groups if any(o.status == Status.SUCCESS for o in g.outcomes)]
    return selectors.last_unseen_alerts(rules, succeeded) if rules and succeeded else {}


def _made_good(history: Iterable[Outcome], alert: datetime | None) -> set[int]:
    """Return the id of the first success after an alert that is not derived from outcomes."""
    if alert is None:
        return set()
    later = (o.id for o in history if o.status == Status.SUCCESS and o.finished_at > alert)
    first = next(later, None)
    return set() if first is None else {first}
