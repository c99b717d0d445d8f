"""Graph, runs, resume and explanations, as a browser without scripts sees them."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any
from xml.etree import ElementTree

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from scheduler.choices import Status, Trigger
from scheduler.models import Execution, Run, Task, TaskDependency
from scheduler.services import runs
from tests.conftest import NOON
from tests.simulation import B, Engine, F, S, diamond
from tests.support.cases import each_case
from tests.support.pages import HTMX, NASTY, compact, member, part_url, text_of
from tests.support.rows import add_outcomes

GRAPH = "admin:scheduler_graph"


@pytest.fixture
def site(admin_client: Client) -> Client:
    return admin_client


def graph_in(html: str) -> ElementTree.Element:
    found = re.search(r'<svg class="g-graph".*?</svg>', html, re.DOTALL)
    assert found
    return ElementTree.fromstring(found[0])


def drawn(html: str) -> dict[str, str]:
    """Return the tasks of the picture, by name, with their classes."""
    return {
        next(text.text or "" for text in link.iter("text")): link.attrib["class"]
        for link in graph_in(html).iter("a")
    }


def edges_in(html: str) -> int:
    return sum("data-edge" in path.attrib for path in graph_in(html).iter("path"))


def run_url(run: int | None, name: str = "change") -> str:
    return reverse(f"admin:scheduler_run_{name}", args=[run])


def resume_url(execution: Execution) -> str:
    return reverse("admin:scheduler_execution_resume", args=[execution.pk])


# --- the graph ------------------------------------------------------------------------------------


def test_the_graph_shows_dependent_tasks_by_latest_outcome_and_lists_the_others(
    site: Client, make_task: Any
) -> None:
    first = make_task("a")
    make_task("b", task_dependencies=["a"], task_enabled=False)
    make_task("alone")
    add_outcomes(first, 1, Status.TIMEOUT)
    Execution.objects.create(task=first, status="running", trigger="manual", queued_at=NOON, started_at=NOON)

    html = text_of(site.get(reverse(GRAPH)))

    assert drawn(html) == {"a": "g-node s-timeout g-running", "b": "g-node s-none g-off"}
    assert edges_in(html) == 1
    assert "1 task without dependencies" in html
    assert re.search(r'class="g-chip s-none".*?>alone<', html, re.DOTALL)


@each_case(
    ("query", "names"),
    [
        ("around=c", "abcde"),
        ("around=c&way=up", "abc"),
        ("around=c&way=down", "cde"),
        ("around=c&depth=1", "bcd"),
        ("around=c&depth=1&way=up", "bc"),
        ("around=c&depth=9999&way=sideways", "abcde"),
    ],
)
def test_around_a_task_shows_as_much_as_is_asked_for(
    site: Client, make_task: Any, query: str, names: str
) -> None:
    make_task("a")
    for upstream, task in zip("abcd", "bcde", strict=True):
        make_task(task, task_dependencies=[upstream])
    make_task("y")
    make_task("z", task_dependencies=["y"])

    html = text_of(site.get(f"{reverse(GRAPH)}?{query}"))

    assert sorted(drawn(html)) == list(names)
    assert drawn(html)["c"].endswith("g-current")


def test_a_tag_shows_its_tasks_and_their_neighbours_faintly(site: Client, make_task: Any) -> None:
    make_task("a", task_tags=["x"])
    make_task("b", task_dependencies=["a"])
    make_task("c", task_dependencies=["b"], task_tags=["x"])
    make_task("d", task_dependencies=["c"])
    make_task("e", task_dependencies=["d"])

    html = text_of(site.get(f"{reverse(GRAPH)}?tag=x"))

    shown = drawn(html)
    assert sorted(shown) == list("abcd")
    assert sorted(name for name, classes in shown.items() if "g-outside" in classes) == ["b", "d"]


def test_a_text_that_fits_several_tasks_asks_which_one(site: Client, make_task: Any) -> None:
    for name in ("sales_a", "sales_b"):
        make_task(name)
        make_task(f"{name}_after", task_dependencies=[name], task_name="unlike")

    several = text_of(site.get(f"{reverse(GRAPH)}?around=sales"))
    one = text_of(site.get(f"{reverse(GRAPH)}?around=sales_a"))
    none = text_of(site.get(reverse(GRAPH), {"around": NASTY}))

    assert "Which one?" in several and "around=sales_b" in several
    assert len(drawn(one)) == 2
    assert "No task has" in none and NASTY not in none


def test_an_installation_without_tasks_or_dependencies_has_a_graph_page(site: Client, make_task: Any) -> None:
    empty = text_of(site.get(reverse(GRAPH)))
    make_task("a")
    alone = text_of(site.get(reverse(GRAPH)))

    assert "No tasks match." in empty
    assert "None of these tasks depends on another." in alone


def test_the_graph_is_silent_until_an_outcome_changes_a_colour(site: Client, make_task: Any) -> None:
    task = make_task("a")
    make_task("b", task_dependencies=["a"])
    url = part_url(compact(site.get(reverse(GRAPH))), "graph")

    quiet = site.get(url, headers=HTMX)
    add_outcomes(task, 1, Status.TIMEOUT)
    changed = site.get(url, headers=HTMX)

    assert (quiet.status_code, changed.status_code) == (204, 200)
    assert drawn(compact(changed))["a"] == "g-node s-timeout"


def test_the_graph_needs_the_same_queries_for_two_tasks_and_for_many(
    site: Client, make_task: Any, django_assert_num_queries: Any
) -> None:
    def fill(numbers: range) -> None:
        for number in numbers:
            first = make_task(f"a{number}", task_tags=[f"tag{number}"])
            make_task(f"b{number}", task_dependencies=[f"a{number}"])
            add_outcomes(first, 2)
            add_outcomes(make_task(f"alone{number}"), 1)

    fill(range(1))
    site.get(reverse(GRAPH))
    with CaptureQueriesContext(connection) as one:
        site.get(reverse(GRAPH))
    count = len(one)
    fill(range(1, 20))
    site.get(reverse(GRAPH))  # dependencies that changed are read once

    assert count <= 11
    with django_assert_num_queries(count):
        site.get(reverse(GRAPH))


def test_a_graph_of_many_tasks_is_bounded_and_says_so(
    site: Client, make_task: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("scheduler.views.graph.MOST_TASKS", 3)
    for name in ("a", "b", "y"):
        make_task(name)
    for name, upstreams in (("c", ["a", "b"]), ("z", ["y"])):
        make_task(name, task_dependencies=upstreams)

    html = text_of(site.get(reverse(GRAPH)))

    assert sorted(drawn(html)) == ["a", "b", "c"]
    assert "3 of 5 tasks are drawn." in html


# --- runs -----------------------------------------------------------------------------------------


def test_runs_are_listed_with_trigger_first_task_who_and_counts(site: Client, engine: Engine) -> None:
    diamond(engine)
    run = engine.start("a").run_id
    engine.end(a=S)
    engine.end(b=S, c=F)

    html = compact(site.get(reverse("admin:scheduler_run_changelist")))

    row = html[html.index(f'id="run-{run}"') :]
    assert "Failed" in row and "Manual" in row
    counted = re.findall(r'title="([^"]+)"><span class="s-key s-\w+"></span>(\d+)', row)
    assert counted == [("Success", "2"), ("Technical failure", "1"), ("Skipped", "1")]


@each_case(
    ("query", "shown"),
    [
        ("", [4, 3, 2, 1]),
        ("status=failed", [2]),
        ("status=running", [4]),
        ("status=success", [3, 1]),
        ("status=odd", [4, 3, 2, 1]),
        ("trigger=schedule", []),
        ("trigger=manual", [4, 3, 2, 1]),
        ("q=oth", [4]),
        ("q=nobody", []),
        ("cursor=x", [4, 3, 2, 1]),
    ],
)
def test_runs_are_filtered(site: Client, engine: Engine, query: str, shown: list[int]) -> None:
    engine.task("a", task_concurrency="allow")
    engine.task("other")
    numbers = {}
    for number, status in enumerate((S, F, S), start=1):
        numbers[engine.start("a").run_id] = number
        engine.end(a=status)
    numbers[engine.start("other").run_id] = 4

    html = text_of(site.get(f"{reverse('admin:scheduler_run_changelist')}?{query}"))

    assert [numbers[int(pk)] for pk in re.findall(r'id="run-(\d+)"', html)] == shown
    assert ("No runs match." in html) is (not shown)


def test_runs_are_paged_by_cursor_without_loss_or_repetition(site: Client, make_task: Any) -> None:
    task = make_task("a")
    made = [Run.objects.create(trigger="manual", first_task=task, created_at=NOON).pk for _ in range(65)]
    url = reverse("admin:scheduler_run_changelist")
    seen: list[int] = []
    query = ""

    for _ in range(3):
        html = text_of(site.get(url + query))
        seen += [int(pk) for pk in re.findall(r'id="run-(\d+)"', html)]
        older = re.search(r'id="older" class="s-button" href="([^"]+)"', html)
        query = older[1].replace("&amp;", "&") if older else ""

    assert seen == made[::-1]
    assert query == ""


def test_a_rare_status_is_looked_for_among_the_latest_runs_only_and_that_is_said(
    site: Client, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("scheduler.views.runs.LOOKED_THROUGH", 2)
    engine.task("a")
    for status in (F, F, S):
        engine.start("a")
        engine.end(a=status)
    url = reverse("admin:scheduler_run_changelist")

    failed, every = (text_of(site.get(url + query)) for query in ("?status=failed", ""))

    assert len(re.findall(r'id="run-', failed)) == 1 and "Only the latest 2 runs were searched." in failed
    assert len(re.findall(r'id="run-', every)) == 3 and "runs were searched" not in every


@pytest.mark.parametrize("name", ["run_changelist", "run_change"])
def test_pages_of_runs_need_the_same_queries_for_one_and_for_many(
    site: Client, make_task: Any, django_assert_num_queries: Any, name: str
) -> None:
    make_task("a")
    for number in range(3):
        make_task(f"b{number}", task_dependencies=["a"])
    first = Task.objects.get(task_id="a")
    make: Any = lambda: runs.request_run(first, trigger=Trigger.MANUAL, user=None, now=NOON)  # noqa: E731
    run = make().run
    url = reverse(f"admin:scheduler_{name}", args=[run.pk] if name == "run_change" else [])
    site.get(url)
    with CaptureQueriesContext(connection) as one:
        site.get(url)
    Execution.objects.update(status=Status.SUCCESS, is_outcome=True, started_at=NOON, finished_at=NOON)
    for task in Task.objects.exclude(pk=first.pk):
        Execution.objects.create(
            task=task, run=run, status=Status.SUCCESS, is_outcome=True, trigger="dependency", queued_at=NOON
        )
    for _ in range(10):
        make()
        Execution.objects.update(status=Status.SUCCESS, is_outcome=True, finished_at=NOON)
    with CaptureQueriesContext(connection) as many:
        site.get(url)

    assert len(many) <= len(one) <= 18


def test_the_page_of_a_run_shows_graph_lanes_and_reasons(site: Client, engine: Engine) -> None:
    diamond(engine)
    run = engine.start("a").run_id
    engine.end(a=S)
    engine.end(b=B)

    html = text_of(site.get(run_url(run)))

    shown = drawn(html)
    assert shown["a"] == "g-node s-success"
    assert shown["b"] == "g-node s-business_failure"
    assert shown["c"] == "g-node s-running g-running"
    assert shown["d"] == "g-node s-skipped g-off"
    assert edges_in(html) == 4
    assert f"upstream b ended in business failure, execution {engine.latest('b').pk}" in html
    assert html.count('class="s-lane-name"') == 4


def test_a_task_that_waits_outside_of_the_run_says_for_what(site: Client, engine: Engine) -> None:
    engine.task("z")
    engine.task("a")
    engine.task("b", "a", "z")
    run = engine.start("a").run_id
    engine.end(a=S)

    html = text_of(site.get(run_url(run)))

    assert drawn(html)["b"] == "g-node s-none g-off"
    assert "waits for z: no success yet" in html


def test_a_run_is_silent_until_something_happens_and_then_to_its_end(site: Client, engine: Engine) -> None:
    diamond(engine)
    run = engine.start("a").run_id
    url = part_url(compact(site.get(run_url(run))), "run")

    quiet = site.get(url, headers=HTMX)
    engine.end(a=S)
    changed = site.get(url, headers=HTMX)
    engine.end(b=S, c=S)
    engine.end(d=S)
    ended = compact(site.get(run_url(run)))

    assert (quiet.status_code, changed.status_code) == (204, 200)
    assert "hx-get" in compact(changed).partition(">")[0]
    assert 'id="run">' in ended and 'id="lanes">' in ended


def test_a_run_is_cancelled_after_a_question_that_counts_what_it_stops(site: Client, engine: Engine) -> None:
    diamond(engine)
    run = engine.start("a").run_id
    engine.end(a=S)
    Execution.objects.filter(task__task_id="b").update(status="running", started_at=NOON)

    html = text_of(site.get(run_url(run)))
    said = text_of(site.post(run_url(run, "cancel"), follow=True))
    again = text_of(site.post(run_url(run, "cancel"), follow=True))

    assert "1 running command is stopped, with its child processes." in html
    assert "1 queued execution will not run." in html
    assert "The run is being cancelled." in said
    assert Run.objects.get().cancelled_at is not None
    assert "already ended" in again or "being cancelled" in again
    assert site.get(run_url(run, "cancel")).status_code == 405


# --- resume ---------------------------------------------------------------------------------------


def test_resuming_names_what_runs_again_and_what_keeps_its_result(site: Client, engine: Engine) -> None:
    diamond(engine)
    engine.start("a")
    engine.end(a=S)
    engine.end(b=F, c=S)
    failed = engine.latest("b")

    before = Execution.objects.count()
    html = text_of(site.get(resume_url(failed)))
    plan = runs.plan_resume(failed, now=NOON)

    assert plan.again == failed
    assert [row.task.task_id for row in plan.decided] == ["d"]
    assert [row.task.task_id for row in plan.kept] == ["a", "c"]
    assert "Keep their result (2)" in html
    assert Execution.objects.count() == before


def test_what_is_confirmed_happens_as_it_was_said(site: Client, engine: Engine) -> None:
    diamond(engine)
    run = engine.start("a").run_id
    engine.end(a=S)
    engine.end(b=F, c=S)
    plan = runs.plan_resume(engine.latest("b"), now=NOON)

    response = site.post(resume_url(engine.latest("b")))
    engine.end(b=S)
    engine.end(d=S)

    assert response.headers["Location"] == run_url(run)
    ran_again = Execution.objects.filter(run=run, attempt=2).values_list("task__task_id", flat=True)
    assert sorted(ran_again) == sorted(row.task.task_id for row in [plan.again, *plan.decided])
    assert Run.objects.with_status().get().status == "success"  # type: ignore[attr-defined]


@pytest.mark.parametrize("obstacle", ["success", "later", "active", "deleted", "no run", "overlap"])
def test_what_cannot_be_resumed_says_why_before_and_after(
    site: Client, engine: Engine, obstacle: str
) -> None:
    task = engine.task("a")
    engine.start("a")
    engine.end(a=S if obstacle == "success" else F)
    execution = engine.latest("a")
    if obstacle == "later":
        runs.resume(execution, trigger=Trigger.MANUAL, now=engine.clock.tick())
        engine.end(a=F)
    elif obstacle == "active":
        runs.resume(execution, trigger=Trigger.MANUAL, now=engine.clock.tick())
    elif obstacle == "overlap":
        engine.start("a")
    elif obstacle == "deleted":
        Task.objects.filter(pk=task.pk).update(deleted_at=NOON)
    elif obstacle == "no run":
        Execution.objects.update(run=None)
    count = Execution.objects.count()

    page = site.get(resume_url(execution))
    said = text_of(site.post(resume_url(execution), follow=True))

    refusal = re.search(r'<p class="s-warn-text">(.+?)</p>', text_of(page))
    assert refusal and refusal[1] in said
    assert "<button" not in text_of(page)[refusal.end() : refusal.end() + 400]
    assert Execution.objects.count() == count


def test_resume_is_offered_where_it_is_possible_and_nowhere_else(site: Client, engine: Engine) -> None:
    diamond(engine)
    run = engine.start("a").run_id
    engine.end(a=S)
    engine.end(b=F, c=S)
    offered = {engine.latest("b").pk, engine.latest("d").pk}

    html = text_of(site.get(run_url(run)))
    pages = {
        pk: text_of(site.get(reverse("admin:scheduler_execution_change", args=[pk])))
        for pk in Execution.objects.values_list("pk", flat=True)
    }

    assert {int(pk) for pk in re.findall(r'id="resume-(\d+)"', html)} == offered
    assert {pk for pk, page in pages.items() if f'id="resume-{pk}"' in page} == offered


def test_resuming_is_a_part_for_the_dialog_and_a_page_for_the_address(site: Client, engine: Engine) -> None:
    engine.task("a")
    engine.start("a")
    engine.end(a=F)

    part = compact(site.get(resume_url(engine.latest("a")), headers=HTMX))
    page = compact(site.get(resume_url(engine.latest("a"))))

    assert part.startswith('<div class="g-resume">') and "<html" not in part
    assert "<html" in page


# --- one execution, one task ----------------------------------------------------------------------


def test_an_execution_names_what_it_ran_because_of_and_what_followed(site: Client, engine: Engine) -> None:
    diamond(engine)
    engine.start("a")
    engine.end(a=S)
    b = engine.latest("b")

    html = compact(site.get(reverse("admin:scheduler_execution_change", args=[b.pk])))
    url = part_url(html, "in-run")
    quiet = site.get(url, headers=HTMX)
    engine.end(b=S, c=S)
    after = compact(site.get(url, headers=HTMX))

    assert f'id="before-{engine.latest("a").pk}"' in html and 'id="after-' not in html
    assert run_url(b.run_id) in html
    assert quiet.status_code == 204
    assert f'id="after-{engine.latest("d").pk}"' in after


def test_the_page_of_a_task_explains_it_and_shows_its_part_of_the_graph(site: Client, engine: Engine) -> None:
    diamond(engine)
    make = engine.task
    make("e", "d")
    make("other")
    make("unrelated", "other")
    engine.start("a")
    engine.end(a=S)

    html = text_of(site.get(reverse("admin:scheduler_task_page", args=[Task.objects.get(task_id="d").pk])))

    assert sorted(drawn(html)) == list("abcde")
    assert "g-current" in drawn(html)["d"]
    told = html[html.index('id="explanation"') :]
    assert "It never ran." in told
    assert "It waits for b: no success yet." in told
    assert "It runs when its upstreams allow it, by hand or through the API." in told


def test_sentences_are_told_in_the_language_of_the_reader(site: Client, make_task: Any) -> None:
    task = make_task("a")

    html = text_of(
        site.get(reverse("admin:scheduler_task_page", args=[task.pk]), headers={"Accept-Language": "zh-hans"})
    )

    assert "从未运行" in html[html.index('id="explanation"') :]


@pytest.mark.parametrize(("form", "count"), [({}, 2), ({"downstream": "1"}, 2), ({"downstream": "0"}, 1)])
def test_a_task_is_run_with_what_follows_or_alone(
    site: Client, engine: Engine, form: dict[str, str], count: int
) -> None:
    first = engine.task("a")
    engine.task("b", "a")

    site.post(reverse("admin:scheduler_task_run", args=[first.pk]), form)
    engine.end(a=S)

    assert Execution.objects.count() == count


def test_running_alone_is_offered_only_where_something_follows(site: Client, engine: Engine) -> None:
    first, last = engine.task("a"), engine.task("b", "a")

    pages = [
        text_of(site.get(reverse("admin:scheduler_task_page", args=[task.pk]))) for task in (first, last)
    ]

    assert ["This task alone" in page for page in pages] == [True, False]
    assert "With its downstream tasks: b" in pages[0]


def test_a_task_waits_in_many_runs_for_the_same_queries(
    engine: Engine, django_assert_num_queries: Any
) -> None:
    from scheduler.wording.explanations import explain

    engine.task("z")
    engine.task("a", task_concurrency="allow")
    last = engine.task("b", "a", "z")
    engine.start("a")
    explain(last, now=NOON)  # reads the graph of the run, which is kept
    with CaptureQueriesContext(connection) as one:
        explain(last, now=NOON)
    for _ in range(5):
        engine.start("a")

    with django_assert_num_queries(len(one)):
        told = explain(last, now=NOON)

    assert len([sentence for sentence in told.now if str(sentence).startswith("In run")]) == 6


# --- who may what, and what is text ---------------------------------------------------------------


def test_viewers_see_runs_and_operators_act_on_them(engine: Engine) -> None:
    diamond(engine)
    run = engine.start("a").run_id
    engine.end(a=S)
    engine.end(b=F)
    failed = engine.latest("b")
    viewer, operator = member("Viewer"), member("Operator")
    pages = [reverse(GRAPH), reverse("admin:scheduler_run_changelist"), run_url(run)]

    seen = [viewer.get(url).status_code for url in pages]
    html = text_of(viewer.get(run_url(run)))
    refused = [
        viewer.post(run_url(run, "cancel")).status_code,
        viewer.get(resume_url(failed)).status_code,
        viewer.post(resume_url(failed)).status_code,
    ]
    offered = text_of(operator.get(run_url(run)))
    acted = operator.post(resume_url(failed)).status_code
    cancelled = operator.post(run_url(run, "cancel")).status_code

    assert seen == [200, 200, 200]
    assert refused == [403, 403, 403]
    assert "Cancel this run" not in html and "resume-" not in html
    assert "Cancel this run" in offered and "resume-" in offered
    assert (acted, cancelled) == (302, 302)


def test_a_person_without_a_role_sees_none_of_it(client: Client, engine: Engine) -> None:
    from django.contrib.auth.models import User

    engine.task("a")
    run = engine.start("a").run_id
    client.force_login(User.objects.create_user("nobody", password="pw", is_staff=True))

    urls = [reverse(GRAPH), reverse("admin:scheduler_run_changelist"), run_url(run)]

    assert [client.get(url).status_code for url in urls] == [403, 403, 403]


def test_stored_text_is_text_on_pages_of_graphs_and_runs(site: Client, make_task: Any) -> None:
    first = make_task("a", task_name=NASTY, task_tags=["x"])
    second = make_task("b", task_name=NASTY, task_dependencies=["a"])
    make_task("alone", task_name=NASTY)
    execution = runs.request_run(first, trigger=Trigger.MANUAL, user=None, now=datetime.now(UTC))
    Run.objects.update(cancel_reason=NASTY, cancelled_at=NOON)
    Execution.objects.update(status=Status.TIMEOUT, is_outcome=True, reason=NASTY, finished_at=NOON)
    skipped = Execution.objects.create(
        task=second,
        run=execution.run,
        status="skipped",
        is_outcome=True,
        trigger="dependency",
        queued_at=NOON,
    )
    skipped.upstream_executions.add(execution)
    urls = [
        reverse(GRAPH),
        reverse(GRAPH) + "?tag=x",
        reverse(GRAPH) + "?around=script",
        reverse("admin:scheduler_run_changelist"),
        run_url(execution.run_id),
        resume_url(execution),
        reverse("admin:scheduler_task_page", args=[first.pk]),
        reverse("admin:scheduler_execution_change", args=[skipped.pk]),
    ]

    for url in urls:
        html = text_of(site.get(url))
        assert "<script>alert" not in html and "<img src=x" not in html, url
        assert not re.findall(r"<script(?![^>]*\bsrc=)[^>]*>|<style|\sstyle=", html), url


def test_somewhat_more_than_five_hundred_tasks_are_one_light_page(site: Client, make_task: Any) -> None:
    tasks = Task.objects.bulk_create(
        Task(
            task_id=f"task_with_a_long_id_{n}", name=f"{n} is the rather long name of a task", command="true"
        )
        for n in range(506)
    )
    TaskDependency.objects.bulk_create(
        TaskDependency(upstream=tasks[n // 3], downstream=tasks[n]) for n in range(1, 506)
    )
    Execution.objects.bulk_create(
        Execution(
            task=task,
            status="success",
            is_outcome=True,
            trigger="schedule",
            queued_at=NOON,
            finished_at=NOON + timedelta(seconds=5),
        )
        for task in tasks
    )

    response = site.get(reverse(GRAPH))

    assert len(drawn(text_of(response))) == 506
    assert len(response.content) < 300_000


def test_times_of_several_zones_are_told_with_their_zone(site: Client, make_task: Any) -> None:
    add_outcomes(make_task("a", task_timezone="Europe/Berlin"), 1, Status.SUCCESS)
    add_outcomes(make_task("b", task_timezone="UTC", task_dependencies=["a"]), 1, Status.SUCCESS)
    add_outcomes(make_task("c", task_timezone="UTC", task_dependencies=["b"]), 1, Status.SUCCESS)

    whole = text_of(site.get(reverse(GRAPH)))
    of_one_zone = text_of(site.get(reverse(GRAPH), {"around": "c", "depth": "1"}))

    assert {words.rsplit(" ", 1)[1] for words in notes(whole)} == {"CEST", "UTC"}
    assert all(re.search(r"\d\d:\d\d$", words) for words in notes(of_one_zone))


def notes(html: str) -> list[str]:
    return re.findall(r'class="g-note"[^>]*>([^<]*)<', html)
