"""Named reads of each model, and the two statements that change a status: `claim` and `transition`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db import connections, models
from django.db.models import BooleanField, Case, Exists, Func, OuterRef, Q, Value, When
from django.db.models.functions import Coalesce

from scheduler.choices import ACTIVE, COMMON, COMMON_TRIGGERS, FAILED, TERMINAL, RunStatus, Status, Trigger
from scheduler.engine.states import SOURCES

if TYPE_CHECKING:
    from scheduler.models import Execution, Process, Run, Task  # noqa: F401 - type arguments below


class _HasTag(Func):
    """Whether a JSON list has an element; SQLite has no lookup for that, and its LIKE ignores case."""

    template = "EXISTS (SELECT 1 FROM json_each(%(expressions)s)"
    arg_joiner = ") WHERE value = "
    output_field = BooleanField()


class TaskQuerySet(models.QuerySet["Task"]):
    """Reads of tasks."""

    def due(self, now: datetime) -> TaskQuerySet:
        """Tasks with a slot at or before `now` that are not set aside, the longest due first."""
        due = self.filter(enabled=True, deleted_at=None, next_run_at__lte=now, schedule_error="")
        return due.order_by("next_run_at", "pk")

    def tagged(self, tag: str) -> TaskQuerySet:
        """Tasks that carry `tag`, told apart by case."""
        if connections[self.db].vendor == "postgresql":
            return self.filter(tags__contains=[tag])
        return self.filter(_HasTag("tags", Value(tag)))


def _by_value(rows: Any, column: str, value: str, common: Sequence[str]) -> Any:
    """Return the rows with a value; one that is rare is found by the index that leaves the common ones out.

    The condition of that index stands in the text: SQLite does not see that a parameter implies it.
    """
    rows = rows.filter(**{column: value})
    if value in common:
        return rows
    words = ", ".join(f"'{word}'" for word in common)
    return rows.extra(where=[f"NOT ({rows.model._meta.db_table}.{column} IN ({words}))"])  # noqa: S610


class RunQuerySet(models.QuerySet["Run"]):
    """Reads of runs."""

    def open(self) -> RunQuerySet:
        """Runs that have not ended."""
        return self.filter(finished_at=None)

    def of_trigger(self, trigger: str) -> RunQuerySet:
        """Of one trigger; what is rare is found by its own index."""
        found: RunQuerySet = _by_value(self, "trigger", trigger, COMMON_TRIGGERS)
        return found

    def with_status(self) -> RunQuerySet:
        """Annotate `status`, a RunStatus: a failed outcome counts before a cancelled one, and that before success.

        Skipped tasks do not count: what kept them from running does.
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

    def newest_first(self) -> RunQuerySet:
        """The latest run first."""
        return self.order_by("-id")


class ProcessQuerySet(models.QuerySet["Process"]):
    """Reads of processes."""

    def alive(self, now: datetime) -> ProcessQuerySet:
        """Processes whose lease has not expired and that did not say that they stopped.

        A sign of life from the future was given before a clock was put back, perhaps long ago.
        """
        lease = timedelta(seconds=settings.SCHEDULER_LEASE)
        return self.filter(stopped_at=None, heartbeat_at__gte=now - lease, heartbeat_at__lte=now + lease)


