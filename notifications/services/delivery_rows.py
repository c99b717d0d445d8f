"""Writes the rows that rule firings cause: messages, suppressed messages, and the digests of rate-limited targets."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import Count, F, Q

from notifications import selectors
from notifications.choices import Event, State
from notifications.engine.reasons import Code
from notifications.engine.rules import RECOVERED, held_back
from notifications.models import Delivery, NotificationRule, RuleChannel
from notifications.services import counts
from notifications.services.firing import Firing
from notifications.services.wake import wake_sender_after_commit
from scheduler.engine.reasons import Reason
from scheduler.engine.times import iso
from scheduler.services.locks import Space, lock_numbers


@dataclass
class _Budget:
    """The number of messages each target may still receive in this hour."""

    hour: datetime
    left: dict[str, int]

    def take(self, target: str) -> bool:
        """Use one unit; return False when none is left."""
        if self.left[target] <= 0:
            return False
        self.left[target] -= 1
        return True


def write_messages(firings: Sequence[Firing], *, now: datetime) -> None:
    """Write a delivery or a suppressed row per channel of each firing; wake the sender after the commit."""
    if not firings:
        return
    channels: dict[int, list[RuleChannel]] = defaultdict(list)
    for channel in RuleChannel.objects.filter(rule__in={f.row.pk for f in firings}).order_by(
        "position", "pk"
    ):
        channels[channel.rule_id].append(channel)
    targets = {channel.target for some in channels.values() for channel in some}
    # Concurrent transactions would exceed the limit and start one suppressed series twice.
    lock_numbers(Space.TARGETS, {int(target[:7], 16) for target in targets})
    reported = selectors.last_reported_at(_cooldowns(firings))
    budget = _budget(targets, now)
    new: list[Delivery] = []
    digests: dict[str, Delivery] = {}
    series: dict[tuple[int, str, str], Delivery] = {}
    for firing in firings:
        key = (firing.row.pk, firing.task_pk, firing.event == RECOVERED)
        since = reported.get(key)
        is_held = held_back(firing.rule, at=firing.occurred_at, last_reported_at=since)
        for channel in channels[firing.row.pk]:
            if is_held and since is not None:
                _add_to_series(series, _cooled(firing, channel, since, now))
            elif budget.take(channel.target):
                new.append(_pending(firing, channel, now))
                reported[key] = firing.occurred_at
            else:
                _add_to_series(series, _limited(firing, channel, budget.hour, now))
                digests.setdefault(channel.target, _digest(firing.row, channel, budget.hour, now))
    Delivery.objects.bulk_create(
        [*new, *digests.values(), *_new_series(series)], ignore_conflicts=True, batch_size=500
    )
    suppressed: Counter[counts.Key] = Counter()
    for row in series.values():
        suppressed[row.kind, State.SUPPRESSED] += row.count
    counts.add(suppressed)
    if new:
        wake_sender_after_commit()


def _cooldowns(firings: Iterable[Firing]) -> list[Q]:
    """Return the conditions that select the messages within the cooldown of each rule."""
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
    rows = Delivery.objects.reported().filter(target__in=targets, created_at__gte=hour).order_by()
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
        repeats=firing.repeats,
        occurred_at=firing.occurred_at,
        created_at=now,
        next_attempt_at=now,
    )


def _suppressed(
    firing: Firing, channel: RuleChannel, now: datetime, occasion: str, reason: Reason
) -> Delivery:
    row = _pending(firing, channel, now)
    row.state, row.next_attempt_at = State.SUPPRESSED, None
    row.occasion = occasion
    row.set_reason(reason)
    return row


def _cooled(firing: Firing, channel: RuleChannel, since: datetime, now: datetime) -> Delivery:
    until = since + timedelta(seconds=firing.rule.cooldown)
    values = {"until": iso(until), "seconds": firing.rule.cooldown, "at": iso(since)}
    reason = Reason(Code.COOLDOWN_UNTIL, values)
    return _suppressed(firing, channel, now, f"cooldown:{firing.task_pk}:{since.isoformat()}", reason)


def _limited(firing: Firing, channel: RuleChannel, hour: datetime, now: datetime) -> Delivery:
    values = {"limit": settings.SCHEDULER_NOTIFY_HOURLY_LIMIT, "at": iso(hour)}
    reason = Reason(Code.HOURLY_LIMIT_OF_CHANNEL, values)
    return _suppressed(firing, channel, now, f"limit:{firing.task_pk}:{hour.isoformat()}", reason)


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
    """Update the open series and return the rows of new ones."""
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
