"""What is said of schedules whose days an upgrade changed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, datetime

from scheduler.engine.day_rules import COMPARED_DAYS, ChangedDays, changed_days
from scheduler.engine.explanations import Code as Said
from scheduler.engine.reasons import Reason
from scheduler.engine.zones import display_zone
from scheduler.exceptions import InvalidScheduleError
from scheduler.models import Task

SHOWN_DAYS = 6


def days_of(task: Task, now: datetime) -> ChangedDays | None:
    """Return the days of `task` that an upgrade changed, from today on; None if there are none to name."""
    if task.days_changed_at is None:
        return None
    try:
        found = changed_days(task.schedule, now.astimezone(display_zone(task.zone)).date())
    except InvalidScheduleError:  # reported as a broken schedule
        return None
    return found if found.dropped or found.added else None


def days_reason(found: ChangedDays) -> Reason:
    """Return the sentence on changed days, which names the first ones."""
    changes = []
    if found.dropped:
        changes.append(
            Reason(Said.DAYS_DROPPED, {"number": len(found.dropped), "days": _first(found.dropped)})
        )
    if found.added:
        changes.append(Reason(Said.DAYS_ADDED, {"number": len(found.added), "days": _first(found.added)}))
    return Reason(Said.DAYS_CHANGED, {"span": COMPARED_DAYS, "changes": changes})


def tasks_with_changed_days(now: datetime) -> Iterator[tuple[Task, ChangedDays]]:
    """Yield the live tasks whose days an upgrade changed and nobody has acknowledged, by id."""
    for task in Task.objects.exclude(days_changed_at=None).order_by("task_id"):
        found = days_of(task, now)
        if found is not None:
            yield task, found


def _first(days: Sequence[date]) -> list[str]:
    shown = [day.isoformat() for day in days[:SHOWN_DAYS]]
    return [*shown, "…"] if len(days) > SHOWN_DAYS else shown
