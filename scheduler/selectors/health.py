"""Health of the installation: current failures and warnings."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from django.conf import settings
from django.db import Error as DatabaseError
from django.db.models import Max, Q
from django.db.models.functions import Coalesce

from scheduler.choices import Status
from scheduler.engine.clocks import FUTURE
from scheduler.engine.times import sentence_duration
from scheduler.models import Execution, Process
from scheduler.selectors.storage import FULL, is_disk_full, scarce

BACKLOG_LATE = timedelta(minutes=5)


@dataclass
class Health:
    """The result of the health check; healthy without reasons.

    Attributes:
        ahead: seconds by which stored timestamps lie in the future, because the clock was set back.
        scarce: setting, folder and free bytes of nearly full disks; full disks are reasons.
        late: whether executions have been waiting for long.
    """

    reasons: list[str] = field(default_factory=list)
    database: bool = True
    is_full: bool = False
    dispatchers: int = 0
    workers: int = 0
    backlog: int = 0
    is_late: bool = False
    ahead: float = 0.0
    scarce: list[tuple[str, Path, int]] = field(default_factory=list)
    dispatcher_heartbeat_at: datetime | None = None

    @property
    def is_healthy(self) -> bool:
        """Whether the check found no failure."""
        return not self.reasons

    @property
    def warnings(self) -> list[str]:
        """Impending failures; folders are not named, because the health check is public."""
        return [
            f"{free / 1_000_000:.0f} MB are free on the disk of {name}, less than {settings.SCHEDULER_FREE_SPACE}"
            for name, _folder, free in self.scarce
            if free >= FULL
        ]


def health(now: datetime) -> Health:
    """Check database, dispatcher, workers and disks."""
    found = Health(scarce=scarce())
    found.is_full = any(free < FULL for _name, _folder, free in found.scarce)
    for name in (name for name, _folder, free in found.scarce if free < FULL):
        found.reasons.append(f"the disk of {name} is full")
    try:
        _ask_database(found, now)
    except DatabaseError as error:
        found.database = False
        found.is_full = found.is_full or is_disk_full(error)
        found.reasons.append("the database does not answer")
        return found
    if found.ahead:
        found.reasons.append(
            f"the clock was set back by about {sentence_duration(found.ahead)}; a dispatcher rebuilds the plan"
        )
    lease = sentence_duration(settings.SCHEDULER_LEASE)
    if not found.dispatchers:
        found.reasons.append(f"no dispatcher gave a heartbeat in the last {lease}")
    if not found.workers:
        found.reasons.append(f"no worker gave a heartbeat in the last {lease}")
    elif found.is_late:
        found.reasons.append(f"{found.backlog} executions are queued, some for more than five minutes")
    return found


def _ask_database(found: Health, now: datetime) -> None:
    alive = Process.objects.alive(now)
    found.dispatchers = alive.filter(kind=Process.Kind.DISPATCHER).count()
    found.workers = alive.filter(kind=Process.Kind.CLUSTER).count()
    is_dispatcher = Q(kind=Process.Kind.DISPATCHER)
    beats = Process.objects.aggregate(
        of_any=Max("heartbeat_at"), own=Max("heartbeat_at", filter=is_dispatcher)
    )
    found.dispatcher_heartbeat_at = beats["own"]
    found.ahead = seconds_ahead(now, beat=beats["of_any"])
    due = Execution.objects.filter(status=Status.QUEUED).exclude(not_before__gt=now)
    found.backlog = due.count()
    # The expression keeps SQLite from scanning the whole history through the index on the instant.
    dated = Execution.objects.ready(now).annotate(at=Coalesce("not_before", "queued_at"))
    # Executions that wait for another one of their task (task_concurrency is queue) are not late.
    found.is_late = dated.filter(at__lt=now - BACKLOG_LATE).exists()


def seconds_ahead(now: datetime, *, beat: datetime | None) -> float:
    """Return by how many seconds stored timestamps lie after `now`; 0.0 within the tolerance between host clocks.

    Args:
        beat: the latest heartbeat of all processes.
    """
    queued = Execution.objects.newest_first().values_list("queued_at", flat=True).first()
    newest = max((at for at in (beat, queued) if at is not None), default=now)
    return (newest - now).total_seconds() if newest > now + FUTURE else 0.0
