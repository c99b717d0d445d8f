"""What becomes of executions whose worker on this host died: looked at, taken over, recorded or queued again."""

from __future__ import annotations

import logging
import stat
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

from django.conf import settings

from scheduler.choices import Status
from scheduler.engine.states import reason_of_exit, status_of_exit
from scheduler.models import Execution, Process
from scheduler.queues import DEFAULT_QUEUE, wake
from scheduler.runner import CommandSpec, Exit, NeverStarted, RunningCommand, Spool, adopt
from scheduler.services import claims
from scheduler.services.outcomes import Claimed, Report

logger = logging.getLogger(__name__)

LEFT_FOR = timedelta(hours=1)  # no worker that lives takes so long to remove what it recorded


def command_spec(claimed: Claimed, env: dict[str, str]) -> CommandSpec:
    """Return what the runner needs to start or adopt an execution."""
    spec = claimed.spec
    own = settings.SCHEDULER_TASKS_DIR / spec["task_id"]
    base: Path = settings.SCHEDULER_TASKS_DIR.parent
    return CommandSpec(
        execution_id=claimed.execution_id,
        claim=claimed.claim,
        command=spec["task_exec"],
        env=env,
        cwd=own if _is_folder(own) else base,
        timeout=None if spec["task_timeout"] is None else float(spec["task_timeout"]),
        log_limit=settings.SCHEDULER_LOG_LIMIT,
        grace=settings.SCHEDULER_GRACE,
    )


def _is_folder(path: Path) -> bool:
    """Tell whether there is a folder; where that cannot be asked, starting in it will say why."""
    try:
        return stat.S_ISDIR(path.stat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True


def recover(
    orphans: Sequence[Claimed], spool: Spool, *, now: datetime
) -> tuple[list[tuple[Claimed, RunningCommand]], list[Report], list[Claimed], int]:
    """Look what became of orphans that this process owns now.

    Returns:
        those that run, reports on those that ended, those that never started, and how many could not be looked at:
        too many files are open, say. The next look finds them again.
    """
    running, ended, never, left = [], [], [], 0
    for claimed in orphans:
        try:
            found = adopt(command_spec(claimed, {}), spool)
        except OSError:
            logger.exception("execution %s cannot be taken over yet", claimed.execution_id)
            left += 1
            continue
        if isinstance(found, RunningCommand):
            running.append((claimed, found))
        elif isinstance(found, NeverStarted):
            never.append(claimed)
        else:
            ended.append(report_of(claimed, found, now=now, stopped_for=""))
    return running, ended, never, left


def report_of(
    claimed: Claimed,
    ended: Exit,
    *,
    now: datetime,
    stopped_for: str,
    cancel_reason: str = "",
) -> Report:
    """Return the report on an execution whose command ended, without its log."""
    status = status_of_exit(ended.code, timed_out=stopped_for == "timeout", cancelled=stopped_for == "cancel")
    if status is Status.CANCELLED:
        reason = cancel_reason
    elif status is Status.TIMEOUT:
        reason = f"ran longer than its timeout of {claimed.spec['task_timeout']:g} s"
    elif ended.code is None:
        reason = f"{claims.WORKER_LOST}: its command left neither a process nor an exit code"
    else:
        reason = reason_of_exit(ended.code)
    return Report(claimed, status, now, ended.code, reason)


def tend_orphans(spool: Spool, *, now: datetime) -> None:
    """Wake a worker when executions of this host lost theirs; with no worker here, record what ended.

    What still runs without any worker on this host is left alone until one starts.
    """
    orphans = claims.orphans(host_id=spool.host_id, now=now)
    if not orphans:
        return
    workers = Process.objects.alive(now).filter(kind=Process.Kind.CLUSTER, host_id=spool.host_id)
    queues = set(workers.values_list("queue", flat=True))
    for queue in queues or {DEFAULT_QUEUE}:
        wake(queue)


def tidy_spool(spool: Spool, *, now: datetime) -> int:
    """Remove files that workers left which died after recording an end; return of how many executions."""
    idle = spool.untouched(since=(now - LEFT_FOR).timestamp())
    if not idle:
        return 0
    running = set(Execution.objects.running().values_list("pk", "claim"))
    left = idle - running
    for execution_id, claim in left:
        spool.remove(execution_id, claim)
    return len(left)
