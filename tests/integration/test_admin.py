"""The admin site, as a browser without scripts sees it."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.admin.utils import flatten_fieldsets
from django.contrib.auth.models import Permission, User
from django.core.cache import cache
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from scheduler.admin.tasks import TaskAdmin
from scheduler.choices import Status, Trigger
from scheduler.forms.task import TaskForm
from scheduler.models import ApiToken, Execution, ExecutionLog, Task, TaskDependency
from scheduler.services.tasks import save_task
from scheduler.services.tokens import create_token, digest_of
from scheduler.task_mapping import task_to_spec
from tests.conftest import NOON
from tests.support.cases import each_case
from tests.support.pages import FORM
from tests.support.rows import add_outcomes

VERBS = ("run", "pause", "resume")


@pytest.fixture
def site(admin_client: Client) -> Client:
    return admin_client


def field_errors(response: Any) -> dict[str, list[str]]:
    return dict(response.context["adminform"].form.errors)


def test_a_task_is_made_and_changed_through_the_form(site: Client, make_task: Any) -> None:
    upstream = make_task("a")

    added = site.post(
        reverse("admin:scheduler_task_add"),
        {**FORM, "depends_on": [upstream.pk], "tags": "x, y", "deadline": "06:00"},
    )
    task = Task.objects.get(task_id="b")
    changed = site.post(reverse("admin:scheduler_task_change", args=[task.pk]), {**FORM, "name": "New"})
    again = Task.objects.get(task_id="b")

    assert (added.status_code, changed.status_code) == (302, 302)
    assert (task.tags, task.deadline, task.env) == (["x", "y"], "06:00", {})
    assert again.name == "New" and not again.upstreams.exists()
    assert again.revision is not None and again.revision.number == 2


def test_the_form_of_the_site_has_every_field_of_a_task() -> None:
    shown = flatten_fieldsets(TaskAdmin.fieldsets)

    absent = [name for name in TaskForm.base_fields if name not in shown]
    assert absent == [], "a field that the form lacks is reset by each save: add it to the fieldsets"


def test_a_cycle_is_refused_beside_the_upstreams_and_nothing_typed_is_lost(
    site: Client, make_task: Any
) -> None:
    a = make_task("a")
    b = make_task("b", task_dependencies=["a"])

    url = reverse("admin:scheduler_task_change", args=[a.pk])
    response = site.post(url, {**FORM, "task_id": "a", "name": "Typed", "depends_on": [b.pk]})

    errors = field_errors(response)
    assert list(errors) == ["depends_on"]
    assert "b → a → b" in errors["depends_on"][0] or "a → b → a" in errors["depends_on"][0]
    assert "Typed" in response.content.decode()
    assert TaskDependency.objects.count() == 1


@each_case(
    ("field", "value", "shown"),
    [
        ("schedule", "0 0 30 2 *", "schedule"),
        ("timeout", "-1", "timeout"),
        ("env_value", "a value without a name", "env"),
        ("env_name", "NOT A NAME", "env"),
        ("timezone", "Mars/Olympus", "timezone"),
        ("rule", "r0", "notify"),
        ("tags", "two words", "tags"),
        ("deadline", "25:00", "deadline"),
        ("task_id", "with space", "task_id"),
        ("max_parallel", "2", "max_parallel"),
    ],
)
def test_each_error_stands_beside_its_field(site: Client, field: str, value: str, shown: str) -> None:
    response = site.post(reverse("admin:scheduler_task_add"), {**FORM, field: value})

    assert response.status_code == 200
    assert list(field_errors(response)) == [shown]
    assert not Task.objects.exists()


def test_all_problems_come_in_one_round(site: Client, make_task: Any) -> None:
    a = make_task("a")
    b = make_task("b", task_dependencies=["a"])
    data = {**FORM, "task_id": "a", "name": "", "schedule": "0 0 30 2 *", "timeout": "-1", "retry": "many"}

    url = reverse("admin:scheduler_task_change", args=[a.pk])
    errors = field_errors(site.post(url, {**data, "env_value": ["nameless"], "depends_on": [b.pk]}))

    assert set(errors) == {"name", "schedule", "timeout", "retry", "env", "depends_on"}
    assert {len(said) for said in errors.values()} == {1}
    assert not a.upstreams.exists()


def test_a_refused_id_hides_no_other_problem(site: Client, make_task: Any) -> None:
    a = make_task("a")
    b = make_task("b", task_dependencies=["a"])
    url = reverse("admin:scheduler_task_change", args=[a.pk])

    taken = field_errors(site.post(url, {**FORM, "task_id": "b", "deadline": "25:00"}))
    malformed = field_errors(site.post(url, {**FORM, "task_id": "a b", "depends_on": [b.pk]}))

    assert set(taken) == {"task_id", "deadline"}
    assert set(malformed) == {"task_id", "depends_on"}


def test_a_schedule_error_is_said_once(site: Client) -> None:
    url = reverse("admin:scheduler_task_add")
    asks_at_once = 'hx-trigger="load, input changed'

    wrong = site.post(url, {**FORM, "schedule": "0 0 30 2 *"}).content.decode()

    assert asks_at_once in site.get(url).content.decode()
    assert asks_at_once not in wrong and 'hx-trigger="input changed' in wrong


def test_whole_numbers_are_shown_whole(site: Client, make_task: Any) -> None:
    task = make_task("a", task_timeout=7200, task_retry_interval=0.5, task_deadline=600)

    html = site.get(reverse("admin:scheduler_task_change", args=[task.pk])).content.decode()
    shown = dict(re.findall(r'name="(timeout|retry_\w+|misfire_grace|deadline)" value="([^"]*)"', html))
    fresh = site.get(reverse("admin:scheduler_task_add")).content.decode()

    expected = {"timeout": "7200", "retry_interval": "0.5", "retry_backoff": "1", "misfire_grace": "60"}
    assert shown == {**expected, "deadline": "600"}
    assert 'name="retry_backoff" value="1"' in fresh


def test_history_is_that_of_the_executions(site: Client, make_task: Any) -> None:
    task = make_task("a")
    executions = reverse("admin:scheduler_task_history_list", args=[task.pk])

    form = site.get(reverse("admin:scheduler_task_change", args=[task.pk])).content.decode()
    answer = site.get(reverse("admin:scheduler_task_history", args=[task.pk]))

    assert f'href="{executions}"' in form
    assert (answer.status_code, answer.headers["Location"]) == (302, executions)


def test_the_list_of_tasks_needs_the_same_queries_for_one_and_for_a_full_page(
    site: Client, make_task: Any, django_assert_num_queries: Any
) -> None:
    def fill(numbers: range) -> None:
        for number in numbers:
            add_outcomes(make_task(f"t{number}", task_schedule="* * * * *"), 25)

    fill(range(1))
    url = reverse("admin:scheduler_task_changelist")
    with CaptureQueriesContext(connection) as one:
        site.get(url)
    fill(range(1, 50))
    cache.clear()

    with django_assert_num_queries(len(one)):
        response = site.get(url)

    assert len(one) <= 12
    assert response.content.decode().count('class="s-bar') == 24 * 25  # a page has 24 tasks


def test_the_list_of_executions_counts_nothing(site: Client, make_task: Any) -> None:
    add_outcomes(make_task("a"), 3)
    url = reverse("admin:scheduler_execution_changelist")
    site.get(url)  # how many tasks fail is kept for some seconds

    with CaptureQueriesContext(connection) as queries:
        response = site.get(url)

    assert response.status_code == 200
    assert not [q for q in queries if "COUNT(" in q["sql"] and "scheduler_execution" in q["sql"]]


def test_an_edit_that_somebody_saved_meanwhile_is_not_undone_without_a_word(
    site: Client, make_task: Any
) -> None:
    task = make_task("a", task_name="A")
    url = reverse("admin:scheduler_task_change", args=[task.pk])
    seen = re.search(r'name="seen_revision" value="(\d+)"', site.get(url).content.decode())
    assert seen is not None
    save_task({**task_to_spec(task), "task_desc": "Theirs"}, task=task, user=None, now=NOON)
    mine = {**FORM, "task_id": "a", "name": "Mine", "seen_revision": seen[1]}

    refused = site.post(url, mine).content.decode()
    again = re.search(r'name="seen_revision" value="(\d+)"', refused)
    stored = Task.objects.get().description
    assert again is not None
    site.post(url, {**mine, "seen_revision": again[1]})

    assert "This task was changed after you opened the form (Description)" in refused
    assert 'value="Mine"' in refused and stored == "Theirs"
    assert Task.objects.get().name == "Mine"


def test_an_execution_is_found_by_its_number_and_by_its_task(site: Client, make_task: Any) -> None:
    add_outcomes(make_task("alpha"), 2)
    add_outcomes(make_task("beta"), 1)
    first = Execution.objects.filter(task__task_id="alpha").earliest("pk")
    url = reverse("admin:scheduler_execution_changelist")

    def found(query: str) -> list[int]:
        return [
            int(pk)
            for pk in re.findall(r'id="execution-(\d+)"', site.get(url, {"q": query}).content.decode())
        ]

    assert found(str(first.pk)) == [first.pk]
    assert len(found("alph")) == 2
    assert len(found("beta")) == 1


def test_run_now_needs_a_post_and_leads_to_the_execution(site: Client, make_task: Any) -> None:
    url = reverse("admin:scheduler_task_run", args=[make_task("a").pk])

    got, posted = site.get(url), site.post(url)

    execution = Execution.objects.get()
    assert got.status_code == 405
    assert posted["Location"] == reverse("admin:scheduler_execution_change", args=[execution.pk])
    assert execution.trigger == Trigger.MANUAL


def test_pause_and_resume_need_the_permission(site: Client, make_task: Any) -> None:
    task = make_task("a", task_schedule="* * * * *")
    viewer = User.objects.create_user("viewer", password="pw", is_staff=True)
    viewer.user_permissions.add(
        Permission.objects.get(codename="view_task", content_type__app_label="scheduler")
    )
    stranger = Client()
    stranger.force_login(viewer)

    refused = [stranger.post(reverse(f"admin:scheduler_task_{v}", args=[task.pk])).status_code for v in VERBS]
    site.post(reverse("admin:scheduler_task_pause", args=[task.pk]))
    is_paused = not Task.objects.get().enabled
    site.post(reverse("admin:scheduler_task_resume", args=[task.pk]))

    assert refused == [403, 403, 403]
    assert b"formaction" not in stranger.get(reverse("admin:scheduler_task_changelist")).content
    assert is_paused and Task.objects.get().enabled
    assert set(Execution.objects.values_list("status", flat=True)) == {Status.MISSED}  # slots since NOON


def test_deleting_a_task_names_its_downstreams_and_keeps_its_history(site: Client, make_task: Any) -> None:
    task = make_task("a")
    make_task("down", task_dependencies=["a"])
    add_outcomes(task, 1)
    url = reverse("admin:scheduler_task_delete", args=[task.pk])

    asked = site.get(url).content.decode()
    site.post(url, {"post": "yes"})

    assert "down" in asked
    assert not Task.objects.filter(task_id="a").exists()
    assert Execution.objects.filter(task=task.pk).count() == 1


def test_the_log_is_text_and_is_sent_from_an_offset(site: Client, make_task: Any) -> None:
    execution = add_outcomes(make_task("a"), 1)[0]
    for offset, text in ((0, "<b>one</b>\n"), (11, "two\n")):
        ExecutionLog.objects.create(execution=execution, offset=offset, size=len(text), text=text)
    url = reverse("admin:scheduler_execution_log", args=[execution.pk])

    whole = site.get(url)
    part = site.get(url, {"offset": "11"})
    page = site.get(reverse("admin:scheduler_execution_change", args=[execution.pk])).content.decode()

    assert b"".join(whole.streaming_content) == b"<b>one</b>\ntwo\n"
    assert whole["Content-Type"].startswith("text/plain") and "attachment" in whole["Content-Disposition"]
    assert whole["X-Content-Type-Options"] == "nosniff"
    assert (part.content, part["X-Next-Offset"], part["X-Is-Active"]) == (b"two\n", "15", "0")
    assert "&lt;b&gt;one" in page and "<b>one" not in page


def test_cancel_asks_by_post_and_only_while_the_execution_goes_on(site: Client, make_task: Any) -> None:
    task = make_task("a")
    site.post(reverse("admin:scheduler_task_run", args=[task.pk]))
    execution = Execution.objects.get()
    page = reverse("admin:scheduler_execution_change", args=[execution.pk])
    url = reverse("admin:scheduler_execution_cancel", args=[execution.pk])

    offered = url in site.get(page).content.decode()
    got = site.get(url).status_code
    site.post(url)

    assert (offered, got) == (True, 405)
    assert Execution.objects.get().status == Status.CANCELLED
    assert url not in site.get(page).content.decode()


def test_the_overview_says_who_fails_since_when_and_is_silent_when_nothing_changed(
    site: Client, make_task: Any
) -> None:
    task = make_task("broken", task_name="Broken", task_schedule="* * * * *")
    add_outcomes(task, 1, Status.SUCCESS)
    add_outcomes(task, 3, Status.TIMEOUT, begin=NOON + timedelta(hours=1))

    html = site.get(reverse("admin:index")).content.decode()
    match = re.search(r"seen=([0-9a-f]+)", html)
    assert match
    again = site.get(reverse("admin:scheduler_overview"), {"seen": match[1]})
    add_outcomes(task, 1, Status.SUCCESS, begin=NOON + timedelta(hours=2))
    changed = site.get(reverse("admin:scheduler_overview"), {"seen": match[1]})

    assert "failed 3 times in a row, since" in html and "2026-06-01 13:00:00 UTC" in html
    assert "No dispatcher is running" in html
    assert (again.status_code, changed.status_code) == (204, 200)
    assert "failed 3 times" not in changed.content.decode()


def test_a_name_is_text_on_every_page(site: Client, make_task: Any) -> None:
    task = make_task("a", task_name="<script>alert(1)</script>")
    execution = add_outcomes(task, 1)[0]
    pages = [
        reverse("admin:index"),
        reverse("admin:scheduler_task_changelist"),
        reverse("admin:scheduler_task_add"),
        reverse("admin:scheduler_task_change", args=[task.pk]),
        reverse("admin:scheduler_task_history_list", args=[task.pk]),
        reverse("admin:scheduler_execution_changelist"),
        reverse("admin:scheduler_execution_change", args=[execution.pk]),
    ]

    answers = [site.get(page) for page in pages]

    assert [answer.status_code for answer in answers] == [200] * len(pages)
    assert not any(b"<script>alert(1)" in answer.content for answer in answers)


def test_strangers_and_the_pages_of_django_q2_are_kept_out(site: Client) -> None:
    answer = Client().get("/admin/scheduler/task/")

    assert (answer.status_code, answer["Location"]) == (302, "/admin/login/?next=/admin/scheduler/task/")
    assert site.get("/admin/django_q/schedule/").status_code == 404


def test_an_empty_installation_shows_how_to_begin(site: Client) -> None:
    assert "Welcome to Schedsite" in site.get(reverse("admin:index")).content.decode()


def test_a_token_is_made_for_oneself_and_shown_once(
    site: Client, admin_user: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    url = reverse("admin:scheduler_apitoken_add")

    answer = site.post(url, {"name": "ci", "days": "30"})
    shown = re.search(r'id="token"[^>]*>([\w-]{43})<', answer.content.decode())
    again = site.get(url)

    token = ApiToken.objects.get()
    assert shown and token.digest == digest_of(shown[1].encode())
    assert (token.user, token.name) == (admin_user, "ci")
    assert token.expires_at is not None and token.expires_at - token.created_at > timedelta(days=29)
    assert all("no-store" in page.headers["Cache-Control"] for page in (answer, again))
    assert shown[1] not in again.content.decode()
    assert shown[1] not in caplog.text and shown[1] not in str(dict(site.session))
    assert shown[1] not in f"{answer.headers}{site.cookies}"
    assert (
        Client().get("/api/scheduler/tasks", headers={"Authorization": f"Bearer {shown[1]}"}).status_code
        == 200
    )


def test_sending_the_form_of_a_token_again_makes_no_second_one(site: Client) -> None:
    url = reverse("admin:scheduler_apitoken_add")
    keys = [re.findall(r'name="form_key" value="([^"]+)"', site.get(url).content.decode())[0] for _ in "ab"]
    first, second = ({"name": "ci", "days": "", "form_key": key} for key in keys)

    site.post(url, first)
    repeated = site.post(url, first, follow=True)
    count = ApiToken.objects.count()
    other = site.post(url, second)

    assert repeated.redirect_chain == [(url, 302)] and count == 1
    assert "That token was created already" in repeated.content.decode()
    assert 'id="token"' in other.content.decode() and ApiToken.objects.count() == 2


@each_case(
    ("field", "value"),
    [("days", "0"), ("days", "36501"), ("days", "soon"), ("name", "x" * 101), ("name", " ")],
)
def test_a_refused_token_is_not_made(site: Client, field: str, value: str) -> None:
    answer = site.post(reverse("admin:scheduler_apitoken_add"), {"name": "ci", "days": "", field: value})

    assert "errorlist" in answer.content.decode() and 'id="token"' not in answer.content.decode()
    assert not ApiToken.objects.exists()


def test_a_token_needs_the_permission_to_add_one(client: Client, db: None) -> None:
    user = User.objects.create_user("viewer", is_staff=True)
    client.force_login(user)
    url = reverse("admin:scheduler_apitoken_add")

    refused = [client.get(url).status_code, client.post(url, {"name": "ci", "days": ""}).status_code]
    user.user_permissions.add(Permission.objects.get(codename="add_apitoken"))
    made = client.post(url, {"name": "ci", "days": ""})

    assert refused == [403, 403]
    assert made.status_code == 200 and ApiToken.objects.get().user == user


def test_a_token_can_be_revoked_and_is_never_shown(site: Client, admin_user: Any) -> None:
    value = create_token(admin_user, name="ci")
    token = ApiToken.objects.get()

    pages = [
        reverse("admin:scheduler_apitoken_changelist"),
        reverse("admin:scheduler_apitoken_change", args=[token.pk]),
    ]
    texts = [site.get(page).content.decode() for page in pages]
    site.post(reverse("admin:scheduler_apitoken_delete", args=[token.pk]), {"post": "yes"})

    assert not any(value in text or token.digest in text for text in texts)
    assert not ApiToken.objects.exists()


def test_the_search_for_upstreams_leaves_out_the_task_itself(site: Client, make_task: Any) -> None:
    task, other = make_task("aa"), make_task("ab")
    where = {"app_label": "scheduler", "model_name": "taskdependency", "field_name": "upstream", "term": "a"}

    answer = site.get(reverse("admin:autocomplete"), {**where, "exclude": str(task.pk)}).json()

    assert [row["id"] for row in answer["results"]] == [str(other.pk)]
