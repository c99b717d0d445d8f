"""States of tasks in runs: latest attempts, upstreams, and readiness."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from scheduler.choices import SUPERSEDED, Status, TriggerRule
from scheduler.engine.concurrency import ActiveExecutions
from scheduler.engine.dependencies import Readiness, UpstreamState, Verdict, readiness
from scheduler.engine.graphs import Graph
from scheduler.models import Execution, Run, Task
from scheduler.selectors.graphs import load_graph
from scheduler.selectors.upstreams import Edge, outside_states

RunTask = tuple[int, int]  # run, task: primary keys


@dataclass(frozen=True)
class _Row:
    """The latest attempt of a task in a run."""

    execution_id: int
    attempt: int
    status: Status
    is_outcome: bool


class RunStates:
    """The states of tasks in several runs, loaded on demand.

    Attributes:
        runs: by primary key; `graphs`: their graphs.
        tasks: loaded tasks by primary key, including deleted ones.
        active: the active executions of each of them.
    """

    def __init__(self, runs: Mapping[int, Run]) -> None:
        self.runs = runs
        self.graphs: dict[int, Graph] = {
            pk: load_graph(run.graph_id) for pk, run in runs.items() if run.graph_id
        }
        self.tasks: dict[int, Task] = {}
        self.active: dict[int, ActiveExecutions] = {}
        self._names: dict[int, str] = {}
        self._rows: dict[RunTask, _Row] = {}
        self._outside: dict[Edge, UpstreamState] = {}
        self._loaded: set[RunTask] = set()

    def is_open(self, run_pk: int, task_pk: int) -> bool:
        """Return whether a task is undecided, or has to be decided again."""
        row = self._rows.get((run_pk, task_pk))
        return row is None or (not row.is_outcome and row.status in SUPERSEDED)

    def upstreams(self, run_pk: int, task_pk: int) -> list[UpstreamState]:
        """Return the states of the upstreams of a task in a run, ordered by name."""
        graph, first = self.graphs[run_pk], self.runs[run_pk].first_task_id
        states = []
        for upstream in graph.upstreams[task_pk]:
            if upstream in graph.upstreams or upstream == first:
                row = self._rows.get((run_pk, upstream))
                is_final = row is not None and row.is_outcome
                states.append(
                    UpstreamState(
                        task=self._names[upstream],
                        in_run=True,
                        # A task that has to be decided again has no outcome.
                        status=row.status if row is not None else None,
                        is_final=is_final,
                        execution_id=row.execution_id if row is not None else None,
                    )
                )
            else:
                states.append(self._outside[(task_pk, upstream)])
        return sorted(states, key=lambda state: state.task)

    def load(self, candidates: set[RunTask]) -> None:
        """Load the rows that the decisions need; after the first skip, those of all downstream tasks at once."""
        new = candidates - self._loaded
        if not new:
            return
        if self._loaded:
            new |= {(run, task) for run, above in new for task in self.graphs[run].below([above])}
        self._loaded |= new
        tasks = {task for _, task in new}
        above = {up for run, task in new for up in self.graphs[run].upstreams[task]}
        self.tasks |= Task.all_objects.in_bulk(tasks - self.tasks.keys())
        self._names |= {task: self.tasks[task].task_id for task in tasks}
        # Load only the names of upstreams: a task with thousands of upstreams loads them at each of their outcomes.
        unnamed = Task.all_objects.filter(pk__in=above - self._names.keys())
        self._names |= dict(unnamed.values_list("pk", "task_id"))
        self._load_rows({run for run, _ in new}, tasks | above)
        # Tasks loaded before already include the executions queued since.
        unseen = tasks - self.active.keys()
        active = Execution.objects.in_the_way(unseen)
        self.active |= {task: active[task] for task in unseen}
        self._outside |= outside_states(
            {(task, up) for run, task in new for up in self._outside_of(run, task)}, self._names
        )

    def next_attempt(self, run_pk: int, task_pk: int) -> int:
        """Return the number of the next attempt at a task in a run, from 1."""
        row = self._rows.get((run_pk, task_pk))
        return 1 if row is None else row.attempt + 1

    def note(self, execution: Execution) -> None:
        """Update the states with an execution that was just written."""
        if execution.run_id is not None:
            self._rows[(execution.run_id, execution.task_id)] = _Row(
                execution.pk, execution.attempt, Status(execution.status), execution.is_outcome
            )

    def waits(self, candidates: Collection[RunTask]) -> dict[RunTask, Readiness]:
        """Return the readiness of tasks that wait in runs; decided tasks and those about to be are omitted."""
        self.load(set(candidates))
        found = {
            (run, task): readiness(TriggerRule(self.tasks[task].trigger_rule), self.upstreams(run, task))
            for run, task in candidates
            if self.is_open(run, task)
        }
        return {place: waits for place, waits in found.items() if waits.verdict is Verdict.WAIT}

    def _outside_of(self, run_pk: int, task_pk: int) -> list[int]:
        graph, first = self.graphs[run_pk], self.runs[run_pk].first_task_id
        return [up for up in graph.upstreams[task_pk] if up not in graph.upstreams and up != first]

    def _load_rows(self, runs: Collection[int], tasks: Collection[int]) -> None:
        found = Execution.objects.filter(run__in=runs, task__in=tasks).order_by("attempt")
        for run, task, pk, attempt, status, is_outcome in found.values_list(
            "run_id", "task_id", "pk", "attempt", "status", "is_outcome"
        ):
            self._rows[(run, task)] = _Row(pk, attempt, Status(status), is_outcome)


def waiting_in_runs(task: Task, *, limit: int) -> list[tuple[Run, Readiness]]:
    """Return the open runs in which `task` waits for an upstream, newest first, with its readiness."""
    opened = Run.objects.open().filter(graph__isnull=False)
    graphs = [pk for pk in set(opened.values_list("graph_id", flat=True)) if pk is not None]
    with_task = [pk for pk in graphs if task.pk in load_graph(pk).upstreams]
    runs = {run.pk: run for run in opened.filter(graph__in=with_task).newest_first()[:limit]}
    found = _waits(runs, {(run, task.pk) for run in runs})
    return [(run, found[pk, task.pk]) for pk, run in runs.items() if (pk, task.pk) in found]


def undecided(run: Run, task_pks: Collection[int]) -> dict[int, Readiness]:
    """Return the readiness of each undecided task of `run`, by primary key."""
    found = _waits({run.pk: run}, {(run.pk, task) for task in task_pks})
    return {task: waits for (_run, task), waits in found.items()}


def _waits(runs: Mapping[int, Run], candidates: Collection[RunTask]) -> dict[RunTask, Readiness]:
    if not candidates:
        return {}
    return RunStates(runs).waits(candidates)
