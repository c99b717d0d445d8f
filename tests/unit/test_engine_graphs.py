"""Cycles, what is downstream, and which part of a large graph is shown."""

from __future__ import annotations

import random
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.engine.graphs import bounded, find_cycle, reachable
from tests.effort import calls_of

GRAPHS = st.dictionaries(st.integers(0, 8), st.frozensets(st.integers(0, 8), max_size=4), max_size=9)


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
def test_cycle_is_found_exactly_when_there_is_no_order(upstreams: dict[int, frozenset[int]]) -> None:
    cycle = find_cycle(upstreams)

    if cycle is None:
        TopologicalSorter(upstreams).prepare()
        return
    assert cycle[0] == cycle[-1]
    assert len(set(cycle)) == len(cycle) - 1
    assert all(above in upstreams[below] for above, below in pairwise(cycle))
    with pytest.raises(CycleError):
        TopologicalSorter(upstreams).prepare()


def test_reachable_is_all_below_without_the_start() -> None:
    downstreams = {"a": ["b", "c"], "b": ["d"], "c": ["d"], "x": ["a"]}

    assert reachable(downstreams, "a") == {"b", "c", "d"}
    assert reachable(downstreams, "unknown") == set()
    assert reachable({"a": ["b"], "b": ["a"]}, "a") == {"b"}


def test_chain_of_a_hundred_thousand_needs_no_recursion() -> None:
    length = 100_000
    chain = {n: [n - 1] for n in range(1, length)}

    assert find_cycle(chain) is None
    assert len(find_cycle({**chain, 0: [length - 1]}) or []) == length + 1


def test_large_graph_is_checked_with_little_work() -> None:
    chance = random.Random(1)
    upstreams = {n: {chance.randrange(n) for _ in range(4)} for n in range(1, 5000)}

    cycle, calls = calls_of(lambda: find_cycle(upstreams))

    assert cycle is None
    assert calls < 20 * len(upstreams)


def test_a_part_that_is_too_large_is_cut_around_its_centre() -> None:
    edges = [(1, hub) for hub in range(2, 9)] + [(20, 21), (8, 9), (9, 10)]
    pks = {pk for edge in edges for pk in edge}

    assert bounded(pks, edges, 99) == pks
    assert bounded(pks, edges, 8) == set(range(1, 9))
    assert bounded(pks, edges, 2, first=21) == {20, 21}


def test_a_dense_graph_that_is_cut_keeps_most_of_its_tasks() -> None:
    edges = [(n, n + far) for n in range(600) for far in (1, 2) if n + far < 600]

    shown = bounded(set(range(600)), edges, 510)

    assert 450 < len(shown) < 480
