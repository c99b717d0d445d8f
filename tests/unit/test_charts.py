"""Charts: pure functions from numbers and texts to markup."""

from __future__ import annotations

import re
from typing import Any
from xml.etree import ElementTree

import pytest

from scheduler.charts import (
    Attempt,
    Bar,
    Bucket,
    Cell,
    GanttLane,
    Lane,
    Mark,
    Node,
    Point,
    day_strip,
    duration_chart,
    gantt_chart,
    graph_chart,
    heat_map,
    lanes_chart,
    outcome_strip,
)
from scheduler.charts.graph import clip
from scheduler.charts.scales import bar_height, ticks
from scheduler.engine.percentiles import percentile
from scheduler.wording.times import axis_duration
from tests.support.cases import each_case

NASTY = "\"><script>alert('1')</script>&"


def attributes(svg: str, selector: str, name: str) -> list[str]:
    """Return an attribute of all elements whose class begins with `selector`."""
    root = ElementTree.fromstring(svg)
    return [
        element.attrib[name]
        for element in root.iter()
        if element.attrib.get("class", "").startswith(selector) and name in element.attrib
    ]


def texts(svg: str) -> list[str]:
    return [element.text or "" for element in ElementTree.fromstring(svg).iter("text")]


def bar(seconds: float | None, status: str = "success") -> Bar:
    return Bar(href="/x/", title="t", status=status, seconds=seconds)


def test_heights_of_bars_are_in_proportion_to_durations() -> None:
    svg = outcome_strip([bar(10), bar(20)], slots=2, label="l")

    heights = [int(value) for value in attributes(svg, "s-bar", "height")]

    assert heights == [16, 28]


def test_one_very_long_run_leaves_the_others_visible() -> None:
    assert bar_height(10, 10_000, 10, least=5, most=28) >= 10


def test_a_bar_without_duration_has_the_least_height() -> None:
    assert bar_height(None, 10, 10, least=5, most=28) == 5
    assert bar_height(0, 0, 0, least=5, most=28) == 5


def test_bars_stand_at_the_right_end_and_empty_places_are_marked() -> None:
    svg = outcome_strip([bar(1)], slots=4, label="l")

    assert attributes(svg, "s-nobar", "x") == ["0", "8", "16"]
    assert attributes(svg, "s-bar", "x") == ["24"]


def test_a_strip_without_executions_is_drawn() -> None:
    assert len(attributes(outcome_strip([], slots=30, label="l"), "s-nobar", "x")) == 30


@each_case(
    "svg",
    [
        outcome_strip([Bar(NASTY, NASTY, "success", 1)], slots=1, label=NASTY),
        duration_chart([Point(NASTY, NASTY, "success", 1, NASTY)], p50=1, p95=1, label=NASTY),
        heat_map({(0, 0): Cell(1, 0, NASTY)}, days=[NASTY] * 7, label=NASTY),
        day_strip([Bucket(NASTY, NASTY, 1, label=NASTY)], now_at=0.5, label=NASTY),
        lanes_chart(
            [Lane(NASTY, NASTY, [Mark(0, 1, "success", NASTY, NASTY)])],
            ticks=[(0, NASTY)],
            now_at=0.5,
            label=NASTY,
        ),
        graph_chart([Node(1, NASTY, "success", NASTY, NASTY, NASTY, (NASTY,))], [(1, 1)], label=NASTY),
        gantt_chart(
            [GanttLane(NASTY, NASTY, [Attempt(0, 1, 2, "success", NASTY, NASTY)], NASTY)],
            length=2,
            now_at=1,
            label=NASTY,
        ),
    ],
    ids=["strip", "durations", "heat", "day", "lanes", "graph", "gantt"],
)
def test_every_text_is_escaped(svg: str) -> None:
    assert "<script" not in svg
    assert ElementTree.fromstring(svg).tag.endswith("svg")


def test_lines_stand_at_their_durations_and_their_names_do_not_cover_each_other() -> None:
    svg = duration_chart([Point("/", "t", "success", s, "") for s in (1, 2, 10)], p50=9.5, p95=10, label="l")

    high, low = (float(value) for value in attributes(svg, "s-level", "y1"))
    places = [float(y) for y in re.findall(r'y="([\d.]+)">p\d\d', svg)]

    assert high < low
    assert places[1] - places[0] >= 13


