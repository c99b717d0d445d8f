"""Import and export of config.json: an import is planned first, then applied atomically."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import transaction

from scheduler import failpoints
from scheduler.config_file import (
    ConfigDocument,
    ConfigError,
    FieldChange,
    TaskSpec,
    diff_spec,
    dump_config,
)
from scheduler.config_file.masking import masked_change, masked_spec
from scheduler.config_file.reasons import Code
from scheduler.engine.cron_readings import find_wide_steps
from scheduler.engine.reasons import Reason
from scheduler.engine.schedules import next_slot, parse_schedule
from scheduler.models import Task, TaskDependency
from scheduler.services.folders import has_folder
from scheduler.services.locks import lock_graph
from scheduler.services.tasks import Definition, delete_tasks, find_problems, write_definitions
from scheduler.task_mapping import task_to_spec

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser

SHOWN_SLOTS = 3


@dataclass(frozen=True)
class TaskChange:
    """The changes to one task, with the secrets of its rules masked, and its next runs if its schedule changes."""

    task_id: str
    changes: list[FieldChange]
    slots_before: list[datetime] = field(default_factory=list)
    slots_after: list[datetime] = field(default_factory=list)


@dataclass(frozen=True)
class ImportPlan:
    """The effects of an import.

    Attributes:
        created, unchanged, removed: task ids.
        notes: converted legacy forms, and folders that are kept.
        document: the parsed file.
    """

    document: ConfigDocument
    created: list[str]
    changed: list[TaskChange]
    unchanged: list[str]
    removed: list[str]
    notes: list[Reason]
    prune: bool

    @property
    def has_changes(self) -> bool:
        """Whether the plan would change anything."""
        return bool(self.created or self.changed or self.removed)


def plan_import(document: ConfigDocument, *, prune: bool, now: datetime) -> ImportPlan:
    """Compare `document` with the stored tasks without writing.

    Raises:
        ConfigError: an upstream is unknown or the dependencies would form a cycle.
    """
    stored = stored_specs()
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
    stays = [Reason(Code.FOLDER_STAYS, {"task": name}) for name in removed if has_folder(name)]
    written = [*created, *(change.task_id for change in changed)]
    notes = [*document.notes, *_notes_on_schedules([wanted[name] for name in written]), *stays]
    return ImportPlan(document, created, changed, unchanged, removed, notes, prune)


def _notes_on_schedules(specs: Sequence[TaskSpec]) -> list[Reason]:
    return [
        Reason(Code.NOTE_ON_TASK, {"task": spec["task_id"], "why": note})
        for spec in specs
        if "/" in spec["task_schedule"]
        for note in find_wide_steps(spec["task_schedule"])
    ]


def _check(document: ConfigDocument, removed: Sequence[str]) -> None:
    """Raise if the document conflicts with the stored tasks that are kept."""
    rows = {
        task.task_id: task for task in Task.objects.filter(task_id__in=[s["task_id"] for s in document.specs])
    }
    definitions = [Definition(rows.get(spec["task_id"]), spec) for spec in document.specs]
    gone = set(removed)
    problems = [
        document.problem(index, p.path, p.why, p.what, p.wanted) for index, p in find_problems(definitions)
    ]
    for index, spec in enumerate(document.specs):
        for position, upstream in enumerate(spec["task_dependencies"]):
            if upstream in gone:
                problems.append(
                    document.problem(
                        index,
                        f"task_dependencies[{position}]",
                        Reason(Code.UPSTREAM_PRUNED, {"name": upstream}),
                        upstream,
                        Reason(Code.TASK_OF_FILE),
                    )
                )
    if problems:
        raise ConfigError(problems)


def _task_change(old: TaskSpec, new: TaskSpec, changes: list[FieldChange], now: datetime) -> TaskChange:
    changes = [masked_change(change) for change in changes]
    fields = {change.field for change in changes}
    if not fields & {"task_schedule", "task_timezone", "task_enabled"}:
        return TaskChange(new["task_id"], changes)
    return TaskChange(new["task_id"], changes, upcoming(old, now), upcoming(new, now))


def upcoming(spec: TaskSpec, now: datetime, *, count: int = SHOWN_SLOTS) -> list[datetime]:
    """Return the next slots of a task as defined by `spec`; empty if it is disabled or has no schedule."""
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
    """Plan and apply an import in one transaction, so that the returned plan is exactly what was written."""
    with transaction.atomic():
        lock_graph()
        plan = plan_import(document, prune=prune, now=now)
        specs = {spec["task_id"]: spec for spec in document.specs}
        wanted = [*plan.created, *(change.task_id for change in plan.changed)]
        rows = {task.task_id: task for task in Task.objects.filter(task_id__in=wanted)}
        removed = list(Task.objects.filter(task_id__in=plan.removed).values_list("pk", flat=True))
        if removed:
            delete_tasks(removed, by="import", now=now)
        failpoints.hit("import.each_section")
        if wanted:
            write_definitions(
                [Definition(rows.get(name), specs[name]) for name in wanted], user=user, now=now
            )
        failpoints.hit("import.each_section")
    return plan


def export_specs(tasks: Sequence[Task] | None = None) -> list[TaskSpec]:
    """Return the specs of all tasks, or of `tasks`; two queries."""
    upstreams: dict[int, list[str]] = {}
    edges = TaskDependency.objects.filter(upstream__deleted_at=None).order_by("upstream__task_id")
    for downstream, upstream in edges.values_list("downstream_id", "upstream__task_id"):
        upstreams.setdefault(downstream, []).append(upstream)
    rows = Task.objects.order_by("task_id") if tasks is None else tasks
    return [task_to_spec(task, upstreams.get(task.pk, [])) for task in rows]


def shared_config(tasks: Sequence[Task]) -> str:
    """Return `tasks` as the text of a config.json without the secrets of their rules, for users who may change tasks.

    Importing it keeps the stored secrets.
    """
    return dump_config(masked_spec(spec, shows_env=True) for spec in export_specs(tasks))


def stored_specs() -> dict[str, TaskSpec]:
    """Return the specs of all tasks by task id."""
    return {spec["task_id"]: spec for spec in export_specs()}
