"""Downstream tasks of an outcome: start them, skip them, or let them wait for an upstream outside of the run.

This happens in the transaction that records the outcome, so no polling is needed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from django.db import connection

from scheduler.choices import Trigger, TriggerRule
from scheduler.engine.admission import decide_admission
from scheduler.engine.dependencies import Readiness, UpstreamState, Verdict, readiness
from scheduler.engine.reasons import Code, Reason
from scheduler.models import EndedExecution, Execution, Run, Task
from scheduler.selectors.graphs import load_graph
from scheduler.selectors.run_states import RunStates, RunTask
from scheduler.services.admission import admitted_row, link_upstreams, overlap_policy

_Followed = tuple[Execution, Sequence[int]]  # a new row with the upstream executions that led to it


@dataclass
class DownstreamResult:
    """The rows written: queued executions, skipped rows, and executions to replace."""

    queued: list[Execution] = field(default_factory=list)
    skipped: list[Execution] = field(default_factory=list)
    replaced: list[int] = field(default_factory=list)


def lock_downstream(ended: Iterable[RunTask], *, tasks: Collection[int] = ()) -> None:
    """Serialise decisions on the downstream tasks of outcomes; call it before any outcome is written.

    Otherwise two upstreams that end at the same instant would not see each other. Locks tasks first, then runs, each
    by primary key, then executions, so that transactions cannot deadlock: code that changes or starts a task and may
    cancel its executions acquires all locks here, at once. SQLite has a single writer anyway.

    Args:
        tasks: further tasks to lock.
    """
    if not connection.features.has_select_for_update:
        return
    of_run = _tasks_by_run(ended)
    graphs = dict(Run.objects.filter(pk__in=of_run, graph__isnull=False).values_list("pk", "graph_id"))
    below = {pk for run, graph in graphs.items() if graph for pk in load_graph(graph).below(of_run[run])}
    if below or tasks:
        rows = Task.all_objects.filter(pk__in=below.union(tasks)).order_by("pk")
        list(rows.select_for_update(no_key=True).values_list("pk"))
    if graphs:
        list(
            Run.objects.filter(pk__in=graphs).order_by("pk").select_for_update(no_key=True).values_list("pk")
        )


def follow(ended: Iterable[RunTask], *, now: datetime) -> DownstreamResult:
    """Decide on all tasks downstream of `ended` and write the rows, in the transaction of the caller.

    A task that can no longer start in its run gets a skipped row, and its own downstream tasks are decided next.
    """
    of_run = _tasks_by_run(ended)
    runs = list(Run.objects.filter(pk__in=of_run, graph__isnull=False))
    result = DownstreamResult()
    if runs:
        decision = _Decision({run.pk: run for run in runs}, now, result)
        pending = {run.pk: of_run[run.pk] for run in runs}
        while pending:
            pending = decision.decide_below(pending)
    return result


def _tasks_by_run(ended: Iterable[RunTask]) -> dict[int, set[int]]:
    of_run: dict[int, set[int]] = defaultdict(set)
    for run, task in ended:
        of_run[run].add(task)
    return of_run


class _Decision:
    """Decides on the downstream tasks of several runs, level by level."""

    def __init__(self, runs: Mapping[int, Run], now: datetime, result: DownstreamResult) -> None:
        self.states = RunStates(runs)
        self.now = now
        self.result = result

    def decide_below(self, ended: Mapping[int, Collection[int]]) -> dict[int, set[int]]:
        """Decide on the direct downstreams of `ended`; return the skipped tasks by run."""
        candidates = {
            (run, task)
            for run, tasks in ended.items()
            for above in tasks
            for task in self.states.graphs[run].downstreams.get(above, ())
        }
        self.states.load(candidates)
        queued: list[_Followed] = []
        skipped: list[_Followed] = []
        for run_pk, task_pk in sorted(candidates):
            if not self.states.is_open(run_pk, task_pk):
                continue
            self._decide(run_pk, task_pk, queued, skipped)
        self._write(queued, skipped)
        self.result.queued += [execution for execution, _ in queued]
        self.result.skipped += [execution for execution, _ in skipped]
        return _tasks_by_run((e.run_id, e.task_id) for e, _ in skipped if e.run_id is not None)

    def _decide(
        self,
        run_pk: int,
        task_pk: int,
        queued: list[_Followed],
        skipped: list[_Followed],
    ) -> None:
        task, run = self.states.tasks[task_pk], self.states.runs[run_pk]
        upstreams = self.states.upstreams(run_pk, task_pk)
        active, ready = self.states.active[task_pk], _readiness(task, run, upstreams)
        admission = decide_admission(ready, overlap_policy(task), active, upstreams=upstreams, now=self.now)
        if admission.verdict is Verdict.WAIT:
            return
        attempt = self.states.next_attempt(run_pk, task_pk)
        execution = admitted_row(admission, task, trigger=Trigger.DEPENDENCY, run=run, attempt=attempt)
        if admission.verdict is Verdict.NEVER:
            skipped.append((execution, admission.followed))
            return
        self.result.replaced += admission.replaced
        active.unsaved += 1
        queued.append((execution, admission.followed))

    def _write(self, queued: list[_Followed], skipped: list[_Followed]) -> None:
        written = [*queued, *skipped]
        Execution.objects.bulk_create([execution for execution, _ in written])
        EndedExecution.objects.all().note((execution.pk, 1) for execution, _ in skipped)
        link_upstreams(written)
        for execution, _ in written:
            self.states.note(execution)


def _readiness(task: Task, run: Run, upstreams: Sequence[UpstreamState]) -> Readiness:
    """Return the readiness according to the run, the task and its upstreams."""
    found = readiness(TriggerRule(task.trigger_rule), upstreams)
    if found.verdict is Verdict.WAIT:
        return found
    if run.cancelled_at is not None:
        return Readiness(Verdict.NEVER, run.cancelled_because)
    if found.verdict is Verdict.START and task.deleted_at is not None:
        return Readiness(Verdict.NEVER, Reason(Code.TASK_DELETED))
    if found.verdict is Verdict.START and not task.enabled:
        return Readiness(Verdict.NEVER, Reason(Code.TASK_DISABLED))
    return found
