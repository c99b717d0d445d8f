"""What follows from an outcome: downstream tasks start, are skipped, or wait for an upstream outside of the run.

All of it happens in the transaction that records the outcome, so nothing is left to be found by polling.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from django.db import connection

from scheduler.choices import Concurrency, Status, Trigger, TriggerRule
from scheduler.engine.concurrency import OverlapDecision, decide_overlap
from scheduler.engine.dependencies import Readiness, UpstreamState, Verdict, readiness
from scheduler.models import Execution, Run, Task
from scheduler.services.graphs import Graph, load_graph
from scheduler.services.rows import link_upstreams, overlap_reason, queued_row, skipped_row
from scheduler.upstreams import Edge, outside_states

Ended = tuple[int, int]  # run, task: primary keys
#: A terminal row that is no outcome any more: the run was resumed above it, so its task is decided upon again.
_SUPERSEDED = frozenset({Status.SKIPPED})


@dataclass
class Following:
    """What was written: executions that were queued, rows that were skipped, executions to be replaced."""

    queued: list[Execution] = field(default_factory=list)
    skipped: list[Execution] = field(default_factory=list)
    replaced: list[int] = field(default_factory=list)


def lock_downstream(ended: Iterable[Ended], *, tasks: Collection[int] = ()) -> None:
    """Let one transaction at a time decide about what is downstream of outcomes, before any of them is written.

    Two upstreams that end at the same instant would otherwise not see each other. Tasks first, then runs, each
    by primary key, then executions, so that two transactions never wait for each other: whoever changes or starts
    a task and may cancel executions of it asks for all of it here, at once. SQLite has one writer at a time anyway.

    Args:
        tasks: further tasks to be locked.
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


def follow(ended: Iterable[Ended], *, now: datetime) -> Following:
    """Decide about everything downstream of `ended`, in the transaction of the caller, and write what follows.

    A task that cannot start any more in its run gets a skipped row, and what is below it is decided upon in turn.
    """
    of_run = _tasks_by_run(ended)
    runs = list(Run.objects.filter(pk__in=of_run, graph__isnull=False))
    following = Following()
    if runs:
        decision = _Decision({run.pk: run for run in runs}, now, following)
        pending = {run.pk: of_run[run.pk] for run in runs}
        while pending:
            pending = decision.take(pending)
    return following


def _tasks_by_run(ended: Iterable[Ended]) -> dict[int, set[int]]:
    of_run: dict[int, set[int]] = defaultdict(set)
    for run, task in ended:
        of_run[run].add(task)
    return of_run


@dataclass(frozen=True)
class _Row:
    """What is known of a task in a run: its latest attempt."""

    execution_id: int
    attempt: int
    status: Status
    is_outcome: bool


