"""Writes of task definitions: each write checks the whole graph under one lock and adds a revision."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from django.db import transaction
from django.db.models import F, Max, OuterRef, Subquery

from scheduler.choices import Status
from scheduler.config_file import (
    ConfigError,
    ConfigProblem,
    TaskSpec,
    complete_spec,
    cycle_finding,
    diff_spec,
    find_unknown,
)
from scheduler.config_file.reasons import Code as Refusal
from scheduler.engine.exit_codes import with_outcome
from scheduler.engine.graphs import find_cycle
from scheduler.engine.reasons import Code, Reason
from scheduler.exceptions import ConflictError
from scheduler.models import Execution, Task, TaskDependency, TaskRevision
from scheduler.queues import wake_dispatchers
from scheduler.services.dispatch import record_before_change
from scheduler.services.downstream import lock_downstream
from scheduler.services.folders import has_folder
from scheduler.services.locks import lock_graph
from scheduler.services.outcomes import cancel_all
from scheduler.services.rescheduling import (
    first_slot,
    has_new_slots,
    leave_schedules,
    lock_for_change,
    recorded_until,
)
from scheduler.signals import tasks_deleted, tasks_written
from scheduler.task_mapping import FIELDS, apply_spec, task_to_spec

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser


@dataclass(frozen=True)
class Definition:
    """A task to write: `task` is None if it is new."""

    task: Task | None
    spec: TaskSpec


def save_task(spec: TaskSpec, *, task: Task | None, user: AbstractBaseUser | None, now: datetime) -> Task:
    """Create a task, or change `task` (its id included), with its dependencies and a revision.

    An unchanged task is not written and keeps its next run.

    Raises:
        ConfigError: the id is taken, an upstream is unknown, or the dependencies would form a cycle.
    """
    with transaction.atomic():
        lock_graph()
        problems = find_problems([Definition(task, spec)])
        if problems:
            raise ConfigError([problem for _index, problem in problems])
        fresh: Task | None = None if task is None else Task.objects.filter(pk=task.pk).first()
        if fresh is not None and _says(fresh, spec):
            return fresh
        return write_definitions([Definition(task, spec)], user=user, now=now)[0]


def _says(task: Task, spec: TaskSpec) -> bool:
    """Return whether a stored task equals `spec`; False if its schedule was broken, so that it is retried."""
    return (
        task.revision_id is not None and not task.schedule_error and not diff_spec(task_to_spec(task), spec)
    )


def find_problems(definitions: Sequence[Definition]) -> list[tuple[int, ConfigProblem]]:
    """Validate `definitions` together with all other tasks; return each problem with the index of its definition."""
    taken = dict(Task.objects.values_list("task_id", "pk"))
    own = {d.task.pk: d.spec["task_id"] for d in definitions if d.task is not None}
    known = {name for name, pk in taken.items() if pk not in own} | {d.spec["task_id"] for d in definitions}
    problems = _problems_of_renaming(definitions)
    for index, d in enumerate(definitions):
        name = d.spec["task_id"]
        if name in taken and taken[name] not in own:
            taken_by = Reason(Refusal.ID_TAKEN, {"name": name})
            problems.append((index, problem("task_id", taken_by, name, Reason(Refusal.FREE_ID))))
        upstreams = d.spec["task_dependencies"]
        problems += [(index, finding.as_problem("")) for finding in find_unknown(upstreams, known)]
        if name in upstreams:
            problems.append((index, cycle_finding([name, name]).as_problem("")))
    return problems or _cycle_problems(definitions, own)


def _problems_of_renaming(definitions: Sequence[Definition]) -> list[tuple[int, ConfigProblem]]:
    """Reject the id of a deleted task for another task: it identifies the history of the deleted one."""
    wanted = {
        d.spec["task_id"]: (index, d.task.pk) for index, d in enumerate(definitions) if d.task is not None
    }
    deleted = Task.all_objects.exclude(deleted_at=None).filter(task_id__in=wanted).order_by("task_id")
    return [
        (
            wanted[name][0],
            problem(
                "task_id",
                Reason(Refusal.ID_OF_DELETED, {"name": name}),
                name,
                Reason(Refusal.UNUSED_ID),
            ),
        )
        for name, pk in deleted.values_list("task_id", "pk")
        if wanted[name][1] != pk
    ]


def problem(path: str, why: Reason, found: str, allowed: Reason) -> ConfigProblem:
    """Return a problem without a position, for forms and the API."""
    return ConfigProblem("", None, None, path, why, found, allowed)


def _cycle_problems(
    definitions: Sequence[Definition], own: Mapping[int, str]
) -> list[tuple[int, ConfigProblem]]:
    upstreams: dict[str, set[str]] = {}
    edges = TaskDependency.objects.filter(downstream__deleted_at=None, upstream__deleted_at=None).values_list(
        "downstream_id", "downstream__task_id", "upstream_id", "upstream__task_id"
    )
    for down_pk, down, up_pk, up in edges:
        if down_pk not in own:
            upstreams.setdefault(down, set()).add(own.get(up_pk, up))
    for d in definitions:
        upstreams[d.spec["task_id"]] = set(d.spec["task_dependencies"])
    cycle = find_cycle(upstreams, start=[d.spec["task_id"] for d in definitions])
    if not cycle:
        return []
    index = next(i for i, d in enumerate(definitions) if d.spec["task_id"] in cycle)
    return [(index, cycle_finding(cycle).as_problem(""))]


def write_definitions(
    definitions: Sequence[Definition], *, user: AbstractBaseUser | None, now: datetime
) -> list[Task]:
    """Write checked definitions, their edges and revisions, in the transaction of the caller; send `tasks_written`."""
    present = [d.task.pk for d in definitions if d.task is not None]
    lock_for_change(present)
    # Read again under the lock: a dispatcher may have advanced a task to its next slot.
    rows = Task.all_objects.in_bulk(present)
    until = leave_schedules(
        [(rows[d.task.pk], d.spec) for d in definitions if d.task and d.task.pk in rows], now
    )
    revivable = {
        task.task_id: task
        for task in Task.all_objects.exclude(deleted_at=None).filter(
            task_id__in=[d.spec["task_id"] for d in definitions]
        )
    }
    until |= recorded_until(list(revivable.values()))
    tasks: list[Task] = []
    for d in definitions:
        # A new task with the id of a deleted one restores its row and history.
        task = (rows.get(d.task.pk) if d.task else revivable.get(d.spec["task_id"])) or Task()
        is_rescheduled = task.pk is None or task.deleted_at is not None or has_new_slots(task, d.spec)
        if task.schedule != d.spec["task_schedule"]:
            task.days_changed_at = None
        apply_spec(task, d.spec)
        task.has_folder = (task.has_folder and task.deleted_at is None) or has_folder(task.task_id)
        task.deleted_at = None
        if is_rescheduled:
            task.next_run_at = first_slot(task, max(now, until.get(task.pk or 0, now)))
            task.schedule_error = ""
        tasks.append(task)
    own = ["next_run_at", "schedule_error", "days_changed_at", "has_folder", "deleted_at", "updated_at"]
    attributes = [*FIELDS.values(), *own]
    for task in tasks:
        task.updated_at = now
    old = [task for task in tasks if task.pk is not None]
    Task.all_objects.bulk_create([task for task in tasks if task.pk is None], batch_size=500)
    Task.all_objects.bulk_update(old, attributes, batch_size=100)
    _write_edges(tasks, definitions)
    _write_revisions(tasks, definitions, user=user)
    tasks_written.send(Task, tasks=tasks)
    wake_dispatchers()
    return tasks


def _write_edges(tasks: Sequence[Task], definitions: Sequence[Definition]) -> None:
    names = {up for d in definitions for up in d.spec["task_dependencies"]}
    pks = dict(Task.objects.filter(task_id__in=names).values_list("task_id", "pk"))
    wanted = {
        (task.pk, pks[up])
        for task, d in zip(tasks, definitions, strict=True)
        for up in d.spec["task_dependencies"]
    }
    present = {
        (down, up): pk
        for down, up, pk in TaskDependency.objects.filter(downstream__in=tasks).values_list(
            "downstream_id", "upstream_id", "pk"
        )
    }
    TaskDependency.objects.filter(pk__in=[pk for edge, pk in present.items() if edge not in wanted]).delete()
    TaskDependency.objects.bulk_create(
        [TaskDependency(downstream_id=down, upstream_id=up) for down, up in sorted(wanted - present.keys())],
        batch_size=500,
    )


def _write_revisions(
    tasks: Sequence[Task], definitions: Sequence[Definition], *, user: AbstractBaseUser | None
) -> None:
    numbers = TaskRevision.objects.filter(task__in=tasks).values("task_id").annotate(last=Max("number"))
    latest: dict[int, int] = {row["task_id"]: row["last"] for row in numbers}
    author: dict[str, Any] = {"created_by": user if user is not None and user.pk else None}
    revisions = [
        TaskRevision(task=task, number=latest.get(task.pk, 0) + 1, spec=d.spec, **author)
        for task, d in zip(tasks, definitions, strict=True)
    ]
    TaskRevision.objects.bulk_create(revisions, batch_size=500)
    for task, revision in zip(tasks, revisions, strict=True):
        task.revision = revision
    newest = TaskRevision.objects.filter(task=OuterRef("pk")).order_by("-number").values("pk")[:1]
    for start in range(0, len(tasks), 500):
        part = [task.pk for task in tasks[start : start + 500]]
        Task.all_objects.filter(pk__in=part).update(revision=Subquery(newest))


def set_enabled(task: Task, enabled: bool, *, user: AbstractBaseUser | None, now: datetime) -> Task:
    """Enable or disable the schedule of `task`; disabling skips the executions that it has queued."""
    with transaction.atomic():
        lock_graph()
        fresh = Task.objects.get(pk=task.pk)
        spec = task_to_spec(fresh)
        spec["task_enabled"] = enabled
        return write_definitions([Definition(fresh, spec)], user=user, now=now)[0]


def set_outcome_of_exit(
    task: Task, exit_code: int, outcome: Status, *, user: AbstractBaseUser | None, now: datetime
) -> Task:
    """Map one exit code of `task` to `outcome` from its next execution on; other codes are unchanged.

    Raises:
        Task.DoesNotExist: it was deleted concurrently.
    """
    with transaction.atomic():
        lock_graph()
        fresh = Task.objects.get(pk=task.pk)
        spec = task_to_spec(fresh)
        spec["task_exit_codes"] = with_outcome(exit_code, outcome, fresh.exit_codes)
        return write_definitions([Definition(fresh, spec)], user=user, now=now)[0]


def delete_task(task: Task, *, user: AbstractBaseUser | None, now: datetime) -> None:
    """Soft-delete `task` and its edges, keeping its history; cancel queued executions and let running ones finish."""
    with transaction.atomic():
        lock_graph()
        delete_tasks([task.pk], by=str(user) if user else "import", now=now)


def delete_tasks(task_pks: Sequence[int], *, by: str, now: datetime) -> None:
    """Soft-delete several tasks in the transaction of the caller; their downstream tasks get a new revision.

    Sends `tasks_deleted`.
    """
    left = list(
        Task.objects.filter(upstreams__in=task_pks).exclude(pk__in=task_pks).distinct().order_by("pk")
    )
    queued = Execution.objects.filter(task__in=task_pks, status=Status.QUEUED)
    run_tasks = queued.filter(run__isnull=False).values_list("run_id", "task_id")
    lock_downstream(run_tasks, tasks=[*task_pks, *(task.pk for task in left)])
    record_before_change(list(Task.objects.filter(pk__in=task_pks)), now, change="deleted")
    TaskDependency.objects.filter(downstream__in=task_pks).delete()
    TaskDependency.objects.filter(upstream__in=task_pks).delete()
    Task.objects.filter(pk__in=task_pks).update(deleted_at=now, next_run_at=None, updated_at=now)
    _write_revisions(left, [Definition(task, task_to_spec(task)) for task in left], user=None)
    cancel_all(
        list(queued.values_list("pk", flat=True)),
        reason=Reason(Code.CANCELLED_BY_DELETION, {"user": by}),
        now=now,
    )
    tasks_deleted.send(Task, task_pks=list(task_pks))


@dataclass(frozen=True)
class Restoration:
    """The effects of restoring a deleted task.

    Attributes:
        spec: the last definition, with the upstreams that still exist.
        lost: upstreams that no longer exist.
        downstreams: tasks that lost it as an upstream in their latest change, and will depend on it again.
    """

    spec: TaskSpec
    lost: list[str]
    downstreams: list[Task]


def plan_restoration(task: Task) -> Restoration:
    """Return what `restore_task` would write.

    Raises:
        ConflictError: the task is not deleted, or has no stored revision.
    """
    fresh = Task.all_objects.select_related("revision").get(pk=task.pk)
    if fresh.deleted_at is None or fresh.revision is None:
        raise ConflictError(Reason(Code.TASK_NOT_DELETED, {"task": fresh.task_id}))
    spec: Any = complete_spec(fresh.revision.spec)
    wanted = spec["task_dependencies"]
    present = set(Task.objects.filter(task_id__in=wanted).values_list("task_id", flat=True))
    spec |= {"task_id": fresh.task_id, "task_dependencies": [name for name in wanted if name in present]}
    since = TaskRevision.objects.filter(created_at__gte=fresh.deleted_at, task__deleted_at=None)
    latest = since.filter(pk=F("task__revision")).select_related("task").order_by("task__task_id")
    left = [revision.task for revision in latest if _lost_in(revision, fresh.task_id)]
    return Restoration(spec, [name for name in wanted if name not in present], left)


def _lost_in(revision: TaskRevision, task_id: str) -> bool:
    before = TaskRevision.objects.filter(task=revision.task_id, number=revision.number - 1).first()
    return (
        before is not None
        and task_id in before.spec["task_dependencies"]
        and task_id not in revision.spec["task_dependencies"]
    )


def restore_task(task: Task, *, user: AbstractBaseUser | None, now: datetime) -> Task:
    """Restore a deleted task with its edges to existing tasks; cancelled executions stay cancelled.

    Raises:
        ConflictError: it is not deleted.
        ConfigError: its dependencies would form a cycle, or its definition is no longer valid.
    """
    with transaction.atomic():
        lock_graph()
        plan = plan_restoration(task)
        definitions = [Definition(task, plan.spec)]
        for other in plan.downstreams:
            spec = task_to_spec(other)
            spec["task_dependencies"] = sorted({*spec["task_dependencies"], task.task_id})
            definitions.append(Definition(other, spec))
        problems = find_problems(definitions)
        if problems:
            raise ConfigError([problem for _index, problem in problems])
        return write_definitions(definitions, user=user, now=now)[0]
