"""Writing task definitions: each write checks the whole graph under one lock and leaves a revision."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from django.db import connection, transaction
from django.db.models import F, Max, OuterRef, Q, Subquery
from django.utils.translation import gettext as _

from scheduler.choices import Status
from scheduler.config_file import ConfigError, ConfigProblem, TaskSpec, cycle_finding, find_unknown
from scheduler.engine.dependencies import find_cycle
from scheduler.engine.schedules import next_slot, parse_schedule
from scheduler.exceptions import ConflictError
from scheduler.models import Execution, Task, TaskDependency, TaskRevision
from scheduler.services.downstream import lock_downstream
from scheduler.services.outcomes import cancel_all
from scheduler.signals import tasks_deleted, tasks_written
from scheduler.specs import FIELDS, apply_spec, task_to_spec

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser

GRAPH_LOCK = 7_305_101


@dataclass(frozen=True)
class Definition:
    """A task to be written: `task` is None when it is new."""

    task: Task | None
    spec: TaskSpec


def lock_graph() -> None:
    """Let one transaction at a time change definitions, so that two edits cannot make a cycle together.

    SQLite needs nothing: its transactions begin IMMEDIATE, one writer at a time.
    """
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [GRAPH_LOCK])


def save_task(spec: TaskSpec, *, task: Task | None, user: AbstractBaseUser | None, now: datetime) -> Task:
    """Create a task, or change `task` (its id included), with its dependencies and a revision.

    Raises:
        ConfigError: the id is taken, an upstream is unknown, or the dependencies would form a cycle.
    """
    with transaction.atomic():
        lock_graph()
        problems = find_problems([Definition(task, spec)])
        if problems:
            raise ConfigError([problem for _index, problem in problems])
        return write_definitions([Definition(task, spec)], user=user, now=now)[0]


def find_problems(definitions: Sequence[Definition]) -> list[tuple[int, ConfigProblem]]:
    """Return what is wrong with `definitions` together with all other tasks, each with its index."""
    taken = dict(Task.objects.values_list("task_id", "pk"))
    own = {d.task.pk: d.spec["task_id"] for d in definitions if d.task is not None}
    known = {name for name, pk in taken.items() if pk not in own} | {d.spec["task_id"] for d in definitions}
    problems = _problems_of_renaming(definitions)
    for index, d in enumerate(definitions):
        name = d.spec["task_id"]
        if name in taken and taken[name] not in own:
            problems.append(
                (index, problem("task_id", f'the task id "{name}" is taken', name, "an id not in use"))
            )
        upstreams = d.spec["task_dependencies"]
        problems += [(index, finding.as_problem("")) for finding in find_unknown(upstreams, known)]
        if name in upstreams:
            problems.append((index, cycle_finding([name, name]).as_problem("")))
    return problems or _cycle_problems(definitions, own)


def _problems_of_renaming(definitions: Sequence[Definition]) -> list[tuple[int, ConfigProblem]]:
    """Refuse the id of a deleted task for another one: its history is kept under it."""
    wanted = {
        d.spec["task_id"]: (index, d.task.pk) for index, d in enumerate(definitions) if d.task is not None
    }
    deleted = Task.all_objects.exclude(deleted_at=None).filter(task_id__in=wanted).order_by("task_id")
    return [
        (
            wanted[name][0],
            problem(
                "task_id",
                f'the task id "{name}" belongs to the history of a deleted task',
                name,
                "an id that was never used",
            ),
        )
        for name, pk in deleted.values_list("task_id", "pk")
        if wanted[name][1] != pk
    ]


def problem(path: str, message: str, found: str, allowed: str) -> ConfigProblem:
    """Return a problem without a position, for forms and the API."""
    return ConfigProblem(
        file="", line=None, column=None, path=path, message=message, found=found, allowed=allowed
    )


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
    lock_downstream((), tasks=present)
    # Read again under the lock: a dispatcher may have moved a task on to its next slot meanwhile.
    rows = Task.all_objects.in_bulk(present)
    revivable = {
        task.task_id: task
        for task in Task.all_objects.exclude(deleted_at=None).filter(
            task_id__in=[d.spec["task_id"] for d in definitions]
        )
    }
    tasks: list[Task] = []
    for d in definitions:
        # A task that was deleted comes back under its id, with its history.
        task = (rows.get(d.task.pk) if d.task else revivable.get(d.spec["task_id"])) or Task()
        is_rescheduled = task.pk is None or task.deleted_at is not None or _has_new_slots(task, d.spec)
        apply_spec(task, d.spec)
        task.deleted_at = None
        if is_rescheduled:
            task.next_run_at = first_slot(task, now)
            task.schedule_error = ""
        tasks.append(task)
    attributes = [*FIELDS.values(), "next_run_at", "schedule_error", "deleted_at", "updated_at"]
    for task in tasks:
        task.updated_at = now
    old = [task for task in tasks if task.pk is not None]
    Task.all_objects.bulk_create([task for task in tasks if task.pk is None], batch_size=500)
    Task.all_objects.bulk_update(old, attributes, batch_size=100)
    _write_edges(tasks, definitions)
    _write_revisions(tasks, definitions, user=user)
    tasks_written.send(Task, tasks=tasks)
    return tasks


def _has_new_slots(task: Task, spec: TaskSpec) -> bool:
    return (
        task.schedule != spec["task_schedule"]
        or task.timezone != spec["task_timezone"]
        or task.enabled != spec["task_enabled"]
        or bool(task.schedule_error)
    )


def first_slot(task: Task, now: datetime) -> datetime | None:
    """Return the first slot of `task` after `now`, or None when it is disabled or has no schedule."""
    if not task.enabled or not task.schedule:
        return None
    return next_slot(parse_schedule(task.schedule, task.zone), now)


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
    """Switch the schedule of `task` on or off; what is queued or running goes on."""
    with transaction.atomic():
        lock_graph()
        fresh = Task.objects.get(pk=task.pk)
        spec = task_to_spec(fresh)
        spec["task_enabled"] = enabled
        return write_definitions([Definition(fresh, spec)], user=user, now=now)[0]


def delete_task(task: Task, *, user: AbstractBaseUser | None, now: datetime) -> None:
    """Take `task` away with its edges; its history stays. What is queued is cancelled, what runs ends by itself."""
    with transaction.atomic():
        lock_graph()
        delete_tasks([task.pk], by=str(user) if user else "import", now=now)


def delete_tasks(task_pks: Sequence[int], *, by: str, now: datetime) -> None:
    """Take several tasks away, in the transaction of the caller; what depended on them gets a new revision.

    Sends `tasks_deleted`.
    """
    left = list(
        Task.objects.filter(upstreams__in=task_pks).exclude(pk__in=task_pks).distinct().order_by("pk")
    )
    queued = Execution.objects.filter(task__in=task_pks, status=Status.QUEUED)
    places = queued.filter(run__isnull=False).values_list("run_id", "task_id")
    lock_downstream(places, tasks=[*task_pks, *(task.pk for task in left)])
    TaskDependency.objects.filter(downstream__in=task_pks).delete()
    TaskDependency.objects.filter(upstream__in=task_pks).delete()
    Task.objects.filter(pk__in=task_pks).update(deleted_at=now, next_run_at=None, updated_at=now)
    _write_revisions(left, [Definition(task, task_to_spec(task)) for task in left], user=None)
    cancel_all(list(queued.values_list("pk", flat=True)), reason=f"task deleted by {by}", now=now)
    tasks_deleted.send(Task, task_pks=list(task_pks))


@dataclass(frozen=True)
class Restoration:
    """What bringing a deleted task back means.

    Attributes:
        spec: the task as it was, depending on those of its upstreams that are still there.
        lost: upstreams that are not.
        downstreams: tasks that lost it as an upstream in their latest change, and depend on it again.
    """

    spec: TaskSpec
    lost: list[str]
    downstreams: list[Task]


def plan_restoration(task: Task) -> Restoration:
    """Return what `restore_task` would write.

    Raises:
        ConflictError: the task is not deleted, or nothing is known of how it was.
    """
    fresh = Task.all_objects.select_related("revision").get(pk=task.pk)
    if fresh.deleted_at is None or fresh.revision is None:
        raise ConflictError(_("Task %(task)s is there already.") % {"task": fresh.task_id})
    spec: Any = dict(fresh.revision.spec)
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
    """Bring a deleted task back as it was, with its edges to tasks that are still there; what was cancelled stays so.

    Raises:
        ConflictError: it is not deleted.
        ConfigError: its dependencies would form a cycle now, or it is not valid any more.
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


