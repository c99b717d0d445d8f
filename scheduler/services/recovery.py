"""Recovery of executions whose worker on this host died: adopt, record or requeue them."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from scheduler.models import Execution, Process
from scheduler.queues import DEFAULT_QUEUE, wake
from scheduler.runner import Exit, NeverStarted, RunningCommand, Spool, adopt
from scheduler.services import claims
from scheduler.services.commands import command_to_adopt
from scheduler.services.outcomes import Claimed

logger = logging.getLogger(__name__)

LEFT_FOR = timedelta(hours=1)  # a live worker removes the files of recorded executions much sooner


@dataclass(frozen=True)
class Recovered:
    """The state of an orphan: its running command, or its exit; `inode` is that of its pipe, 0 if unknown."""

    claimed: Claimed
    command: RunningCommand | None
    ended: Exit | None
    inode: int


def recover(orphans: Sequence[Claimed], spool: Spool) -> tuple[list[Recovered], list[Claimed], int]:
    """Inspect orphans that this process has taken over.

    Returns:
        those that run or ended, those that never started, and the number that could not be inspected (for example,
        too many open files). The next call finds these again.
    """
    recovered, never, left = [], [], 0
    for claimed in orphans:
        try:
            found = adopt(command_to_adopt(claimed), spool)
        except OSError:
            logger.exception("execution %s cannot be taken over yet", claimed.execution_id)
            left += 1
            continue
        if isinstance(found, NeverStarted):
            never.append(claimed)
            continue
        note = spool.said(claimed.execution_id, claimed.claim).note
        command, ended = (found, None) if isinstance(found, RunningCommand) else (None, found)
        recovered.append(Recovered(claimed, command, ended, 0 if note is None else note.inode))
    return recovered, never, left


def wake_for_orphans(spool: Spool, *, now: datetime) -> None:
    """Wake a worker for orphans of this host; without a worker here, record those that ended.

    Commands that still run without a worker on this host are left alone until one starts.
    """
    orphans = claims.orphans(host_id=spool.host_id, now=now)
    if not orphans:
        return
    workers = Process.objects.alive(now).filter(kind=Process.Kind.CLUSTER, host_id=spool.host_id)
    queues = set(workers.values_list("queue", flat=True))
    for queue in queues or {DEFAULT_QUEUE}:
        wake(queue)


def remove_stale_files(spool: Spool, *, now: datetime) -> int:
    """Remove spool files of recorded executions whose worker died first; return the number of executions."""
    idle = spool.untouched(since=(now - LEFT_FOR).timestamp())
    if not idle:
        return 0
    running = set(Execution.objects.running().values_list("pk", "claim"))
    left = idle - running
    for execution_id, claim in left:
        spool.remove(execution_id, claim)
    return len(left)
