"""Clock steps: detection, correction of timestamps in the future, and how long retention is suspended."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

STEP = 10.0  # seconds; smaller steps come from time services and are harmless
FUTURE = timedelta(seconds=60)  # tolerated difference between the clocks of hosts
GAP = timedelta(days=1)
LONGEST_HOLD = timedelta(days=7)


class StepWatch:
    """Detects steps by comparing the wall clock with the monotonic clock, which cannot be set."""

    def __init__(self) -> None:
        self._seen: tuple[datetime, float] | None = None

    def step(self, wall: datetime, monotonic: float) -> float:
        """Return the seconds by which the clock was set since the last call; 0.0 for less than STEP.

        A suspended machine looks like a step forward, because its monotonic clock stops.
        """
        seen, self._seen = self._seen, (wall, monotonic)
        if seen is None:
            return 0.0
        step = (wall - seen[0]).total_seconds() - (monotonic - seen[1])
        return step if abs(step) >= STEP else 0.0


@dataclass(frozen=True)
class Instants:
    """The timestamps of an execution."""

    queued_at: datetime
    not_before: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None


def brought_back(row: Instants, now: datetime) -> Instants:
    """Return the timestamps of an execution moved to `now` or before, except that of a waiting retry.

    Timestamps written while the clock was ahead are shifted to end now: waits and durations keep their length, and
    executions keep the order in which they ended, by their numbers. A waiting retry waits its full interval from now.
    """
    latest = max(at for at in (row.queued_at, row.started_at, row.finished_at) if at is not None)
    back = max(latest - now, timedelta()) if row.queued_at > now else timedelta()

    def bring(at: datetime | None) -> datetime | None:
        return at if at is None or at <= now else min(at - back, now)

    not_before = row.not_before
    if not_before is not None and row.queued_at > now:
        not_before = now + (not_before - row.queued_at)
    finished_at = bring(row.finished_at)
    started_at = bring(row.started_at)
    if started_at is not None and finished_at is not None:
        started_at = min(started_at, finished_at)
    queued_at = row.queued_at if row.queued_at <= now else row.queued_at - back
    return Instants(min(queued_at, started_at or queued_at), not_before, started_at, finished_at)


def hold_until(found_at: datetime, gap: timedelta) -> datetime | None:
    """Return until when retention is suspended after a gap without a running dispatcher; None if it is not.

    A clock set days ahead and a machine switched off for days look the same. Retention waits for the length of the
    gap, at most a week, which leaves time to correct a wrong clock.
    """
    return found_at + min(gap, LONGEST_HOLD) if gap > GAP else None
