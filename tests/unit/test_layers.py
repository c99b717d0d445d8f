"""The laws of the picture of a graph: left to right, nothing on top of another, always the same."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import example, given
from hypothesis import strategies as st

from scheduler.charts.geometry import NODE_HEIGHT, Box, Layout
from scheduler.charts.layers import LIKE, lay_out
from scheduler.charts.ordering import spread
from tests.support.cases import each_case

Edges = frozenset[tuple[int, int]]
DIAMOND: Edges = frozenset({(0, 1), (0, 2), (1, 3), (2, 3)})


@st.composite
def graphs(draw: st.DrawFn) -> tuple[int, Edges]:
    """Return a graph without cycles: edges lead from lower to higher places of a shuffled row."""
    count = draw(st.integers(1, 25))
    row = draw(st.permutations(range(count)))
    places = st.integers(0, count - 1)
    pairs = draw(st.sets(st.tuples(places, places), max_size=50))
    return count, frozenset((row[up], row[down]) for up, down in pairs if up < down)


def overlaps(one: Box, other: Box) -> bool:
    return (
        one.x < other.x + other.width
        and other.x < one.x + one.width
        and one.y < other.y + other.height
        and other.y < one.y + one.height
    )


def colliding(layout: Layout) -> list[tuple[int, int]]:
    boxes = list(layout.boxes.items())
    return [(n, m) for i, (n, one) in enumerate(boxes) for m, other in boxes[i + 1 :] if overlaps(one, other)]


@given(graphs())
def test_every_node_has_a_place_of_its_own_within_the_picture(graph: tuple[int, Edges]) -> None:
    layout = lay_out(*graph)

    assert sorted(layout.boxes) == list(range(graph[0]))
    assert colliding(layout) == []
    assert all(box.x >= 0 and box.x + box.width <= layout.width for box in layout.boxes.values())
    assert all(box.y >= 0 and box.y + box.height <= layout.height for box in layout.boxes.values())


@given(graphs())
def test_every_edge_leads_from_left_to_right(graph: tuple[int, Edges]) -> None:
    layout = lay_out(*graph)

    for up, down in graph[1]:
        assert layout.boxes[up].x + layout.boxes[up].width < layout.boxes[down].x
    for route in layout.routes:
        assert all(one[0] <= other[0] for one, other in pairwise(route.points))
        assert all(0 <= y <= layout.height for _, y in route.points)


@given(graphs())
def test_edges_are_routed_once_between_the_units_of_their_ends(graph: tuple[int, Edges]) -> None:
    layout = lay_out(*graph)

    wanted = {(layout.units[up], layout.units[down]) for up, down in graph[1]}
    assert sorted((route.upstream, route.downstream) for route in layout.routes) == sorted(wanted)


@given(graphs())
def test_the_same_graph_looks_the_same(graph: tuple[int, Edges]) -> None:
    count, edges = graph

    first = lay_out(count, edges)
    lay_out.cache_clear()

    assert lay_out(count, frozenset(sorted(edges, reverse=True))) == first


@example({(1, 2), (2, 0), (2, 1), (3, 2), (4, 3)})
@given(st.sets(st.tuples(st.integers(-2, 9), st.integers(-2, 9)), max_size=60))
def test_cycles_and_strange_edges_end_in_a_picture_too(edges: set[tuple[int, int]]) -> None:
    layout = lay_out(8, frozenset(edges))

    assert sorted(layout.boxes) == list(range(8))
    assert colliding(layout) == []


def test_a_chain_is_straight_and_a_diamond_even() -> None:
    chain = lay_out(4, frozenset({(0, 1), (1, 2), (2, 3)}))
    diamond = lay_out(4, DIAMOND)

    assert len({box.y for box in chain.boxes.values()}) == 1
    assert diamond.boxes[0].y == diamond.boxes[3].y
    assert diamond.boxes[1].y + diamond.boxes[2].y == 2 * diamond.boxes[0].y


def test_a_task_without_upstreams_stands_right_before_what_follows() -> None:
    layout = lay_out(5, frozenset({(0, 1), (1, 2), (2, 3), (4, 3)}))

    assert layout.boxes[4].x == layout.boxes[2].x


def test_an_edge_that_passes_a_layer_leaves_room_for_itself() -> None:
    layout = lay_out(3, frozenset({(0, 1), (1, 2), (0, 2)}))

    passing = next(route for route in layout.routes if (route.upstream, route.downstream) == (0, 2))
    box = layout.boxes[1]
    level = [y for x, y in passing.points if x == box.x]
    assert level and not any(box.y <= y <= box.y + box.height for y in level)


def test_crossings_that_can_be_avoided_are() -> None:
    """Four upstreams, each with a downstream of its own, named in the opposite order."""
    layout = lay_out(8, frozenset({(0, 7), (1, 6), (2, 5), (3, 4)} | {(0, 6), (1, 5), (2, 4)}))

    upper = sorted(range(4), key=lambda node: layout.boxes[node].y)
    lower = sorted(range(4, 8), key=lambda node: layout.boxes[node].y)
    assert [7 - node for node in lower] == upper


def test_many_tasks_with_the_same_neighbours_stand_in_a_block_with_one_edge_in_and_out() -> None:
    middle = range(1, 501)
    layout = lay_out(502, frozenset({(0, n) for n in middle} | {(n, 501) for n in middle}))

    (frame,) = layout.blocks.values()
    assert len(layout.routes) == 2
    assert 0.5 < frame.width / frame.height < 2
    assert {layout.units[node] for node in middle} == {1}


def test_a_few_with_the_same_neighbours_stand_alone() -> None:
    layout = lay_out(LIKE, frozenset((0, node) for node in range(1, LIKE)))

    assert layout.blocks == {}
    assert len(layout.routes) == LIKE - 1


def test_tasks_without_edges_stand_in_a_compact_grid_below() -> None:
    layout = lay_out(64, frozenset({(0, 1)}))

    alone = [layout.boxes[node] for node in range(2, 64)]
    assert min(box.y for box in alone) > layout.boxes[0].y + NODE_HEIGHT
    assert len({box.x for box in alone}) > 3
    assert layout.width / layout.height < 4


def test_parts_that_are_not_connected_stand_beside_each_other() -> None:
    edges = frozenset((3 * n, 3 * n + step) for n in range(40) for step in (1, 2))

    layout = lay_out(120, edges)

    assert 0.5 < layout.width / layout.height < 4


def test_nothing_is_an_empty_picture() -> None:
    assert lay_out(0, frozenset()) == Layout({}, {}, {}, [], 0, 0)


@each_case("span", [15, 499])
def test_the_number_of_places_to_arrange_is_bounded(span: int) -> None:
    """Five hundred tasks one after the other, and a thousand edges that pass many of them."""
    chain = {(n, n + 1) for n in range(499)}
    far = {(n, min(n + 2 + (n * 7) % span, 499)) for n in range(497)}

    layout = lay_out(500, frozenset(chain | far))

    assert colliding(layout) == []
    assert len(layout.routes) == len(chain | far)


@given(
    st.lists(st.tuples(st.floats(-1e3, 1e3), st.floats(0.1, 10), st.floats(0, 50)), min_size=1, max_size=20)
)
def test_spread_keeps_order_and_distance(items: list[tuple[float, float, float]]) -> None:
    wanted, weights, gaps = (list(values) for values in zip(*items, strict=True))

    places = spread(wanted, weights, gaps[1:])

    assert all(b - a >= gap - 1e-6 for (a, b), gap in zip(pairwise(places), gaps[1:], strict=True))


def test_spread_leaves_what_is_in_nobodys_way_and_meets_in_the_middle() -> None:
    assert spread([0, 100, 100], [1, 1, 1], [10, 10]) == [0, 95, 105]
