"""Totals of ended executions, from which counters are read: they outlive the history, so they never fall.

The transaction that ends an execution adds a row to `EndedExecution`, which locks nothing that others need. The
dispatcher moves these rows into the totals, in one transaction: each end is counted exactly once, whatever crashes.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.db import connections, models

from scheduler.choices import Status
from scheduler.models.tasks import Task

ROWS_AT_ONCE = 500


class EndedExecutionQuerySet(models.QuerySet["EndedExecution"]):
    """Writes of executions to be counted."""

    def note(self, ended: Iterable[tuple[int, int]]) -> None:
        """Note ended executions, in the transaction of the caller.

        Raw SQL, because it runs for each group of outcomes.

        Args:
            ended: execution and the number of slots that its end adds: more than 1 only for skipped and missed slots.
        """
        rows = list(ended)
        for start in range(0, len(rows), ROWS_AT_ONCE):
            part = rows[start : start + ROWS_AT_ONCE]
            places = ", ".join(["(%s, %s)"] * len(part))
            with connections[self.db].cursor() as cursor:
                cursor.execute(
                    f"INSERT INTO {self.model._meta.db_table} (execution_id, slots) VALUES {places}",  # noqa: S608 - names of ours
                    [value for row in part for value in row],
                )


class EndedExecution(models.Model):
    """An ended execution, or further slots of a series of skipped or missed ones, that is not in the totals yet.

    `execution_id` is no foreign key: its check would cost as much as the row.
    """

    execution_id = models.BigIntegerField()
    slots = models.PositiveIntegerField()

    objects = EndedExecutionQuerySet.as_manager()

    class Meta:
        default_permissions = ()  # nobody sees or changes these rows

    def __str__(self) -> str:
        return f"{self.execution_id}: {self.slots}"


class ExecutionTotal(models.Model):
    """All ended executions of a task with one status since counting began.

    Attributes:
        slots: skipped and missed slots count one by one, other executions once.
        timed, seconds: number of executions that ran, and the sum of their durations.
    """

    task: models.ForeignKey[Any, Any] = models.ForeignKey(
        Task, on_delete=models.CASCADE, related_name="totals", db_index=False
    )
    status = models.CharField(max_length=20, choices=Status.choices)
    slots = models.BigIntegerField(default=0)
    timed = models.BigIntegerField(default=0)
    seconds = models.FloatField(default=0)

    class Meta:
        default_permissions = ()  # nobody sees or changes these rows
        constraints = [models.UniqueConstraint(fields=["task", "status"], name="execution_total_once")]

    def __str__(self) -> str:
        return f"{self.task_id} {self.status}: {self.slots}"


class BucketTotal(models.Model):
    """One bucket of a histogram over all executions since counting began.

    Attributes:
        histogram: its name.
        label: the part of the histogram, such as a status.
        bound: upper bound of the bucket in seconds, as text; "inf" is the last one.
        number, seconds: number of executions in this bucket alone, and the sum of their values.
    """

    histogram = models.CharField(max_length=20)
    label = models.CharField(max_length=20, blank=True, default="")
    bound = models.CharField(max_length=20)
    number = models.BigIntegerField(default=0)
    seconds = models.FloatField(default=0)

    class Meta:
        default_permissions = ()  # nobody sees or changes these rows
        constraints = [
            models.UniqueConstraint(fields=["histogram", "label", "bound"], name="bucket_total_once")
        ]

    def __str__(self) -> str:
        return f"{self.histogram} {self.label} ≤ {self.bound}: {self.number}"
