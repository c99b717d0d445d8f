"""Processes of the installation, and steps of its clocks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import models
from django.utils.translation import gettext_lazy as _

from scheduler.models.querysets import ProcessQuerySet

if TYPE_CHECKING:
    pass


class Process(models.Model):
    """A dispatcher, a cluster, or a worker process of a cluster, identified by host, pid and start time.

    It is alive while its heartbeat is recent; a worker process sends heartbeats only while it has work.
    """

    class Kind(models.TextChoices):
        """The role of the process."""

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


class ClockStep(models.Model):
    """A detected clock step: set back, which replanned the tasks, or far ahead of the last heartbeat.

    Attributes:
        seconds: size of the step; negative if the clock was set back.
        hold_until: retention is suspended until then; None: not suspended.
        tasks, executions: numbers of rows whose timestamps were corrected.
    """

    at = models.DateTimeField()
    seconds = models.FloatField()
    hold_until = models.DateTimeField(null=True, blank=True)
    tasks = models.PositiveIntegerField(default=0)
    executions = models.PositiveIntegerField(default=0)

    class Meta:
        default_permissions = ()  # nobody sees or changes these rows
        indexes = [models.Index(fields=["at"], name="clock_step_at")]

    def __str__(self) -> str:
        return f"{self.seconds:+.0f} s"
