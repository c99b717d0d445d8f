"""The codes of the sentences that explain a task; see `scheduler.engine.reasons`."""

from __future__ import annotations

from enum import StrEnum


class Code(StrEnum):
    """Codes of the sentences on why a task ran, why it does not run, and what it waits for."""

    # latest outcome
    NEVER_RAN = "never_ran"
    LAST_QUEUED = "last_queued"
    LAST_RUNNING = "last_running"
    LAST_SKIPPED = "last_skipped"
    LAST_MISSED = "last_missed"
    LAST_ENDED = "last_ended"
    LAST_ENDED_BECAUSE = "last_ended_because"
    RAN_FOR_SLOT = "ran_for_slot"
    RAN_FOR_SLOT_AFTER = "ran_for_slot_after"
    RAN_AFTER_UPSTREAMS = "ran_after_upstreams"
    RAN_AS_RETRY = "ran_as_retry"
    RAN_BY_API = "ran_by_api"
    RAN_BY_HAND = "ran_by_hand"
    SOMEBODY = "somebody"
    EXECUTION_OF_TASK = "execution_of_task"
    # current state
    IS_DELETED = "is_deleted"
    IS_DISABLED = "is_disabled"
    SCHEDULE_BROKEN = "schedule_broken"
    DAYS_CHANGED = "days_changed"
    DAYS_DROPPED = "days_dropped"
    DAYS_ADDED = "days_added"
    WOULD_NOT_START = "would_not_start"
    IS_RUNNING = "is_running"
    RETRY_WAITS = "retry_waits"
    WAITS_FOR_WORKER = "waits_for_worker"
    IN_RUN = "in_run"
    STARTS_AFTER_FAILURE = "starts_after_failure"
    STARTS_AFTER_ENDS = "starts_after_ends"
    OUTSIDE_MUST_SUCCEED = "outside_must_succeed"
    WAITS_FOR_FIRST_SUCCESS = "waits_for_first_success"
    SUCCESS_NOT_USED = "success_not_used"
    WAITS_AFTER_USED = "waits_after_used"
    WAITS_AFTER_OLD = "waits_after_old"
    UPSTREAM_DELETED = "upstream_deleted"
    # next run
    NEXT_SLOT = "next_slot"
    NEXT_SLOT_IF_ALLOWED = "next_slot_if_allowed"
    NEXT_BY_UPSTREAMS = "next_by_upstreams"
    NEXT_BY_PEOPLE = "next_by_people"
