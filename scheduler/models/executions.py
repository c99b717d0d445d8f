"""Runs, executions and their logs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from scheduler.choices import (
    ACTIVE,
    UNINDEXED_STATUSES,
    UNINDEXED_TRIGGERS,
    Status,
    Trigger,
)
from scheduler.models.querysets import ExecutionQuerySet, RunQuerySet

if TYPE_CHECKING:
    from datetime import datetime
from scheduler.models.processes import Process
from scheduler.models.reasons import Cancellable, WithReason
from scheduler.models.tasks import Task, TaskRevision


class RunGraph(models.Model):
    """The dependency graph of runs, shared by all runs that began with the same graph.

    `edges` is a sorted list of ``[upstream pk, downstream pk]``: all edges into tasks downstream of the first task,
    including edges from tasks outside of the run. Later changes of dependencies do not affect a run.
    """

    digest = models.CharField(max_length=64, unique=True)
    edges = models.JSONField()

    class Meta:
        verbose_name = _("graph of a run")
        verbose_name_plural = _("graphs of runs")

    def __str__(self) -> str:
        return self.digest[:12]


class Run(Cancellable):
    """All executions caused by one trigger."""

    trigger = models.CharField(_("trigger"), max_length=10, choices=Trigger.choices)
    first_task = models.ForeignKey(Task, on_delete=models.CASCADE, related_name="runs", db_index=False)
    graph = models.ForeignKey(RunGraph, null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(_("created"))
    finished_at = models.DateTimeField(_("finished"), null=True, blank=True)
    cancelled_at = models.DateTimeField(_("cancelled"), null=True, blank=True)

    objects = RunQuerySet.as_manager()

    class Meta:
        verbose_name = _("run")
        verbose_name_plural = _("runs")
        indexes = [
            models.Index(F("id").desc(), name="run_open", condition=Q(finished_at=None)),  # open runs
            models.Index("first_task", F("id").desc(), name="run_history"),  # runs that began with a task
            # manually started runs, newest first
            models.Index(
                "trigger", F("id").desc(), name="run_triggered", condition=~Q(trigger__in=UNINDEXED_TRIGGERS)
            ),
        ]

    def __str__(self) -> str:
        return gettext("run %(number)s") % {"number": self.pk}


class Execution(WithReason, Cancellable):
    """One attempt to run one task in one run, or the record of a slot that was skipped or missed."""

    task = models.ForeignKey(Task, on_delete=models.CASCADE, related_name="executions")
    run = models.ForeignKey(Run, null=True, blank=True, on_delete=models.CASCADE, related_name="executions")
    revision = models.ForeignKey(
        TaskRevision, null=True, blank=True, on_delete=models.CASCADE, related_name="+"
    )
    status = models.CharField(_("status"), max_length=20, choices=Status.choices, default=Status.QUEUED)
    is_outcome = models.BooleanField(
        default=False, help_text="Terminal, and no further attempt in this run follows."
    )
    attempt = models.PositiveIntegerField(_("attempt"), default=1)
    retries_left = models.PositiveSmallIntegerField(default=0)
    trigger = models.CharField(_("trigger"), max_length=10, choices=Trigger.choices)
    queue = models.CharField(max_length=50, default="default")
    priority = models.SmallIntegerField(default=0)
    parallel_limit = models.PositiveSmallIntegerField(null=True, blank=True)
    scheduled_for = models.DateTimeField(_("scheduled for"), null=True, blank=True)
    slot_count = models.PositiveIntegerField(default=1)
    covers_until = models.DateTimeField(null=True, blank=True)
    queued_at = models.DateTimeField(_("queued"))
    not_before = models.DateTimeField(null=True, blank=True)
    started_at = models.DateTimeField(_("started"), null=True, blank=True)
    finished_at = models.DateTimeField(_("finished"), null=True, blank=True)
    exit_code = models.IntegerField(_("exit code"), null=True, blank=True)
    owner = models.ForeignKey(
        Process, null=True, blank=True, on_delete=models.SET_NULL, related_name="executions"
    )
    worker = models.CharField(_("worker"), max_length=270, blank=True, default="")
    claim = models.CharField(max_length=16, blank=True, default="")
    cancel_requested_at = models.DateTimeField(null=True, blank=True)
    log_size = models.BigIntegerField(_("log size"), default=0)
    upstream_executions: models.ManyToManyField[Execution, Any] = models.ManyToManyField(
        "self", symmetrical=False, related_name="downstream_executions", blank=True
    )

    objects = ExecutionQuerySet.as_manager()

    class Meta:
        verbose_name = _("execution")
        verbose_name_plural = _("executions")
        permissions = [("cancel_execution", "Can cancel executions")]
        constraints = [
            models.UniqueConstraint(fields=["run", "task", "attempt"], name="execution_once"),
            models.UniqueConstraint(
                fields=["task", "scheduled_for"],
                name="execution_slot_once",
                condition=Q(attempt=1, trigger=Trigger.SCHEDULE),
            ),
        ]
        indexes = [
            # history of a task, newest first, with since and until
            models.Index("task", F("queued_at").desc(), F("id").desc(), name="execution_history"),
            # the same, of one status
            models.Index(
                "task", "status", F("queued_at").desc(), F("id").desc(), name="execution_history_status"
            ),
            # executions of all tasks, newest first; retention
            models.Index(F("queued_at").desc(), F("id").desc(), name="execution_recent"),
            # the same, filtered by status; only statuses that users search for
            models.Index(
                "status",
                F("queued_at").desc(),
                F("id").desc(),
                name="execution_recent_failed",
                condition=~Q(status__in=UNINDEXED_STATUSES),
            ),
            # filtered by trigger, of one task and of all; only triggers that users search for
            models.Index(
                "task",
                "trigger",
                F("queued_at").desc(),
                F("id").desc(),
                name="execution_history_triggered",
                condition=~Q(trigger__in=UNINDEXED_TRIGGERS),
            ),
            models.Index(
                "trigger",
                F("queued_at").desc(),
                F("id").desc(),
                name="execution_recent_triggered",
                condition=~Q(trigger__in=UNINDEXED_TRIGGERS),
            ),
            # claim
            models.Index(
                "queue", F("priority").desc(), "id", name="execution_claim", condition=Q(status=Status.QUEUED)
            ),
            # next due retry
            models.Index(
                F("not_before"),
                name="execution_retry",
                condition=Q(status=Status.QUEUED, not_before__isnull=False),
            ),
            # overlap and parallel limit; overview
            models.Index("task", "status", name="execution_active", condition=Q(status__in=sorted(ACTIVE))),
            # cancel requests, heartbeat, reap
            models.Index("owner", "claim", name="execution_running", condition=Q(status=Status.RUNNING)),
            # latest outcome, streaks
            models.Index(
                "task",
                F("finished_at").desc(),
                F("id").desc(),
                name="execution_outcome",
                condition=Q(is_outcome=True),
            ),
        ]

    def __str__(self) -> str:
        return gettext("execution %(number)s") % {"number": self.pk}

    @property
    def duration(self) -> float | None:
        """Seconds from start to end, or None if it has not ended or never ran."""
        if self.started_at is None or self.finished_at is None:
            return None
        return (self.finished_at - self.started_at).total_seconds()

    def elapsed(self, now: datetime) -> float | None:
        """Seconds since the start, up to the end or `now`."""
        if self.started_at is None:
            return None
        return ((self.finished_at or now) - self.started_at).total_seconds()


class ExecutionLog(models.Model):
    """A piece of the output of an execution.

    `offset` and `size` count bytes of the original stream, `text` is their decoding in the encoding of the task; a gap
    between pieces is omitted output.
    """

    execution = models.ForeignKey(
        Execution, on_delete=models.CASCADE, related_name="log_pieces", db_index=False
    )
    offset = models.BigIntegerField()
    size = models.PositiveIntegerField()
    text = models.TextField()
    #: the original bytes, if `text` is lossy
    raw = models.BinaryField(null=True)

    class Meta:
        verbose_name = _("piece of a log")
        verbose_name_plural = _("pieces of logs")
        constraints = [
            # reading a log from an offset
            models.UniqueConstraint(fields=["execution", "offset"], name="log_piece_once"),
        ]

    def __str__(self) -> str:
        return f"{self.execution_id}@{self.offset}"
