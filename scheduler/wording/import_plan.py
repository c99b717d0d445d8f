"""An import plan as lines that a person reads."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import datetime

from scheduler.engine.times import exact_instant
from scheduler.services.configuration import ImportPlan, TaskChange


def plan_lines(plan: ImportPlan) -> list[str]:
    """Return the lines: what is created, changed field by field, removed, and the counts."""
    lines = [f"note: {note}" for note in plan.notes]
    lines += [f"+ {task_id}" for task_id in plan.created]
    for change in plan.changed:
        lines += _change_lines(change)
    lines += [f"- {task_id}" for task_id in plan.removed]
    lines.append(
        f"{len(plan.created)} created, {len(plan.changed)} changed, "
        f"{len(plan.unchanged)} unchanged, {len(plan.removed)} removed"
    )
    return lines


def _change_lines(change: TaskChange) -> Iterator[str]:
    yield f"~ {change.task_id}"
    for field in change.changes:
        yield f"    {field.field}: {_json(field.old)} → {_json(field.new)}"
    if change.slots_before or change.slots_after:
        yield f"    next runs before: {_slots(change.slots_before)}"
        yield f"    next runs after:  {_slots(change.slots_after)}"


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _slots(slots: Sequence[datetime]) -> str:
    return ", ".join(exact_instant(slot) for slot in slots) or "none"
