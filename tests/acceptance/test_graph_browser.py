"""Graphs and runs in a real browser: zoom, keys, paths, a run that goes on, resuming with what it would do."""

from __future__ import annotations

from typing import Any

import pytest

from scheduler.choices import Status, Trigger
from scheduler.models import Execution, Run, Task
from scheduler.services import runs
from tests.conftest import NOON

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def chain(make_task: Any, *names: str) -> list[Task]:
    """Store tasks, each after the one before it."""
    return [
        make_task(name, task_dependencies=[before] if before else [])
        for before, name in zip([None, *names], names, strict=False)
    ]


def ended(execution: Execution, status: Status) -> None:
    Execution.objects.filter(pk=execution.pk).update(
        status=status, is_outcome=True, started_at=NOON, finished_at=NOON
    )


def scale(page: Any) -> float:
    return float(page.locator("[data-graph]").get_attribute("data-scale"))


def view(page: Any) -> str:
    return str(page.locator(".g-graph").get_attribute("viewBox"))


def test_the_graph_is_zoomed_moved_and_shown_whole_by_keys(
    page: Any, live_server: Any, make_task: Any
) -> None:
    chain(make_task, *(f"t{number}" for number in range(12)))
    page.goto(f"{live_server.url}/admin/scheduler/task/graph/")
    page.locator("[data-graph][data-ready]").focus()
    begin = scale(page)

    page.keyboard.press("+")
    larger = scale(page)
    before = view(page)
    page.keyboard.press("ArrowRight")
    moved = view(page)
    page.keyboard.press("-")
    page.keyboard.press("-")
    smaller = scale(page)
    page.keyboard.press("0")
    whole = scale(page)

    assert larger > begin > smaller
    assert moved != before
    assert whole < begin
    box = page.locator("[data-graph]").bounding_box()
    last = page.locator(".g-node").last.bounding_box()
    assert last["x"] + last["width"] <= box["x"] + box["width"]


def test_wheel_and_dragging_move_the_graph_and_a_click_opens_a_task(
    page: Any, live_server: Any, make_task: Any
) -> None:
    tasks = chain(make_task, *(f"t{number}" for number in range(12)))
    page.goto(f"{live_server.url}/admin/scheduler/task/graph/")
    page.locator("[data-graph][data-ready]").wait_for()
    node = page.locator(f"#g{tasks[1].pk}")
    begin = scale(page)

    node.hover()
    page.mouse.wheel(0, -50)
    still = scale(page)
    page.keyboard.down("Control")
    page.mouse.wheel(0, -50)
    page.keyboard.up("Control")
    page.wait_for_function(f"document.querySelector('[data-graph]').dataset.scale > {begin}")
    before = view(page)
    node.hover()
    page.mouse.down()
    page.mouse.move(300, 300, steps=4)
    page.mouse.up()
    dragged, url = view(page), page.url
    page.get_by_role("button", name="Show all").click()
    node.click()
    page.wait_for_url(f"**/task/{tasks[1].pk}/")

    assert still == begin
    assert dragged != before
    assert url.endswith("/graph/")


def test_what_leads_to_a_task_and_what_follows_lights_up_when_it_has_the_focus(
    page: Any, live_server: Any, make_task: Any
) -> None:
    a, b, c = chain(make_task, "a", "b", "c")
    x, _y = chain(make_task, "x", "y")
    page.goto(f"{live_server.url}/admin/scheduler/task/graph/")
    page.locator("[data-graph][data-ready]").wait_for()

    page.locator(f"#g{b.pk}").focus()
    lit = page.evaluate("[...document.querySelectorAll('.g-node.g-on')].map((node) => node.id).sort()")
    lines = page.locator(".g-edge.g-on").count()
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/task/{b.pk}/")

    assert lit == sorted(f"g{task.pk}" for task in (a, b, c))
    assert f"g{x.pk}" not in lit and lines == 2


