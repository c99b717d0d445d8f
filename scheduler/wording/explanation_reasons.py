"""The words of the sentences that explain a task; see `scheduler.wording.reasons`."""

from __future__ import annotations

from collections.abc import Mapping

from django.utils.translation import gettext_noop

from scheduler.engine.explanations import Code
from scheduler.engine.reasons import Plural, add_templates

TEMPLATES: Mapping[Code, str | Plural] = {
    # what happened last
    Code.NEVER_RAN: gettext_noop("It never ran."),
    Code.LAST_QUEUED: gettext_noop("Execution %(execution)s has been queued since %(at)s."),
    Code.LAST_RUNNING: gettext_noop(
        "Execution %(execution)s (attempt %(attempt)s) has been running since %(at)s."
    ),
    Code.LAST_SKIPPED: gettext_noop("Skipped at %(at)s (execution %(execution)s): %(why)s."),
    Code.LAST_MISSED: gettext_noop("Missed its slot (execution %(execution)s): %(why)s."),
    Code.LAST_ENDED: gettext_noop(
        "Execution %(execution)s (attempt %(attempt)s) ended as “%(outcome)s” at %(at)s."
    ),
    Code.LAST_ENDED_BECAUSE: gettext_noop(
        "Execution %(execution)s (attempt %(attempt)s) ended as “%(outcome)s” at %(at)s. Reason: %(why)s."
    ),
    Code.RAN_FOR_SLOT: gettext_noop("It ran for its slot %(at)s."),
    Code.RAN_FOR_SLOT_AFTER: gettext_noop("It ran for its slot %(at)s, after %(upstreams)s."),
    Code.RAN_AFTER_UPSTREAMS: gettext_noop("It ran in run %(run)s because of its upstreams: %(upstreams)s."),
    Code.RAN_AS_RETRY: gettext_noop("It was a retry in run %(run)s."),
    Code.RAN_BY_API: gettext_noop("It ran because %(who)s started it through the API."),
    Code.RAN_BY_HAND: gettext_noop("It ran because %(who)s started it by hand."),
    Code.SOMEBODY: gettext_noop("somebody"),
    Code.EXECUTION_OF_TASK: gettext_noop("%(task)s (execution %(execution)s)"),
    # current state
    Code.IS_DELETED: gettext_noop("It was deleted."),
    Code.IS_DISABLED: gettext_noop("Paused: its schedule is ignored and runs skip it."),
    Code.SCHEDULE_BROKEN: gettext_noop("Its schedule cannot be followed: %(why)s."),
    Code.DAYS_CHANGED: gettext_noop(
        "An upgrade changed the days of its schedule: day of month and day of week must both match if one of them "
        "begins with *, as in cron; otherwise either may. In %(span)s days: %(changes)s."
    ),
    Code.DAYS_DROPPED: Plural(
        gettext_noop("1 day no longer (%(days)s)"), gettext_noop("%(number)s days no longer (%(days)s)")
    ),
    Code.DAYS_ADDED: Plural(
        gettext_noop("1 day in addition (%(days)s)"), gettext_noop("%(number)s days in addition (%(days)s)")
    ),
    Code.WOULD_NOT_START: gettext_noop("It would not start: %(why)s."),
    Code.IS_RUNNING: gettext_noop("Execution %(execution)s is running in run %(run)s."),
    Code.RETRY_WAITS: gettext_noop("Attempt %(attempt)s in run %(run)s waits until %(at)s."),
    Code.WAITS_FOR_WORKER: gettext_noop("Execution %(execution)s waits for a free worker."),
    Code.IN_RUN: gettext_noop("In run %(run)s it %(why)s."),
    Code.STARTS_AFTER_FAILURE: gettext_noop(
        "It starts in a run as soon as one of its upstreams fails: %(tasks)s."
    ),
    Code.STARTS_AFTER_ENDS: gettext_noop(
        "It starts in a run once its upstreams have ended, whatever their outcomes: %(tasks)s."
    ),
    Code.OUTSIDE_MUST_SUCCEED: gettext_noop(
        "Upstreams outside the run must have succeeded since this task last started."
    ),
    Code.WAITS_FOR_FIRST_SUCCESS: gettext_noop("It waits for %(task)s: no success yet."),
    Code.SUCCESS_NOT_USED: gettext_noop(
        "%(task)s succeeded at %(at)s (execution %(execution)s), not used yet."
    ),
    Code.WAITS_AFTER_USED: gettext_noop(
        "It waits for %(task)s: last success %(at)s, already used by execution %(execution)s."
    ),
    Code.WAITS_AFTER_OLD: gettext_noop(
        "It waits for %(task)s: last success %(at)s, before this task last started."
    ),
    Code.UPSTREAM_DELETED: gettext_noop("It no longer depends on %(task)s, which was deleted at %(at)s."),
    # what is next
    Code.NEXT_SLOT: gettext_noop("Its next slot is %(at)s."),
    Code.NEXT_SLOT_IF_ALLOWED: gettext_noop(
        "Its next slot is %(at)s; it runs then if its upstreams allow it."
    ),
    Code.NEXT_BY_UPSTREAMS: gettext_noop("It runs when its upstreams allow it, by hand or through the API."),
    Code.NEXT_BY_PEOPLE: gettext_noop("It only runs when started by hand or through the API."),
}
add_templates(TEMPLATES)
