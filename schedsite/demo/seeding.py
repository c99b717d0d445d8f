"""Seeds an empty installation with the demonstration, and with executions for benchmarks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from itertools import islice
from typing import Any

from django.core.management.color import no_style
from django.db import connection, models, transaction
from django.db.models import Max

from schedsite.demo.deliveries import write_deliveries
from schedsite.demo.history import DemoExecution, demo_history, demo_log
from schedsite.demo.scripts import demo_script
from schedsite.demo.tasks import DemoTask, demo_tasks
from scheduler.choices import Status, Trigger
from scheduler.exceptions import ConflictError
from scheduler.models import Execution, ExecutionLog, Process, Run, Task, TaskDependency, TaskRevision
from scheduler.models.reasons import reason_columns
from scheduler.queues import DEFAULT_QUEUE
from scheduler.services.graphs import graphs_of
from scheduler.services.rescheduling import first_slot
from scheduler.services.scripts import write_script
from scheduler.services.tasks import Definition, write_definitions

LOGS_A_TASK = 60
HOST = "demo-1"


@dataclass(frozen=True)
class Seeded:
    """Counts of written objects; existing scripts are not counted."""

    tasks: int
    executions: int
    scripts: int = 0


def seed_demonstration(
    *,
    now: datetime,
    days: int = 28,
    task_count: int = 25,
    seed: int = 1,
    execution_count: int | None = None,
    is_forced: bool = False,
) -> Seeded:
    """Write the tasks of the demonstration and their history.

    Args:
        execution_count: write this many plain executions instead, spread evenly over tasks and days.
        is_forced: continue although tasks exist; those with the same ids are replaced, including their history.

    Raises:
        ConflictError: tasks exist.
    """
    if Task.objects.exists() and not is_forced:
        raise ConflictError("there are tasks already; the demonstration is for an empty installation")
    demo = demo_tasks(task_count)
    with transaction.atomic():
        tasks = _write_tasks(demo, now=now, days=days)
        if execution_count is not None:
            return Seeded(len(demo), _write_many(tasks, execution_count, now=now, days=days))
        history, runs = demo_history(demo, now=now, days=days, seed=seed)
        _write_history(tasks, history, runs, now=now)
        _use_latest_revisions(since=_changed_at(now, days))
        _write_logs(demo, history)
        written = list(Task.objects.filter(pk__in=[task.pk for task in tasks.values()]))
        write_deliveries(written, days=days, now=now)
    return Seeded(len(demo), len(history), sum(map(_write_script, demo)))


def _write_script(task: DemoTask) -> bool:
    try:
        write_script(task.spec["task_id"], *demo_script(task))
    except ConflictError:
        return False
    return True


def _write_tasks(demo: Sequence[DemoTask], *, now: datetime, days: int) -> dict[str, Task]:
    """Write the definitions, changed ones in two revisions; return the tasks by id."""
    begin = now - timedelta(days=days)
    stored = {t.task_id: t for t in Task.objects.filter(task_id__in=[d.spec["task_id"] for d in demo])}
    _forget_history(stored.values())
    former: Any = [{**d.spec, **d.earlier} for d in demo]
    first = [Definition(stored.get(spec["task_id"]), spec) for spec in former]
    tasks = {task.task_id: task for task in write_definitions(first, user=None, now=begin)}
    # The history written next contains the records of their slots.
    Task.objects.filter(pk__in=[task.pk for task in tasks.values()]).update(next_run_at=None)
    changed = [Definition(tasks[d.spec["task_id"]], d.spec) for d in demo if d.earlier]
    if changed:
        write_definitions(changed, user=None, now=now)
    rows = Task.objects.filter(pk__in=[task.pk for task in tasks.values()])
    rows.update(created_at=begin, updated_at=begin)
    TaskRevision.objects.filter(task__in=rows).update(created_at=begin)
    TaskRevision.objects.filter(task__in=rows, number__gt=1).update(created_at=_changed_at(now, days))
    _plan_next(rows, now)
    return tasks


def _changed_at(now: datetime, days: int) -> datetime:
    return now - timedelta(days=days / 3)


def _forget_history(tasks: Iterable[Task]) -> None:
    Execution.objects.filter(task__in=tasks).delete()
    Run.objects.filter(first_task__in=tasks, executions=None).delete()


def _plan_next(rows: Iterable[Task], now: datetime) -> None:
    planned = list(rows)
    for task in planned:
        task.next_run_at = first_slot(task, now)
    Task.objects.bulk_update(planned, ["next_run_at"], batch_size=500)


def _write_history(
    tasks: dict[str, Task], history: Sequence[DemoExecution], runs: int, *, now: datetime
) -> None:
    first_run, first = _next_id(Run), _next_id(Execution)
    by_run: dict[int, list[DemoExecution]] = {}
    for row in history:
        if row.run:
            by_run.setdefault(row.run, []).append(row)
    begun = sorted(by_run.values(), key=lambda rows: rows[0].queued_at)  # runs are numbered in starting order
    number_of = {rows[0].run: number for number, rows in enumerate(begun, start=1)}
    for row in history:
        row.run = number_of.get(row.run, row.run)
    graphs = graphs_of([task.pk for task in tasks.values()])
    _insert(
        Run,
        (
            {
                "id": first_run + number,
                "trigger": rows[0].trigger,
                "first_task_id": tasks[rows[0].task_id].pk,
                "graph_id": graphs.get(tasks[rows[0].task_id].pk),
                "created_at": rows[0].queued_at,
                "finished_at": _end_of(rows),
            }
            for number, rows in enumerate(begun, start=1)
        ),
    )
    owner = _owner(now) if any(row.status == Status.RUNNING for row in history) else None
    _insert(
        Execution,
        (_execution_values(row, tasks[row.task_id], first_run, first, owner) for row in history),
    )
    _insert(
        Execution.upstream_executions.through,
        (
            {"from_execution_id": first + row.number, "to_execution_id": first + upstream.number}
            for row in history
            if row.run
            for upstream in row.upstream_rows
        ),
    )
    for row in history:
        row.number += first


def _use_latest_revisions(*, since: datetime) -> None:
    """Assign the latest revision to executions queued after the change of a definition."""
    for revision in TaskRevision.objects.filter(number__gt=1, created_at=since):
        Execution.objects.filter(task=revision.task_id, queued_at__gte=since).update(revision=revision)


def _end_of(rows: Sequence[DemoExecution]) -> datetime | None:
    ends = [row.finished_at for row in rows]
    return None if None in ends else max(end for end in ends if end is not None)


def _execution_values(
    row: DemoExecution, task: Task, first_run: int, first: int, owner: Process | None
) -> dict[str, Any]:
    is_running = row.status == Status.RUNNING
    return {
        "id": first + row.number,
        "task_id": task.pk,
        "run_id": first_run + row.run if row.run else None,
        "revision_id": task.revision_id,
        "status": row.status,
        "is_outcome": row.is_outcome,
        "attempt": row.attempt,
        "retries_left": max(row.retries_left, 0),
        "trigger": row.trigger,
        "scheduled_for": row.scheduled_for,
        "slot_count": row.slot_count,
        "covers_until": row.covers_until,
        "queued_at": row.queued_at,
        "not_before": row.not_before,
        "started_at": row.started_at,
        "finished_at": row.finished_at,
        "exit_code": row.exit_code,
        **reason_columns(row.reason),
        "worker": f"{HOST}:4711" if row.started_at else "",
        "owner_id": owner.pk if owner is not None and is_running else None,
        "claim": f"demo{row.number:012d}" if is_running else "",
    }


def _owner(now: datetime) -> Process:
    """Return a worker on a fictitious host with a dispatcher: they own the running executions."""
    own: dict[str, Any] = {
        "host": HOST,
        "host_id": HOST,
        "started_at": now - timedelta(days=5),
        "start_ticks": 0,
    }
    kinds = ((Process.Kind.DISPATCHER, 4709), (Process.Kind.CLUSTER, 4710), (Process.Kind.WORKER, 4711))
    rows = [
        Process.objects.create(
            **own, kind=kind, pid=pid, heartbeat_at=now, queue=DEFAULT_QUEUE, slots=64 * (pid != 4709)
        )
        for kind, pid in kinds
    ]
    return rows[-1]


def _write_logs(demo: Sequence[DemoTask], history: Sequence[DemoExecution]) -> None:
    """Write the output of the latest executions of each task."""
    by_id = {task.spec["task_id"]: task for task in demo}
    left = dict.fromkeys(by_id, LOGS_A_TASK)
    pieces: list[ExecutionLog] = []
    for row in reversed(history):
        if row.started_at is None or not left[row.task_id]:
            continue
        left[row.task_id] -= 1
        text = demo_log(by_id[row.task_id], row)
        pieces.append(ExecutionLog(execution_id=row.number, offset=0, size=len(text.encode()), text=text))
    ExecutionLog.objects.bulk_create(pieces, batch_size=500)
    sized = [Execution(pk=piece.execution_id, log_size=piece.size) for piece in pieces]
    Execution.objects.bulk_update(sized, ["log_size"], batch_size=400)


def _write_many(tasks: dict[str, Task], count: int, *, now: datetime, days: int) -> int:
    """Write `count` executions, each in its own run, task by task, spread evenly over the days."""
    TaskDependency.objects.filter(downstream__in=tasks.values()).delete()
    own = list(tasks.values())
    first_run, first = _next_id(Run), _next_id(Execution)
    length = timedelta(days=days)
    for start in range(0, count, 20_000):
        numbers = range(start, min(start + 20_000, count))
        whens = [
            (number, own[number % len(own)], now - length * ((count - number) / count)) for number in numbers
        ]
        _insert(
            Run,
            (
                {
                    "id": first_run + number + 1,
                    "trigger": Trigger.SCHEDULE,
                    "first_task_id": task.pk,
                    "created_at": at,
                    "finished_at": at + timedelta(seconds=number % 97 / 10),
                }
                for number, task, at in whens
            ),
        )
        _insert(Execution, (_plain_values(first, first_run, number, task, at) for number, task, at in whens))
    return count


def _plain_values(first: int, first_run: int, number: int, task: Task, at: datetime) -> dict[str, Any]:
    status = {0: Status.BUSINESS_FAILURE, 1: Status.TECHNICAL_FAILURE, 2: Status.TIMEOUT}.get(
        number * 7919 % 120, Status.SUCCESS
    )
    return {
        "id": first + number + 1,
        "task_id": task.pk,
        "run_id": first_run + number + 1,
        "revision_id": task.revision_id,
        "status": status,
        "is_outcome": True,
        "attempt": 1,
        "trigger": Trigger.SCHEDULE,
        "scheduled_for": at,
        "queued_at": at,
        "started_at": at,
        "finished_at": at + timedelta(seconds=number % 97 / 10),
        "exit_code": int(status != Status.SUCCESS),
        "worker": f"{HOST}:4711",
    }


def _next_id(model: type[models.Model]) -> int:
    """Return the greatest id in use, or 0; ids are assigned explicitly so that rows can refer to each other."""
    found: int | None = model._default_manager.aggregate(last=Max("pk"))["last"]
    return found or 0


def _insert(model: type[models.Model], rows: Iterable[dict[str, Any]]) -> None:
    """Insert rows given as values by column name; missing columns get the default of their field.

    Several times as fast as bulk_create, which creates an instance per row.
    """
    fields = model._meta.concrete_fields
    kept = [field for field in fields if field.column != "id" or model in (Run, Execution)]
    columns = ", ".join(connection.ops.quote_name(str(field.column)) for field in kept)
    marks = ", ".join(["%s"] * len(kept))
    table = connection.ops.quote_name(model._meta.db_table)
    sql = f"INSERT INTO {table} ({columns}) VALUES ({marks})"  # noqa: S608 - names of ours
    with connection.cursor() as cursor:
        values = _prepared(kept, rows)
        while part := list(islice(values, 5000)):
            cursor.executemany(sql, part)
        for statement in connection.ops.sequence_reset_sql(no_style(), [model]):
            cursor.execute(statement)


def _prepared(fields: Sequence[Any], rows: Iterable[dict[str, Any]]) -> Iterator[list[Any]]:
    defaults = [field.get_db_prep_save(field.get_default(), connection) for field in fields]
    prepare = [_preparation(field) for field in fields]
    for row in rows:
        values: list[Any] = []
        for field, default, prepared in zip(fields, defaults, prepare, strict=True):
            value = row.get(field.column, default)
            values.append(value if prepared is None or value is None else prepared(value))
        yield values


def _preparation(field: Any) -> Callable[[Any], Any] | None:
    """Return the function that converts a value for the database, or None if none is needed."""
    if isinstance(field, models.JSONField):
        return partial(field.get_db_prep_save, connection=connection)
    return connection.ops.adapt_datetimefield_value if isinstance(field, models.DateTimeField) else None
