"""Decisions on the dependency graph: cycles, what is downstream, and whether a task may start."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Any, TypeVar

from scheduler.choices import FAILED, Status, TriggerRule

T = TypeVar("T", bound=Hashable)


# --- the graph ------------------------------------------------------------------------------------


def find_cycle(upstreams: Mapping[T, Collection[T]], *, start: Iterable[T] | None = None) -> list[T] | None:
    """Return a cycle as a path in the direction upstream → downstream, first and last the same, or None.

    The same graph gives the same path, in whatever order it was built.

    Args:
        upstreams: for each node those it depends on; nodes without an entry depend on nothing.
        start: look only for cycles among these nodes and what they depend on; default all.
    """
    done: set[T] = set()
    for root in _ordered(upstreams if start is None else start):
        if root not in done:
            cycle = _cycle_above(upstreams, root, done)
            if cycle is not None:
                return cycle
    return None


def _cycle_above(upstreams: Mapping[T, Collection[T]], root: T, done: set[T]) -> list[T] | None:
    """Walk up from `root`, depth first without recursion, adding to `done` what leads to no cycle."""
    path = [root]
    on_path = {root}
    branches: list[Iterator[T]] = [iter(_ordered(upstreams.get(root, ())))]
    while branches:
        for node in branches[-1]:
            if node in on_path:
                return [node, *reversed(path[path.index(node) :])]
            if node not in done:
                path.append(node)
                on_path.add(node)
                branches.append(iter(_ordered(upstreams.get(node, ()))))
                break
        else:
            branches.pop()
            left = path.pop()
            on_path.remove(left)
            done.add(left)
    return None


def _ordered(nodes: Iterable[T]) -> list[T]:
    """Return the nodes in an order that does not change from run to run."""
    as_any: Any = list(nodes)
    try:
        return sorted(as_any)
    except TypeError:  # a mixture of types
        return sorted(as_any, key=repr)


def reachable(downstreams: Mapping[T, Collection[T]], start: T, *, steps: int | None = None) -> set[T]:
    """Return everything downstream of `start`, without `start` itself.

    Args:
        steps: how many edges may lie between; None: any number.
    """
    found: set[T] = set()
    ring = [start]
    while ring and steps != 0:
        near = {below for node in ring for below in downstreams.get(node, ())}
        ring = [node for node in near if node not in found]
        found.update(ring)
        steps = None if steps is None else steps - 1
    return found - {start}


def topological_layers(upstreams: Mapping[T, Collection[T]]) -> list[list[T]]:
    """Return the nodes in layers: each after all its upstreams, as early as possible, sorted within a layer.

    Args:
        upstreams: for each node those it depends on; nodes named only as upstreams belong to the first layer.

    Raises:
        ValueError: there is a cycle.
    """
    waiting_for, downstreams = _counted(upstreams)
    layer = [node for node, count in waiting_for.items() if count == 0]
    layers: list[list[T]] = []
    while layer:
        layers.append(_ordered(layer))
        following: list[T] = []
        for node in layer:
            for below in downstreams.get(node, ()):
                waiting_for[below] -= 1
                if waiting_for[below] == 0:
                    following.append(below)
        layer = following
    if sum(map(len, layers)) < len(waiting_for):
        raise ValueError("the graph has a cycle; layers need one without")
    return layers


def _counted(upstreams: Mapping[T, Collection[T]]) -> tuple[dict[T, int], dict[T, list[T]]]:
    """Return for each node the number of its upstreams, and its downstreams."""
    waiting_for: dict[T, int] = {}
    downstreams: dict[T, list[T]] = {}
    for node, above in upstreams.items():
        distinct = set(above)
        waiting_for[node] = len(distinct)
        for upstream in distinct:
            waiting_for.setdefault(upstream, 0)
            downstreams.setdefault(upstream, []).append(node)
    return waiting_for, downstreams


# --- readiness ------------------------------------------------------------------------------------


class Verdict(Enum):
    """What to do with a task whose upstreams are looked at."""

    START = "start"
    WAIT = "wait"
    NEVER = "never"


@dataclass(frozen=True)
class Readiness:
    """A verdict and the sentence that explains it; "" for START."""

    verdict: Verdict
    reason: str = ""


@dataclass(frozen=True)
class UpstreamState:
    """What is known of one upstream when a downstream task is considered.

    Attributes:
        task: its name, for the reason.
        in_run: it belongs to the same run; otherwise only its last success counts.
        status: of its last attempt in this run, None when it has none yet; outside of the run, of its latest outcome.
        is_final: `status` is an outcome; no retry follows.
        execution_id: of that attempt.
        is_fresh: outside of the run: it has succeeded since the downstream task last started.
        is_recent: outside of the run: `status` came about since the downstream task last started.
        last_success_at: outside of the run; UTC.
        used_by: outside of the run: the execution of the downstream task that used that success.
    """

    task: str
    in_run: bool
    status: Status | None = None
    is_final: bool = False
    execution_id: int | None = None
    is_fresh: bool = False
    is_recent: bool = False
    last_success_at: datetime | None = None
    used_by: int | None = None

    @property
    def is_done(self) -> bool:
        """Tell whether its outcome in this run is known."""
        return self.in_run and self.is_final and self.status is not None

    @property
    def has_failed(self) -> bool:
        """Tell whether its outcome in this run is a failure."""
        return self.is_done and self.status in FAILED


def readiness(rule: TriggerRule, upstreams: Sequence[UpstreamState]) -> Readiness:
    """Decide whether a task may start, has to wait, or can no longer start in this run.

    - ``all_success``: each upstream of the run has succeeded and each outside it is fresh. Any other outcome: never.
    - ``all_done``: each upstream of the run has an outcome, whatever it is (a skipped one counts), and each outside it
      is fresh.
    - ``any_failed``: starts as soon as one upstream of the run has failed; those outside the run have no part in it.
      Never, once all have ended and none has failed: skipped, cancelled and missed are no failures.

    A task without upstreams starts. The reason names the first upstream, in the given order, that decides.
    """
    if not upstreams:
        return Readiness(Verdict.START)
    if rule == TriggerRule.ANY_FAILED:
        return _after_a_failure([upstream for upstream in upstreams if upstream.in_run])
    if rule == TriggerRule.ALL_SUCCESS:
        for upstream in upstreams:
            if upstream.is_done and upstream.status != Status.SUCCESS:
                return Readiness(Verdict.NEVER, _ended(upstream))
    for upstream in upstreams:
        if not (upstream.is_done if upstream.in_run else upstream.is_fresh):
            return Readiness(Verdict.WAIT, _waits_for(upstream))
    return Readiness(Verdict.START)


def slot_readiness(rule: TriggerRule, upstreams: Sequence[UpstreamState]) -> Readiness:
    """Decide whether a task with a schedule and upstreams may start at its slot: START or NEVER.

    No upstream belongs to the run that would begin. ``all_success`` and ``all_done`` ask that each has succeeded
    since the task last started, ``any_failed`` that the latest outcome of one, since then, is a failure.
    """
    if rule != TriggerRule.ANY_FAILED:
        found = readiness(rule, upstreams)
        return found if found.verdict is Verdict.START else Readiness(Verdict.NEVER, found.reason)
    if not upstreams or any(upstream.is_recent and upstream.status in FAILED for upstream in upstreams):
        return Readiness(Verdict.START)
    names = ", ".join(upstream.task for upstream in upstreams)
    return Readiness(Verdict.NEVER, f"no upstream has failed since the last start: {names}")


def _after_a_failure(upstreams: Sequence[UpstreamState]) -> Readiness:
    if any(upstream.has_failed for upstream in upstreams):
        return Readiness(Verdict.START)
    for upstream in upstreams:
        if not upstream.is_done:
            return Readiness(Verdict.WAIT, _waits_for(upstream))
    names = ", ".join(upstream.task for upstream in upstreams)
    return Readiness(
        Verdict.NEVER, f"no upstream failed: {names}" if names else "no upstream belongs to this run"
    )


def _ended(upstream: UpstreamState) -> str:
    return f"upstream {upstream.task} ended {_word(upstream.status)}{_execution(upstream)}"


def _waits_for(upstream: UpstreamState) -> str:
    if upstream.in_run:
        state = (
            "no execution yet"
            if upstream.status is None
            else f"{_word(upstream.status)}{_execution(upstream)}"
        )
        return f"waits for {upstream.task}: {state}"
    if upstream.last_success_at is None:
        return f"waits for {upstream.task}: no success yet"
    used = "" if upstream.used_by is None else f", already used by execution {upstream.used_by}"
    return f"waits for {upstream.task}: last success {upstream.last_success_at:%Y-%m-%d %H:%M} UTC{used}"


def _word(status: Status | None) -> str:
    return "without outcome" if status is None else status.value


def _execution(upstream: UpstreamState) -> str:
    return "" if upstream.execution_id is None else f", execution {upstream.execution_id}"