@dataclass(frozen=True)
class Transition:
    """One wanted change of a status.

    Attributes:
        execution_id: primary key.
        to: the new status; the engine's table of changes names where it may come from.
        claim: when given, the row must still carry this claim; a worker that lost it changes nothing.
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
        """In the order of ids, for what an index finds: SQLite would rather read all that is in that order."""
        return self.order_by(Coalesce("pk", "pk"))

    def running(self) -> ExecutionQuerySet:
        """Running."""
        return self.filter(status=Status.RUNNING)

    def terminal(self) -> ExecutionQuerySet:
        """Ended, one way or the other."""
        return self.filter(status__in=TERMINAL)

    def of_status(self, status: str) -> ExecutionQuerySet:
        """Of one status; what is rare, or is not over yet, is found by its own index."""
        if status in ACTIVE:
            # Few, and perhaps old: in the order of the history, all of it would be looked through for them.
            own: Any = self.model._default_manager.order_by()
            open_rows = own.extra(where=[f"status = '{Status(status).value}'"])  # noqa: S610 - a word of ours
            return self.filter(pk__in=open_rows.values("pk"))
        found: ExecutionQuerySet = _by_value(self, "status", status, COMMON)
        return found

    def of_trigger(self, trigger: str) -> ExecutionQuerySet:
        """Of one trigger; what is rare is found by its own index."""
        found: ExecutionQuerySet = _by_value(self, "trigger", trigger, COMMON_TRIGGERS)
        return found

    def slots(self) -> ExecutionQuerySet:
        """The records of slots, one for each; served by the index that keeps them unique."""
        return self.filter(attempt=1, trigger=Trigger.SCHEDULE, scheduled_for__isnull=False)

    def outcomes(self) -> ExecutionQuerySet:
        """Last attempts, latest first."""
        return self.filter(is_outcome=True).order_by("-finished_at", "-id")

    def newest_first(self) -> ExecutionQuerySet:
        """In the order of the history."""
        return self.order_by("-queued_at", "-id")

    def ready(self, now: datetime) -> ExecutionQuerySet:
        """Queued, due, and not kept back by the parallel limit of their task."""
        table = self.model._meta.db_table
        busy = (
            f"({table}.parallel_limit IS NULL OR {table}.parallel_limit > (SELECT COUNT(*) FROM {table} r"  # noqa: S608
            f" WHERE r.task_id = {table}.task_id AND r.status = %s))"
        )
        due: Any = self.filter(Q(not_before=None) | Q(not_before__lte=now), status=Status.QUEUED)
        found: ExecutionQuerySet = due.extra(where=[busy], params=[Status.RUNNING])  # noqa: S610 - no text of users
        return found

    def claimable(self, queue: str, now: datetime) -> ExecutionQuerySet:
        """What is ready in `queue`, in claiming order."""
        return self.ready(now).filter(queue=queue).order_by("-priority", "id")

    def claim(self, *, ids: Sequence[int], owner: Process, claim: str, now: datetime) -> list[int]:
        """Make the queued ones of `ids` run under `claim` and return those that were won."""
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
        """Change statuses, each only from a state that the engine allows; return the ids that were changed.

        One UPDATE for all changes with the same target and the same columns. Nothing else writes a status.
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
        connection = connections[self.db]
        fields = [self._column_field(name) for name in names]
        columns: list[str] = ["id", *(["held"] if with_claim else []), *(str(f.column) for f in fields)]
        rows = [
            [
                change.execution_id,
                *([change.claim] if with_claim else []),
                *(
                    f.get_db_prep_save(change.values[name], connection)
                    for name, f in zip(names, fields, strict=True)
                ),
            ]
            for change in group
        ]
        cast = (
            {f.column: f.cast_db_type(connection) for f in fields}
            if connection.vendor == "postgresql"
            else {}
        )
        sets = ", ".join(
            [f"status = '{to.value}'"]
            + [f"{f.column} = v.{f.column}" + (f"::{cast[f.column]}" if cast else "") for f in fields]
        )
        sources = ", ".join(f"'{source.value}'" for source in sorted(SOURCES[to]))
        table = self.model._meta.db_table
        won: list[int] = []
        for start in range(0, len(rows), 500):  # SQLite allows 32,766 parameters
            part = rows[start : start + 500]
            values = ", ".join("(" + ", ".join(["%s"] * len(columns)) + ")" for _ in part)
            sql = (
                f"WITH v({', '.join(columns)}) AS (VALUES {values}) "  # noqa: S608 - names are ours, values are bound
                f"UPDATE {table} SET {sets} FROM v WHERE {table}.id = v.id"
                + (f" AND {table}.claim = v.held" if with_claim else "")
                + f" AND {table}.status IN ({sources}) RETURNING {table}.id"
            )
            with connection.cursor() as cursor:
                cursor.execute(sql, [value for row in part for value in row])
                won += [row[0] for row in cursor.fetchall()]
        return won

    def _column_field(self, name: str) -> models.Field[Any, Any]:
        for candidate in self.model._meta.concrete_fields:
            if candidate.attname == name:
                return candidate
        raise ValueError(f"{name!r} is no column of {self.model.__name__}")
