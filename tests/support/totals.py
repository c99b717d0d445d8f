"""What is counted, and what the history says."""

from __future__ import annotations

from django.db.models import Sum

from scheduler.choices import TERMINAL
from scheduler.models import Execution, ExecutionTotal

Totals = dict[tuple[str, str], int]


def counted() -> Totals:
    """Return the number of slots by task and status, as the counters have it."""
    rows = ExecutionTotal.objects.values_list("task__task_id", "status", "slots")
    return {(task, status): slots for task, status, slots in rows}


def ended_in_history() -> Totals:
    """Return the same from the rows of the history."""
    rows = Execution.objects.filter(status__in=TERMINAL).order_by()
    grouped = rows.values_list("task__task_id", "status").annotate(slots=Sum("slot_count"))
    return {(task, status): slots for task, status, slots in grouped}
