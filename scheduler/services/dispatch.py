"""Turning due slots into executions: one pass over what is due, in transactions of a few hundred tasks."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from django.db import IntegrityError, InterfaceError, OperationalError, transaction
from django.db.models import F, Min, OuterRef, Subquery

from scheduler import crashpoints
from scheduler.choices import Concurrency, MisfirePolicy, Status, Trigger, TriggerRule
from scheduler.engine.concurrency import OverlapDecision, decide_overlap
from scheduler.engine.dependencies import Readiness, UpstreamState, Verdict, slot_readiness
from scheduler.engine.misfire import MissedSpan, due_slots, grace_of, plan_slots
from scheduler.engine.schedules import next_slot, parse_schedule
from scheduler.models import Execution, Run, Task, TaskDependency
from scheduler.queues import DEFAULT_QUEUE, wake
from scheduler.services.graphs import graphs_of
from scheduler.services.outcomes import REPLACED, announce, cancel_all
from scheduler.services.rows import link_upstreams, new_run, overlap_reason, queued_row, skipped_row
from scheduler.upstreams import outside_states

logger = logging.getLogger(__name__)

BATCH = 500


@dataclass
class DispatchResult:
    """What one pass did."""

    queued: int = 0
    recorded: int = 0
    broken: int = 0
    woken: dict[str, int] = field(default_factory=lambda: defaultdict(int))


@dataclass
class _Draft:
    """Rows of one batch, collected before they are written together."""

    executions: list[Execution] = field(default_factory=list)
    missed: list[tuple[Task, MissedSpan, str]] = field(default_factory=list)
    replaced: list[int] = field(default_factory=list)
    moved: list[Task] = field(default_factory=list)
    graphs: dict[int, int] = field(default_factory=dict)
    upstreams: dict[int, list[UpstreamState]] = field(default_factory=dict)
    links: list[tuple[Execution, list[int]]] = field(default_factory=list)


def dispatch_due(now: datetime) -> DispatchResult:
    """Give every slot up to `now` its record, move `next_run_at` on, and wake the queues concerned.

    Rows and the new `next_run_at` are committed together, before anyone is woken. A task that cannot be
    planned is marked and set aside; it never stops the others.
    """
    result = DispatchResult()
    while _dispatch_batch(now, result):
        pass
    for queue, count in result.woken.items():
        crashpoints.passed("run.before_enqueue")
        wake(queue, count=count)
        crashpoints.passed("run.after_enqueue")
    return result


def _dispatch_batch(now: datetime, result: DispatchResult) -> bool:
    """Dispatch up to BATCH due tasks; return whether there may be more."""
    try:
        with transaction.atomic():
            tasks = list(
                Task.objects.due(now).select_for_update(skip_locked=True, of=("self",), no_key=True)[:BATCH]
            )
            _dispatch_tasks(tasks, now, result)
            crashpoints.passed("slot.after_insert")
    except (OperationalError, InterfaceError):
        raise  # the database is busy, full or away, which is no task's fault; the next pass tries again
    except Exception:
        logger.exception("a batch of due tasks could not be dispatched; trying them one by one")
        return _dispatch_singly(now, result)
    return len(tasks) == BATCH


def _dispatch_singly(now: datetime, result: DispatchResult) -> bool:
    pks = list(Task.objects.due(now).values_list("pk", flat=True)[:BATCH])
    done = 0
    for pk in pks:
        try:
            with transaction.atomic():
                tasks = list(
                    Task.objects.due(now)
                    .select_for_update(skip_locked=True, of=("self",), no_key=True)
                    .filter(pk=pk)
                )
                _dispatch_tasks(tasks, now, result)
            done += 1
        except (OperationalError, InterfaceError):
            raise  # a deadlock or a lost connection is not the fault of the task; the next pass tries again
        except Exception as error:
            if isinstance(error, IntegrityError) and _pass_over_recorded(pk, now):
                done += 1
                continue
            logger.exception("task %s could not be dispatched; it is set aside", pk)
            _set_aside(pk, f"{type(error).__name__}: {error}")
            result.broken += 1
    return len(pks) == BATCH and done > 0


def _pass_over_recorded(task_pk: int, now: datetime) -> bool:
    """Move a task beyond the slots that have their record already; return whether there were any.

    So after an edit on a host whose clock is behind that of the dispatcher, or after a clock was put back.
    """
    task = Task.objects.filter(pk=task_pk, next_run_at__lte=now).first()
    if task is None or task.next_run_at is None:
        return False
    recorded = Execution.objects.slots().filter(
        task=task, scheduled_for__gte=task.next_run_at, scheduled_for__lte=now
    )
    last = recorded.order_by("-scheduled_for").first()
    if last is None or last.scheduled_for is None:
        return False
    until = min(last.covers_until or last.scheduled_for, now)
    following = next_slot(parse_schedule(task.schedule, task.zone), until)
    logger.warning("task %s: its slots up to %s have their records already", task.task_id, until)
    Task.objects.filter(pk=task_pk, next_run_at=task.next_run_at).update(next_run_at=following)
    return True


def _set_aside(task_pk: int, message: str) -> None:
    """Mark a task; its slot stays, and `tasks.reschedule_broken` lets it be tried again."""
    Task.objects.filter(pk=task_pk).update(schedule_error=message)


def _dispatch_tasks(tasks: Sequence[Task], now: datetime, result: DispatchResult) -> None:
    if not tasks:
        return
    active: dict[int, list[tuple[int, str]]] = defaultdict(list)
    rows = (
        Execution.objects.active()
        .filter(task__in=tasks)
        .oldest_first()
        .values_list("task_id", "pk", "status")
    )
    for task_pk, pk, status in rows:
        active[task_pk].append((pk, status))
    pks = [task.pk for task in tasks]
    draft = _Draft(graphs=graphs_of(pks), upstreams=_upstreams(pks))
    for task in tasks:
        try:
            _plan(task, active[task.pk], now, draft)
        except Exception as error:  # one bad schedule never stops the others
            logger.exception("task %s: its slots cannot be computed; it is set aside", task.task_id)
            task.next_run_at = None
            task.schedule_error = f"{type(error).__name__}: {error}"
            result.broken += 1
        draft.moved.append(task)
    _write(draft, now, result)


def _plan(task: Task, active: list[tuple[int, str]], now: datetime, draft: _Draft) -> None:
    """Add the rows for the due slots of one task to `draft` and set its next slot."""
    schedule = parse_schedule(task.schedule, task.zone)
    assert task.next_run_at is not None  # noqa: S101 - due() filters
    grace = grace_of(task.misfire_grace)
    due = due_slots(schedule, since=task.next_run_at, now=now, grace=grace)
    plan = plan_slots(due, now=now, grace=grace, policy=MisfirePolicy(task.misfire_policy))
    if plan.missed is not None:
        draft.missed.append((task, plan.missed, _missed_reason(task, plan.missed, now)))
    for slot in plan.run:
        _plan_slot(task, slot, active, now, draft)
    task.next_run_at = next_slot(schedule, now)
    task.schedule_error = ""


def _plan_slot(
    task: Task, slot: datetime, active: list[tuple[int, str]], now: datetime, draft: _Draft
) -> None:
    upstreams = draft.upstreams.get(task.pk, [])
    found = slot_readiness(TriggerRule(task.trigger_rule), upstreams)
    stored = [row for row in active if row[0]]
    catches_up = task.misfire_policy == MisfirePolicy.RUN_ALL
    decision = decide_overlap(
        Concurrency(task.concurrency),
        active_count=len(active),
        max_parallel=task.max_parallel,
        caught_up_count=len(active) - len(stored) if catches_up else 0,
    )
    if found.verdict is Verdict.START and decision is OverlapDecision.SKIP:
        found = Readiness(Verdict.NEVER, overlap_reason(stored))
    if found.verdict is Verdict.NEVER:
        draft.executions.append(
            skipped_row(task, trigger=Trigger.SCHEDULE, reason=found.reason, now=now, scheduled_for=slot)
        )
        return
    if decision is OverlapDecision.REPLACE:
        draft.replaced += [pk for pk, _ in active if pk]
        _replace_drafts(task, now, draft)
    # On another host the clock may be ahead: what is used here must not look fresh afterwards.
    at = max([now, *(up.last_success_at for up in upstreams if up.is_fresh and up.last_success_at)])
    run = new_run(task, trigger=Trigger.SCHEDULE, user=None, now=now, graph_pk=draft.graphs.get(task.pk))
    execution = queued_row(task, run=run, now=at, scheduled_for=slot)
    draft.executions.append(execution)
    draft.links.append((execution, [up.execution_id for up in upstreams if up.is_fresh and up.execution_id]))
    draft.upstreams[task.pk] = [replace(up, is_fresh=False, is_recent=False) for up in upstreams]
    active.append((0, Status.QUEUED))


def _replace_drafts(task: Task, now: datetime, draft: _Draft) -> None:
    """Let earlier slots of the same pass not begin at all."""
    for place, earlier in enumerate(draft.executions):
        if earlier.task_id == task.pk and earlier.status == Status.QUEUED:
            draft.links = [link for link in draft.links if link[0] is not earlier]
            draft.executions[place] = skipped_row(
                task,
                trigger=Trigger.SCHEDULE,
                reason=REPLACED,
                now=now,
                scheduled_for=earlier.scheduled_for,
            )


def _upstreams(task_pks: Sequence[int]) -> dict[int, list[UpstreamState]]:
    """Return the states of the upstreams of those tasks that have any, by task, ordered by name."""
    rows = TaskDependency.objects.filter(downstream__in=task_pks).order_by("upstream__task_id")
    edges = list(rows.values_list("downstream_id", "upstream_id", "upstream__task_id"))
    states = outside_states([(down, up) for down, up, _ in edges], {up: name for _, up, name in edges})
    found: dict[int, list[UpstreamState]] = defaultdict(list)
    for down, up, _ in edges:
        found[down].append(states[(down, up)])
    return found


def _missed_reason(task: Task, missed: MissedSpan, now: datetime) -> str:
    late = int((now - missed.last).total_seconds())
    what = "1 slot was" if missed.count == 1 else f"{missed.count} slots were"
    return (
        f"{what} found at least {late} s late, more than the grace of {task.misfire_grace:g} s: no dispatcher "
        f"was running or it was overloaded (task_misfire_policy is {task.misfire_policy})"
    )


def _write(draft: _Draft, now: datetime, result: DispatchResult) -> None:
    crashpoints.passed("slot.before_insert")
    _record_missed(draft.missed, now)
    cancel_all(draft.replaced, reason=REPLACED, now=now)
    runs = [e.run for e in draft.executions if e.run is not None]
    Run.objects.bulk_create(runs)
    for execution in draft.executions:
        if execution.run is not None:
            execution.run_id = execution.run.pk
    Execution.objects.bulk_create(draft.executions)
    link_upstreams(draft.links)
    announce([e.pk for e in draft.executions if e.status == Status.SKIPPED])
    Task.objects.bulk_update(draft.moved, ["next_run_at", "schedule_error"], batch_size=200)
    for execution in draft.executions:
        if execution.status == Status.QUEUED:
            result.queued += 1
            result.woken[execution.queue] += 1
    result.recorded += len(draft.executions) + len(draft.missed)


def _record_missed(missed: Sequence[tuple[Task, MissedSpan, str]], now: datetime) -> None:
    """Write one row for each unbroken series of missed slots, extending the row that the series began with."""
    new: list[Execution] = []
    latest = _latest_slots([task.pk for task, _, _ in missed])
    for task, span, reason in missed:
        last = latest.get(task.pk)
        if last is not None and last.status == Status.MISSED and _is_next_slot(task, last, span):
            Execution.objects.filter(pk=last.pk).update(
                slot_count=F("slot_count") + span.count,
                covers_until=span.last,
                reason=reason,
                finished_at=now,
            )
            continue
        new.append(
            Execution(
                task=task,
                revision_id=task.revision_id,
                status=Status.MISSED,
                is_outcome=True,
                trigger=Trigger.SCHEDULE,
                queue=task.queue or DEFAULT_QUEUE,
                scheduled_for=span.first,
                slot_count=span.count,
                covers_until=span.last,
                queued_at=now,
                finished_at=now,
                reason=reason,
            )
        )
    Execution.objects.bulk_create(new)
    announce([e.pk for e in new])


def _latest_slots(task_pks: Sequence[int]) -> dict[int, Execution]:
    """Return the record of the latest slot of each task that has one, by task."""
    latest = Execution.objects.slots().filter(task=OuterRef("pk")).order_by("-scheduled_for").values("pk")[:1]
    pks = Task.all_objects.filter(pk__in=task_pks).annotate(latest=Subquery(latest)).values("latest")
    return {row.task_id: row for row in Execution.objects.filter(pk__in=pks)} if task_pks else {}


def _is_next_slot(task: Task, row: Execution, span: MissedSpan) -> bool:
    schedule = parse_schedule(task.schedule, task.zone)
    return row.covers_until is not None and next_slot(schedule, row.covers_until) == span.first


def next_due_at(now: datetime) -> datetime | None:
    """Return the next instant at which something becomes due: a slot, or a retry that waits beyond `now`."""
    planned = Task.objects.filter(enabled=True, next_run_at__isnull=False, schedule_error="")
    slot = planned.aggregate(at=Min("next_run_at"))["at"]
    retry = Execution.objects.filter(status=Status.QUEUED, not_before__gt=now).aggregate(at=Min("not_before"))
    instants = [at for at in (slot, retry["at"]) if at is not None]
    return min(instants, default=None)


def wake_waiting(now: datetime, *, older_than: timedelta) -> set[str]:
    """Wake each queue in which something due has waited unclaimed for `older_than`; return them."""
    waiting = Execution.objects.filter(status=Status.QUEUED)
    # What was queued before a clock was put back, or by a clock that is ahead, seems to come from the future.
    fresh = waiting.filter(not_before=None).exclude(queued_at__gt=now - older_than, queued_at__lte=now)
    retries = waiting.filter(not_before__lte=now)
    queues = {
        *fresh.values_list("queue", flat=True).distinct(),
        *retries.values_list("queue", flat=True).distinct(),
    }
    for queue in queues:
        wake(queue)
    return queues