class _Decision:
    """Decides upon the downstreams of several runs, level by level."""

    def __init__(self, runs: Mapping[int, Run], now: datetime, following: Following) -> None:
        self.runs = runs
        self.now = now
        self.following = following
        self.graphs: dict[int, Graph] = {
            pk: load_graph(run.graph_id) for pk, run in runs.items() if run.graph_id
        }
        self.tasks: dict[int, Task] = {}
        self.names: dict[int, str] = {}
        self.rows: dict[Ended, _Row] = {}
        self.outside: dict[Edge, UpstreamState] = {}
        self.active: dict[int, list[tuple[int, str]]] = {}
        self._loaded: set[Ended] = set()

    def take(self, ended: Mapping[int, Collection[int]]) -> dict[int, set[int]]:
        """Decide upon the direct downstreams of `ended`; return the tasks that were skipped, by run."""
        candidates = {
            (run, task)
            for run, tasks in ended.items()
            for above in tasks
            for task in self.graphs[run].downstreams.get(above, ())
        }
        self._load(candidates)
        queued: list[tuple[Execution, list[int]]] = []
        skipped: list[tuple[Execution, list[int]]] = []
        for run_pk, task_pk in sorted(candidates):
            if not self._is_open(run_pk, task_pk):
                continue
            row = self.rows.get((run_pk, task_pk))
            self._decide(run_pk, task_pk, row.attempt + 1 if row else 1, queued, skipped)
        self._write(queued, skipped)
        self.following.queued += [execution for execution, _ in queued]
        self.following.skipped += [execution for execution, _ in skipped]
        return _tasks_by_run((e.run_id, e.task_id) for e, _ in skipped if e.run_id is not None)

    def waits(self, candidates: Collection[Ended]) -> dict[Ended, Readiness]:
        """Return what tasks wait for in runs; nothing of those decided upon or soon to be."""
        self._load(set(candidates))
        found = {
            (run, task): readiness(TriggerRule(self.tasks[task].trigger_rule), self._states(run, task))
            for run, task in candidates
            if self._is_open(run, task)
        }
        return {place: waits for place, waits in found.items() if waits.verdict is Verdict.WAIT}

    def _is_open(self, run_pk: int, task_pk: int) -> bool:
        """Tell whether nothing was decided about a task, or it is to be decided upon again."""
        row = self.rows.get((run_pk, task_pk))
        return row is None or (not row.is_outcome and row.status in _SUPERSEDED)

    def _decide(
        self,
        run_pk: int,
        task_pk: int,
        attempt: int,
        queued: list[tuple[Execution, list[int]]],
        skipped: list[tuple[Execution, list[int]]],
    ) -> None:
        task, run = self.tasks[task_pk], self.runs[run_pk]
        states = self._states(run_pk, task_pk)
        found = self._verdict(task, run, states)
        if found.verdict is Verdict.WAIT:
            return
        if found.verdict is Verdict.START:
            found = self._overlap(task)
        causes = [s.execution_id for s in states if s.execution_id is not None and (s.is_done or s.is_fresh)]
        if found.verdict is Verdict.NEVER:
            execution = skipped_row(
                task, trigger=Trigger.DEPENDENCY, reason=found.reason, now=self.now, run=run, attempt=attempt
            )
            skipped.append((execution, causes))
            return
        # On another host the clock may be ahead: what is used here must not look fresh afterwards.
        used_at = [s.last_success_at for s in states if s.is_fresh and s.last_success_at is not None]
        at = max([self.now, *used_at])
        execution = queued_row(task, run=run, now=at, trigger=Trigger.DEPENDENCY, attempt=attempt)
        self.active[task_pk].append((0, Status.QUEUED))
        queued.append((execution, causes))

    def _verdict(self, task: Task, run: Run, states: list[UpstreamState]) -> Readiness:
        found = readiness(TriggerRule(task.trigger_rule), states)
        if found.verdict is Verdict.WAIT:
            return found
        if run.cancelled_at is not None:
            return Readiness(Verdict.NEVER, run.cancel_reason)
        if found.verdict is Verdict.START and task.deleted_at is not None:
            return Readiness(Verdict.NEVER, "the task was deleted")
        if found.verdict is Verdict.START and not task.enabled:
            return Readiness(Verdict.NEVER, "the task is disabled")
        return found

    def _overlap(self, task: Task) -> Readiness:
        active = self.active[task.pk]
        decision = decide_overlap(
            Concurrency(task.concurrency), active_count=len(active), max_parallel=task.max_parallel
        )
        if decision is OverlapDecision.SKIP:
            return Readiness(Verdict.NEVER, overlap_reason([row for row in active if row[0]]))
        if decision is OverlapDecision.REPLACE:
            self.following.replaced += [pk for pk, _ in active if pk]
        return Readiness(Verdict.START)

    def _states(self, run_pk: int, task_pk: int) -> list[UpstreamState]:
        graph, first = self.graphs[run_pk], self.runs[run_pk].first_task_id
        states = []
        for upstream in graph.upstreams[task_pk]:
            if upstream in graph.upstreams or upstream == first:
                row = self.rows.get((run_pk, upstream))
                is_final = row is not None and row.is_outcome
                states.append(
                    UpstreamState(
                        task=self.names[upstream],
                        in_run=True,
                        # What is to be decided upon again has no outcome.
                        status=row.status if row is not None else None,
                        is_final=is_final,
                        execution_id=row.execution_id if row is not None else None,
                    )
                )
            else:
                states.append(self.outside[(task_pk, upstream)])
        return sorted(states, key=lambda state: state.task)

    def _load(self, candidates: set[Ended]) -> None:
        """Read what the decisions need; once something is skipped, all that is below at once."""
        new = candidates - self._loaded
        if not new:
            return
        if self._loaded:
            new |= {(run, task) for run, above in new for task in self.graphs[run].below([above])}
        self._loaded |= new
        tasks = {task for _, task in new}
        above = {up for run, task in new for up in self.graphs[run].upstreams[task]}
        self.tasks |= Task.all_objects.in_bulk(tasks - self.tasks.keys())
        self.names |= {task: self.tasks[task].task_id for task in tasks}
        # Of upstreams the names are enough; a join of thousands reads them at each of their outcomes.
        unnamed = Task.all_objects.filter(pk__in=above - self.names.keys())
        self.names |= dict(unnamed.values_list("pk", "task_id"))
        self._load_rows({run for run, _ in new}, tasks | above)
        # Those looked at before also count what was queued since.
        active = Execution.objects.active().filter(task__in=tasks - self.active.keys()).oldest_first()
        self.active |= {task: [] for task in tasks - self.active.keys()}
        for task, pk, status in active.values_list("task_id", "pk", "status"):
            self.active[task].append((pk, status))
        self.outside |= outside_states(
            {(task, up) for run, task in new for up in self._outside_of(run, task)}, self.names
        )

    def _outside_of(self, run_pk: int, task_pk: int) -> list[int]:
        graph, first = self.graphs[run_pk], self.runs[run_pk].first_task_id
        return [up for up in graph.upstreams[task_pk] if up not in graph.upstreams and up != first]

    def _load_rows(self, runs: Collection[int], tasks: Collection[int]) -> None:
        found = Execution.objects.filter(run__in=runs, task__in=tasks).order_by("attempt")
        for run, task, pk, attempt, status, is_outcome in found.values_list(
            "run_id", "task_id", "pk", "attempt", "status", "is_outcome"
        ):
            self.rows[(run, task)] = _Row(pk, attempt, Status(status), is_outcome)

    def _write(
        self, queued: list[tuple[Execution, list[int]]], skipped: list[tuple[Execution, list[int]]]
    ) -> None:
        written = [*queued, *skipped]
        Execution.objects.bulk_create([execution for execution, _ in written])
        link_upstreams(written)
        for execution, _ in written:
            if execution.run_id is not None:
                key = (execution.run_id, execution.task_id)
                self.rows[key] = _Row(
                    execution.pk, execution.attempt, Status(execution.status), execution.is_outcome
                )


