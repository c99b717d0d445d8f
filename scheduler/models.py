"""What is stored: tasks, their dependencies and revisions, runs, executions, logs, processes and tokens.

Writes go through `scheduler.services`; nothing here starts anything when it is saved.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from scheduler.choices import (
    ACTIVE,
    COMMON,
    COMMON_TRIGGERS,
    Concurrency,
    MisfirePolicy,
    Status,
    Trigger,
    TriggerRule,
)
from scheduler.engine.dependencies import find_cycle
from scheduler.querysets import ExecutionQuerySet, ProcessQuerySet, RunQuerySet, TaskQuerySet

if TYPE_CHECKING:
    from datetime import datetime

TASK_ID = RegexValidator(
    r"^[A-Za-z0-9_-]{1,64}\Z", _("Use letters, digits, “_” and “-” only, 1 to 64 of them.")
)


class LiveTaskManager(models.Manager.from_queryset(TaskQuerySet)):  # type: ignore[misc]
    """Tasks that were not deleted."""

    def get_queryset(self) -> TaskQuerySet:
        """Return the tasks that people see."""
        return TaskQuerySet(self.model, using=self._db).filter(deleted_at=None)


class Task(models.Model):
    """The definition of something to run: command, schedule, policies, upstreams.

    A deleted task keeps its row (`deleted_at`), so that its history stays readable; `objects` hides it.
    The names on the wire are those of config.json; `scheduler.specs` maps them.
    """

    task_id = models.CharField(_("task id"), max_length=64, unique=True, validators=[TASK_ID])
    name = models.CharField(_("name"), max_length=200)
    description = models.TextField(_("description"), blank=True, default="")
    command = models.TextField(
        _("command"), help_text=_("Run by /bin/sh in the task's own folder below tasks/ if there is one.")
    )
    schedule = models.CharField(
        _("schedule"),
        max_length=255,
        blank=True,
        default="",
        help_text=_(
            "Cron with five fields, or six with seconds first; empty: only by dependency or by hand."
        ),
    )
    timezone = models.CharField(_("time zone"), max_length=64, blank=True, default="")
    enabled = models.BooleanField(_("enabled"), default=True)
    timeout = models.FloatField(_("timeout"), null=True, blank=True, help_text=_("Seconds; empty: none."))
    retry = models.PositiveSmallIntegerField(_("retries"), default=0, validators=[MaxValueValidator(100)])
    retry_interval = models.FloatField(_("retry interval"), default=60, help_text=_("Seconds."))
    retry_backoff = models.FloatField(
        _("retry backoff"), default=1.0, help_text=_("Factor for each further wait.")
    )
    env = models.JSONField(_("environment"), default=dict, blank=True)
    upstreams: models.ManyToManyField[Task, Any] = models.ManyToManyField(
        "self",
        verbose_name=_("depends on"),
        symmetrical=False,
        through="TaskDependency",
        through_fields=("downstream", "upstream"),
        related_name="downstreams",
        blank=True,
    )
    notify = models.JSONField(_("notification rules"), default=list, blank=True)
    tags = models.JSONField(_("tags"), default=list, blank=True)
    queue = models.CharField(_("queue"), max_length=50, blank=True, default="")
    priority = models.SmallIntegerField(
        _("priority"), default=0, validators=[MinValueValidator(-100), MaxValueValidator(100)]
    )
    concurrency = models.CharField(
        _("overlap"), max_length=10, choices=Concurrency.choices, default=Concurrency.SKIP
    )
    max_parallel = models.PositiveSmallIntegerField(_("at most in parallel"), null=True, blank=True)
    misfire_policy = models.CharField(
        _("missed slots"), max_length=10, choices=MisfirePolicy.choices, default=MisfirePolicy.RUN_ONCE
    )
    misfire_grace = models.FloatField(_("misfire grace"), default=60, help_text=_("Seconds."))
    trigger_rule = models.CharField(
        _("trigger rule"), max_length=12, choices=TriggerRule.choices, default=TriggerRule.ALL_SUCCESS
    )
    deadline = models.JSONField(_("deadline"), null=True, blank=True, default=None)
    history_days = models.PositiveIntegerField(_("keep history"), null=True, blank=True, help_text=_("Days."))

    revision = models.ForeignKey(
        "TaskRevision", null=True, blank=True, editable=False, on_delete=models.PROTECT, related_name="+"
    )
    next_run_at = models.DateTimeField(_("next run"), null=True, blank=True, editable=False)
    schedule_error = models.TextField(_("schedule error"), blank=True, default="", editable=False)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    updated_at = models.DateTimeField(_("changed"), auto_now=True)
    deleted_at = models.DateTimeField(null=True, blank=True, editable=False)

    objects = LiveTaskManager()
    all_objects = models.Manager.from_queryset(TaskQuerySet)()

    class Meta:
        base_manager_name = "all_objects"
        default_manager_name = "objects"
        ordering = ["task_id"]
        verbose_name = _("task")
        verbose_name_plural = _("tasks")
        permissions = [("run_task", "Can run, cancel, resume and pause tasks")]
        indexes = [
            models.Index(
                F("next_run_at"),
                name="task_due",  # dispatch: what is due, and the next due instant
                condition=Q(enabled=True, deleted_at=None, next_run_at__isnull=False),
            ),
        ]
        constraints = [
            models.CheckConstraint(condition=~Q(task_id=""), name="task_id_not_empty"),
            models.CheckConstraint(
                condition=Q(timeout=None) | Q(timeout__gt=0), name="task_timeout_positive"
            ),
        ]

    def __str__(self) -> str:
        return self.task_id

    @property
    def zone(self) -> str:
        """The IANA zone in which the schedule is read."""
        return self.timezone or settings.SCHEDULER_TIME_ZONE


class TaskRevision(models.Model):
    """A task as it was defined at one time; executions name the revision they use. Never changed."""

    task = models.ForeignKey(Task, on_delete=models.CASCADE, related_name="revisions")
    number = models.PositiveIntegerField()
    spec = models.JSONField(help_text="The task in the words of config.json.")
    created_at = models.DateTimeField(auto_now_add=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )

    class Meta:
        constraints = [models.UniqueConstraint(fields=["task", "number"], name="revision_number")]

    def __str__(self) -> str:
        return f"{self.task} revision {self.number}"


class TaskDependency(models.Model):
    """One edge: `downstream` starts after `upstream`."""

    downstream = models.ForeignKey(Task, on_delete=models.CASCADE, related_name="upstream_edges")
    upstream = models.ForeignKey(Task, on_delete=models.CASCADE, related_name="downstream_edges")

    class Meta:
        verbose_name = _("dependency")
        verbose_name_plural = _("dependencies")
        constraints = [
            models.UniqueConstraint(fields=["downstream", "upstream"], name="dependency_once"),
            models.CheckConstraint(condition=~Q(downstream=F("upstream")), name="dependency_not_on_itself"),
        ]

    def __str__(self) -> str:
        return f"{self.upstream} → {self.downstream}"

    def clean(self) -> None:
        """Refuse an edge from a task to itself and one that would close a cycle.

        Raises:
            ValidationError: with the cycle printed as ``a → b → c → a``, on the field `upstream`.
        """
        ends: tuple[int | None, int | None] = (self.downstream_id, self.upstream_id)
        if None in ends:
            return
        upstreams: dict[int, set[int]] = {}
        for downstream, upstream in TaskDependency.objects.exclude(pk=self.pk).values_list(
            "downstream", "upstream"
        ):
            upstreams.setdefault(downstream, set()).add(upstream)
        upstreams.setdefault(self.downstream_id, set()).add(self.upstream_id)
        cycle = find_cycle(upstreams, start=[self.downstream_id])
        if cycle:
            names = dict(Task.objects.filter(pk__in=cycle).values_list("pk", "task_id"))
            path = " → ".join(names.get(pk, str(pk)) for pk in cycle)
            raise ValidationError(
                {"upstream": _("This dependency would form a cycle: %(path)s") % {"path": path}}
            )


class RunGraph(models.Model):
    """The dependencies that runs follow, shared by all runs that began with the same ones.

    `edges` is a sorted list of ``[upstream pk, downstream pk]``: all edges into what is downstream of the first
    task, those from tasks outside of the run as well. A run keeps to it when dependencies change meanwhile.
    """

    digest = models.CharField(max_length=64, unique=True)
    edges = models.JSONField()

    class Meta:
        verbose_name = _("graph of a run")
        verbose_name_plural = _("graphs of runs")

    def __str__(self) -> str:
        return self.digest[:12]


class Run(models.Model):
    """Everything that one trigger sets in motion."""

    trigger = models.CharField(_("trigger"), max_length=10, choices=Trigger.choices)
    first_task = models.ForeignKey(Task, on_delete=models.CASCADE, related_name="runs", db_index=False)
    graph = models.ForeignKey(RunGraph, null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(_("created"))
    finished_at = models.DateTimeField(_("finished"), null=True, blank=True)
    cancelled_at = models.DateTimeField(_("cancelled"), null=True, blank=True)
    cancel_reason = models.TextField(blank=True, default="")

    objects = RunQuerySet.as_manager()

    class Meta:
        verbose_name = _("run")
        verbose_name_plural = _("runs")
        indexes = [
            models.Index(F("id").desc(), name="run_open", condition=Q(finished_at=None)),  # what goes on now
            models.Index("first_task", F("id").desc(), name="run_history"),  # runs that began with a task
            # those that people began, newest first
            models.Index(
                "trigger", F("id").desc(), name="run_triggered", condition=~Q(trigger__in=COMMON_TRIGGERS)
            ),
        ]

    def __str__(self) -> str:
        return gettext("run %(number)s") % {"number": self.pk}


class Process(models.Model):
    """A dispatcher, a cluster or a worker process of one, known by host, pid and start time.

    Alive while its heartbeat is; a worker process beats while it has work.
    """

    class Kind(models.TextChoices):
        """What the process does."""

        DISPATCHER = "dispatcher", _("Dispatcher")
        CLUSTER = "cluster", _("Cluster")
        WORKER = "worker", _("Worker process")

    kind = models.CharField(_("kind"), max_length=10, choices=Kind.choices)
    host_id = models.CharField(
        _("identity of the host"),
        max_length=64,
        help_text=_("Identity of the spool; same spool, same host."),
    )
    host = models.CharField(_("host"), max_length=255)
    pid = models.PositiveIntegerField(_("process id"))
    start_ticks = models.BigIntegerField(
        _("start in ticks"), help_text=_("Start of the process in clock ticks after boot.")
    )
    queue = models.CharField(_("queue"), max_length=50, blank=True, default="")
    slots = models.PositiveIntegerField(_("slots"), default=0)
    started_at = models.DateTimeField(_("started"))
    heartbeat_at = models.DateTimeField(_("last heartbeat"))
    stopped_at = models.DateTimeField(_("stopped"), null=True, blank=True)

    objects = ProcessQuerySet.as_manager()

    class Meta:
        verbose_name = _("process")
        verbose_name_plural = _("processes")
        indexes = [models.Index(fields=["kind", "heartbeat_at"], name="process_alive")]  # health, reap

    def __str__(self) -> str:
        return f"{self.host}:{self.pid}"


class Execution(models.Model):
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
    reason = models.TextField(_("reason"), blank=True, default="")
    owner = models.ForeignKey(
        Process, null=True, blank=True, on_delete=models.SET_NULL, related_name="executions"
    )
    worker = models.CharField(_("worker"), max_length=270, blank=True, default="")
    claim = models.CharField(max_length=16, blank=True, default="")
    cancel_requested_at = models.DateTimeField(null=True, blank=True)
    cancel_reason = models.TextField(blank=True, default="")
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
            # the same, of one status; only what people search for
            models.Index(
                "status",
                F("queued_at").desc(),
                F("id").desc(),
                name="execution_recent_failed",
                condition=~Q(status__in=COMMON),
            ),
            # those of one trigger, of a task and of all; only what people search for
            models.Index(
                "task",
                "trigger",
                F("queued_at").desc(),
                F("id").desc(),
                name="execution_history_triggered",
                condition=~Q(trigger__in=COMMON_TRIGGERS),
            ),
            models.Index(
                "trigger",
                F("queued_at").desc(),
                F("id").desc(),
                name="execution_recent_triggered",
                condition=~Q(trigger__in=COMMON_TRIGGERS),
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
        """Seconds from start to end, or None when it has not ended or never ran."""
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

    `offset` and `size` count bytes of the true stream; a gap between pieces is output that was left out.
    """

    execution = models.ForeignKey(
        Execution, on_delete=models.CASCADE, related_name="log_pieces", db_index=False
    )
    offset = models.BigIntegerField()
    size = models.PositiveIntegerField()
    text = models.TextField()

    class Meta:
        verbose_name = _("piece of a log")
        verbose_name_plural = _("pieces of logs")
        constraints = [
            # reading a log from an offset
            models.UniqueConstraint(fields=["execution", "offset"], name="log_piece_once"),
        ]

    def __str__(self) -> str:
        return f"{self.execution_id}@{self.offset}"


class ApiToken(models.Model):
    """A key to the API, shown once when it is made; only its SHA-256 is kept."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="api_tokens", verbose_name=_("user")
    )
    name = models.CharField(_("name"), max_length=100, blank=True, default="")
    digest = models.CharField(max_length=64, unique=True)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    last_used_at = models.DateTimeField(_("last used"), null=True, blank=True)
    expires_at = models.DateTimeField(_("expires"), null=True, blank=True)

    class Meta:
        verbose_name = _("API token")
        verbose_name_plural = _("API tokens")

    def __str__(self) -> str:
        return self.name or gettext("token %(number)s") % {"number": self.pk}
