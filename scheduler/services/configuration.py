"""config.json in and out: a plan first, then all of it or nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import transaction

from scheduler import crashpoints
from scheduler.config_file import ConfigDocument, ConfigError, FieldChange, TaskSpec, diff_spec
from scheduler.engine.schedules import next_slot, parse_schedule
from scheduler.models import Task, TaskDependency
from scheduler.services.tasks import Definition, delete_tasks, find_problems, lock_graph, write_definitions
from scheduler.specs import task_to_spec

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser

SHOWN_SLOTS = 3


@dataclass(frozen=True)
class TaskChange:
    """How one task would change; the next runs are given when its schedule changes."""

    task_id: str
    changes: list[FieldChange]
    slots_before: list[datetime] = field(default_factory=list)
    slots_after: list[datetime] = field(default_factory=list)


@dataclass(frozen=True)
class ImportPlan:
    """What an import would do.

    Attributes:
        created, unchanged, removed: task ids.
        notes: older forms that were understood, in sentences.
        document: what was read.
    """

    document: ConfigDocument
    created: list[str]
    changed: list[TaskChange]
    unchanged: list[str]
    removed: list[str]
    notes: list[str]
    prune: bool

    @property
    def has_changes(self) -> bool:
        """Whether applying the plan would write anything."""
        return bool(self.created or self.changed or self.removed)


def plan_import(document: ConfigDocument, *, prune: bool, now: datetime) -> ImportPlan:
    """Compare `document` with what is stored; nothing is written.

    Raises:
        ConfigError: an upstream is unknown or the dependencies would form a cycle.
    """
    stored = {spec["task_id"]: spec for spec in export_specs()}
    wanted = {spec["task_id"]: spec for spec in document.specs}
    removed = sorted(stored.keys() - wanted.keys()) if prune else []
    _check(document, removed)
    created, changed, unchanged = [], [], []
    for task_id, spec in wanted.items():
        if task_id not in stored:
            created.append(task_id)
        elif changes := diff_spec(stored[task_id], spec):
            changed.append(_task_change(stored[task_id], spec, changes, now))
        else:
            unchanged.append(task_id)
    return ImportPlan(document, created, changed, unchanged, removed, list(document.notes), prune)


def _check(document: ConfigDocument, removed: Sequence[str]) -> None:
    """Raise when the document does not fit the stored tasks that stay."""
    rows = {
        task.task_id: task for task in Task.objects.filter(task_id__in=[s["task_id"] for s in document.specs])
    }
    definitions = [Definition(rows.get(spec["task_id"]), spec) for spec in document.specs]
    gone = set(removed)
    problems = [
        document.problem(index, p.path, p.message, p.found, p.allowed)
        for index, p in find_problems(definitions)
    ]
    for index, spec in enumerate(document.specs):
        for position, upstream in enumerate(spec["task_dependencies"]):
            if upstream in gone:
                problems.append(
                    document.problem(
                        index,
                        f"task_dependencies[{position}]",
                        f'the task "{upstream}" would be removed by --prune',
                        upstream,
                        "a task of the file",
                    )
                )
    if problems:
        raise ConfigError(problems)


def _task_change(old: TaskSpec, new: TaskSpec, changes: list[FieldChange], now: datetime) -> TaskChange:
    fields = {change.field for change in changes}
    if not fields & {"task_schedule", "task_timezone", "task_enabled"}:
        return TaskChange(new["task_id"], changes)
    return TaskChange(new["task_id"], changes, upcoming(old, now), upcoming(new, now))


def upcoming(spec: TaskSpec, now: datetime, *, count: int = SHOWN_SLOTS) -> list[datetime]:
    """Return the next slots of a task as defined by `spec`; none when it is disabled or has no schedule."""
    if not spec["task_enabled"] or not spec["task_schedule"]:
        return []
    schedule = parse_schedule(spec["task_schedule"], spec["task_timezone"] or settings.SCHEDULER_TIME_ZONE)
    slots: list[datetime] = []
    after: datetime | None = now
    while after is not None and len(slots) < count:
        after = next_slot(schedule, after)
        if after is not None:
            slots.append(after)
    return slots


def apply_import(
    document: ConfigDocument, *, prune: bool, user: AbstractBaseUser | None, now: datetime
) -> ImportPlan:
    """Plan and write in one transaction, so that what was planned is what is written; return the plan."""
    with transaction.atomic():
        lock_graph()
        plan = plan_import(document, prune=prune, now=now)
        specs = {spec["task_id"]: spec for spec in document.specs}
        wanted = [*plan.created, *(change.task_id for change in plan.changed)]
        rows = {task.task_id: task for task in Task.objects.filter(task_id__in=wanted)}
        removed = list(Task.objects.filter(task_id__in=plan.removed).values_list("pk", flat=True))
        if removed:
            delete_tasks(removed, by="import", now=now)
        crashpoints.passed("import.each_section")
        if wanted:
            write_definitions(
                [Definition(rows.get(name), specs[name]) for name in wanted], user=user, now=now
            )
        crashpoints.passed("import.each_section")
    return plan


def export_specs(tasks: Sequence[Task] | None = None) -> list[TaskSpec]:
    """Return all tasks, or `tasks`, in the words of config.json, in two queries."""
    upstreams: dict[int, list[str]] = {}
    edges = TaskDependency.objects.filter(upstream__deleted_at=None).order_by("upstream__task_id")
    for downstream, upstream in edges.values_list("downstream_id", "upstream__task_id"):
        upstreams.setdefault(downstream, []).append(upstream)
    rows = Task.objects.order_by("task_id") if tasks is None else tasks
    return [task_to_spec(task, upstreams.get(task.pk, [])) for task in rows]