def waiting_in_runs(task: Task, *, limit: int) -> list[tuple[Run, Readiness]]:
    """Return the open runs, newest first, in which `task` waits for an upstream, with what it waits for."""
    opened = Run.objects.open().filter(graph__isnull=False)
    graphs = [pk for pk in set(opened.values_list("graph_id", flat=True)) if pk is not None]
    with_task = [pk for pk in graphs if task.pk in load_graph(pk).upstreams]
    runs = {run.pk: run for run in opened.filter(graph__in=with_task).newest_first()[:limit]}
    found = _waits(runs, {(run, task.pk) for run in runs})
    return [(run, found[pk, task.pk]) for pk, run in runs.items() if (pk, task.pk) in found]


def undecided(run: Run, task_pks: Collection[int]) -> dict[int, Readiness]:
    """Return what each of the tasks waits for that have not been decided upon in `run`, by primary key."""
    found = _waits({run.pk: run}, {(run.pk, task) for task in task_pks})
    return {task: waits for (_run, task), waits in found.items()}


def _waits(runs: Mapping[int, Run], candidates: Collection[Ended]) -> dict[Ended, Readiness]:
    if not candidates:
        return {}
    anytime = max(run.created_at for run in runs.values())  # nothing is written, so no instant is told
    return _Decision(runs, anytime, Following()).waits(candidates)
