"""From outcomes to deliveries: which rules fire, what is held back, and what is written for the sender.

Everything happens in the transaction that records the outcomes, in a number of queries that does not depend on how
many there are. A rule that cannot be evaluated is marked with its problem and never fails that transaction.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.conf import settings
from django.db import OperationalError, connection, transaction
from django.db.models import Count, F, Q

from notifications import selectors
from notifications.choices import Event, Scope, State
from notifications.models import Delivery, NotificationRule, RuleChannel
from notifications.rules import (
    RECOVERED,
    BrokenRuleError,
    Outcome,
    Rule,
    held_back,
    is_settled,
    judge,
)
from notifications.services.wake import wake_sender_after_commit
from scheduler.choices import Status
from scheduler.models import Execution, Task

logger = logging.getLogger(__name__)

LOCK_TASKS, LOCK_TARGETS = 7_305_102, 7_305_103
BEFORE = 8  # outcomes to read at first beyond the threshold; enough where `skipped` is rare
MOST_AT_FIRST = 64
LARGER = 8  # factor when they do not suffice


@dataclass(frozen=True)
class Firing:
    """A rule fires: one message for each of its channels."""

    row: NotificationRule
    rule: Rule
    task_pk: int
    event: str
    occasion: str
    occurred_at: datetime
    execution_id: int | None = None
    streak: int | None = None


Rules = list[tuple[NotificationRule, Rule]]


def write_for(execution_ids: Collection[int], executions: Sequence[Execution], *, now: datetime) -> None:
    """Write the deliveries that outcomes cause, in the transaction of the caller; wake the sender after it.

    Without any rule about them, one query. An error is logged and marked on its rule; only a database that broke
    off the transaction (a deadlock, a lost connection) is passed on, because the outcomes have to be recorded again.

    Args:
        executions: with their tasks; not looked at when no rule is about them.
    """
    rows = list(NotificationRule.objects.about(execution_ids))
    if rows:
        write_firings(rows, lambda rules: _find(rules, executions), now=now)


def write_firings(
    rows: Sequence[NotificationRule],
    find: Callable[[Rules], list[Firing]],
    *,
    now: datetime,
) -> None:
    """Write what `find` finds for rules; when that fails, rule by rule, and mark those that fail."""
    rules = _read(rows)
    try:
        with transaction.atomic():
            _write(find(rules), now=now)
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
    """Return the rules that can be read, and mark the others."""
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


# --- which rules fire -------------------------------------------------------------------------------


@dataclass
class _Group:
    """The new outcomes of one task, and the rules about them."""

    task: Task
    outcomes: list[Outcome] = field(default_factory=list)
    rules: Rules = field(default_factory=list)

    @property
    def new(self) -> set[int]:
        return {outcome.id for outcome in self.outcomes}

    @property
    def readers(self) -> list[Rule]:
        return [rule for _row, rule in self.rules if rule.needs_history]


def _find(rules: Rules, executions: Iterable[Execution]) -> list[Firing]:
    groups = _groups(rules, executions)
    readers = [group for group in groups if group.readers]
    # Two that do not see each other's outcomes of a task would miss a streak.
    remembered = [group.task.pk for group in groups if any(_remembers(rule) for _row, rule in group.rules)]
    _lock(LOCK_TASKS, {pk % 2**31 for pk in remembered})
    histories = _read_histories(readers)
    unseen = _read_unseen_alerts(readers)
    found: list[Firing] = []
    for group in groups:
        for row, rule in group.rules:
            if not rule.needs_history:
                found += [
                    _firing(row, rule, group.task.pk, outcome, outcome.status, None)
                    for outcome in group.outcomes
                    if outcome.status in rule.triggers
                ]
                continue
            history = histories[group.task.pk]
            late = _made_good(history, unseen.get((row.pk, group.task.pk)))
            found += [
                _firing(row, rule, group.task.pk, outcome, decision.event, decision.streak)
                for outcome, decision in judge(rule, history, new=group.new, overdue=late)
            ]
    return sorted(found, key=lambda firing: (firing.occurred_at, firing.execution_id, firing.row.pk))


def _firing(
    row: NotificationRule, rule: Rule, task_pk: int, outcome: Outcome, event: str, streak: int | None
) -> Firing:
    occasion = f"execution:{outcome.id}"
    return Firing(row, rule, task_pk, event, occasion, outcome.finished_at, outcome.id, streak)


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
    """Tell whether a rule concerns a task."""
    if row.scope == Scope.TASK:
        return row.task_id == task.pk
    return row.scope == Scope.ALL or row.tag in task.tags


def _remembers(rule: Rule) -> bool:
    return rule.needs_history or rule.cooldown > 0


def _lock(space: int, keys: Collection[int]) -> None:
    """Hold locks until the end of the transaction; always in the same order, so that two do not wait for each other.

    SQLite needs nothing: its transactions begin IMMEDIATE, one writer at a time.
    """
    if connection.vendor == "postgresql" and keys:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_advisory_xact_lock(%s, key) FROM unnest(%s::int[]) AS key", [space, sorted(keys)]
            )


def _read_histories(groups: Sequence[_Group]) -> dict[int, list[Outcome]]:
    """Return for each task its latest outcomes, as far back as its rules need them; few queries for all of them."""
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
        return True  # there is no more
    new = group.new
    first = next((index for index, outcome in enumerate(history) if outcome.id in new), len(history))
    if len([outcome for outcome in history if outcome.id in new]) < len(new):
        return False  # a late one lies before what was read
    earlier = [outcome.status for outcome in history[:first]]
    return all(is_settled(rule, earlier) for rule in group.readers)


def _read_unseen_alerts(groups: Sequence[_Group]) -> dict[tuple[int, int], datetime]:
    rules = {row.pk for g in groups for row, rule in g.rules if RECOVERED in rule.triggers}
    succeeded = [g.task.pk for g in groups if any(o.status == Status.SUCCESS for o in g.outcomes)]
    return selectors.last_unseen_alerts(rules, succeeded) if rules and succeeded else {}


def _made_good(history: Iterable[Outcome], alert: datetime | None) -> set[int]:
    """Return the id of the first success after an alert that no outcome tells of."""
    if alert is None:
        return set()
    later = (o.id for o in history if o.status == Status.SUCCESS and o.finished_at > alert)
    first = next(later, None)
    return set() if first is None else {first}


# --- what is written --------------------------------------------------------------------------------


@dataclass
class _Budget:
    """How many messages each target may still get in this hour."""

    hour: datetime
    left: dict[str, int]

    def take(self, target: str) -> bool:
        """Use one; return False when none is left."""
        if self.left[target] <= 0:
            return False
        self.left[target] -= 1
        return True


def _write(firings: Sequence[Firing], *, now: datetime) -> None:
    if not firings:
        return
    channels: dict[int, list[RuleChannel]] = defaultdict(list)
    for channel in RuleChannel.objects.filter(rule__in={f.row.pk for f in firings}).order_by(
        "position", "pk"
    ):
        channels[channel.rule_id].append(channel)
    targets = {channel.target for some in channels.values() for channel in some}
    # Two that do not see each other's messages would exceed the limit, and count one series of suppressed ones twice.
    _lock(LOCK_TARGETS, {int(target[:7], 16) for target in targets})
    told = selectors.told_at(_cooldowns(firings))
    budget = _budget(targets, now)
    new: list[Delivery] = []
    digests: dict[str, Delivery] = {}
    series: dict[tuple[int, str, str], Delivery] = {}
    for firing in firings:
        key = (firing.row.pk, firing.task_pk, firing.event == RECOVERED)
        since = told.get(key)
        is_held = held_back(firing.rule, at=firing.occurred_at, told_at=since)
        for channel in channels[firing.row.pk]:
            if is_held and since is not None:
                _add_to_series(series, _cooled(firing, channel, since, now))
            elif budget.take(channel.target):
                new.append(_pending(firing, channel, now))
                told[key] = firing.occurred_at
            else:
                _add_to_series(series, _limited(firing, channel, budget.hour, now))
                digests.setdefault(channel.target, _digest(firing.row, channel, budget.hour, now))
    Delivery.objects.bulk_create(
        [*new, *digests.values(), *_new_series(series)], ignore_conflicts=True, batch_size=500
    )
    if new:
        wake_sender_after_commit()


def _cooldowns(firings: Iterable[Firing]) -> list[Q]:
    """Return the conditions that find what was told within the cooldown of each rule."""
    cooling: dict[int, list[Firing]] = defaultdict(list)
    for firing in firings:
        if firing.rule.cooldown > 0:
            cooling[firing.row.pk].append(firing)
    return [
        Q(
            rule=row,
            task__in={f.task_pk for f in some},
            occurred_at__gt=min(f.occurred_at for f in some) - timedelta(seconds=some[0].rule.cooldown),
        )
        for row, some in cooling.items()
    ]


def _budget(targets: Collection[str], now: datetime) -> _Budget:
    hour = now.replace(minute=0, second=0, microsecond=0)
    rows = Delivery.objects.told().filter(target__in=targets, created_at__gte=hour).order_by()
    used = {row["target"]: row["used"] for row in rows.values("target").annotate(used=Count("pk"))}
    limit = settings.SCHEDULER_NOTIFY_HOURLY_LIMIT
    return _Budget(hour, {target: limit - used.get(target, 0) for target in targets})


def _pending(firing: Firing, channel: RuleChannel, now: datetime) -> Delivery:
    return Delivery(
        rule=firing.row,
        rule_name=firing.row.name,
        channel=channel,
        kind=channel.kind,
        target=channel.target,
        task_id=firing.task_pk,
        execution_id=firing.execution_id,
        event=firing.event,
        occasion=firing.occasion,
        streak=firing.streak,
        occurred_at=firing.occurred_at,
        created_at=now,
        next_attempt_at=now,
    )


def _suppressed(firing: Firing, channel: RuleChannel, now: datetime, occasion: str, reason: str) -> Delivery:
    row = _pending(firing, channel, now)
    row.state, row.next_attempt_at = State.SUPPRESSED, None
    row.occasion, row.reason = occasion, reason
    return row


def _cooled(firing: Firing, channel: RuleChannel, since: datetime, now: datetime) -> Delivery:
    until = since + timedelta(seconds=firing.rule.cooldown)
    reason = (
        f"held back until {_words(until)} by the cooldown of {firing.rule.cooldown:g} s "
        f"after the message about {_words(since)}"
    )
    return _suppressed(firing, channel, now, f"cooldown:{firing.task_pk}:{since.isoformat()}", reason)


def _limited(firing: Firing, channel: RuleChannel, hour: datetime, now: datetime) -> Delivery:
    reason = (
        f"more than {settings.SCHEDULER_NOTIFY_HOURLY_LIMIT} messages to this channel in the hour from "
        f"{_words(hour)} (SCHEDULER_NOTIFY_HOURLY_LIMIT); a digest follows"
    )
    return _suppressed(firing, channel, now, f"limit:{firing.task_pk}:{hour.isoformat()}", reason)


def _words(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"


def _digest(row: NotificationRule, channel: RuleChannel, hour: datetime, now: datetime) -> Delivery:
    end = hour + timedelta(hours=1)
    return Delivery(
        rule=row,
        rule_name=row.name,
        channel=channel,
        kind=channel.kind,
        target=channel.target,
        event=Event.DIGEST,
        occasion=f"hour:{hour.isoformat()}",
        occurred_at=hour,
        created_at=now,
        next_attempt_at=end,
    )


def _add_to_series(series: dict[tuple[int, str, str], Delivery], row: Delivery) -> None:
    first = series.setdefault((row.channel_id or 0, row.event, row.occasion), row)
    if first is not row:
        first.count += 1
        first.occurred_at = row.occurred_at


def _new_series(series: Mapping[tuple[int, str, str], Delivery]) -> list[Delivery]:
    """Add to the series that go on and return those that begin."""
    if not series:
        return []
    stored = {
        (row.channel_id or 0, row.event, row.occasion): row
        for row in Delivery.objects.filter(
            channel__in={key[0] for key in series},
            occasion__in={key[2] for key in series},
            state=State.SUPPRESSED,
        )
    }
    for key, row in stored.items():
        if key in series:
            row.count = F("count") + series[key].count
            row.occurred_at = series[key].occurred_at
    longer = [row for key, row in stored.items() if key in series]
    Delivery.objects.bulk_update(longer, ["count", "occurred_at"], batch_size=500)
    return [row for key, row in series.items() if key not in stored]
