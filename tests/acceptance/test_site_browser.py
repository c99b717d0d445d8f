"""Journeys through the site in a real browser: no console error, no breach of the policy, no request elsewhere."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.core.cache import cache

from schedsite.demo.seeding import seed_demonstration
from scheduler.choices import Status
from scheduler.models import Execution, ExecutionLog, Run, Task
from tests.conftest import NOON

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def store_executions(task: Any, count: int, status: Status = Status.SUCCESS) -> None:
    """Store executions that ended, one a minute."""
    for number in range(count):
        at = NOON + timedelta(minutes=number)
        Execution.objects.create(
            task=task,
            status=status,
            is_outcome=True,
            trigger="schedule",
            queued_at=at,
            started_at=at,
            finished_at=at,
        )


NASTY = "\"'><script>alert(1)</script><img src=x onerror=alert(1)>"


def test_the_history_dialog_pages_filters_and_shows_the_log_beside(
    page: Any, live_server: Any, make_task: Any
) -> None:
    task = make_task("a", task_name=NASTY)
    store_executions(task, 25)
    store_executions(task, 2, Status.TIMEOUT)
    latest = Execution.objects.latest("pk")
    Execution.objects.filter(pk=latest.pk).update(log_size=len(NASTY), queued_at=NOON + timedelta(days=1))
    ExecutionLog.objects.create(execution=latest, offset=0, size=len(NASTY), text=NASTY)

    page.goto(f"{live_server.url}/admin/scheduler/task/")
    page.get_by_role("link", name="History", exact=True).click()
    dialog = page.locator("#s-dialog[open]")
    dialog.locator("tbody tr").nth(19).wait_for()
    dialog.get_by_role("button", name="Log").click()
    dialog.locator("#s-log-pane pre").filter(has_text="<script>alert(1)").wait_for()
    dialog.get_by_role("link", name="Older").click()
    dialog.get_by_role("link", name="Newer").wait_for()
    second = dialog.locator("tbody tr").count()
    dialog.get_by_role("link", name="Timeout").click()
    page.wait_for_function("document.querySelectorAll('#s-dialog tbody tr').length === 2")
    dialog.get_by_role("button", name="Close").click()

    assert second == 7
    assert dialog.count() == 0


def test_the_log_of_a_running_execution_grows_in_colour_and_is_text(
    page: Any, live_server: Any, make_task: Any
) -> None:
    execution = Execution.objects.create(
        task=make_task("a"), status=Status.RUNNING, trigger="manual", queued_at=NOON, started_at=NOON
    )
    first, second = f"{NASTY}\n\x1b[1;3", "1mred\x1b[0m\x1b]8;;http://x\x07 and the end\n"
    ExecutionLog.objects.create(execution=execution, offset=0, size=len(first), text=first)

    page.goto(f"{live_server.url}/admin/scheduler/execution/{execution.pk}/change/")
    page.locator("#log").filter(has_text="<script>alert(1)").wait_for()
    page.get_by_label("Search in the log").fill("the end")
    before = page.locator("[data-log-found]").text_content()
    ExecutionLog.objects.create(execution=execution, offset=len(first), size=len(second), text=second)
    page.locator("#log").filter(has_text="and the end").wait_for(timeout=5000)
    page.locator("[data-log-found]").filter(has_text="1").wait_for()
    Execution.objects.filter(pk=execution.pk).update(status=Status.SUCCESS, finished_at=NOON)
    page.locator("#facts").get_by_text("Success").wait_for(timeout=8000)

    assert before == "0"
    assert page.locator("#log").text_content() == f"{NASTY}\nred and the end\n"
    assert page.locator("#log span.a-bold.a-31").text_content() == "red"
    assert page.locator("#log").locator("script, img, a").count() == 0


def test_a_log_is_searched_and_read_from_its_beginning(page: Any, live_server: Any, make_task: Any) -> None:
    store_executions(make_task("a"), 1)
    execution = Execution.objects.get()
    texts = ["the very first line\n" + "x" * 60_000 + "\n", "y" * 60_000 + "\nneedle one, needle two\n"]
    offset = 0
    for text in texts:
        ExecutionLog.objects.create(execution=execution, offset=offset, size=len(text), text=text)
        offset += len(text)

    page.goto(f"{live_server.url}/admin/scheduler/execution/{execution.pk}/change/")
    shortened = page.locator("#log").text_content()
    page.get_by_label("Search in the log").fill("first line")
    in_part = page.locator("[data-log-found]").text_content()
    page.get_by_role("button", name="before").click()
    page.locator("#log").filter(has_text="the very first line").wait_for()
    in_all = page.locator("[data-log-found]").text_content()
    page.get_by_label("Search in the log").fill("needle")
    found = page.locator("[data-log-found]").text_content()
    page.keyboard.press("Enter")

    assert "the very first line" not in shortened
    assert page.locator("#log").text_content() == "".join(texts)
    assert (in_part, in_all) == ("0 in the part that is shown", "1")
    assert found == "2"
    assert page.locator("[data-log-found]").text_content() == "1 / 2"


def test_a_line_that_is_written_over_looks_the_same_live_and_after(
    page: Any, live_server: Any, make_task: Any
) -> None:
    execution = Execution.objects.create(
        task=make_task("a"), status=Status.RUNNING, trigger="manual", queued_at=NOON, started_at=NOON
    )
    parts = [
        "\nbegin\r\n\x1b[33m10%\x1b[0m of all\r",
        "20%",
        " of all\r",
        "\nnext 1\r\x1b[Knext 2\r\r\nlast \x1b[31m7\x1b[0m\rlast 8\r",
    ]
    address = f"{live_server.url}/admin/scheduler/execution/{execution.pk}/change/"
    page.goto(address)
    log = page.locator("#log")

    shown, offset = [], 0
    for part in parts:
        ExecutionLog.objects.create(execution=execution, offset=offset, size=len(part), text=part)
        offset += len(part)
        page.wait_for_function(f"document.getElementById('log').dataset.offset === '{offset}'")
        shown.append(log.text_content())
    page.goto(address)
    page.wait_for_function("!document.getElementById('log').textContent.includes('\\r')")

    whole = "\nbegin\n20% of all\nnext 2\nlast 8"
    assert shown == ["\nbegin\n10% of all", "\nbegin\n20%", "\nbegin\n20% of all", whole]
    assert log.text_content() == whole


def test_a_match_is_found_across_parts_and_colours_and_of_one_character(
    page: Any, live_server: Any, make_task: Any
) -> None:
    execution = Execution.objects.create(
        task=make_task("a"), status=Status.RUNNING, trigger="manual", queued_at=NOON, started_at=NOON
    )
    first, second = "İ \x1b[31mcheck\x1b[0mpoint (1", ".5)\n"
    ExecutionLog.objects.create(execution=execution, offset=0, size=len(first.encode()), text=first)
    page.goto(f"{live_server.url}/admin/scheduler/execution/{execution.pk}/change/")
    field, found = page.get_by_label("Search in the log"), page.locator("[data-log-found]")
    page.locator("#log").filter(has_text="point (1").wait_for()

    counts = {}
    for wanted in ("CHECKPOINT", "point", "(", "1.5", ".*"):
        field.fill(wanted)
        counts[wanted] = found.text_content()
    field.fill("1.5)")
    ExecutionLog.objects.create(
        execution=execution, offset=len(first.encode()), size=len(second), text=second
    )
    found.filter(has_text="1").wait_for()
    marked = page.evaluate("[...CSS.highlights.get('s-found')].map(String)")

    assert counts == {"CHECKPOINT": "1", "point": "1", "(": "1", "1.5": "0", ".*": "0"}
    assert marked == ["1.5)"]


def test_a_task_is_made_from_a_template_with_the_keyboard_alone(
    page: Any, live_server: Any, settings: Any
) -> None:
    page.goto(f"{live_server.url}/admin/scheduler/task/new/")
    page.keyboard.type("Fresh task")
    page.keyboard.press("Tab")
    page.keyboard.type("fresh")
    page.keyboard.press("Tab")
    page.keyboard.type("0 0 30 2 *")
    page.get_by_role("alert").filter(has_text="never").wait_for()
    page.keyboard.press("Control+A")
    page.keyboard.type("0 2 * * *")
    page.locator("#schedule-hint").get_by_text("At 02:00").wait_for()
    page.keyboard.press("Enter")
    page.get_by_text("Fresh task was created. Its script is tasks/fresh/main.py.").wait_for()

    assert (settings.SCHEDULER_TASKS_DIR / "fresh" / "main.py").is_file()
    assert Task.objects.get().schedule == "0 2 * * *"


def test_the_id_of_a_new_task_follows_its_name_until_one_is_typed(page: Any, live_server: Any) -> None:
    page.goto(f"{live_server.url}/admin/scheduler/task/new/")
    name, task_id = page.get_by_label("Name", exact=True), page.get_by_label("Task id")

    name.fill("Café 同步: Night-run 2")
    suggested = task_id.input_value()
    task_id.fill("mine")
    name.fill("Another name")

    assert suggested == "cafe_night-run_2"
    assert task_id.input_value() == "mine"
    assert page.locator("summary:visible").all_text_contents() == ["main.py"]
    page.get_by_label("Shell").check()
    assert page.locator("summary:visible").all_text_contents() == ["main.sh"]


def test_a_schedule_error_goes_once_another_one_is_typed(page: Any, live_server: Any, make_task: Any) -> None:
    task = make_task("a")
    page.goto(f"{live_server.url}/admin/scheduler/task/{task.pk}/change/")
    row = page.locator(".field-schedule")

    row.locator("input").fill("0 0 30 2 *")
    page.get_by_role("button", name="Save", exact=True).click()
    page.locator("p.errornote").wait_for()
    page.wait_for_load_state("networkidle")
    said = row.get_by_text("never fires").count()
    row.locator("input").fill("0 2 * * *")
    row.get_by_text("At 02:00").wait_for()

    assert said == 1
    assert row.get_by_text("never fires").count() == 0


def test_every_page_shows_in_title_and_icon_that_tasks_fail(
    page: Any, live_server: Any, make_task: Any
) -> None:
    store_executions(make_task("bad"), 1, Status.TIMEOUT)
    cache.clear()

    for path in ("scheduler/task/", "scheduler/task/system/", "auth/user/"):
        page.goto(f"{live_server.url}/admin/{path}")
        page.wait_for_function("document.querySelector('link[rel=icon]').href.includes('failing')")
        assert page.title().startswith("(1) ")


def test_a_chosen_file_is_named_beside_its_button(page: Any, live_server: Any, tmp_path: Any) -> None:
    (tmp_path / "nightly.json").write_text("{}")
    page.goto(f"{live_server.url}/admin/scheduler/task/import/")

    page.get_by_label("Choose a file").set_input_files(tmp_path / "nightly.json")

    assert page.locator("#file-name").text_content() == "nightly.json"


def test_running_and_pausing_from_a_card_stays_on_the_list(
    page: Any, live_server: Any, make_task: Any
) -> None:
    make_task("a", task_name="Alpha", task_schedule="0 2 * * *")

    page.goto(f"{live_server.url}/admin/scheduler/task/")
    page.get_by_role("button", name="Run now: Alpha").click()
    page.get_by_role("link", name="Alpha was started.").wait_for()
    page.get_by_role("button", name="Pause: Alpha").click()
    page.get_by_role("button", name="Resume: Alpha").wait_for()

    assert page.url == f"{live_server.url}/admin/scheduler/task/"
    assert Execution.objects.filter(trigger="manual").count() == 1 and not Task.objects.get().enabled


def test_cancelling_asks_and_names_what_will_happen(page: Any, live_server: Any, make_task: Any) -> None:
    execution = Execution.objects.create(
        task=make_task("a"), status=Status.RUNNING, trigger="manual", queued_at=NOON, started_at=NOON
    )
    page.goto(f"{live_server.url}/admin/scheduler/execution/{execution.pk}/change/")

    page.get_by_role("button", name="Cancel this execution").click()
    question = page.locator("#s-confirm[open]")
    question.get_by_text("Stops the command and its child processes").wait_for()
    question.get_by_role("button", name="Keep running").click()
    execution.refresh_from_db()
    kept = execution.cancel_requested_at
    page.get_by_role("button", name="Cancel this execution").click()
    question.get_by_role("button", name="Cancel this execution").click()
    page.get_by_text("is being stopped").wait_for()
    execution.refresh_from_db()

    assert kept is None and execution.cancel_requested_at is not None


def test_exit_1_after_an_exception_is_counted_as_a_technical_failure_after_asking(
    page: Any, live_server: Any, make_task: Any
) -> None:
    task = make_task("a", task_retry=1)
    ended = {"queued_at": NOON, "started_at": NOON, "finished_at": NOON, "exit_code": 1}
    execution = Execution.objects.create(
        task=task, status=Status.BUSINESS_FAILURE, trigger="manual", is_outcome=True, **ended
    )
    log = 'Traceback (most recent call last):\n  File "job.py", line 3, in <module>\nValueError: no\n'
    ExecutionLog.objects.create(execution=execution, offset=0, size=len(log), text=log)
    page.goto(f"{live_server.url}/admin/scheduler/execution/{execution.pk}/change/")

    page.get_by_role("button", name="Count exit code 1 as a technical failure").click()
    question = page.locator("#s-confirm[open]")
    question.get_by_text("From its next execution on, exit code 1 of this task").wait_for()
    before = Task.objects.get().exit_codes
    question.get_by_role("button", name="Count exit code 1 as a technical failure").click()
    page.get_by_text("Exit code 1 of a is a technical failure from its next execution on.").wait_for()

    assert (before, Task.objects.get().exit_codes) == ({}, {"technical_failure": [1]})


def test_a_cycle_is_refused_beside_the_field(page: Any, live_server: Any, make_task: Any) -> None:
    task = make_task("alpha")
    make_task("beta", task_dependencies=["alpha"])
    page.goto(f"{live_server.url}/admin/scheduler/task/{task.pk}/change/")

    page.locator(".field-depends_on .select2-search__field").fill("bet")
    page.locator(".select2-results__option", has_text="beta").click()
    page.get_by_role("button", name="Save", exact=True).click()

    row = page.locator(".field-depends_on, .form-row", has_text="Depends on").first
    row.get_by_text("the dependencies would form a cycle: alpha → beta → alpha").wait_for()
    assert not task.upstreams.exists()


def test_variables_are_added_and_removed_as_rows(page: Any, live_server: Any, make_task: Any) -> None:
    task = make_task("a", task_env={"OLD": "1"})
    page.goto(f"{live_server.url}/admin/scheduler/task/{task.pk}/change/")

    page.get_by_role("button", name="Remove this variable").first.click()
    page.get_by_role("button", name="Add a variable").click()
    page.keyboard.type("NEW")
    page.keyboard.press("Tab")
    page.keyboard.type(NASTY)
    page.get_by_role("button", name="Save", exact=True).click()
    page.wait_for_url(f"**/task/{task.pk}/")
    task.refresh_from_db()

    assert task.env == {"NEW": NASTY}


def test_an_import_shows_its_plan_first(page: Any, live_server: Any, make_task: Any) -> None:
    make_task("old")
    text = json.dumps({"tasks": [{"task_id": "new", "task_name": "New", "task_exec": "true"}]})
    page.goto(f"{live_server.url}/admin/scheduler/task/import/")

    page.get_by_label("Or paste JSON").fill(text)
    page.get_by_label("Delete tasks missing from the file").check()
    page.get_by_role("button", name="Show the plan").click()
    page.get_by_text("− old").wait_for()
    before = Task.objects.filter(task_id="new").exists()
    page.get_by_role("button", name="Apply").click()
    page.locator("#s-confirm[open]").get_by_text("One task is deleted").wait_for()
    page.locator("#s-confirm").get_by_role("button", name="Apply").click()
    page.get_by_text("Imported: 1 created").wait_for()

    assert not before
    assert list(Task.objects.values_list("task_id", flat=True)) == ["new"]


def test_no_page_is_wider_than_a_phone(page: Any, live_server: Any) -> None:
    seed_demonstration(now=datetime.now(UTC), days=3, task_count=12)
    page.set_viewport_size({"width": 390, "height": 844})
    task, execution = Task.objects.get(task_id="backup_database"), Execution.objects.latest("pk")
    run = Run.objects.latest("pk")
    addresses = [
        "",
        "scheduler/task/",
        "scheduler/task/?view=table",
        f"scheduler/task/{task.pk}/",
        f"scheduler/task/{task.pk}/change/",
        f"scheduler/task/{task.pk}/executions/",
        f"scheduler/execution/{execution.pk}/change/",
        "scheduler/run/",
        f"scheduler/run/{run.pk}/change/",
        "notifications/delivery/",
        *(f"scheduler/task/{name}/" for name in ("timeline", "system", "import", "export", "new")),
    ]

    wide = {}
    for address in addresses:
        page.goto(f"{live_server.url}/admin/{address}")
        width = page.evaluate("document.documentElement.scrollWidth")
        if width > 390:
            wide[address] = width

    assert wide == {}


@pytest.mark.parametrize("width", [390, 1024, 1280])
def test_long_names_and_lists_of_permissions_make_no_page_wider_than_the_screen(
    page: Any, live_server: Any, make_task: Any, width: int
) -> None:
    task = make_task("i" * 64, task_name="n" * 200, task_schedule="0 2 * * *")
    user, group = User.objects.get(), Group.objects.create(name="Night shift")
    page.set_viewport_size({"width": width, "height": 844})
    addresses = [
        "scheduler/task/?view=table",
        f"scheduler/task/{task.pk}/",
        f"scheduler/task/{task.pk}/delete/",
        f"auth/user/{user.pk}/change/",
        "auth/group/add/",
        f"auth/group/{group.pk}/change/",
    ]

    wide = {}
    for address in addresses:
        page.goto(f"{live_server.url}/admin/{address}")
        shown = page.evaluate("document.documentElement.scrollWidth")
        if shown > width:
            wide[address] = shown
    page.goto(f"{live_server.url}/admin/scheduler/task/?view=table")
    run = page.get_by_role("button", name="Run now: ").bounding_box()

    assert wide == {}
    assert run["x"] + run["width"] <= width


def test_what_leads_out_of_the_history_stays_beside_its_title_on_a_phone(
    page: Any, live_server: Any, make_task: Any
) -> None:
    task = make_task("a", task_name="A rather long name of a task that needs several lines")
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(f"{live_server.url}/admin/scheduler/task/{task.pk}/")
    page.get_by_role("link", name="History", exact=True).click()
    head = page.locator("#s-dialog-body .s-head")
    head.wait_for()

    title, link, close = (
        one.bounding_box()
        for one in (
            head.get_by_role("heading"),
            head.get_by_text("Open full page"),
            head.get_by_label("Close"),
        )
    )

    assert title["x"] + title["width"] <= link["x"]
    assert link["x"] + link["width"] <= close["x"] and close["x"] + close["width"] <= 390
    assert abs(link["y"] + link["height"] / 2 - close["y"] - close["height"] / 2) < 3


def test_checkboxes_of_a_rule_on_the_form_of_a_task_stand_beside_their_words(
    page: Any, live_server: Any, make_task: Any
) -> None:
    task = make_task("a")
    page.set_viewport_size({"width": 1280, "height": 900})
    page.goto(f"{live_server.url}/admin/scheduler/task/{task.pk}/change/")
    page.get_by_role("button", name="Add a rule").click()
    page.locator(".n-chip").first.wait_for()

    chip, box = (
        page.locator(place).first.bounding_box() for place in (".n-chip", ".n-chip input[type=checkbox]")
    )

    assert abs(chip["y"] + chip["height"] / 2 - box["y"] - box["height"] / 2) < 1.5


@pytest.mark.parametrize("width", [390, 768, 1024])
def test_charts_show_the_newest_without_scrolling(page: Any, live_server: Any, width: int) -> None:
    seed_demonstration(now=datetime.now(UTC), days=3, task_count=12)
    page.set_viewport_size({"width": width, "height": 844})
    task = Task.objects.get(task_id="backup_database")
    shown = {
        "scheduler/task/timeline/": ".s-now",
        "": ".s-day .s-axis, .s-day .s-now",
        f"scheduler/task/{task.pk}/": ".s-durations .s-axis, .s-durations .s-dot, .s-heat",
    }

    rights = {}
    for address, shapes in shown.items():
        page.goto(f"{live_server.url}/admin/{address}")
        boxes = page.locator(shapes).evaluate_all("all => all.map((one) => one.getBoundingClientRect())")
        rights[address] = max(box["right"] for box in boxes)

    assert all(right <= width for right in rights.values()), rights


@pytest.mark.parametrize("width", [390, 768])
def test_buttons_of_the_table_of_tasks_are_in_reach_on_a_narrow_screen(
    page: Any, live_server: Any, make_task: Any, width: int
) -> None:
    make_task("a", task_name="Alpha", task_schedule="0 2 * * *")
    page.set_viewport_size({"width": width, "height": 844})
    page.goto(f"{live_server.url}/admin/scheduler/task/?view=table")

    for role, name in (("button", "Run now: Alpha"), ("link", "History: Alpha")):
        box = page.get_by_role(role, name=name).bounding_box()
        assert box["x"] + box["width"] <= width


def test_the_head_of_the_history_stays_and_the_row_of_the_log_is_marked(
    page: Any, live_server: Any, make_task: Any
) -> None:
    store_executions(make_task("a"), 20)
    for execution in Execution.objects.all():
        ExecutionLog.objects.create(execution=execution, offset=0, size=2, text="x\n")
    Execution.objects.update(log_size=2)
    page.goto(f"{live_server.url}/admin/scheduler/task/")
    page.get_by_role("link", name="History", exact=True).click()
    dialog = page.locator("#s-dialog[open]")

    dialog.get_by_role("button", name="Log").nth(15).click()
    dialog.locator("#s-log-pane pre").wait_for()
    dialog.get_by_role("button", name="Log").nth(17).click()
    page.wait_for_function("document.querySelectorAll('#s-dialog tr')[18].hasAttribute('aria-current')")
    page.locator("#s-dialog").evaluate("(one) => one.scrollTo(0, 9999)")

    assert dialog.locator("tr[aria-current]").count() == 1
    assert page.locator("#s-dialog").evaluate("(one) => one.scrollTop") > 100
    assert dialog.get_by_role("button", name="Close").evaluate("(one) => one.getBoundingClientRect().top > 0")


def test_a_lost_connection_is_said_and_heals(page: Any, live_server: Any, make_task: Any) -> None:
    execution = Execution.objects.create(
        task=make_task("a"), status=Status.RUNNING, trigger="manual", queued_at=NOON, started_at=NOON
    )
    page.goto(f"{live_server.url}/admin/scheduler/execution/{execution.pk}/change/")
    text = "after the break\n"

    page.route("**/log/*", lambda route: route.fulfill(status=503, body=""))
    page.locator("#s-offline").filter(has_text="Connection lost. This page continues").wait_for(timeout=15000)
    page.unroute("**/log/*")
    ExecutionLog.objects.create(execution=execution, offset=0, size=len(text), text=text)
    page.locator("#log").filter(has_text="after the break").wait_for(timeout=15000)

    assert page.locator("#s-offline").is_hidden()
    page.complaints.clear()  # the browser itself reports the answers that were made to fail


def test_the_language_is_switched_from_the_menu(page: Any, live_server: Any, make_task: Any) -> None:
    make_task("a")

    page.locator("#nav-sidebar [x-on\\:click*='openUserLinks'], #nav-sidebar >> text=admin").last.click()
    page.get_by_role("button", name="简体中文").click()

    page.get_by_role("heading", name="需要关注").wait_for()
    page.get_by_role("link", name="运行状态", exact=True).first.wait_for()


def test_the_overview_refreshes_itself(page: Any, live_server: Any, make_task: Any) -> None:
    task = make_task("a", task_name="Watched")
    page.goto(f"{live_server.url}/admin/")
    store_executions(task, 2, Status.TIMEOUT)

    page.get_by_role("link", name="Watched").wait_for(timeout=8000)


def test_a_schedule_that_could_not_be_read_is_read_once_the_connection_is_back(
    page: Any, live_server: Any
) -> None:
    page.goto(f"{live_server.url}/admin/scheduler/task/new/")

    page.route("**/schedule-hint/*", lambda route: route.abort())
    page.get_by_label("Schedule").fill("0 2 * * *")
    page.locator("#s-offline").filter(has_text="Connection lost. This page continues").wait_for()
    page.unroute("**/schedule-hint/*")
    page.locator("#schedule-hint").get_by_text("At 02:00").wait_for()

    assert page.locator("#s-offline").is_hidden()
    page.complaints.clear()  # the browser itself reports the requests that were made to fail


def test_the_form_of_a_task_says_that_the_connection_is_away(
    page: Any, live_server: Any, make_task: Any
) -> None:
    task = make_task("a")
    page.goto(f"{live_server.url}/admin/scheduler/task/{task.pk}/change/")

    page.route("**/schedule-hint/*", lambda route: route.abort())
    page.locator("#id_schedule").fill("0 2 * * *")
    page.locator("#s-offline").filter(has_text="Connection lost. This page continues").wait_for()
    page.unroute("**/schedule-hint/*")
    page.locator("#schedule-hint").get_by_text("At 02:00").wait_for()

    assert page.locator("#s-offline").is_hidden()
    page.complaints.clear()  # the browser itself reports the requests that were made to fail


def test_a_press_that_was_lost_is_told_and_not_repeated(page: Any, live_server: Any, make_task: Any) -> None:
    make_task("a", task_name="Alpha")
    page.goto(f"{live_server.url}/admin/scheduler/task/")
    run = page.get_by_role("button", name="Run now: Alpha")
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url) if request.method == "POST" else None)
    page.clock.set_fixed_time(NOON)

    answers = [
        (lambda route: route.abort(), "Connection lost. Check whether the action took effect"),
        (lambda route: route.fulfill(status=503, body=""), "Not done: the database is busy. Try again."),
        (lambda route: route.fulfill(status=500, body=""), "Not done: server error."),
        (lambda route: route.fulfill(status=403, body=""), "Not done: the request was refused."),
    ]
    for number, (answer, text) in enumerate(answers):
        page.clock.set_fixed_time(NOON + timedelta(minutes=number))
        page.route("**/run/", answer)
        run.click()
        page.locator("#s-notes").get_by_text(text).wait_for()
        page.unroute("**/run/")

    assert len(sent) == 4 and not Execution.objects.exists()
    assert page.locator("#s-offline").is_hidden()
    page.complaints.clear()  # the browser itself reports the requests that were made to fail


def test_a_press_with_a_token_that_is_out_of_date_is_done(
    page: Any, live_server: Any, make_task: Any
) -> None:
    make_task("a", task_name="Alpha")
    page.goto(f"{live_server.url}/admin/scheduler/task/")
    page.evaluate("document.querySelector('#task-form [name=csrfmiddlewaretoken]').value = 'x'.repeat(64)")

    page.get_by_role("button", name="Run now: Alpha").click()

    page.get_by_role("link", name="Alpha was started.").wait_for()


@pytest.mark.parametrize("shape", ["cards", "table"])
def test_the_focus_stays_on_what_was_pressed_and_survives_a_refresh(
    page: Any, live_server: Any, make_task: Any, shape: str
) -> None:
    task = make_task("a", task_name="Alpha", task_schedule="0 2 * * *")
    other = make_task("b", task_name="Beta")
    focused = "document.activeElement.id"
    page.clock.install()
    page.goto(f"{live_server.url}/admin/scheduler/task/?view={shape}")

    page.get_by_role("button", name="Run now: Alpha").focus()
    page.keyboard.press("Enter")
    page.get_by_role("link", name="Alpha was started.").wait_for()
    after_run = page.evaluate(focused)
    page.get_by_role("button", name="Pause: Alpha").focus()
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Resume: Alpha").wait_for()
    after_pause = page.evaluate(focused)
    page.locator(f"#history-task-{task.pk}").focus()
    store_executions(other, 1, Status.TIMEOUT)
    page.clock.run_for(11_000)
    page.locator(f"#task-{other.pk} .s-light.s-bad").wait_for()

    assert (after_run, after_pause) == (f"run-task-{task.pk}", f"switch-task-{task.pk}")
    assert page.evaluate(focused) == f"history-task-{task.pk}"


def test_the_focus_stays_in_the_history_when_it_is_narrowed_and_paged(
    page: Any, live_server: Any, make_task: Any
) -> None:
    store_executions(make_task("a"), 25)
    page.goto(f"{live_server.url}/admin/scheduler/task/")
    page.get_by_role("link", name="History", exact=True).click()
    dialog = page.locator("#s-dialog[open]")
    words = "document.activeElement.textContent"

    dialog.get_by_role("link", name="Success").focus()
    page.keyboard.press("Enter")
    dialog.locator("[aria-current]").filter(has_text="Success").wait_for()
    narrowed = page.evaluate(words)
    dialog.get_by_role("link", name="Older").focus()
    page.keyboard.press("Enter")
    dialog.get_by_role("link", name="Newer").wait_for()
    on_the_last_page = page.evaluate(words)
    page.keyboard.press("Enter")
    dialog.get_by_role("link", name="Older").wait_for()

    assert (narrowed, on_the_last_page) == ("Success", "Newer")
    assert page.evaluate(words) == "Older"


def test_no_id_stands_twice_on_a_page(page: Any, live_server: Any, make_task: Any) -> None:
    seed_demonstration(now=datetime.now(UTC), days=2, task_count=12)

    for shape in ("cards", "table"):
        page.goto(f"{live_server.url}/admin/scheduler/task/?view={shape}")
        page.locator("[id^=history-task-]").first.click()
        page.locator("#s-dialog[open] tbody tr").first.wait_for()
        ids = page.locator("[id]").evaluate_all("all => all.map((one) => one.id)")

        assert sorted(set(ids)) == sorted(ids)


def test_a_double_click_runs_once_even_when_the_answer_comes_between(
    page: Any, live_server: Any, make_task: Any
) -> None:
    make_task("a", task_name="Alpha")
    page.goto(f"{live_server.url}/admin/scheduler/task/")
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url) if request.method == "POST" else None)
    run = page.get_by_role("button", name="Run now: Alpha")
    started = page.get_by_role("link", name="Alpha was started.")

    page.clock.set_fixed_time(NOON)
    run.click()
    started.wait_for()
    run.click()
    run.dblclick()
    Execution.objects.update(status=Status.SUCCESS, finished_at=NOON)
    page.clock.set_fixed_time(NOON + timedelta(seconds=2))
    run.dblclick()
    started.nth(1).wait_for()

    assert len(sent) == 2
    assert Execution.objects.count() == 2