def test_the_page_of_a_run_goes_on_with_it_and_keeps_zoom_and_focus(
    page: Any, live_server: Any, make_task: Any
) -> None:
    first, second = chain(make_task, "a", "b")
    begun = runs.request_run(first, trigger=Trigger.MANUAL, user=None, now=NOON)
    page.goto(f"{live_server.url}/admin/scheduler/run/{begun.run_id}/change/")
    page.locator("[data-graph][data-ready]").wait_for()
    page.get_by_role("button", name="Smaller").click()
    zoomed = scale(page)
    page.locator(f"#g{second.pk}").focus()

    ended(begun, Status.SUCCESS)
    Execution.objects.create(
        task=second,
        run_id=begun.run_id,
        status="running",
        trigger="dependency",
        queued_at=NOON,
        started_at=NOON,
    )
    page.locator(f"#g{second.pk}.g-running").wait_for(timeout=15000)
    focused = page.evaluate("document.activeElement.id")
    kept = scale(page)
    ended(Execution.objects.latest("pk"), Status.TIMEOUT)
    Run.objects.update(finished_at=NOON)
    page.locator("#run .s-hero").get_by_text("Failed").wait_for(timeout=15000)

    assert focused == f"g{second.pk}"
    assert kept == zoomed
    assert page.locator("#run[hx-get]").count() == 0


def test_resuming_says_what_it_does_before_it_does_it(page: Any, live_server: Any, make_task: Any) -> None:
    first, second, third = chain(make_task, "a", "b", "c")
    begun = runs.request_run(first, trigger=Trigger.MANUAL, user=None, now=NOON)
    ended(begun, Status.SUCCESS)
    of_run: dict[str, Any] = {"run_id": begun.run_id, "trigger": "dependency", "queued_at": NOON}
    failed = Execution.objects.create(task=second, status="technical_failure", is_outcome=True, **of_run)
    Execution.objects.create(task=third, status="skipped", is_outcome=True, **of_run)
    Run.objects.update(finished_at=NOON)
    page.goto(f"{live_server.url}/admin/scheduler/run/{begun.run_id}/change/")

    page.get_by_role("link", name="Retry from here: b").click()
    dialog = page.get_by_role("dialog", name="Retry from b")
    plan = dialog.locator(".g-plan").inner_text().split("\n")
    dialog.get_by_role("button", name="Keep as it is").click()
    untouched = Execution.objects.count()
    page.get_by_role("link", name="Retry from here: b").click()
    dialog.get_by_role("button", name="Retry from here").click()
    page.get_by_text(f"Run {begun.run_id} is retried from b.").wait_for()

    told = " ".join(plan)
    assert (
        told.index("Runs again") < told.index("b Technical failure") < told.index("Follows when it may start")
    )
    assert told.index("c") < told.index("Keeps its result") < told.index("a Success")
    assert untouched == 3
    again = Execution.objects.latest("pk")
    assert (again.task_id, again.attempt, again.run_id) == (failed.task_id, 2, begun.run_id)


def test_cancelling_a_run_asks_and_counts_what_it_stops(page: Any, live_server: Any, make_task: Any) -> None:
    first, _second = chain(make_task, "a", "b")
    begun = runs.request_run(first, trigger=Trigger.MANUAL, user=None, now=NOON)
    page.goto(f"{live_server.url}/admin/scheduler/run/{begun.run_id}/change/")

    page.get_by_role("button", name="Cancel this run").click()
    question = page.locator("#s-confirm[open]")
    question.get_by_text("1 queued execution will not run.").wait_for()
    question.get_by_role("button", name="Cancel this run").click()
    page.get_by_text("The run is being cancelled.").wait_for()

    assert Execution.objects.get(task=first).status == Status.CANCELLED


def test_graphs_and_runs_are_no_wider_than_a_phone(page: Any, live_server: Any, make_task: Any) -> None:
    tasks = chain(make_task, *(f"a_rather_long_task_id_{number}" for number in range(8)))
    begun = runs.request_run(tasks[0], trigger=Trigger.MANUAL, user=None, now=NOON)
    ended(begun, Status.TIMEOUT)
    page.set_viewport_size({"width": 390, "height": 844})

    wide = {}
    for address in (
        "task/graph/",
        f"task/graph/?around={tasks[3].task_id}&depth=1",
        "run/",
        f"run/{begun.run_id}/change/",
        f"execution/{begun.pk}/resume/",
        f"task/{tasks[3].pk}/",
    ):
        page.goto(f"{live_server.url}/admin/scheduler/{address}")
        width = page.evaluate("document.documentElement.scrollWidth")
        if width > 390:
            wide[address] = width

    assert wide == {}