def follow_zones(now: datetime) -> int:
    """Move tasks to the next slot that their zone makes now; return how many had another one.

    Their slots were computed when SCHEDULER_TIME_ZONE, or the zone database, was perhaps another one.
    """
    moved = 0
    for task in Task.objects.filter(enabled=True, schedule_error="", next_run_at__gt=now).exclude(
        schedule=""
    ):
        try:
            slot = first_slot(task, now)
        except ValueError:  # told when it is due
            continue
        if slot is None or slot == task.next_run_at:
            continue
        recorded = Execution.objects.slots().filter(Q(scheduled_for__gte=slot) | Q(covers_until__gte=slot))
        if not recorded.filter(task=task).exists():  # there are some when the clock was put back
            unchanged = Task.objects.filter(
                pk=task.pk, next_run_at=task.next_run_at, revision=task.revision_id
            )
            moved += unchanged.update(next_run_at=slot)
    return moved


def reschedule_broken(now: datetime) -> None:
    """Let tasks that were set aside be tried again, and plan those that have a schedule and no next slot.

    What could not be written may have failed for a passing reason: its slots are still there and get their records.
    Rows without a slot come from a restored backup or another tool, or their schedule could not be read: when it can
    be read again, they go on.
    """
    enabled = Task.objects.filter(enabled=True)
    enabled.exclude(schedule_error="").filter(next_run_at__isnull=False).update(schedule_error="")
    for task in enabled.filter(next_run_at=None).exclude(schedule="")[:1000]:
        try:
            slot, error = first_slot(task, now), ""
        except ValueError as bad:
            slot, error = None, str(bad)
        if (slot, error) != (None, task.schedule_error):
            unchanged = Task.objects.filter(pk=task.pk, next_run_at=None, revision=F("revision"))
            unchanged.update(next_run_at=slot, schedule_error=error)