def test_a_single_very_long_run_is_drawn_at_the_top() -> None:
    svg = duration_chart(
        [Point("/", "t", "success", 1, ""), Point("/", "t", "timeout", 9999, "")], p50=1, p95=1, label="l"
    )

    assert float(attributes(svg, "s-dot", "cy")[1]) == 10.0
    assert float(attributes(svg, "s-dot", "cy")[0]) < 190


@each_case(
    ("count", "failed", "level"),
    [(0, 0, "none"), (10, 0, "good"), (20, 1, "some"), (10, 1, "many"), (2, 1, "most")],
)
def test_level_of_an_hour_follows_its_share_of_failures(count: int, failed: int, level: str) -> None:
    assert Cell(count, failed, "").level == level


def test_the_map_has_a_square_for_each_hour_of_the_week() -> None:
    svg = heat_map({}, days=list("MTWTFSS"), label="l")

    assert len(attributes(svg, "s-heat s-heat-none", "x")) == 7 * 24


def test_failures_stand_on_top_of_a_column_and_crowded_slots_have_a_colour_of_their_own() -> None:
    buckets = [Bucket("/", "t", succeeded=3, failed=1), Bucket("/", "t", planned=4, crowded=True)]

    svg = day_strip(buckets, now_at=0.5, label="l")
    tops = dict(zip(attributes(svg, "s-bar", "class"), attributes(svg, "s-bar", "y"), strict=True))

    assert float(tops["s-bar s-technical_failure"]) < float(tops["s-bar s-success"])
    assert "s-bar s-crowded" in tops


def test_marks_that_reach_beyond_the_span_are_cut_and_short_ones_stay_visible() -> None:
    svg = lanes_chart(
        [Lane("a", "/", [Mark(-1, 0.5, "success", "t"), Mark(0.5, 0.5, "planned", "t")])],
        ticks=[],
        now_at=None,
        label="l",
    )

    assert attributes(svg, "s-bar", "x") == ["0%", "50%"]
    assert attributes(svg, "s-bar", "width") == ["50%", "0.2%"]


def test_a_long_name_is_shortened_more_on_a_phone_and_whole_when_pointed_at() -> None:
    svg = lanes_chart([Lane("n" * 60, "/", [])], ticks=[], now_at=None, label="l")

    assert texts(svg) == ["n" * 27 + "…", "n" * 14 + "…"]
    assert attributes(svg, "s-lane-name s-narrow", "class")
    assert f"<title>{'n' * 60}</title>" in svg


@each_case(
    ("largest", "expected"),
    [
        (0.3, [0.1, 0.2, 0.3]),
        (38, [10, 20, 30, 40]),
        (3600, [1200, 2400, 3600]),
        (400_000, [172800, 345600, 518400]),
    ],
)
def test_ticks_are_round_and_reach_the_largest(largest: float, expected: list[float]) -> None:
    assert ticks(largest) == pytest.approx(expected)


@each_case("longest", [0.05, 0.7, 2.1, 9, 55, 61, 150, 3599, 3601, 30_000, 200_000])
def test_no_two_ticks_of_an_axis_have_the_same_name(longest: float) -> None:
    names = [axis_duration(at) for at in [0.0, *ticks(longest, count=6)]]

    assert len(set(names)) == len(names)


@each_case(("share", "expected"), [(0.5, 5), (0.95, 10), (0.0, 1), (1.0, 10)])
def test_percentile_is_a_value_that_occurs(share: float, expected: float) -> None:
    assert percentile([10, 9, 8, 7, 6, 5, 4, 3, 2, 1], share) == expected


def test_percentile_of_nothing_is_none() -> None:
    assert percentile([], 0.5) is None


def node(key: int, name: str = "n", status: str = "success", **more: Any) -> Node:
    return Node(key, name, status, "note", "title", f"/task/{key}/", **more)


def test_tasks_of_a_graph_are_links_with_their_status_and_edges_name_their_ends() -> None:
    svg = graph_chart([node(7), node(9, status="timeout", traits=("current",))], [(7, 9), (7, 8)], label="l")

    root = ElementTree.fromstring(svg)
    links = {a.attrib["id"]: (a.attrib["class"], a.attrib["href"]) for a in root.iter("a")}
    assert links == {
        "g7": ("g-node s-success", "/task/7/"),
        "g9": ("g-node s-timeout g-current", "/task/9/"),
    }
    assert [path.attrib["data-edge"] for path in root.iter("path") if "data-edge" in path.attrib] == ["7 9"]


