"""What this app does when the scheduler says that something happened."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from django.dispatch import receiver

from notifications import heartbeat
from notifications.services import demonstration, outbox, overdue, projection, pruning, sending
from notifications.services.wake import wake_sender
from scheduler.models import Task
from scheduler.signals import (
    demonstration_written,
    dispatcher_swept,
    execution_finished,
    history_pruned,
    tasks_deleted,
    tasks_written,
)


@receiver(tasks_written, dispatch_uid="notifications.tasks_written")
def keep_rules(tasks: Sequence[Task], **_kwargs: Any) -> None:
    """Keep the rows of the tasks' rules."""
    projection.project(tasks)


@receiver(tasks_deleted, dispatch_uid="notifications.tasks_deleted")
def drop_rules(task_pks: Sequence[int], **_kwargs: Any) -> None:
    """Take the rules of deleted tasks away."""
    projection.forget(task_pks)


@receiver(execution_finished, dispatch_uid="notifications.execution_finished")
def write_deliveries(execution_ids: Sequence[int], executions: Any, **_kwargs: Any) -> None:
    """Write what the outcomes have to be told of."""
    outbox.write_for(execution_ids, executions, now=datetime.now(UTC))


@receiver(dispatcher_swept, dispatch_uid="notifications.overdue")
def write_missed_deadlines(now: datetime, **_kwargs: Any) -> None:
    """Write what tasks that are overdue have to be told of."""
    overdue.write_overdue(now)


@receiver(dispatcher_swept, dispatch_uid="notifications.due")
def wake_for_due(now: datetime, **_kwargs: Any) -> None:
    """Wake a sender for what is due: a later attempt, or what its sender left."""
    if sending.has_due(now):
        wake_sender()


@receiver(dispatcher_swept, dispatch_uid="notifications.heartbeat")
def say_alive(now: datetime, **_kwargs: Any) -> None:
    """Tell a watcher elsewhere that Schedsite is alive."""
    heartbeat.ping_when_due(now)


@receiver(history_pruned, dispatch_uid="notifications.history_pruned")
def prune_deliveries(older_than: datetime, **_kwargs: Any) -> None:
    """Let old deliveries go with the history."""
    pruning.prune_deliveries(older_than)


@receiver(demonstration_written, dispatch_uid="notifications.demonstration_written")
def demonstrate(tasks: Sequence[Task], days: int, now: datetime, **_kwargs: Any) -> None:
    """Add rules and messages to the demonstration."""
    demonstration.write_demonstration(tasks, days=days, now=now)
