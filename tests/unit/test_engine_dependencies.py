"""Cycles, layers, and whether a task may start."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.choices import FAILED, TERMINAL, Status, TriggerRule
from scheduler.engine.dependencies import (
    Readiness,
    UpstreamState,
    Verdict,
    find_cycle,
    reachable,
    readiness,
    topological_layers,
)
from tests.effort import calls_of

GRAPHS = st.dictionaries(st.integers(0, 8), st.frozensets(st.integers(0, 8), max_size=4), max_size=9)

# --- the graph ------------------------------------------------------------------------------------


def test_cycle_is_a_path_from_upstream_to_downstream() -> None:
    assert find_cycle({"b": ["a"], "c": ["b"], "a": ["c"]}) == ["a", "b", "c", "a"]


def test_task_that_depends_on_itself_is_a_cycle() -> None:
    assert find_cycle({"a": ["a"]}) == ["a", "a"]


def test_diamond_has_no_cycle() -> None:
    assert find_cycle({"b": ["a"], "c": ["a"], "d": ["b", "c"]}) is None


def test_start_leaves_cycles_elsewhere_alone() -> None:
    upstreams = {"b": ["a"], "x": ["y"], "y": ["x"], "z": ["x"]}

    assert find_cycle(upstreams, start=["b"]) is None
    assert find_cycle(upstreams, start=["z"]) == ["x", "y", "x"]


def test_same_graph_gives_the_same_cycle_in_any_order() -> None:
    edges = {"a": ["c", "e"], "b": ["a"], "c": ["b"], "d": ["c"], "e": ["d"]}
    found = set()
    for seed in range(20):
        order = random.Random(seed).sample(sorted(edges), len(edges))
        found.add(tuple(find_cycle({node: set(edges[node]) for node in order}) or ()))

    assert len(found) == 1


@given(GRAPHS)
def test_cycle_is_found_exactly_when_there_are_no_layers(upstreams: dict[int, frozenset[int]]) -> None:
    cycle = find_cycle(upstreams)

    if cycle is None:
        layers = topological_layers(upstreams)
        rank = {node: n for n, layer in enumerate(layers) for node in layer}
        assert all(rank[above] < rank[node] for node, all_above in upstreams.items() for above in all_above)
        return
    assert cycle[0] == cycle[-1]
    assert len(set(cycle)) == len(cycle) - 1
    assert all(above in upstreams[below] for above, below in pairwise(cycle))
    with pytest.raises(ValueError, match="the graph has a cycle"):
        topological_layers(upstreams)


def test_layers_come_as_early_as_possible_and_sorted() -> None:
    upstreams = {"d": ["b", "c"], "c": ["a"], "b": ["a"], "f": [], "e": ["f", "d"]}

    assert topological_layers(upstreams) == [["a", "f"], ["b", "c"], ["d"], ["e"]]


def test_reachable_is_all_below_without_the_start() -> None:
    downstreams = {"a": ["b", "c"], "b": ["d"], "c": ["d"], "x": ["a"]}

    assert reachable(downstreams, "a") == {"b", "c", "d"}
    assert reachable(downstreams, "unknown") == set()
    assert reachable({"a": ["b"], "b": ["a"]}, "a") == {"b"}


def test_chain_of_a_hundred_thousand_needs_no_recursion() -> None:
    length = 100_000
    chain = {n: [n - 1] for n in range(1, length)}

    assert find_cycle(chain) is None
    assert len(topological_layers(chain)) == length
    assert len(find_cycle({**chain, 0: [length - 1]}) or []) == length + 1


def test_large_graph_is_checked_with_little_work() -> None:
    chance = random.Random(1)
    upstreams = {n: {chance.randrange(n) for _ in range(4)} for n in range(1, 5000)}

    cycle, calls = calls_of(lambda: find_cycle(upstreams))

    assert cycle is None
    assert calls < 20 * len(upstreams)


# --- readiness ------------------------------------------------------------------------------------


def inside(
    task: str, status: Status | None, *, is_final: bool = True, execution_id: int = 12
) -> UpstreamState:
    return UpstreamState(
        task,
        in_run=True,
        status=status,
        is_final=is_final and status in TERMINAL,
        execution_id=None if status is None else execution_id,
    )


FRESH = UpstreamState("b", in_run=False, is_fresh=True, last_success_at=datetime(2026, 3, 10, 2, tzinfo=UTC))
USED = UpstreamState("b", in_run=False, last_success_at=datetime(2026, 3, 10, 2, tzinfo=UTC), used_by=812)
UNKNOWN = UpstreamState("b", in_run=False)
START = Readiness(Verdict.START)


@pytest.mark.parametrize("rule", list(TriggerRule))
def test_task_without_upstreams_starts(rule: TriggerRule) -> None:
    assert readiness(rule, []) == START


@pytest.mark.parametrize(
    ("upstreams", "expected"),
    [
        ([inside("a", Status.SUCCESS), inside("c", Status.SUCCESS)], START),
        ([inside("a", Status.SUCCESS), FRESH], START),
        (
            [inside("a", Status.SUCCESS), inside("c", Status.RUNNING, execution_id=13)],
            Readiness(Verdict.WAIT, "waits for c: running, execution 13"),
        ),
        ([inside("a", None)], Readiness(Verdict.WAIT, "waits for a: no execution yet")),
        (
            [inside("a", Status.TECHNICAL_FAILURE, is_final=False)],
            Readiness(Verdict.WAIT, "waits for a: technical_failure, execution 12"),
        ),
        (
            [inside("a", Status.BUSINESS_FAILURE)],
            Readiness(Verdict.NEVER, "upstream a ended business_failure, execution 12"),
        ),
        (
            [inside("c", None), inside("a", Status.SKIPPED)],
            Readiness(Verdict.NEVER, "upstream a ended skipped, execution 12"),
        ),
        (
            [inside("a", Status.SUCCESS), USED],
            Readiness(
                Verdict.WAIT, "waits for b: last success 2026-03-10 02:00 UTC, already used by execution 812"
            ),
        ),
        ([UNKNOWN], Readiness(Verdict.WAIT, "waits for b: no success yet")),
    ],
)
def test_all_success_needs_each_upstream(upstreams: list[UpstreamState], expected: Readiness) -> None:
    assert readiness(TriggerRule.ALL_SUCCESS, upstreams) == expected


@pytest.mark.parametrize(
    ("upstreams", "expected"),
    [
        ([inside("a", Status.TIMEOUT), inside("c", Status.SKIPPED)], START),
        ([inside("a", Status.BUSINESS_FAILURE), FRESH], START),
        ([inside("a", Status.TIMEOUT, is_final=False)], Verdict.WAIT),
        ([inside("a", Status.SUCCESS), inside("c", None)], Verdict.WAIT),
        ([inside("a", Status.SUCCESS), USED], Verdict.WAIT),
    ],
)
def test_all_done_needs_an_outcome_of_each(
    upstreams: list[UpstreamState], expected: Readiness | Verdict
) -> None:
    found = readiness(TriggerRule.ALL_DONE, upstreams)

    assert found == expected or found.verdict is expected


@pytest.mark.parametrize(
    ("upstreams", "expected"),
    [
        ([inside("a", Status.TIMEOUT), inside("c", Status.RUNNING)], START),
        ([inside("a", Status.BUSINESS_FAILURE), USED], START),
        (
            [inside("a", Status.SUCCESS), inside("c", Status.RUNNING)],
            Readiness(Verdict.WAIT, "waits for c: running, execution 12"),
        ),
        (
            [inside("a", Status.SUCCESS), inside("c", Status.SKIPPED)],
            Readiness(Verdict.NEVER, "no upstream failed: a, c"),
        ),
        ([inside("a", Status.CANCELLED)], Readiness(Verdict.NEVER, "no upstream failed: a")),
        ([FRESH], Readiness(Verdict.NEVER, "no upstream belongs to this run")),
    ],
)
def test_any_failed_starts_at_the_first_failure(upstreams: list[UpstreamState], expected: Readiness) -> None:
    assert readiness(TriggerRule.ANY_FAILED, upstreams) == expected


@given(st.sampled_from(TriggerRule), st.lists(st.sampled_from(sorted(TERMINAL)), min_size=1, max_size=5))
def test_nothing_waits_once_every_upstream_of_the_run_has_ended(
    rule: TriggerRule, statuses: list[Status]
) -> None:
    found = readiness(rule, [inside(f"t{n}", status) for n, status in enumerate(statuses)])

    allowed = {
        TriggerRule.ALL_SUCCESS: set(statuses) == {Status.SUCCESS},
        TriggerRule.ALL_DONE: True,
        TriggerRule.ANY_FAILED: bool(set(statuses) & FAILED),
    }
    assert found.verdict is (Verdict.START if allowed[rule] else Verdict.NEVER)
    assert bool(found.reason) is not allowed[rule]
