"""Pages of the operator's site, as a browser without scripts sees them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.cache import cache
from django.db import OperationalError, connection
from django.db.models import F
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from notifications.models import NotificationRule
from schedsite import __version__
from scheduler.choices import Status
from scheduler.config_file import dump_config
from scheduler.models import Execution, ExecutionLog, Process, Run, Task
from scheduler.services.configuration import export_specs
from scheduler.services.dispatch import dispatch_due
from scheduler.services.tasks import delete_task, save_task
from scheduler.task_mapping import task_to_spec
from tests import site_pages
from tests.conftest import NOON
from tests.stack import locked_database
from tests.support.cases import each_case
from tests.support.pages import FORM, HTMX, NASTY, compact, member, part_url, text_of
from tests.support.rows import add_outcomes


@pytest.fixture
def site(admin_client: Client) -> Client:
    return admin_client


# --- all pages -----------------------------------------------------------------------------------


@pytest.fixture
def everything(make_task: Any) -> dict[str, int]:
    """Store a task and executions with markup in every text, and return their keys."""
    task = make_task(
        "a",
        task_name=NASTY,
        task_desc=NASTY,
        task_exec=f"echo {NASTY}",
        task_schedule="*/5 * * * *",
        task_env={"A": NASTY},
    )
    make_task("b", task_dependencies=["a"])
    save_task({**task_to_spec(task), "task_desc": f"{NASTY} again"}, task=task, user=None, now=NOON)
    run = Run.objects.create(trigger="manual", first_task=task, created_at=NOON)
    common: dict[str, Any] = {
        "task": task,
        "trigger": "manual",
        "run": run,
        "queued_at": NOON,
        "started_at": NOON,
        "finished_at": NOON + timedelta(seconds=4),
        "reason": NASTY,
        "worker": NASTY,
        "exit_code": 2,
    }
    first = Execution.objects.create(**common, status=Status.TECHNICAL_FAILURE)
    last = Execution.objects.create(**common, status=Status.TECHNICAL_FAILURE, is_outcome=True, attempt=2)
    for execution in (first, last):
        ExecutionLog.objects.create(execution=execution, offset=0, size=len(NASTY), text=NASTY)
    now = datetime.now(UTC)
    Process.objects.create(
        kind="worker",
        host_id=NASTY[:64],
        host=NASTY,
        pid=1,
        start_ticks=1,
        queue="q",
        started_at=now,
        heartbeat_at=now,
    )
    return {"task": task.pk, "execution": last.pk, "run": run.pk}


def pages() -> list[str]:
    """Return the addresses of all pages of the site."""
    return [address for _, address in site_pages.walk(site_pages.keys())]


@pytest.fixture(scope="module")
def kept() -> dict[str, Any]:
    return {}


@pytest.fixture
def shown(site: Client, everything: dict[str, int], kept: dict[str, Any]) -> dict[str, Any]:
    """Return the answer of each page by its address; they are made once for all tests that only read them."""
    if not kept:
        kept.update({url: site.get(url) for url in pages()})
    return kept


def test_every_address_is_known_to_be_a_page_or_none() -> None:
    unknown = []
    for name in site_pages.names():
        try:
            site_pages.page_of(name)
        except LookupError as error:
            unknown.append(str(error))

    assert unknown == []
    assert {*site_pages.PAGES, *site_pages.NO_PAGES} <= set(site_pages.names())


def test_stored_text_is_text_on_every_page(shown: dict[str, Any]) -> None:
    for url, response in shown.items():
        assert response.status_code == 200, url
        assert "<script>alert" not in text_of(response), url
        assert "<img src=x" not in text_of(response), url


def test_no_page_has_a_script_or_style_of_its_own(shown: dict[str, Any]) -> None:
    for url, response in shown.items():
        html = text_of(response)

        inline = re.findall(r"<script(?![^>]*\bsrc=)[^>]*>", html)
        assert [tag for tag in inline if "application/json" not in tag] == [], url
        assert re.findall(r"\son[a-z]+=\"", html) == [], url
        assert url == reverse("docs") or "<style" not in html, url


def test_every_answer_carries_the_policy(site: Client, client: Client, shown: dict[str, Any]) -> None:
    for url, response in shown.items():
        policy = response.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "script-src 'self' 'unsafe-eval';" in policy
        assert f"style-src 'self'{' ' if url == reverse('docs') else ';'}" in policy
    assert "style-src 'self' 'unsafe-inline'" in site.get(reverse("docs")).headers["Content-Security-Policy"]
    assert "frame-ancestors 'none'" in client.get("/healthz").headers["Content-Security-Policy"]


def test_no_page_names_another_host(shown: dict[str, Any]) -> None:
    for url, response in shown.items():
        html = text_of(response)
        assert re.findall(r'(?:src|href|action)="(?:https?:)?//[^"]+"', html) == [], url


#: Forms that lead those who may not edit to the page of what they would edit.
LED = ("_task_change", "_notificationrule_change")


def test_viewers_read_and_cannot_write(site: Client, everything: dict[str, int]) -> None:
    viewer = member("Viewer")

    answers = {
        (name, address): viewer.get(address).status_code
        for name, address in site_pages.walk(site_pages.keys())
    }

    def is_open(name: str) -> bool:
        is_of_access = name.startswith(
            ("admin:auth_", "admin:scheduler_apitoken_", "admin:scheduler_auditevent_")
        )
        ends = (
            "_new",
            "_add",
            "_delete",
            "_import",
            "_export",
            "execution_resume",
            "notificationrule_change",
        )
        return not is_of_access and not name.endswith(ends)

    led = {name: answers.pop((name, url)) for name, url in list(answers) if name.endswith(LED)}
    assert set(led.values()) == {302}
    assert {place for place, status in answers.items() if (status == 200) is not is_open(place[0])} == set()
    assert {place for place, status in answers.items() if status not in (200, 403)} == set()


def test_values_of_the_environment_are_hidden_from_those_who_may_not_edit(
    site: Client, make_task: Any
) -> None:
    task = make_task("a", task_env={"TOKEN": "s3cret"})
    save_task({**task_to_spec(task), "task_env": {"TOKEN": "n3w"}}, task=task, user=None, now=NOON)
    url = reverse("admin:scheduler_task_page", args=[task.pk])

    shown, hidden = text_of(site.get(url)), text_of(member("Operator").get(url))

    assert "s3cret" in shown and "n3w" in shown
    assert "TOKEN" in hidden and "s3cret" not in hidden and "n3w" not in hidden


@pytest.fixture
def impatient(transactional_db: None) -> Iterator[None]:
    """Let the database of the test be waited for a moment only."""
    is_sqlite = connection.vendor == "sqlite"
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA busy_timeout = 100" if is_sqlite else "SET lock_timeout = '100ms'")
    yield
    connection.close()


def test_a_busy_database_is_said_and_what_was_sent_can_be_sent_again(
    impatient: None, site: Client, make_task: Any
) -> None:
    task = make_task("a", task_schedule="* * * * *")
    Execution.objects.create(task=task, status="running", trigger="manual", queued_at=NOON, started_at=NOON)
    run = reverse("admin:scheduler_task_run", args=[task.pk])

    with locked_database():
        sent = site.post(run)
        read = site.get(reverse("admin:scheduler_execution_changelist"))
    again = site.post(run)

    assert (sent.status_code, sent.headers["Retry-After"]) == (503, "5")
    assert "The database is busy" in text_of(sent) and "Nothing was changed." in text_of(sent)
    assert 'http-equiv="refresh"' not in text_of(sent)  # its address answers to POST alone
    if connection.vendor == "sqlite":  # who reads is not held up by who writes
        assert read.status_code == 200
    else:
        assert read.status_code == 503 and 'http-equiv="refresh"' in text_of(read)
    assert again.status_code == 302


def test_a_page_that_meets_a_busy_database_asks_again_by_itself(
    site: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: Any, **kwargs: Any) -> None:
        raise OperationalError("database is locked")

    monkeypatch.setattr("scheduler.views.tasks.find_tasks", fail)

    response = site.get(reverse("admin:scheduler_task_changelist"))

    assert (response.status_code, response.headers["Retry-After"]) == (503, "5")
    assert "This page tries again in five seconds." in text_of(response)
    assert 'http-equiv="refresh"' in text_of(response)
    assert '<link rel="icon" type="image/svg+xml" href="/static/scheduler/favicon.svg">' in text_of(response)


# --- the shell -----------------------------------------------------------------------------------


def test_an_address_without_a_page_leads_back_without_a_look_at_the_database(
    client: Client, admin_client: Client, django_assert_num_queries: Any
) -> None:
    for visitor in (client, admin_client):
        with django_assert_num_queries(0):
            answer = visitor.get("/nothing", headers={"Accept-Language": "en"})

        assert answer.status_code == 404
        assert "Page not found" in text_of(answer)
        assert f'href="{reverse("admin:index")}"' in text_of(answer)


def test_a_refusal_names_the_missing_permission_and_leads_back(db: None) -> None:
    answer = member("Viewer").get(reverse("admin:scheduler_import"))

    assert answer.status_code == 403
    assert "<code>scheduler.add_task, scheduler.change_task, scheduler.delete_task</code>" in text_of(answer)
    assert f'href="{reverse("admin:index")}"' in text_of(answer)


def test_a_form_without_its_token_is_refused_in_the_look_of_the_site(db: None) -> None:
    answer = Client(enforce_csrf_checks=True).post(reverse("admin:login"), {"username": "a"})

    assert answer.status_code == 403
    assert "This form is out of date" in text_of(answer) and "<style" not in text_of(answer)
    assert "copy what you typed before you load the page again" in text_of(answer)


@pytest.mark.parametrize("header", [{"HX-Request": "true"}, {"X-Requested-With": "XMLHttpRequest"}])
def test_a_script_of_a_reader_who_is_logged_out_gets_no_page_to_log_in(
    client: Client, make_task: Any, header: dict[str, str]
) -> None:
    task = make_task("a")
    execution = add_outcomes(task, 1)[0]
    reads = [
        reverse("admin:scheduler_task_changelist"),
        reverse("admin:scheduler_execution_log", args=[execution.pk]) + "?offset=0",
        reverse("admin:scheduler_schedule_hint"),
    ]

    answers = [client.get(address, headers=header) for address in reads]
    answers.append(client.post(reverse("admin:scheduler_task_run", args=[task.pk]), headers=header))

    for answer in answers:
        assert (answer.status_code, text_of(answer)) == (401, "You are logged out.")
        assert answer.headers["Cache-Control"] == "no-store"
    assert Execution.objects.count() == 1


def test_a_script_of_a_reader_without_any_cookie_is_told_the_same(make_task: Any) -> None:
    run = reverse("admin:scheduler_task_run", args=[make_task("a").pk])

    answer = Client(enforce_csrf_checks=True).post(run, headers=HTMX)

    assert answer.status_code == 401


def test_the_browser_of_a_reader_who_is_logged_out_is_led_to_the_page_to_log_in(
    client: Client, db: None
) -> None:
    address = reverse("admin:scheduler_task_changelist")

    answer = client.get(address)

    assert (answer.status_code, answer.headers["Location"]) == (302, f"/admin/login/?next={address}")


def test_a_refusal_of_a_script_stays_one_for_those_who_are_logged_in(make_task: Any) -> None:
    run = reverse("admin:scheduler_task_run", args=[make_task("a").pk])

    assert member("Viewer").post(run, headers=HTMX).status_code == 403


def test_the_language_is_chosen_before_logging_in(client: Client, db: None) -> None:
    login = f"{reverse('admin:login')}?next=/admin/scheduler/task/"
    form = text_of(client.get(login)).split('id="language-form"')[1].split("</form>")[0]

    answer = client.post(reverse("set_language"), {"next": login, "language": "zh-hans"})

    assert f'name="next" value="{login}"' in form and 'value="zh-hans"' in form
    assert answer.headers["Location"] == login
    assert 'lang="zh-hans"' in text_of(client.get(login))


def test_the_first_thing_to_reach_with_the_keyboard_skips_to_the_content(site: Client) -> None:
    for name in ("index", "scheduler_system", "auth_user_changelist", "scheduler_task_add"):
        body = text_of(site.get(reverse(f"admin:{name}"))).split("<body")[1]
        first = re.search(r"<(?:a|button|input)\b[^>]*>", body)

        assert first and 'href="#content"' in first[0], name
        assert 'id="content"' in body


def test_every_page_of_the_shell_can_ask_note_and_say_that_the_connection_is_away(
    shown: dict[str, Any],
) -> None:
    for url, response in shown.items():
        html = text_of(response)
        if 'id="page"' not in html:  # the description of the API
            continue

        for part in ("s-dialog", "s-dialog-body", "s-confirm", "s-confirm-text", "s-notes", "s-offline"):
            assert html.count(f'id="{part}"') == 1, (url, part)


# --- counts of queries and weight ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "most"),
    [
        ("index", 23),
        ("scheduler_task_changelist", 10),
        ("scheduler_timeline", 8),
        ("scheduler_system", 20),  # PostgreSQL is asked for the size of the database
        ("scheduler_export", 8),
    ],
)
def test_pages_need_the_same_queries_for_one_task_and_for_many(
    site: Client, make_task: Any, django_assert_num_queries: Any, name: str, most: int
) -> None:
    begin = datetime.now(UTC) - timedelta(hours=5)

    def fill(numbers: range) -> None:
        for number in numbers:
            task = make_task(f"t{number}", task_schedule="* * * * *", task_tags=[f"tag{number}"])
            add_outcomes(task, 3, Status.TIMEOUT, begin=begin)
            Execution.objects.create(
                task=task, status="running", trigger="manual", queued_at=begin, started_at=begin
            )

    fill(range(1))
    url = reverse(f"admin:{name}")
    site.get(url)
    cache.clear()
    with CaptureQueriesContext(connection) as one:
        site.get(url)
    fill(range(1, 30))
    cache.clear()

    assert len(one) <= most
    with django_assert_num_queries(len(one)):
        site.get(url)


@pytest.mark.parametrize(
    ("name", "most"),
    [("task_page", 18), ("task_history_list", 7), ("task_change", 5)],
)
def test_pages_of_a_task_need_the_same_queries_for_any_history(
    site: Client, make_task: Any, django_assert_num_queries: Any, name: str, most: int
) -> None:
    task = make_task("a", task_schedule="* * * * *")
    add_outcomes(task, 1)
    url = reverse(f"admin:scheduler_{name}", args=[task.pk])
    site.get(url)  # what is kept between requests is kept now
    with CaptureQueriesContext(connection) as one:
        site.get(url)
    add_outcomes(task, 200, Status.TIMEOUT, begin=NOON + timedelta(days=1))

    assert len(one) <= most
    with django_assert_num_queries(len(one)):
        site.get(url)


def test_a_full_page_of_tasks_is_below_300_kilobytes(site: Client, make_task: Any) -> None:
    for number in range(30):
        task = make_task(
            f"a_rather_long_task_id_{number}",
            task_name="A rather long name of a task",
            task_schedule="* * * * *",
        )
        add_outcomes(task, 30, Status.TECHNICAL_FAILURE)

    for view in ("cards", "table"):
        response = site.get(reverse("admin:scheduler_task_changelist"), {"view": view})
        assert len(response.content) < 300_000


# --- tasks ---------------------------------------------------------------------------------------


def test_the_list_is_filtered_by_state_tag_and_text(site: Client, make_task: Any) -> None:
    add_outcomes(make_task("good", task_tags=["x"]), 1)
    add_outcomes(make_task("bad", task_tags=["x", "y"]), 1, Status.TIMEOUT)
    make_task("idle", task_enabled=False)
    url = reverse("admin:scheduler_task_changelist")

    def found(**query: str) -> set[str]:
        html = text_of(site.get(url, query))
        return {name for name in ("good", "bad", "idle") if f'<p class="s-id">{name}</p>' in html}

    assert found() == {"good", "bad", "idle"}
    assert found(state="failing") == {"bad"}
    assert found(state="ok") == {"good"}
    assert found(state="paused") == {"idle"}
    assert found(state="never") == {"idle"}
    assert found(tag="x") == {"good", "bad"}
    assert found(tag="x", state="failing") == {"bad"}
    assert found(q="oo") == {"good"}


@pytest.mark.parametrize(
    "name", ["index", "scheduler_task_changelist", "scheduler_system", "auth_user_changelist"]
)
def test_the_title_says_how_many_fail(site: Client, make_task: Any, name: str) -> None:
    add_outcomes(make_task("bad"), 1, Status.TIMEOUT)

    html = compact(site.get(reverse(f"admin:{name}"), {"q": "nothing"}))

    assert re.search(r"<title>\s*\(1\) ", html)
    assert 'data-failing="1"' in html


def test_the_heading_of_a_page_writes_a_name_as_it_is_and_models_with_a_capital(
    site: Client, make_task: Any
) -> None:
    task = make_task("a", task_name="x y")

    page = compact(site.get(reverse("admin:scheduler_task_page", args=[task.pk])))
    form = compact(site.get(reverse("admin:scheduler_task_change", args=[task.pk])))

    assert heading_parts(page) == ["x y"]
    assert heading_parts(form) == ["Scheduler", "Tasks", "a"]


def heading_parts(html: str) -> list[str]:
    found = re.findall(r'truncate tracking-tight">\s*(.*?)\s*</', html, re.DOTALL)
    return [part.strip() for part in found]


def test_who_may_not_see_tasks_is_not_told_how_many_fail(client: Client, make_task: Any) -> None:
    add_outcomes(make_task("bad"), 1, Status.TIMEOUT)
    client.force_login(User.objects.create_user("nobody", is_staff=True))

    html = text_of(client.get(reverse("admin:index")))

    assert 'data-failing="0"' in html and "(1)" not in html


def test_the_choice_of_a_table_is_remembered(site: Client, make_task: Any) -> None:
    make_task("a")
    url = reverse("admin:scheduler_task_changelist")

    site.get(url, {"view": "table"})
    again = text_of(site.get(url))

    assert "s-task-table" in again


def test_the_list_is_silent_until_something_changes(site: Client, make_task: Any) -> None:
    task = make_task("a")
    url = part_url(compact(site.get(reverse("admin:scheduler_task_changelist"))), "tasks")

    silent = site.get(url)
    add_outcomes(task, 1, Status.TIMEOUT)
    changed = site.get(url)

    assert (silent.status_code, changed.status_code) == (204, 200)
    assert compact(changed).startswith('<div id="tasks" hx-get=')


def test_buttons_on_a_card_answer_with_the_card_and_a_note(site: Client, make_task: Any) -> None:
    task = make_task("a", task_name="Alpha", task_schedule="* * * * *")

    started = site.post(reverse("admin:scheduler_task_run", args=[task.pk]), headers=HTMX)
    paused = site.post(reverse("admin:scheduler_task_pause", args=[task.pk]), headers=HTMX)

    note = json.loads(started.headers["HX-Trigger"])["schedsite:note"]
    execution = Execution.objects.get(trigger="manual")
    assert note["text"] == "Alpha was started."
    assert note["link"] == reverse("admin:scheduler_execution_change", args=[execution.pk])
    assert f'id="task-{task.pk}"' in compact(started)
    assert ">Resume</button>" in compact(paused)


@pytest.mark.parametrize("asked", ["", "?state=never", "?tag=shop&view=table", "?q=a&page=1"])
def test_several_tasks_are_paused_and_resumed_at_once(site: Client, make_task: Any, asked: str) -> None:
    tasks = [make_task(name, task_schedule="* * * * *", task_tags=["shop"]) for name in ("a", "b")]
    url = reverse("admin:scheduler_task_changelist") + asked
    chosen = {"_selected_action": [task.pk for task in tasks], "index": "0"}

    site.post(url, {**chosen, "action": "disable"})
    paused = Task.objects.filter(enabled=False).count()
    answer = site.post(url, {**chosen, "action": "enable"}, follow=True)

    assert paused == 2
    assert Task.objects.filter(enabled=True).count() == 2
    assert "2 tasks were resumed." in text_of(answer)
    assert answer.redirect_chain == [(url, 302)]


def test_deleting_says_what_stays_what_is_cut_off_and_what_is_cancelled(site: Client, make_task: Any) -> None:
    task = make_task("a")
    make_task("down", task_dependencies=["a"])
    add_outcomes(task, 1)
    for status in ("queued", "running"):
        Execution.objects.create(task=task, status=status, trigger="manual", queued_at=NOON, started_at=NOON)

    one = text_of(site.get(reverse("admin:scheduler_task_delete", args=[task.pk])))
    several = text_of(
        site.post(
            reverse("admin:scheduler_task_changelist"),
            {"action": "delete_selected", "_selected_action": [task.pk], "index": "0"},
        )
    )

    for html in (one, several):
        assert "Its history and logs stay" in html
        assert "1 queued execution is cancelled." in html
        assert "1 running execution continues to its end." in html
        assert "lose this dependency" in html and ">down</a>" in html
        assert "related items" not in html


# --- history -------------------------------------------------------------------------------------


def test_history_pages_by_cursor_without_loss_or_repetition(site: Client, make_task: Any) -> None:
    task = make_task("a")
    stored = [row.pk for row in add_outcomes(task, 45)]
    url = reverse("admin:scheduler_task_history_list", args=[task.pk])
    seen: list[int] = []
    html = text_of(site.get(url))
    while True:
        seen += [int(pk) for pk in re.findall(r"/execution/(\d+)/change/", html)]
        older = re.search(r'href="([^"]+)"[^>]*>Older<', html)
        if not older:
            break
        html = text_of(site.get(older[1].replace("&amp;", "&")))

    assert seen == stored[::-1]
    assert ">Newer<" in html


def test_history_is_a_part_for_the_dialog_and_a_page_for_the_address(site: Client, make_task: Any) -> None:
    task = make_task("a")
    add_outcomes(task, 1)
    url = reverse("admin:scheduler_task_history_list", args=[task.pk])

    part, whole = text_of(site.get(url, headers=HTMX)), text_of(site.get(url))

    assert "<html" not in part and "Open full page" in part
    assert "<html" in whole and "s-history" in whole


def test_history_compares_with_what_is_typical(site: Client, make_task: Any) -> None:
    task = make_task("a")
    add_outcomes(task, 9)
    at = NOON + timedelta(hours=1)
    Execution.objects.create(
        task=task,
        status="success",
        is_outcome=True,
        trigger="manual",
        queued_at=at,
        started_at=at,
        finished_at=at + timedelta(seconds=9),
    )

    html = compact(site.get(reverse("admin:scheduler_task_history_list", args=[task.pk])))

    assert "3.0× typical" in html
    assert "Typically 3.00 s, nearly always below 9.00 s" in html


@each_case("cursor", ["x", "o.1.2", "😀", "a" * 500])
def test_a_bad_cursor_shows_the_first_page(site: Client, make_task: Any, cursor: str) -> None:
    task = make_task("a")
    add_outcomes(task, 1)

    response = site.get(reverse("admin:scheduler_task_history_list", args=[task.pk]), {"cursor": cursor})

    assert response.status_code == 200 and "/execution/" in text_of(response)


# --- one task ------------------------------------------------------------------------------------


def test_the_page_of_a_task_shows_what_changed(site: Client, make_task: Any) -> None:
    task = make_task("a", task_schedule="0 1 * * *")
    save_task({**task_to_spec(task), "task_schedule": "0 2 * * *"}, task=task, user=None, now=NOON)

    html = text_of(site.get(reverse("admin:scheduler_task_page", args=[task.pk])))

    assert "Revision 2" in html
    assert "<del>0 1 * * *</del> → <ins>0 2 * * *</ins>" in html


# --- one execution -------------------------------------------------------------------------------


def failed(task: Task, minutes: int, text: str, exit_code: int = 2) -> Execution:
    """Store a failure with its output."""
    at = NOON + timedelta(minutes=minutes)
    execution = Execution.objects.create(
        task=task,
        status=Status.TECHNICAL_FAILURE,
        is_outcome=True,
        trigger="schedule",
        queued_at=at,
        started_at=at,
        finished_at=at,
        exit_code=exit_code,
    )
    ExecutionLog.objects.create(execution=execution, offset=0, size=len(text), text=text)
    return execution


def test_the_same_error_is_found_in_earlier_executions(site: Client, make_task: Any) -> None:
    task = make_task("a")
    same = failed(task, 1, "begin\n\x1b[31merror: order 17 is locked\x1b[0m\n")
    failed(task, 2, "begin\nerror: disk full\n")
    failed(task, 3, "begin\nerror: order 18 is locked\n", exit_code=3)
    last = failed(task, 4, "begin\nerror: order 4711 is locked\n")

    html = text_of(site.get(reverse("admin:scheduler_execution_change", args=[last.pk])))

    assert "1 of the last 3 failures match." in html
    section = html.split("Similar failures")[1]
    assert re.findall(r">#(\d+)</a>", section) == [str(same.pk)]


def test_only_the_end_of_a_long_log_is_on_the_page(site: Client, make_task: Any) -> None:
    execution = add_outcomes(make_task("a"), 1)[0]
    for number in range(10):
        text = f"{number}" * 60_000
        ExecutionLog.objects.create(execution=execution, offset=number * 60_000, size=60_000, text=text)

    response = site.get(reverse("admin:scheduler_execution_change", args=[execution.pk]))

    assert len(response.content) < 200_000
    assert "data-log-earlier" in text_of(response)


def test_a_log_on_a_page_keeps_its_carriage_returns_and_its_first_line_end(
    site: Client, make_task: Any
) -> None:
    text = "\n10 %\r<20 %>\r\n"
    execution = add_outcomes(make_task("a"), 1)[0]
    ExecutionLog.objects.create(execution=execution, offset=0, size=len(text), text=text)

    for name in ("scheduler_execution_change", "scheduler_execution_log_pane"):
        html = text_of(site.get(reverse(f"admin:{name}", args=[execution.pk])))

        assert ">\n\n10 %&#13;&lt;20 %&gt;&#13;\n</pre>" in html


def test_the_log_is_sent_in_parts(site: Client, make_task: Any) -> None:
    execution = add_outcomes(make_task("a"), 1)[0]
    for number in range(10):
        ExecutionLog.objects.create(
            execution=execution, offset=number * 60_000, size=60_000, text="x" * 60_000
        )
    url = reverse("admin:scheduler_execution_log", args=[execution.pk])
    received, offset = 0, "0"

    while True:
        part = site.get(url, {"offset": offset})
        if not part.content:
            break
        received, offset = received + len(part.content), part["X-Next-Offset"]
        assert len(part.content) <= 330_000

    assert (received, offset) == (600_000, "600000")


def test_the_facts_of_a_running_execution_are_silent_until_it_ends(site: Client, make_task: Any) -> None:
    execution = Execution.objects.create(
        task=make_task("a"), status="running", trigger="manual", queued_at=NOON, started_at=NOON
    )
    page = compact(site.get(reverse("admin:scheduler_execution_change", args=[execution.pk])))
    url = part_url(page, "facts")

    silent = site.get(url)
    Execution.objects.filter(pk=execution.pk).update(status="success", finished_at=NOON)
    ended = site.get(url)

    assert (silent.status_code, ended.status_code) == (204, 200)
    assert "hx-get" not in compact(ended) and "Success" in compact(ended)


# --- form ----------------------------------------------------------------------------------------


@each_case(
    ("schedule", "zone", "shown"),
    [
        ("30 2 * * *", "Europe/Berlin", "Europe/Berlin"),
        ("0 0 30 2 *", "", "never"),
        ("0 0 * 2 4#5", "", "does not fire before 20"),
        ("0 9 ? * 2-6", "", "in Quartz"),
        ("*/90 * * * *", "", "it means 0, as in cron"),
        ("* * *", "", "fields"),
        ("0 2 * * *", "Mars/Olympus", "the time zone &quot;Mars/Olympus&quot; is unknown"),
        ("", "", "only by dependency, manually or via the API"),
    ],
)
def test_a_schedule_is_answered_while_it_is_typed(site: Client, schedule: str, zone: str, shown: str) -> None:
    response = site.get(reverse("admin:scheduler_schedule_hint"), {"schedule": schedule, "timezone": zone})

    assert response.status_code == 200
    assert shown in text_of(response)


def test_the_answer_names_what_changes_of_the_clock_do(site: Client) -> None:
    html = text_of(
        site.get(
            reverse("admin:scheduler_schedule_hint"), {"schedule": "30 2 * * *", "timezone": "Europe/Berlin"}
        )
    )

    assert "02:30 does not exist; it runs at 03:00 CEST" in html
    assert "02:30 comes twice; it runs once" in html
    assert html.count("data-relative") == 5


def test_the_fixed_times_of_one_gap_are_one_line(site: Client) -> None:
    address = reverse("admin:scheduler_schedule_hint")

    three = text_of(site.get(address, {"schedule": "*/20 2 * * *", "timezone": "Europe/Berlin"}))
    sixty = text_of(site.get(address, {"schedule": "* 2 * * *", "timezone": "Europe/Berlin"}))

    assert three.count("not exist") == 1
    assert "02:00, 02:20, 02:40 do not exist; it runs once, at 03:00 CEST" in three
    assert "02:00, 02:01, …, 02:59 do not exist; it runs once, at 03:00 CEST" in sixty


def test_variables_are_rows(site: Client, make_task: Any) -> None:
    task = make_task("a", task_env={"A": "1"})
    url = reverse("admin:scheduler_task_change", args=[task.pk])
    fields = dict(re.findall(r'name="(\w+)" value="([^"]*)"', compact(site.get(url))))

    data = {**FORM, "task_id": "a", "env_name": ["A", "", "B"], "env_value": ["2", "", " x "]}
    site.post(url, data)
    twice = site.post(url, {**data, "env_name": ["A", "A"], "env_value": ["1", "2"]})

    assert fields["env_name"] in ("A", "")
    assert Task.objects.get().env == {"A": "2", "B": " x "}
    assert "The name A comes twice." in compact(twice)


# --- new from a template -------------------------------------------------------------------------

NEW = {
    "kind": "python",
    "task_id": "fresh",
    "name": "Fresh",
    "schedule": "0 2 * * *",
    "timezone": "",
    "tags": "shop, nightly",
    "timeout": "7200",
}


@pytest.mark.parametrize(("kind", "file"), [("python", "main.py"), ("shell", "main.sh")])
def test_a_template_makes_the_task_and_its_script(site: Client, settings: Any, kind: str, file: str) -> None:
    answer = site.post(reverse("admin:scheduler_task_new"), {**NEW, "kind": kind})

    task = Task.objects.get()
    script = settings.SCHEDULER_TASKS_DIR / "fresh" / file
    assert answer.headers["Location"] == reverse("admin:scheduler_task_page", args=[task.pk])
    assert file in task.command and script.is_file()
    assert (task.tags, task.timeout) == (["shop", "nightly"], 7200)
    definition = text_of(site.get(answer.headers["Location"])).split('id="definition"')[1]
    assert task.command in definition and str(script.parent) in definition
    assert script.stat().st_mode & 0o777 == 0o644


def test_a_template_overwrites_nothing(site: Client, settings: Any) -> None:
    script = settings.SCHEDULER_TASKS_DIR / "fresh" / "main.py"
    script.parent.mkdir()
    script.write_text("mine")

    answer = site.post(reverse("admin:scheduler_task_new"), NEW)

    assert "fresh/main.py already exists and is not overwritten" in text_of(answer)
    assert script.read_text() == "mine"
    assert not Task.objects.exists()


def test_a_template_does_not_follow_a_link_out_of_the_folder(
    site: Client, settings: Any, tmp_path: Any
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (settings.SCHEDULER_TASKS_DIR / "fresh").symlink_to(outside)

    answer = site.post(reverse("admin:scheduler_task_new"), NEW)

    assert "cannot be written" in text_of(answer)
    assert list(outside.iterdir()) == []
    assert not Task.objects.exists()


@pytest.mark.parametrize(
    ("field", "value", "text"),
    [
        ("task_id", "../up", "task_id"),
        ("schedule", "0 0 30 2 *", "never"),
        ("timezone", "Mars/Olympus", "unknown"),
        ("tags", "two words", "tags"),
        ("timeout", "-1", "timeout"),
        ("name", "", "required"),
    ],
)
def test_a_refused_template_writes_no_file_and_loses_nothing_typed(
    site: Client, settings: Any, field: str, value: str, text: str
) -> None:
    answer = site.post(reverse("admin:scheduler_task_new"), {**NEW, "name": "Typed", field: value})

    html = text_of(answer)
    assert answer.status_code == 200 and "errorlist" in html and text in html
    assert field == "name" or 'value="Typed"' in html
    assert list(settings.SCHEDULER_TASKS_DIR.iterdir()) == []
    assert not Task.objects.exists()


def test_a_taken_id_leaves_no_script_behind(site: Client, settings: Any, make_task: Any) -> None:
    make_task("fresh")

    answer = site.post(reverse("admin:scheduler_task_new"), NEW)

    assert "is taken" in text_of(answer)
    assert not (settings.SCHEDULER_TASKS_DIR / "fresh").exists()


# --- import and export ---------------------------------------------------------------------------


def config(*specs: dict[str, Any]) -> str:
    return json.dumps({"tasks": list(specs)})


ONE = {"task_id": "one", "task_name": "One", "task_exec": "true", "task_schedule": "0 1 * * *"}


def plan_of(html: str) -> str:
    found = re.search(r'name="plan" value="(\w+)"', html)
    assert found
    return found[1]


def test_a_plan_is_shown_before_it_is_applied(site: Client, make_task: Any) -> None:
    make_task("one", task_schedule="0 3 * * *")
    make_task("gone")
    url = reverse("admin:scheduler_import")
    data = {"text": config(ONE, {**ONE, "task_id": "two"}), "prune": "on"}

    shown = compact(site.post(url, {**data, "action": "plan"}))
    before = set(Task.objects.values_list("task_id", flat=True))
    site.post(url, {**data, "action": "apply", "plan": plan_of(shown)})

    assert shown.count("s-button s-primary") == 1
    assert 's-count s-technical_failure"><strong>1<' in shown and 's-count s-none"><strong>0<' in shown
    assert "+ two" in shown and "− gone" in shown and "~ one" in shown
    assert "<del>0 3 * * *</del>→<ins>0 1 * * *</ins>" in shown
    assert "Next runs before" in shown
    assert "One task is deleted: its history stays" in shown
    assert before == {"one", "gone"}
    assert set(Task.objects.values_list("task_id", flat=True)) == {"one", "two"}


def test_a_plan_tells_next_runs_in_the_zone_of_the_task_before_and_after(
    site: Client, make_task: Any
) -> None:
    make_task("one", task_schedule="0 3 * * *", task_timezone="Asia/Shanghai")
    wanted = {**ONE, "task_timezone": "Asia/Tokyo"}

    html = text_of(site.post(reverse("admin:scheduler_import"), {"text": config(wanted), "action": "plan"}))

    before, after = html.split("Next runs before")[1].split("Next runs after")
    assert before.count("03:00 CST</time>") == 3
    assert after.count("01:00 JST</time>") == 3


def test_a_plan_that_is_no_longer_true_is_shown_anew_and_not_applied(site: Client, make_task: Any) -> None:
    url = reverse("admin:scheduler_import")
    data = {"text": config(ONE)}
    digest = plan_of(text_of(site.post(url, {**data, "action": "plan"})))
    make_task("one", task_schedule="0 5 * * *")

    answer = text_of(site.post(url, {**data, "action": "apply", "plan": digest}))

    assert "The tasks changed since this plan was shown." in answer
    assert Task.objects.get().schedule == "0 5 * * *"


def test_mistakes_are_listed_with_their_place_and_nothing_is_lost(site: Client) -> None:
    text = '{"tasks": [\n  {"task_id": "a", "task_name": "A", "task_exec": "x", "task_timout": 3}\n]}'

    html = text_of(site.post(reverse("admin:scheduler_import"), {"text": text, "action": "plan"}))

    assert "1 error found. Nothing was imported." in html
    assert "2:" in html and "task_timout" in html and "task_timeout" in html
    assert "&quot;task_timout&quot;: 3" in html


def test_a_file_is_imported(site: Client, tmp_path: Any) -> None:
    path = tmp_path / "config.json"
    path.write_text(config(ONE))
    with path.open("rb") as file:
        html = text_of(site.post(reverse("admin:scheduler_import"), {"file": file, "action": "plan"}))

    assert "+ one" in html


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00", b"[", b"\xef\xbb\xbf[]", b"null"])
def test_no_file_breaks_the_page(site: Client, tmp_path: Any, content: bytes) -> None:
    path = tmp_path / "config.json"
    path.write_bytes(content)
    with path.open("rb") as file:
        response = site.post(reverse("admin:scheduler_import"), {"file": file, "action": "plan"})

    assert response.status_code == 200
    assert not Task.objects.exists()


def test_what_is_exported_is_what_import_takes(site: Client, make_task: Any) -> None:
    make_task("a", task_schedule="0 1 * * *", task_tags=["x"])
    make_task("b")

    everything = text_of(site.get(reverse("admin:scheduler_export"), {"download": "1"}))
    tagged = text_of(site.get(reverse("admin:scheduler_export"), {"download": "1", "tag": "x"}))
    plan = text_of(site.post(reverse("admin:scheduler_import"), {"text": everything, "action": "plan"}))

    assert everything == dump_config(export_specs())
    assert [task["task_id"] for task in json.loads(tagged)["tasks"]] == ["a"]
    assert "Nothing would change." in plan


# --- timeline, system, overview ------------------------------------------------------------------


def test_a_series_of_skipped_slots_is_one_mark_and_one_row_that_says_how_many(
    site: Client, make_task: Any
) -> None:
    task = make_task("a", task_schedule="*/10 * * * *", task_timezone="UTC")
    for minutes in range(10, 61, 10):
        dispatch_due(NOON + timedelta(minutes=minutes))
    row = Execution.objects.get(status=Status.SKIPPED)

    timeline = text_of(site.get(reverse("admin:scheduler_timeline"), {"at": "2026-06-01T12:00Z", "hours": 1}))
    lists = [
        text_of(site.get(reverse("admin:scheduler_execution_changelist"))),
        text_of(site.get(reverse("admin:scheduler_task_history_list", args=[task.pk]))),
        text_of(site.get(reverse("admin:scheduler_execution_change", args=[row.pk]))),
    ]

    assert row.slot_count == 5
    marks = re.findall(rf'href="[^"]*/{row.pk}/change/".*?</a>', timeline, re.DOTALL)
    assert len(marks) == 1
    widths = [float(width) for width in re.findall(r'width="([\d.]+)%?"', marks[0])]
    assert max(widths) > 60  # from 12:20 to 13:00, of an hour
    assert all("(5 slots)" in html for html in lists)


def test_the_timeline_shows_what_ran_and_what_is_planned(site: Client, make_task: Any) -> None:
    task = make_task("a", task_schedule="0 * * * *", now=datetime.now(UTC))
    present = datetime.now(UTC)
    add_outcomes(task, 1, Status.TIMEOUT, begin=present - timedelta(hours=1))
    at = f"{present - timedelta(hours=3):%Y-%m-%dT%H:%M}Z"

    html = text_of(site.get(reverse("admin:scheduler_timeline"), {"at": at, "hours": "6"}))

    chart = html.split("<svg")[1].split("</svg>")[0]
    assert chart.count("s-bar s-timeout") == 1
    assert chart.count("s-bar s-planned") == 3
    assert "s-now" in chart


def test_slots_that_are_too_near_to_be_told_apart_are_drawn_as_one_row_that_says_how_often(
    site: Client, make_task: Any
) -> None:
    make_task("dense", task_schedule="*/5 * * * *")
    make_task("sparse", task_schedule="0 */6 * * *")

    html = text_of(site.get(reverse("admin:scheduler_timeline"), {"at": "2099-06-01T00:00Z"}))

    dense, sparse = html.split("<svg")[1].split("<g>")[1:]
    assert dense.count("s-many s-planned") == 1 and "s-bar" not in dense
    assert "Planned · Every 5 minutes · 2099-06-01 00:05:00 UTC – 2099-06-02 00:00:00 UTC" in dense
    assert sparse.count("s-bar s-planned") == 4 and "s-many" not in sparse


def test_a_row_of_near_slots_ends_where_the_schedule_pauses(site: Client, make_task: Any) -> None:
    make_task("a", task_schedule="* 9-10 * * *")

    html = text_of(site.get(reverse("admin:scheduler_timeline"), {"at": "2099-06-01T00:00Z"}))

    assert html.count("s-many") == 1
    assert "2099-06-01 09:00:00 UTC – 2099-06-01 10:59:00 UTC" in html


@each_case(
    "query",
    ["at=x", "at=0001-01-01T00:00Z", "hours=0", "hours=9999", "page=99999999999", "at=9999-12-31T23:59Z"],
)
def test_the_timeline_takes_any_address(site: Client, make_task: Any, query: str) -> None:
    make_task("a", task_schedule="* * * * *")

    assert site.get(f"{reverse('admin:scheduler_timeline')}?{query}").status_code == 200


def test_the_overview_shows_what_is_stuck_and_what_is_late(site: Client, make_task: Any) -> None:
    now = datetime.now(UTC)
    slow, waiting = make_task("slow", task_name="Slow"), make_task("waiting", task_name="Waiting")
    add_outcomes(slow, 5, begin=now - timedelta(days=1))
    Execution.objects.create(
        task=slow, status="running", trigger="manual", queued_at=now, started_at=now - timedelta(minutes=10)
    )
    Execution.objects.create(
        task=waiting, status="queued", trigger="manual", queued_at=now - timedelta(minutes=3)
    )

    html = text_of(site.get(reverse("admin:index")))

    attention = html.split("Needs attention")[1].split("</section>")[0]
    assert "Slow" in attention and "is running far longer than usual" in attention
    assert "Waiting" in attention and "is late" in attention
    assert "of about 3.00 s" in html


def test_the_overview_names_twenty_failing_tasks_and_how_many_more_fail(site: Client, make_task: Any) -> None:
    for number in range(22):
        add_outcomes(make_task(f"task_{number}"), 1, Status.TIMEOUT)

    html = compact(site.get(reverse("admin:scheduler_overview")))

    assert html.count('id="failing-') == 20
    link = reverse("admin:scheduler_task_changelist") + "?state=failing"
    assert f'<a id="more-failing" class="s-link" href="{link}">and 2 more fail</a>' in html
    assert 'data-failing="22"' in html
    assert (
        '<h2>Needs attention<span class="s-quiet">24</span></h2>' in html
    )  # no dispatcher and no worker either


def test_the_overview_says_when_what_runs_should_end_in_the_zone_of_its_task(
    site: Client, make_task: Any
) -> None:
    now = datetime.now(UTC)
    task = make_task("a", task_timezone="Asia/Tokyo")
    add_outcomes(task, 5, begin=now - timedelta(days=1))
    Execution.objects.update(finished_at=F("started_at") + timedelta(hours=2))
    started = now - timedelta(minutes=30)
    Execution.objects.create(
        task=task, status="running", trigger="manual", queued_at=started, started_at=started
    )

    html = text_of(site.get(reverse("admin:index")))

    assert re.search(r"ends about <time [^>]*>[^<]*\d\d:\d\d JST</time>", html)
    assert "s-single" not in html


def test_next_up_takes_all_the_width_when_nothing_runs(site: Client, make_task: Any) -> None:
    make_task("a", task_schedule="0 * * * *")

    assert "s-columns s-single" in text_of(site.get(reverse("admin:index")))


def test_the_page_of_a_task_shows_more_executions_than_its_card(site: Client, make_task: Any) -> None:
    task = make_task("a")
    add_outcomes(task, 100)

    page = text_of(site.get(reverse("admin:scheduler_task_page", args=[task.pk])))
    cards = text_of(site.get(reverse("admin:scheduler_task_changelist")))

    strips = [html.split('class="s-strip"')[1].split("</svg>")[0] for html in (page, cards)]
    assert [strip.count("s-bar") for strip in strips] == [90, 30]


def test_the_day_strip_marks_slots_that_fall_together(site: Client, make_task: Any) -> None:
    now = datetime.now(UTC)
    hour = (now + timedelta(hours=3)).hour
    for number in range(6):
        make_task(f"t{number}", task_schedule=f"0 {hour} * * *", now=now)

    html = text_of(site.get(reverse("admin:index")))

    assert f"6 start together at {hour:02d}:00" in html
    assert html.count('class="s-bar s-crowded"') == 1


def test_the_system_page_shows_processes_queues_and_punctuality(site: Client, make_task: Any) -> None:
    now = datetime.now(UTC)
    Process.objects.create(
        kind="cluster",
        host_id="h",
        host="web-1",
        pid=7,
        start_ticks=1,
        queue="heavy",
        started_at=now,
        heartbeat_at=now,
    )
    add_outcomes(make_task("a"), 3)

    html = compact(site.get(reverse("admin:scheduler_system")))

    assert "web-1:7" in html and ">heavy</td>" in html
    assert f"<dt>Schedsite</dt><dd>{__version__}</dd>" in html
    assert "Median start delay" in html and "0.00 s" in html
    assert "No dispatcher is running" in html


def test_numbers_of_the_system_page_lead_to_the_executions_that_they_count(
    site: Client, make_task: Any
) -> None:
    rows = [
        Execution(task=make_task(name), status=status, trigger="manual", queued_at=NOON, started_at=at)
        for name, status, at in (("a", "queued", None), ("b", "running", NOON))
    ]
    Execution.objects.bulk_create(rows)

    url = reverse("admin:scheduler_execution_changelist")
    html = compact(site.get(reverse("admin:scheduler_system")))
    Execution.objects.filter(status="running").update(queue="heavy")
    of_two_queues = compact(site.get(reverse("admin:scheduler_system")))

    for end in ("?status=queued", "?status=running"):
        assert f'href="{url}{end}">1</a>' in html and f'href="{url}{end}"' not in of_two_queues
    assert f'id="executions" href="{url}">' in html and f'id="executions" href="{url}">' in of_two_queues


@pytest.mark.parametrize("language", ["en", "zh-hans"])
def test_lists_of_the_admin_write_instants_as_all_pages_do(site: Client, language: str) -> None:
    at = datetime(2026, 11, 25, 12, 37, 5, tzinfo=UTC)
    Process.objects.create(
        kind="worker", host_id="h", host="h", pid=1, start_ticks=1, queue="q", started_at=at, heartbeat_at=at
    )

    url = reverse("admin:scheduler_process_changelist")
    html = text_of(site.get(url, headers={"Accept-Language": language}))

    assert html.count("2026-11-25 12:37:05 UTC") == 2
    assert re.search(r"field-stopped_at[^>]*>\s*–\s*<", html)


def test_the_page_of_a_task_explains_why_it_does_not_run(site: Client, make_task: Any) -> None:
    task = make_task("a", task_schedule="0 2 * * *", task_enabled=False)

    html = text_of(site.get(reverse("admin:scheduler_task_page", args=[task.pk])))

    assert "It never ran." in html.split('id="explanation"')[1]


def test_the_page_of_a_task_says_what_it_is(site: Client, make_task: Any, settings: Any) -> None:
    task = make_task(
        "a",
        task_exec="python main.py --all",
        task_tags=["shop"],
        task_timeout=7200,
        task_retry=3,
        task_retry_interval=30,
        task_retry_backoff=2,
        task_concurrency="allow",
        task_max_parallel=2,
        task_deadline=600,
        task_timezone="Asia/Shanghai",
        task_env={"TOKEN": "s3cret"},
    )
    url = reverse("admin:scheduler_task_page", args=[task.pk])

    def definition() -> str:
        return text_of(site.get(url)).split('id="definition"')[1].split("</section>")[0]

    without = definition()
    (settings.SCHEDULER_TASKS_DIR / "a").mkdir()
    said = definition()

    for fact in (
        "python main.py --all",
        "?tag=shop",
        "2 h",
        "Asia/Shanghai",
        "10 min without a success",
    ):
        assert fact in said
    assert "3, after 30 s, each further wait × 2" in said and "Allow side by side, at most 2" in said
    assert "TOKEN" in said and "s3cret" not in said
    assert f"<code>{settings.SCHEDULER_TASKS_DIR.parent}</code>" in without
    assert (
        "No folder of its own; runs in the base folder." in without
        and "No folder of its own; runs in the base folder." not in said
    )
    assert f"<code>{settings.SCHEDULER_TASKS_DIR / 'a'}</code>" in said


def test_executions_and_runs_that_an_explanation_names_are_links(site: Client, make_task: Any) -> None:
    task = make_task("a")
    run = Run.objects.create(trigger="manual", first_task=task, created_at=NOON)
    common = {"task": task, "run": run, "trigger": "retry", "queued_at": NOON, "reason": f"{NASTY} run 7"}
    execution = Execution.objects.create(**common, status=Status.TIMEOUT, is_outcome=True, started_at=NOON)

    for language in ("en", "zh-hans"):
        html = text_of(
            site.get(
                reverse("admin:scheduler_task_page", args=[task.pk]), headers={"Accept-Language": language}
            )
        )
        told = html.split('id="explanation"')[1].split("</section>")[0]

        assert f'href="{reverse("admin:scheduler_execution_change", args=[execution.pk])}"' in told
        assert f'href="{reverse("admin:scheduler_run_change", args=[run.pk])}"' in told
        assert "<script>" not in told and "<img" not in told


# --- one truth on all pages ----------------------------------------------------------------------


def test_tasks_that_run_and_tasks_that_wait_are_found(site: Client, make_task: Any) -> None:
    for name, status, started in (("busy", Status.RUNNING, NOON), ("patient", Status.QUEUED, None)):
        Execution.objects.create(
            task=make_task(name), status=status, trigger="manual", queued_at=NOON, started_at=started
        )
    make_task("idle")
    url = reverse("admin:scheduler_task_changelist")

    running, waiting = (
        re.findall(r'<p class="s-id">(\w+)<', text_of(site.get(url + f"?view=cards&state={state}")))
        for state in ("running", "waiting")
    )

    assert (running, waiting) == (["busy"], ["patient"])


def test_overview_and_card_name_the_same_begin_of_a_series_of_failures(site: Client, make_task: Any) -> None:
    task = make_task("a", task_schedule="30 2 * * *", task_timezone="Europe/Berlin")
    slot = datetime(2026, 6, 1, 0, 30, tzinfo=UTC)
    Execution.objects.create(
        task=task, status="technical_failure", trigger="retry", attempt=2, is_outcome=True, scheduled_for=slot,
        queued_at=slot + timedelta(minutes=7), started_at=slot + timedelta(minutes=9),
        finished_at=slot + timedelta(minutes=10),
    )  # fmt: skip

    overview = text_of(site.get(reverse("admin:scheduler_overview")))
    cards = text_of(site.get(reverse("admin:scheduler_task_changelist")))

    assert "1 Jun 02:30 CEST" in overview and "Failed on 1 Jun at 02:30" in cards


def test_a_task_in_the_graph_tells_time_in_its_zone(site: Client, make_task: Any) -> None:
    task = make_task("a", task_timezone="Asia/Shanghai")
    make_task("b", task_dependencies=["a"])
    add_outcomes(task, 1)

    html = text_of(site.get(reverse("admin:scheduler_graph")))

    assert re.search(r"2026-06-01 20:0\d:\d\d CST", html)


# --- undoing a delete ----------------------------------------------------------------------------


def deleted(site: Client, task: Task) -> str:
    answer = site.post(reverse("admin:scheduler_task_delete", args=[task.pk]), {"post": "yes"}, follow=True)
    link = re.search(r'href="([^"]+/restore/)"', text_of(answer))
    assert link is not None
    return link[1]


def test_a_deleted_task_is_restored_with_its_edges_rules_and_history(site: Client, make_task: Any) -> None:
    make_task("up")
    task = make_task(
        "a",
        task_dependencies=["up"],
        task_schedule="0 6 * * *",
        task_notify=[{"triggers": ["timeout"], "channels": [{"type": "email", "recipients": ["a@b.org"]}]}],
    )
    make_task("down", task_dependencies=["a", "up"])
    add_outcomes(task, 2)

    link = deleted(site, task)
    asked = text_of(site.get(link))
    site.post(link)

    assert "These tasks start after it again:" in asked and ">down</a>" in asked
    back = Task.objects.get(pk=task.pk)
    assert [other.task_id for other in back.upstreams.all()] == ["up"]
    assert [other.task_id for other in back.downstreams.all()] == ["down"]
    assert back.next_run_at is not None and back.notify[0]["triggers"] == ["timeout"]
    assert NotificationRule.objects.filter(task=back).count() == 1
    assert sorted(back.executions.values_list("status", flat=True)) == ["missed", "success", "success"]


def test_restoring_leaves_out_what_is_gone_and_says_so(site: Client, make_task: Any) -> None:
    up = make_task("up")
    task = make_task("a", task_dependencies=["up"])
    link = deleted(site, task)
    deleted(site, up)

    asked = compact(site.get(link))
    site.post(link)

    assert "It also started after these tasks, which no longer exist: up" in asked
    assert not Task.objects.get(pk=task.pk).upstreams.exists()


def test_restoring_refuses_a_cycle_and_writes_nothing(site: Client, make_task: Any) -> None:
    make_task("up")
    task = make_task("a", task_dependencies=["up"])
    make_task("down", task_dependencies=["a"])
    link = deleted(site, task)
    up = Task.objects.get(task_id="up")
    save_task({**task_to_spec(up), "task_dependencies": ["down"]}, task=up, user=None, now=NOON)

    answer = text_of(site.post(link))

    assert "the dependencies would form a cycle: " in answer
    assert not Task.objects.filter(pk=task.pk).exists()


def test_restoring_a_task_that_is_there_leads_to_its_page(site: Client, make_task: Any) -> None:
    task = make_task("a")

    answer = site.post(reverse("admin:scheduler_task_restore", args=[task.pk]))

    assert answer["Location"] == reverse("admin:scheduler_task_page", args=[task.pk])


def test_each_of_several_deleted_tasks_can_be_restored(site: Client, make_task: Any) -> None:
    chosen = [make_task(name).pk for name in ("a", "b")]
    url = reverse("admin:scheduler_task_changelist")

    answer = site.post(
        url,
        {"action": "delete_selected", "_selected_action": chosen, "index": "0", "post": "yes"},
        follow=True,
    )

    assert re.findall(r"/task/(\d+)/restore/", text_of(answer)) == [str(pk) for pk in chosen]


# --- executions ----------------------------------------------------------------------------------

EXECUTIONS = "/admin/scheduler/execution/"


def listed(html: str) -> list[int]:
    return [int(pk) for pk in re.findall(r'id="execution-(\d+)"', html)]


def test_executions_page_both_ways_without_loss_or_repetition(site: Client, make_task: Any) -> None:
    stored = [row.pk for row in add_outcomes(make_task("a"), 65)]
    pages, address = [], EXECUTIONS
    while True:
        html = text_of(site.get(address))
        pages.append(listed(html))
        older = re.search(r'id="older"[^>]*href="([^"]+)"', html)
        if not older:
            break
        address = EXECUTIONS + older[1].replace("&amp;", "&")
    newer = re.search(r'id="newer"[^>]*href="([^"]+)"', html)

    assert [pk for shown in pages for pk in shown] == stored[::-1]
    assert newer is not None
    assert listed(text_of(site.get(EXECUTIONS + newer[1].replace("&amp;", "&")))) == pages[-2]


def test_executions_are_narrowed_by_status_trigger_age_task_and_words(site: Client, make_task: Any) -> None:
    alpha, beta = make_task("alpha", task_name="First"), make_task("beta")
    failed = add_outcomes(alpha, 1, Status.TIMEOUT)[0]
    fine = add_outcomes(beta, 1)[0]
    by_hand = Execution.objects.create(
        task=beta, status="queued", trigger="manual", queued_at=datetime.now(UTC)
    )

    def found(**asked: str) -> set[int]:
        return set(listed(text_of(site.get(EXECUTIONS, asked))))

    assert found() == {failed.pk, fine.pk, by_hand.pk}
    assert found(status="timeout") == {failed.pk}
    assert found(trigger="manual") == {by_hand.pk}
    assert found(age="hour") == {by_hand.pk} == found(age="today", task="beta")
    assert found(task="beta") == {fine.pk, by_hand.pk}
    assert found(q="first") == {failed.pk} == found(q=f"#{failed.pk}")
    assert found(status="timeout", trigger="manual") == set()
    assert "No executions match." in text_of(site.get(EXECUTIONS, {"status": "timeout", "task": "beta"}))


@each_case(
    "asked",
    [
        "status=nonsense",
        "cursor=nonsense",
        "cursor=" + "9" * 400,
        "q=" + "9" * 40,
        "task=%FF",
        "age=x&trigger=y",
        "seen=x",
    ],
)
def test_the_list_of_executions_ignores_what_it_does_not_understand(site: Client, asked: str) -> None:
    assert site.get(f"{EXECUTIONS}?{asked}").status_code == 200


def test_executions_of_a_deleted_task_stay_in_the_list(site: Client, make_task: Any) -> None:
    task = make_task("a", task_name="Gone")
    row = add_outcomes(task, 1)[0]
    delete_task(task, user=None, now=NOON)

    html = text_of(site.get(EXECUTIONS, {"q": "gone"}))

    assert listed(html) == [row.pk] and "task-of-" not in html


@pytest.mark.parametrize("asked", ["", "?status=timeout&trigger=retry&age=week&task=a&q=a"])
def test_the_list_of_executions_needs_four_queries_however_long_it_is(
    site: Client, make_task: Any, asked: str
) -> None:
    counts = []
    site.get(EXECUTIONS)  # how many tasks fail is kept for some seconds
    for number in range(2):
        for letter in "abc":
            add_outcomes(make_task(f"{letter}{number}"), 10 * (number + 1), Status.TIMEOUT)
        with CaptureQueriesContext(connection) as queries:
            site.get(EXECUTIONS + asked)
        counts.append(len(queries))

    assert counts[0] == counts[1] <= 4


@pytest.mark.parametrize(
    "address", ["/admin/", "/admin/scheduler/task/", "/admin/scheduler/task/timeline/", EXECUTIONS]
)
def test_a_zone_that_this_machine_does_not_know_hurts_no_page(
    site: Client, make_task: Any, address: str
) -> None:
    task = make_task("a", now=datetime.now(UTC), task_schedule="0 * * * *")
    add_outcomes(task, 1, begin=datetime.now(UTC))
    Task.objects.update(timezone="Mars/Olympus")

    assert site.get(address).status_code == 200


@each_case("action", ["run_now", "disable", "export", "delete_selected"])
@each_case("key", ["x", "9" * 30])
def test_chosen_rows_that_are_none_are_passed_over(
    site: Client, make_task: Any, action: str, key: str
) -> None:
    make_task("a")

    answer = site.post(
        reverse("admin:scheduler_task_changelist"),
        {"action": action, "_selected_action": [key], "index": "0"},
    )

    assert answer.status_code in (200, 302) and Task.objects.get().enabled


@pytest.mark.parametrize("task", ["x", " ", "9" * 400])
def test_the_form_of_a_rule_survives_a_task_that_is_none(site: Client, task: str) -> None:
    form = {"scope": "task", "task": task, "r0-name": "Kept"}

    answer = site.post(reverse("admin:notifications_notificationrule_add"), form)

    assert answer.status_code == 200 and "Choose a task." in text_of(answer)


@pytest.mark.parametrize(
    ("language", "lines"),
    [
        (
            "en",
            [
                "Retries: 0 → 3",
                "Timeout: – → 1 h 30 min",
                "Overlap: Skip the new one → Allow side by side",
                "Enabled: yes → no",
                "Tags: – → shop, nightly",
            ],
        ),
        (
            "zh-hans",
            ["重试次数: 0 → 3", "超时: – → 1 小时 30 分钟", "启用: 是 → 否"],
        ),
    ],
)
def test_a_plan_and_the_changes_of_a_task_have_the_labels_and_values_of_the_form(
    site: Client, make_task: Any, language: str, lines: list[str]
) -> None:
    wanted = {
        **ONE,
        "task_retry": 3,
        "task_timeout": 5400,
        "task_concurrency": "allow",
        "task_enabled": False,
        "task_tags": ["shop", "nightly"],
    }
    task = make_task("one")
    site.defaults["HTTP_ACCEPT_LANGUAGE"] = language

    plan = site.post(reverse("admin:scheduler_import"), {"text": config(wanted), "action": "plan"})
    digest = re.search(r'name="plan" value="(\w+)"', compact(plan))
    assert digest is not None
    site.post(
        reverse("admin:scheduler_import"), {"text": config(wanted), "action": "apply", "plan": digest[1]}
    )
    page = site.get(reverse("admin:scheduler_task_page", args=[task.pk]))

    for answer in (plan, page):
        shown = re.findall(
            r"<dt>([^<]*)</dt> ?<dd> ?<del>([^<]*)</del> ?→ ?<ins>([^<]*)</ins>", compact(answer)
        )
        assert [line for line in lines if line not in [f"{a}: {b} → {c}" for a, b, c in shown]] == []
