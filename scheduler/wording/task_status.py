"""The state of a task in one sentence, in the language of the reader."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from scheduler.choices import FAILED, RAN, Status
from scheduler.engine.reasons import Reason, as_reason, reason_of
from scheduler.engine.schedules import parse_schedule
from scheduler.exceptions import InvalidScheduleError
from scheduler.models import Execution, Task
from scheduler.wording.reasons import told
from scheduler.wording.times import sentence_instant, since_instant


@dataclass(frozen=True)
class Sentence:
    """A text, and its tone: ``bad``, ``active``, ``good`` or ``quiet``."""

    text: str
    tone: str


def schedule_reason(task: Task) -> Reason:
    """Return why the schedule of a task cannot be followed; what is not about its text is an error as it came."""
    try:
        parse_schedule(task.schedule, task.zone)
    except InvalidScheduleError as error:
        return reason_of(error)
    return as_reason(task.schedule_error)


def schedule_problem(task: Task) -> str:
    """Return why the schedule of a task cannot be followed, in the language of the reader."""
    return told(schedule_reason(task))


def status_sentence(task: Task, recent: Sequence[Execution], now: datetime) -> Sentence:
    """Return how `task` is.

    Args:
        recent: its latest executions, the oldest first.
    """
    if task.schedule_error:
        text = _("Its schedule cannot be followed: %(error)s") % {"error": schedule_problem(task)}
        return Sentence(text, "bad")
    zone = task.zone
    running = [row for row in recent if row.status == Status.RUNNING and row.started_at is not None]
    waiting = [row for row in recent if row.status == Status.QUEUED]
    streak = failing_streak(recent)
    parts, tone = _past(recent, streak, zone, now)
    if running:
        started = running[-1].started_at or now
        present = _("Running since %(time)s") % {"time": since_instant(started, zone, now)}
        return Sentence(
            present if not streak else _("%(present)s. %(past)s") % {"present": present, "past": parts},
            "bad" if streak else "active",
        )
    if waiting:
        at = waiting[-1].not_before
        if at is not None and at > now:
            retry = _("retries %(time)s") % {"time": sentence_instant(at, zone, now)}
            return Sentence(f"{parts}{_(', ')}{retry}", tone)
        present = _("Waiting for a worker since %(time)s") % {
            "time": since_instant(waiting[-1].queued_at, zone, now)
        }
        return Sentence(
            present if not streak else _("%(present)s. %(past)s") % {"present": present, "past": parts},
            "bad" if streak else "active",
        )
    if not task.enabled:
        return Sentence(_("Paused. %(last)s") % {"last": parts}, "quiet")
    return Sentence(parts, tone)


def failing_streak(recent: Sequence[Execution]) -> list[Execution]:
    """Return the failures since the last success, an attempt that waits for its retry included, oldest first."""
    streak: list[Execution] = []
    for row in reversed(recent):
        if row.status == Status.SUCCESS:
            break
        # Attempts before the last of a run count once; the last attempt of a run that goes on counts too.
        is_latest = not streak or row.is_outcome
        if row.status in FAILED and is_latest:
            streak.append(row)
    return streak[::-1]


def _past(
    recent: Sequence[Execution], streak: Sequence[Execution], zone: str, now: datetime
) -> tuple[str, str]:
    """Return what happened last, and its tone."""
    if streak:
        begin = streak[0].scheduled_for or streak[0].queued_at
        since = since_instant(begin, zone, now)
        if len(streak) == 1:
            return _("Failed %(time)s") % {"time": sentence_instant(begin, zone, now)}, "bad"
        words = ngettext(
            "Failed %(count)d time since %(time)s", "Failed %(count)d times since %(time)s", len(streak)
        )
        is_longer = not any(row.status == Status.SUCCESS for row in recent) and len(recent) >= 30
        if is_longer:
            words = _("Failed at least %(count)d times, since %(time)s or before")
        return words % {"count": len(streak), "time": since}, "bad"
    last = next((row for row in reversed(recent) if row.is_outcome), None)
    if last is None:
        return _("Has not run yet"), "quiet"
    at = sentence_instant(last.finished_at or last.queued_at, zone, now)
    ran = next((row for row in reversed(recent) if row.status in RAN), None)
    if last.status == Status.SKIPPED and ran is not None and ran.status == Status.SUCCESS:
        return _("Skipped %(time)s; its last run succeeded") % {"time": at}, "good"
    words = {
        Status.SUCCESS: _("Succeeded %(time)s"),
        Status.SKIPPED: _("Skipped %(time)s"),
        Status.MISSED: _("Missed its slot of %(time)s"),
        Status.CANCELLED: _("Cancelled %(time)s"),
    }[Status(last.status)]
    if last.status == Status.MISSED and last.scheduled_for is not None:
        at = since_instant(last.scheduled_for, zone, now)
    return words % {"time": at}, "good" if last.status == Status.SUCCESS else "quiet"
