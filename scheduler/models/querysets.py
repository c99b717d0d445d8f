"""QuerySets with the named reads of each model, and the two writers of a status: `claim` and `transition`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db import connections, models
from django.db.models import BooleanField, Case, Exists, Func, OuterRef, Q, Value, When
from django.db.models.functions import Coalesce

from scheduler.choices import (
    ACTIVE,
    FAILED,
    TERMINAL,
    UNINDEXED_STATUSES,
    UNINDEXED_TRIGGERS,
    RunStatus,
    Status,
    Trigger,
)
from scheduler.engine.concurrency import ActiveExecution, ActiveExecutions
from scheduler.engine.states import SOURCES

if TYPE_CHECKING:
    from scheduler.models import Execution, Process, Run, Task  # noqa: F401 - type arguments below


class _HasTag(Func):
    """Whether a JSON list contains an element; SQLite lacks such a lookup, and its LIKE ignores case."""

    template = "EXISTS (SELECT 1 FROM json_each(%(expressions)s)"
    arg_joiner = ") WHERE value = "
    output_field = BooleanField()


class TaskQuerySet(models.QuerySet["Task"]):
    """Reads of tasks."""

    def due(self, now: datetime) -> TaskQuerySet:
        """Tasks with a slot at or before `now` that are not set aside, longest due first."""
        due = self.filter(enabled=True, deleted_at=None, next_run_at__lte=now, schedule_error="")
        return due.order_by("next_run_at", "pk")

    def tagged(self, tag: str) -> TaskQuerySet:
        """Tasks with `tag`, case-sensitive."""
        if connections[self.db].vendor == "postgresql":
            return self.filter(tags__contains=[tag])
        return self.filter(_HasTag("tags", Value(tag)))


def _by_value(rows: Any, column: str, value: str, common: Sequence[str]) -> Any:
    """Filter rows by value; a rare value is found through the partial index that excludes the `common` values.

    The query repeats the condition of that index literally: SQLite cannot derive it from a parameter.
    """
    rows = rows.filter(**{column: value})
    if value in common:
        return rows
    words = ", ".join(f"'{word}'" for word in common)
    return rows.extra(where=[f"NOT ({rows.model._meta.db_table}.{column} IN ({words}))"])  # noqa: S610 - names and words of ours


class RunQuerySet(models.QuerySet["Run"]):
    """Reads of runs."""

    def open(self) -> RunQuerySet:
        """Runs that have not ended."""
        return self.filter(finished_at=None)

    def of_trigger(self, trigger: str) -> RunQuerySet:
        """Runs of one trigger; rare triggers use a partial index."""
        found: RunQuerySet = _by_value(self, "trigger", trigger, UNINDEXED_TRIGGERS)
        return found

    def with_status(self) -> RunQuerySet:
        """Annotate `status`, a RunStatus: failed outcomes outrank cancelled ones, and these success.

        Skipped tasks do not count: the outcome that prevented them does.
        """
        executions: Any = self.model._meta.get_field("executions").related_model
        outcomes = executions.objects.filter(run=OuterRef("pk"), is_outcome=True).order_by()
        status = Case(
            When(finished_at=None, then=Value(RunStatus.RUNNING)),
            When(Exists(outcomes.filter(status__in=sorted(FAILED))), then=Value(RunStatus.FAILED)),
            When(Exists(outcomes.filter(status=Status.CANCELLED)), then=Value(RunStatus.CANCELLED)),
            default=Value(RunStatus.SUCCESS),
            output_field=models.CharField(),
        )
        annotated: Any = self.annotate(status=status)
        rows: RunQuerySet = annotated
        return rows

    def close(self, pks: Collection[int]) -> None:
        """Close the runs that have no active execution; they end with their last execution.

        Raw SQL, because it runs for each group of outcomes and building the query takes longer than executing it.
        """
        executions: Any = self.model._meta.get_field("executions").related_model
        own, other = self.model._meta.db_table, executions._meta.db_table
        active = ", ".join(f"'{status}'" for status in sorted(ACTIVE))
        of_run = f"FROM {other} e WHERE e.run_id = {own}.id"
        with connections[self.db].cursor() as cursor:
            cursor.execute(
                f"UPDATE {own} SET finished_at = (SELECT MAX(e.finished_at) {of_run})"  # noqa: S608 - names are ours
                f" WHERE id IN ({', '.join(['%s'] * len(pks))}) AND finished_at IS NULL"
                f" AND NOT EXISTS (SELECT 1 {of_run} AND e.status IN ({active}))",
                list(pks),
            )

    def newest_first(self) -> RunQuerySet:
        """The latest run first."""
        return self.order_by("-id")


def alive_at(now: datetime) -> Q:
    """Return the condition of `ProcessQuerySet.alive`."""
    lease = timedelta(seconds=settings.SCHEDULER_LEASE)
    return Q(stopped_at=None, heartbeat_at__gte=now - lease, heartbeat_at__lte=now + lease)


class ProcessQuerySet(models.QuerySet["Process"]):
    """Reads of processes."""

    def alive(self, now: datetime) -> ProcessQuerySet:
        """Processes with an unexpired lease that have not stopped.

        A heartbeat in the future was recorded before a clock was set back, possibly long ago, and does not count.
        """
        return self.filter(alive_at(now))


@dataclass(frozen=True)
class Transition:
    """A requested change of status.

    Attributes:
        execution_id: primary key.
        to: the new status; the state machine of the engine defines the allowed source states.
        claim: if given, the row must still have this claim; a worker that lost it changes nothing.
        values: further columns to set, by attribute name.
    """

    execution_id: int
    to: Status
    claim: str | None = None
    values: dict[str, Any] = field(default_factory=dict)


class ExecutionQuerySet(models.QuerySet["Execution"]):
    """Reads of executions, and the only writers of their status."""

    def active(self) -> ExecutionQuerySet:
        """Queued and running."""
        return self.filter(status__in=ACTIVE)

    def oldest_first(self) -> ExecutionQuerySet:
        """Ordered by id without using its index: SQLite would otherwise scan the whole table in that order."""
        return self.order_by(Coalesce("pk", "pk"))

    def in_the_way(self, task_pks: Collection[int]) -> dict[int, ActiveExecutions]:
        """Return the active executions of each task, empty for tasks without any; one query."""
        found: dict[int, ActiveExecutions] = defaultdict(ActiveExecutions)
        rows = self.active().filter(task__in=task_pks).oldest_first()
        columns = rows.values_list("task_id", "pk", "status", "attempt", "not_before")
        for task, pk, status, attempt, not_before in columns:
            found[task].stored.append(ActiveExecution(pk, status, attempt, not_before))
        return found

    def running(self) -> ExecutionQuerySet:
        """Running."""
        return self.filter(status=Status.RUNNING)

    def terminal(self) -> ExecutionQuerySet:
        """Ended, with any status."""
        return self.filter(status__in=TERMINAL)

    def of_status(self, status: str) -> ExecutionQuerySet:
        """Executions of one status; rare and active statuses use a partial index."""
        if status in ACTIVE:
            # Few and possibly old rows: a query in history order would scan all of it.
            own: Any = self.model._default_manager.order_by()
            open_rows = own.extra(where=[f"status = '{Status(status).value}'"])  # noqa: S610 - a word of ours
            return self.filter(pk__in=open_rows.values("pk"))
        found: ExecutionQuerySet = _by_value(self, "status", status, UNINDEXED_STATUSES)
        return found

    def of_trigger(self, trigger: str) -> ExecutionQuerySet:
        """Executions of one trigger; rare triggers use a partial index."""
        found: ExecutionQuerySet = _by_value(self, "trigger", trigger, UNINDEXED_TRIGGERS)
        return found

    def slots(self) -> ExecutionQuerySet:
        """The records of slots, one for each; uses their unique index."""
        return self.filter(attempt=1, trigger=Trigger.SCHEDULE, scheduled_for__isnull=False)

    def outcomes(self) -> ExecutionQuerySet:
        """Last attempts, latest first."""
        return self.filter(is_outcome=True).order_by("-finished_at", "-id")

    def newest_first(self) -> ExecutionQuerySet:
        """In the order of the history."""
        return self.order_by("-queued_at", "-id")

    def ready(self, now: datetime) -> ExecutionQuerySet:
        """Queued, due, and not blocked by the parallel limit of their task."""
        table = self.model._meta.db_table
        busy = (
            f"({table}.parallel_limit IS NULL OR {table}.parallel_limit > (SELECT COUNT(*) FROM {table} r"  # noqa: S608 - names of ours
            f" WHERE r.task_id = {table}.task_id AND r.status = %s))"
        )
        due: Any = self.filter(Q(not_before=None) | Q(not_before__lte=now), status=Status.QUEUED)
        found: ExecutionQuerySet = due.extra(where=[busy], params=[Status.RUNNING])  # noqa: S610 - no text of users
        return found

    def claimable(self, queue: str, now: datetime) -> ExecutionQuerySet:
        """Ready executions of `queue`, in claiming order."""
        return self.ready(now).filter(queue=queue).order_by("-priority", "id")

    def claim(self, *, ids: Sequence[int], owner: Process, claim: str, now: datetime) -> list[int]:
        """Set the queued executions among `ids` to running under `claim`; return the ids that were claimed."""
        return self.transition(
            [
                Transition(
                    pk,
                    Status.RUNNING,
                    values={"owner_id": owner.pk, "worker": str(owner), "claim": claim, "started_at": now},
                )
                for pk in ids
            ]
        )

    def transition(self, changes: Iterable[Transition]) -> list[int]:
        """Change statuses from source states that the engine allows; return the ids that were changed.

        One UPDATE for all changes with the same target and columns. All other status changes must go through here.
        """
        groups: dict[tuple[Any, ...], list[Transition]] = defaultdict(list)
        for change in changes:
            groups[(change.to, change.claim is None, tuple(sorted(change.values)))].append(change)
        won: list[int] = []
        for (to, is_unclaimed, names), group in groups.items():
            won += self._update_group(to, names, group, with_claim=not is_unclaimed)
        return won

    def _update_group(
        self, to: Status, names: tuple[str, ...], group: list[Transition], *, with_claim: bool
    ) -> list[int]:
        """Write one group; common values appear once in the statement, the others in a list of rows."""
        connection = connections[self.db]
        is_postgresql = connection.vendor == "postgresql"
        table = self.model._meta.db_table
        columns = ["id"]
        rows: list[list[Any]] = [[change.execution_id] for change in group]
        sets: list[str] = [f"status = '{to.value}'"]
        common: list[Any] = []
        for name in names:
            field = self._column_field(name)
            first = group[0].values[name]
            if all(change.values[name] == first for change in group):
                sets.append(f"{field.column} = %s")
                common.append(field.get_db_prep_save(first, connection))
                continue
            cast = f"::{field.cast_db_type(connection)}" if is_postgresql else ""
            sets.append(f"{field.column} = v.{field.column}{cast}")
            columns.append(str(field.column))
            for row, change in zip(rows, group, strict=True):
                row.append(field.get_db_prep_save(change.values[name], connection))
        if with_claim:
            columns.append("held")
            for row, change in zip(rows, group, strict=True):
                row.append(change.claim)
        sources = ", ".join(f"'{source.value}'" for source in sorted(SOURCES[to]))
        places = f"({', '.join(['%s'] * len(columns))})"
        won: list[int] = []
        for start in range(0, len(rows), 500):  # SQLite allows 32,766 parameters
            part = rows[start : start + 500]
            sql = (
                f"WITH v({', '.join(columns)}) AS (VALUES {', '.join([places] * len(part))}) "  # noqa: S608 - bound
                f"UPDATE {table} SET {', '.join(sets)} FROM v WHERE {table}.id = v.id"
                + (f" AND {table}.claim = v.held" if with_claim else "")
                + f" AND {table}.status IN ({sources}) RETURNING {table}.id"
            )
            with connection.cursor() as cursor:
                cursor.execute(sql, [*(value for row in part for value in row), *common])
                won += [pk for (pk,) in cursor.fetchall()]
        return won

    def _column_field(self, name: str) -> models.Field[Any, Any]:
        for candidate in self.model._meta.concrete_fields:
            if candidate.attname == name:
                return candidate
        raise ValueError(f"{name!r} is no column of {self.model.__name__}")