def test_tasks_of_a_graph_come_in_the_order_in_which_they_are_read() -> None:
    svg = graph_chart([node(1), node(2), node(3)], [(3, 2), (2, 1)], label="l")

    assert re.findall(r'id="g(\d)"', svg) == ["3", "2", "1"]


def test_five_hundred_tasks_make_a_page_of_modest_weight() -> None:
    nodes = [node(number, name=f"A rather long name of task {number}") for number in range(500)]
    edges = [(number // 3, number) for number in range(1, 500)] + [
        (number, number + 90) for number in range(0, 410, 2)
    ]

    assert len(graph_chart(nodes, edges, label="l")) < 250_000


@each_case(
    ("text", "clipped"),
    [
        ("short", "short"),
        ("exactly10!", "exactly10!"),
        ("eleven char", "eleven ch…"),
        ("夜间导出数据", "夜间导出…"),
        ("夜间导出库", "夜间导出库"),
        ("one two three", "one two t…"),
        ("", ""),
    ],
)
def test_names_are_clipped_by_the_room_that_letters_take(text: str, clipped: str) -> None:
    assert clip(text, 10) == clipped


def test_bars_of_a_run_begin_where_attempts_began_and_show_what_waited() -> None:
    lane = GanttLane(
        "a", "/", [Attempt(0, 25, 50, "success", "t", "/"), Attempt(50, None, 100, "skipped", "t", "/")]
    )

    svg = gantt_chart([lane], length=100, now_at=None, label="l")

    assert attributes(svg, "s-bar s-success", "x") == ["25%"]
    assert attributes(svg, "s-bar s-success", "width") == ["25%"]
    assert attributes(svg, "g-wait", "x") == ["0%", "50%"]
    assert attributes(svg, "s-bar s-skipped", "cx") == ["100%"]


def test_a_run_of_no_length_is_drawn() -> None:
    svg = gantt_chart(
        [GanttLane("a", "/", [Attempt(0, 0, 0, "success", "t", "/")])], length=0, now_at=0, label="l"
    )

    assert attributes(svg, "s-bar", "width") == ["0.2%"]
    assert texts(svg)[0] == "0s"


def anchors(svg: str) -> dict[str, str]:
    """Return by label which of its ends stands at its place."""
    found = ElementTree.fromstring(svg).iter("text")
    return {element.text or "": element.attrib.get("text-anchor", "") for element in found}


def test_labels_at_the_edges_of_the_day_reach_inwards() -> None:
    labels = {0: "00:00", 48: "12:00", 95: "23:30"}
    svg = day_strip([Bucket("/", "t", label=labels.get(i, "")) for i in range(96)], now_at=0.5, label="l")

    assert anchors(svg) == {"00:00": "start", "12:00": "middle", "23:30": "end"}


def test_the_label_at_the_end_of_lanes_reaches_inwards() -> None:
    svg = lanes_chart([], ticks=[(0, "first"), (0.5, "half"), (1, "last")], now_at=None, label="l")

    assert anchors(svg) == {"first": "middle", "half": "middle", "last": "end"}


def test_dates_at_the_edges_of_durations_reach_inwards() -> None:
    points = [Point("/", "t", "success", 1, f"d{number}") for number in range(120)]

    svg = duration_chart(points[:12], p50=None, p95=None, label="l")

    assert anchors(svg)["d1"] == "middle"
    assert anchors(svg)["d11"] == "end"


def test_a_phone_shows_few_labels_of_an_axis_of_lanes() -> None:
    svg = lanes_chart([], ticks=[(hour / 12, f"{hour}") for hour in range(12)], now_at=None, label="l")

    wide = attributes(svg, "s-axis s-wide", "x")
    assert len(texts(svg)) - len(wide) == 4


@each_case(
    "svg",
    [
        duration_chart([Point("/", "t", "success", 1, "d")], p50=1, p95=1, label="l"),
        heat_map({}, days=list("MTWTFSS"), label="l"),
        day_strip([Bucket("/", "t", 1)], now_at=0.5, label="l"),
        lanes_chart([Lane("a", "/", [])], ticks=[(0.5, "12:00")], now_at=0.5, label="l"),
        gantt_chart([GanttLane("a", "/", [])], length=2, now_at=1, label="l"),
    ],
    ids=["durations", "heat", "day", "lanes", "gantt"],
)
def test_charts_get_narrower_while_their_letters_keep_their_size(svg: str) -> None:
    assert "viewBox" not in svg and "height" in ElementTree.fromstring(svg).attrib
