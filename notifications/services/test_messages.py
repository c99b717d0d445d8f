"""Test messages: sent at once, recorded as deliveries, not retried."""

from __future__ import annotations

import queue
import secrets
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings

from notifications.channels.registry import get_channel
from notifications.choices import Event, State
from notifications.models import Delivery, NotificationRule, RuleChannel, target_of
from notifications.services.attempts import GRACE, Attempt, Result
from notifications.services.facts import sample_facts
from notifications.services.send_threads import LEASE_MARGIN, no_answer, not_composed, record
from scheduler.models import Task


def send_test_messages(
    channels: Sequence[RuleChannel],
    *,
    rule: NotificationRule | None = None,
    rule_name: str = "",
    task: Task | None = None,
    now: datetime,
) -> list[Delivery]:
    """Send a test message to each channel immediately and return the deliveries, sent or failed with a reason.

    Blocks until the slowest channel is done, at most SCHEDULER_NOTIFY_DEADLINE plus one second. No retries.

    Args:
        channels: stored channels, or unsaved drafts.
        task: the task whose latest execution provides the template values.
    """
    name = rule.name if rule is not None and not rule_name else rule_name
    deliveries = [_test_row(channel, rule, name, task, now) for channel in channels]
    ended: queue.SimpleQueue[tuple[Attempt, Result]] = queue.SimpleQueue()
    flying: dict[str, Attempt] = {}
    for delivery, channel in zip(deliveries, channels, strict=True):
        if _compose_test(delivery, channel, sample_facts(name, task, now), now):
            attempt = Attempt(
                delivery,
                channel.config,
                deadline=settings.SCHEDULER_NOTIFY_DEADLINE,
                on_end=lambda attempt, result: ended.put((attempt, result)),
            )
            flying[delivery.key] = attempt
            attempt.start()
    _await(flying, ended, now)
    pks = [delivery.pk for delivery in deliveries]
    return list(Delivery.objects.filter(pk__in=pks).order_by("pk"))


def _await(
    flying: dict[str, Attempt], ended: queue.SimpleQueue[tuple[Attempt, Result]], now: datetime
) -> None:
    while flying:
        try:
            attempt, result = ended.get(timeout=settings.SCHEDULER_NOTIFY_DEADLINE + GRACE)
        except queue.Empty:
            break
        del flying[attempt.delivery.key]
        _record_test(attempt.delivery, result, now)
    for attempt in flying.values():
        attempt.give_up()
        _record_test(attempt.delivery, Result(False, no_answer()), now)


def _record_test(delivery: Delivery, result: Result, now: datetime) -> None:
    """Record a final result; test messages are not retried, as their sender sees the result."""
    record(delivery, replace(result, is_permanent=True), now=now)


def _test_row(
    channel: RuleChannel, rule: NotificationRule | None, name: str, task: Task | None, now: datetime
) -> Delivery:
    lease = timedelta(seconds=settings.SCHEDULER_NOTIFY_DEADLINE + LEASE_MARGIN)
    return Delivery.objects.create(
        rule=rule,
        rule_name=name,
        channel=None if channel._state.adding else channel,
        kind=channel.kind,
        target=target_of(channel.kind, channel.config),
        task=task,
        event=Event.TEST,
        occasion=f"test:{secrets.token_hex(8)}",
        state=State.SENDING,
        claim=secrets.token_hex(8),
        attempts=1,
        next_attempt_at=now + lease,
        occurred_at=now,
        created_at=now,
    )


def _compose_test(delivery: Delivery, channel: RuleChannel, facts: Any, now: datetime) -> bool:
    try:
        delivery.content = get_channel(delivery.kind).compose(channel.config, facts)
    except Exception as error:
        _record_test(delivery, Result(False, not_composed(error)), now)
        return False
    delivery.save(update_fields=["content"])
    return True
