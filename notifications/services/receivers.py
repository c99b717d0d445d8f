"""Receivers of the scheduler's signals."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from typing import Any

from django.dispatch import receiver

from notifications.services import (
    clock,
    counts,
    dead_mans_switch,
    outbox,
    overdue,
    pruning,
    rule_sync,
    send_threads,
)
from notifications.services.wake import wake_sender
from scheduler.models import Task
from scheduler.signals import (
    clock_put_back,
    dispatcher_swept,
    execution_finished,
    history_pruned,
    tasks_deleted,
    tasks_written,
)


@receiver(tasks_written, dispatch_uid="notifications.tasks_written")
def sync_rules(tasks: Sequence[Task], **_kwargs: Any) -> None:
    """Update the rule rows of the tasks."""
    rule_sync.sync_rules(tasks)


@receiver(tasks_deleted, dispatch_uid="notifications.tasks_deleted")
def delete_rules(task_pks: Sequence[int], **_kwargs: Any) -> None:
    """Delete the rules of deleted tasks."""
    rule_sync.delete_rules(task_pks)


@receiver(execution_finished, dispatch_uid="notifications.execution_finished")
def write_deliveries(task_pks: Collection[int], executions: Any, **_kwargs: Any) -> None:
    """Write the deliveries that the outcomes cause."""
    outbox.write_for(task_pks, executions, now=datetime.now(UTC))


@receiver(clock_put_back, dispatch_uid="notifications.clock_put_back")
def bring_deliveries_back(now: datetime, **_kwargs: Any) -> None:
    """Make due the messages that were postponed while the clock was ahead."""
    clock.reset_future_deliveries(now)


@receiver(dispatcher_swept, dispatch_uid="notifications.overdue")
def write_missed_deadlines(now: datetime, **_kwargs: Any) -> None:
    """Write the deliveries of overdue tasks."""
    overdue.write_overdue(now)


@receiver(dispatcher_swept, dispatch_uid="notifications.due")
def wake_for_due(now: datetime, **_kwargs: Any) -> None:
    """Wake the sender when retries or abandoned deliveries are due."""
    if send_threads.has_due(now):
        wake_sender()


@receiver(dispatcher_swept, dispatch_uid="notifications.counts")
def merge_counts(**_kwargs: Any) -> None:
    """Keep the counts of messages few."""
    counts.merge()


@receiver(dispatcher_swept, dispatch_uid="notifications.services.dead_mans_switch")
def ping_monitor(now: datetime, **_kwargs: Any) -> None:
    """Ping the external monitor."""
    dead_mans_switch.ping_when_due(now)


@receiver(history_pruned, dispatch_uid="notifications.history_pruned")
def prune_deliveries(older_than: datetime, **_kwargs: Any) -> None:
    """Delete deliveries older than the retention of the history."""
    pruning.prune_deliveries(older_than)
