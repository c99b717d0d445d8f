"""Tasks, their revisions, and the dependencies between them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from scheduler.choices import (
    Concurrency,
    MisfirePolicy,
    TriggerRule,
)
from scheduler.engine.graphs import find_cycle
from scheduler.models.querysets import TaskQuerySet

if TYPE_CHECKING:
    pass


TASK_ID = RegexValidator(
    r"^[A-Za-z0-9_-]{1,64}\Z", _("Use letters, digits, “_” and “-” only, 1 to 64 of them.")
)


class LiveTaskManager(models.Manager.from_queryset(TaskQuerySet)):  # type: ignore[misc]  # a class made at run time
    """Tasks that were not deleted."""

    def get_queryset(self) -> TaskQuerySet:
        """Return the tasks that are not deleted."""
        return TaskQuerySet(self.model, using=self._db).filter(deleted_at=None)


class Task(models.Model):
    """A task definition: command, schedule, policies, upstreams.

    A deleted task keeps its row (`deleted_at`), so that its history stays readable; `objects` excludes it.
    config.json and the API use other field names; `scheduler.task_mapping` maps them.
    """

    task_id = models.CharField(_("task id"), max_length=64, unique=True, validators=[TASK_ID])
    name = models.CharField(_("name"), max_length=200)
    description = models.TextField(_("description"), blank=True, default="")
    command = models.TextField(
        _("command"), help_text=_("Run by the shell in the task's own folder below tasks/ if there is one.")
    )
    schedule = models.CharField(
        _("schedule"),
        max_length=255,
        blank=True,
        default="",
        help_text=_(
            "Cron with five fields, or six with seconds first. Leave empty to run only by dependency, manually or "
            "via the API."
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
    max_waiting = models.PositiveIntegerField(
        _("at most waiting"),
        default=100,
        help_text=_("Executions that may wait when the overlap is “queue”."),
    )
    exit_codes = models.JSONField(_("exit codes"), default=dict, blank=True)
    shell = models.CharField(_("shell"), max_length=255, blank=True, default="/bin/sh")
    python = models.CharField(_("Python"), max_length=1000, blank=True, default="")
    encoding = models.CharField(_("encoding of the output"), max_length=50, blank=True, default="")
    history_days = models.PositiveIntegerField(_("keep history"), null=True, blank=True, help_text=_("Days."))

    revision = models.ForeignKey(
        "TaskRevision", null=True, blank=True, editable=False, on_delete=models.PROTECT, related_name="+"
    )
    #: it has had its own folder, so it never runs in the base folder again
    has_folder = models.BooleanField(default=False, editable=False)
    next_run_at = models.DateTimeField(_("next run"), null=True, blank=True, editable=False)
    schedule_error = models.TextField(_("schedule error"), blank=True, default="", editable=False)
    #: when an upgrade joined its day fields otherwise; None once that was read or the schedule edited
    days_changed_at = models.DateTimeField(null=True, blank=True, editable=False)
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
                name="task_due",  # dispatch: due tasks, and the next due time
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
    """An immutable version of a task definition; executions reference the revision that they use."""

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
        """Reject self-dependencies and edges that would close a cycle.

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
