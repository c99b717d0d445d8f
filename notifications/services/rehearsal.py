"""Rehearsals: what a rule would have sent about the history."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings

from notifications import selectors
from notifications.engine.deadlines import daily_deadlines, missed_deadline
from notifications.engine.reasons import Code
from notifications.engine.rules import OVERDUE, RECOVERED, Outcome, Replay, Rule, held_back
from notifications.models import target_of
from scheduler.choices import Status
from scheduler.engine.reasons import Reason
from scheduler.models import Task

MOST_OUTCOMES = 200_000
MOST_MESSAGES = 1000
MOST_DAYS = 366


@dataclass(frozen=True)
class RehearsedMessage:
    """A message that a rule would have sent.

    Attributes:
        streak, repeats: as in `Decision`.
        reason: why the rule fired.
        held_back: why it would have been suppressed, or None.
    """

    at: datetime
    task_id: str
    execution_id: int | None
    event: str
    streak: int
    reason: Reason | None
    held_back: Reason | None = None
    repeats: int = 1


@dataclass
class Rehearsal:
    """The result of a rehearsal.

    Attributes:
        messages: the latest `MOST_MESSAGES`, newest first.
        sent, suppressed: number of messages.
        outcomes: number of outcomes evaluated.
        is_complete: whether all outcomes of the period were evaluated.
    """

    since: datetime
    messages: list[RehearsedMessage] = field(default_factory=list)
    sent: int = 0
    suppressed: int = 0
    outcomes: int = 0
    is_complete: bool = True


def rehearse(spec: Mapping[str, Any], tasks: Sequence[Task], *, days: int = 30, now: datetime) -> Rehearsal:
    """Return what a valid rule (`task_notify` format) would have sent about `tasks` in the last `days`.

    Replays the history with the present task definitions; read-only. Streaks are evaluated from twice as many days ago.
    Evaluates at most the latest `MOST_OUTCOMES` outcomes.
    """
    rule = Rule(frozenset(spec["triggers"]), spec["threshold"], spec["repeat"], spec["cooldown"])
    since = now - timedelta(days=min(days, MOST_DAYS))
    begin = since - (now - since)
    histories = selectors.outcomes_since([task.pk for task in tasks], begin, limit=MOST_OUTCOMES)
    rehearsal = Rehearsal(since, outcomes=sum(map(len, histories.values())))
    rehearsal.is_complete = rehearsal.outcomes < MOST_OUTCOMES
    messages = [m for task in tasks for m in _messages_of(rule, task, histories[task.pk], begin, now)]
    messages.sort(key=lambda message: (message.at, message.execution_id or 0))
    shown = [m for m in _within_limits(rule, spec, messages) if m.at >= since]
    rehearsal.suppressed = sum(bool(message.held_back) for message in shown)
    rehearsal.sent = len(shown) - rehearsal.suppressed
    rehearsal.messages = shown[::-1][:MOST_MESSAGES]
    return rehearsal


def _messages_of(
    rule: Rule, task: Task, outcomes: Sequence[Outcome], begin: datetime, now: datetime
) -> Iterator[RehearsedMessage]:
    deadlines = list(_missed_deadlines(task, outcomes, begin, now)) if OVERDUE in rule.triggers else []
    for at in deadlines:
        yield RehearsedMessage(at, task.task_id, None, OVERDUE, 1, Reason(Code.DEADLINE_MISSED))
    fold, was_overdue, place = Replay(rule), False, 0
    for outcome in outcomes:
        while place < len(deadlines) and deadlines[place] < outcome.finished_at:
            was_overdue, place = True, place + 1
        decision = fold.add(outcome.status, was_overdue=was_overdue)
        was_overdue = was_overdue and outcome.status != Status.SUCCESS
        if decision.fires:
            yield RehearsedMessage(
                outcome.finished_at,
                task.task_id,
                outcome.id,
                decision.event,
                decision.streak,
                decision.reason,
                repeats=decision.repeats,
            )


def _missed_deadlines(
    task: Task, outcomes: Sequence[Outcome], begin: datetime, now: datetime
) -> Iterator[datetime]:
    """Yield each missed deadline once, in order."""
    if task.deadline is None or not task.enabled:
        return
    successes = [outcome.finished_at for outcome in outcomes if outcome.status == Status.SUCCESS]
    since = max(begin, task.created_at)
    for looked_at, last in _looks(task, successes, since, now):
        missed = missed_deadline(
            task.deadline,
            schedule=task.schedule,
            zone=task.zone,
            last_success_at=last,
            since=since,
            now=looked_at,
        )
        if missed is not None:
            yield missed


def _looks(
    task: Task, successes: Sequence[datetime], since: datetime, now: datetime
) -> Iterator[tuple[datetime, datetime | None]]:
    """Yield the instants at which a deadline may have been missed, each with the preceding success."""
    if not isinstance(task.deadline, str):
        yield from zip([*successes, now], [None, *successes], strict=True)
        return
    for at in daily_deadlines(task.deadline, zone=task.zone, since=since, until=now):
        place = bisect_right(successes, at)
        yield at, successes[place - 1] if place else None


def _within_limits(
    rule: Rule, spec: Mapping[str, Any], messages: Sequence[RehearsedMessage]
) -> Iterator[RehearsedMessage]:
    targets = [
        target_of(channel["type"], {name: value for name, value in channel.items() if name != "type"})
        for channel in spec["channels"]
    ]
    reported: dict[tuple[str, bool], datetime] = {}
    used: Counter[tuple[str, datetime]] = Counter()
    for message in messages:
        key = (message.task_id, message.event == RECOVERED)
        hour = message.at.replace(minute=0, second=0, microsecond=0)
        reason = None
        if held_back(rule, at=message.at, last_reported_at=reported.get(key)):
            reason = Reason(Code.COOLDOWN, {"seconds": rule.cooldown})
        elif all(used[target, hour] >= settings.SCHEDULER_NOTIFY_HOURLY_LIMIT for target in targets):
            reason = Reason(Code.HOURLY_LIMIT, {"limit": settings.SCHEDULER_NOTIFY_HOURLY_LIMIT})
        else:
            reported[key] = message.at
            used.update((target, hour) for target in targets)
        yield message if reason is None else replace(message, held_back=reason)
