"""The API as a client sees it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.test import Client

from scheduler.choices import Status, Trigger
from scheduler.models import ApiToken, Execution, ExecutionLog, Task
from scheduler.services.tokens import create_token
from tests.api_client import API, TokenClient, errors_of, user_of
from tests.conftest import NOON
from tests.support.cases import each_case
from tests.support.rows import add_executions

# --- tasks ----------------------------------------------------------------------------------------


def test_a_task_is_created_read_changed_renamed_and_deleted(editor: TokenClient) -> None:
    created = editor.post("tasks", {"task_id": "a", "task_name": "A", "task_exec": "true"})
    patched = editor.call("PATCH", "tasks/a", {"task_schedule": "0 6 * * *", "task_timeout": 90})
    answer = editor.get("tasks/a").json()
    replaced = editor.call("PUT", "tasks/a", {**answer, "task_id": "b"})
    gone, deleted = editor.get("tasks/a"), editor.call("DELETE", "tasks/b")

    assert (created.status_code, patched.status_code, replaced.status_code) == (201, 200, 200)
    assert answer["task_timeout"] == 90
    assert answer["schedule_description"] == "At 06:00"
    assert answer["next_run_at"].endswith("T06:00:00Z")
    assert answer["last_execution"] is None
    assert answer["schedule_error"] == ""
    assert replaced.json()["task_id"] == "b" and replaced.json()["task_schedule"] == "0 6 * * *"
    assert (gone.status_code, deleted.status_code) == (404, 204)
    assert editor.get("tasks/b").status_code == 404


def test_replacing_resets_absent_fields_to_their_defaults(editor: TokenClient, make_task: Any) -> None:
    make_task("a", task_retry=3, task_tags=["x"])

    answer = editor.call("PUT", "tasks/a", {"task_id": "a", "task_name": "A", "task_exec": "false"}).json()

    assert (answer["task_retry"], answer["task_tags"], answer["task_exec"]) == (0, [], "false")


def test_all_problems_of_a_task_are_told_with_their_paths(editor: TokenClient) -> None:
    response = editor.post(
        "tasks",
        {
            "task_id": "a b",
            "task_name": "A",
            "task_timout": 1,
            "task_timeout": -1,
            "task_dependencies": ["nobody"],
        },
    )

    assert response.status_code == 400
    assert {path for path, _ in errors_of(response)} == {
        "task_id",
        "task_exec",
        "task_timout",
        "task_timeout",
        "task_dependencies[0]",
    }
    assert not Task.objects.exists()


def test_a_cycle_is_refused_and_printed(editor: TokenClient, make_task: Any) -> None:
    make_task("a")
    make_task("b", task_dependencies=["a"])

    response = editor.call("PATCH", "tasks/a", {"task_dependencies": ["b"]})

    [(path, message)] = errors_of(response)
    assert response.status_code == 400
    assert path == "task_dependencies"
    assert "a → b → a" in message or "b → a → b" in message


def test_ids_are_told_apart_by_case(editor: TokenClient, make_task: Any) -> None:
    make_task("Backup")

    assert editor.get("tasks/backup").status_code == 404
    assert editor.get("tasks/Backup").status_code == 200


def test_tasks_are_found_by_state_tag_text_and_latest_outcome(editor: TokenClient, make_task: Any) -> None:
    good, bad = make_task("good", task_tags=["x"]), make_task("bad", task_name="Übel", task_enabled=False)
    add_executions(good, 1)
    add_executions(bad, 1, status=Status.TIMEOUT)

    def ids(query: str) -> list[str]:
        return [row["task_id"] for row in editor.get(f"tasks?{query}").json()["results"]]

    assert ids("") == ["bad", "good"]
    assert ids("enabled=true") == ["good"]
    assert ids("tag=x") == ["good"]
    assert ids("q=Übel") == ["bad"]
    assert ids("status=timeout,missed") == ["bad"]
    assert ids("status=timeout&status=success") == ["bad", "good"]


def test_a_list_of_tasks_has_pages(editor: TokenClient, make_task: Any) -> None:
    for name in "abc":
        make_task(name)

    first = editor.get("tasks?page_size=2").json()
    second = editor.get(first["next"].removeprefix("http://testserver")).json()

    assert [row["task_id"] for row in first["results"] + second["results"]] == ["a", "b", "c"]
    assert (first["count"], first["previous"], second["next"]) == (3, None, None)


def test_a_list_of_tasks_costs_the_same_queries_at_any_length(
    editor: TokenClient, make_task: Any, django_assert_num_queries: Any
) -> None:
    for number in range(12):
        add_executions(make_task(f"t{number}"), 2)
    editor.get("tasks")

    with django_assert_num_queries(8):  # token, 2 permissions, count, tasks, 2 executions, edges
        assert len(editor.get("tasks").json()["results"]) == 12


def test_the_environment_is_masked_for_those_who_may_not_change_it(as_role: Any, make_task: Any) -> None:
    make_task("a", task_env={"PASSWORD": "hush-hush"})

    assert as_role("Viewer").get("tasks/a").json()["task_env"] == {"PASSWORD": "••••••"}
    assert as_role("Editor").get("tasks/a").json()["task_env"] == {"PASSWORD": "hush-hush"}


def test_a_schedule_is_described_in_the_language_of_the_request(editor: TokenClient) -> None:
    body = {"expression": "*/10 * * * * *", "timezone": "Asia/Shanghai"}

    english = editor.call("POST", "validate-cron", body).json()
    chinese = editor.call("POST", "validate-cron", body, **{"Accept-Language": "zh-hans"}).json()

    assert (english["valid"], english["timezone"]) == (True, "Asia/Shanghai")
    assert english["description"] == "Every 10 seconds"
    assert "秒" in chinese["description"]
    assert len(english["next_runs"]) == 5


def test_an_invalid_schedule_is_an_answer_and_a_missing_one_an_error(editor: TokenClient) -> None:
    invalid = editor.post("validate-cron", {"expression": "0 0 30 2 *"})
    missing = editor.post("validate-cron", {})

    assert invalid.status_code == 200
    assert invalid.json()["valid"] is False and "30" in invalid.json()["error"]
    assert (missing.status_code, errors_of(missing)) == (
        400,
        [("expression", "expression is missing; it must be text")],
    )


def test_next_runs_are_listed_up_to_fifty(editor: TokenClient, make_task: Any) -> None:
    make_task("a", task_schedule="* * * * *")
    make_task("off", task_schedule="* * * * *", task_enabled=False)

    assert len(editor.get("tasks/a/next-runs?count=50").json()["next_runs"]) == 50
    assert editor.get("tasks/off/next-runs").json()["next_runs"] == []
    assert editor.get("tasks/a/next-runs?count=51").status_code == 400


# --- running --------------------------------------------------------------------------------------


def test_execute_answers_at_once_with_execution_and_run(editor: TokenClient, make_task: Any) -> None:
    make_task("a")

    response = editor.post("tasks/a/execute", {"downstream": True})

    execution = Execution.objects.get()
    assert response.status_code == 202
    assert response.json() == {
        "execution_id": execution.pk,
        "run_id": execution.run_id,
        "status": "queued",
    }
    assert execution.trigger == Trigger.API


def test_a_refused_overlap_is_a_conflict_that_names_the_skipped_row(
    editor: TokenClient, make_task: Any
) -> None:
    make_task("a")
    first = editor.post("tasks/a/execute").json()["execution_id"]

    response = editor.post("tasks/a/execute")

    assert response.status_code == 409
    assert f"execution {first} is still queued" in response.json()["detail"]
    assert Execution.objects.get(pk=response.json()["execution_id"]).status == Status.SKIPPED


def test_a_waiting_retry_refuses_a_run_by_its_name_and_time(editor: TokenClient, make_task: Any) -> None:
    make_task("a")
    first = editor.post("tasks/a/execute").json()["execution_id"]
    at = datetime.now(UTC) + timedelta(hours=1)
    Execution.objects.filter(pk=first).update(attempt=2, not_before=at)

    response = editor.post("tasks/a/execute")

    assert response.status_code == 409
    words = f"execution {first} is a waiting retry: attempt 2 waits until {at:%Y-%m-%d %H:%M:%S} UTC"
    assert words in response.json()["detail"]


def test_toggle_sets_or_flips(editor: TokenClient, make_task: Any) -> None:
    make_task("a", task_schedule="* * * * *")

    states = [
        editor.post("tasks/a/toggle", body).json()["task_enabled"] for body in (None, {"enabled": False})
    ]
    flipped = editor.post("tasks/a/toggle", {}).json()

    assert states == [False, False]
    assert flipped["task_enabled"] is True and flipped["next_run_at"] is not None


def test_cancel_ends_what_is_queued_and_refuses_what_has_ended(editor: TokenClient, make_task: Any) -> None:
    make_task("a")
    pk = editor.post("tasks/a/execute").json()["execution_id"]

    cancelled, again = editor.post(f"executions/{pk}/cancel"), editor.post(f"executions/{pk}/cancel")

    assert (cancelled.status_code, cancelled.json()["status"]) == (202, "cancelled")
    assert cancelled.json()["reason"] == "cancelled by a-editor"
    assert cancelled.json()["reason_code"] == "cancelled"
    assert cancelled.json()["reason_params"] == {"user": "a-editor"}
    assert again.status_code == 409 and "already ended" in again.json()["detail"]


# --- history --------------------------------------------------------------------------------------


def walk(client: TokenClient, path: str) -> tuple[list[int], str]:
    """Return the ids of all pages in order, and the link back from the last."""
    ids: list[int] = []
    url: str | None = path
    while url:
        page = client.get(url.removeprefix("http://testserver")).json()
        ids += [row["execution_id"] for row in page["results"]]
        url, back = page["next"], page["previous"]
    return ids, back


def test_history_gives_each_execution_once_newest_first_though_instants_are_equal(
    editor: TokenClient, make_task: Any
) -> None:
    rows = add_executions(make_task("a"), 11)
    add_executions(make_task("other"), 3)

    ids, back = walk(editor, f"{API}/tasks/a/history?page_size=3")
    page = editor.get(back.removeprefix("http://testserver")).json()

    assert ids == [row.pk for row in reversed(rows)]
    assert [row["execution_id"] for row in page["results"]] == ids[6:9]


def test_rows_that_come_meanwhile_do_not_shift_a_page(editor: TokenClient, make_task: Any) -> None:
    task = make_task("a")
    rows = add_executions(task, 6)
    first = editor.get("tasks/a/history?page_size=3").json()

    add_executions(task, 2, queued_at=NOON + timedelta(days=1))
    second = editor.get(first["next"].removeprefix("http://testserver")).json()

    assert [row["execution_id"] for row in second["results"]] == [row.pk for row in reversed(rows[:3])]


def test_an_execution_has_exactly_the_agreed_fields(editor: TokenClient, make_task: Any) -> None:
    first, second = add_executions(make_task("a"), 2)
    second.upstream_executions.add(first)

    row = editor.get(f"executions/{second.pk}").json()

    assert list(row) == [
        "execution_id", "task_id", "run_id", "status", "attempt", "trigger", "scheduled_for", "slot_count",
        "covers_until", "queued_at", "started_at", "finished_at", "duration", "exit_code", "reason", "reason_code",
        "reason_params", "worker", "log_size", "upstream_executions",
    ]  # fmt: skip
    assert (row["queued_at"], row["duration"]) == ("2026-06-01T12:00:00Z", 1.5)
    assert row["upstream_executions"] == [first.pk]
    assert row == editor.get("executions?page_size=1").json()["results"][0]
    assert row == editor.get("tasks/a").json()["last_execution"]


def test_history_is_filtered_by_status_trigger_and_time(editor: TokenClient, make_task: Any) -> None:
    task = make_task("a")
    add_executions(task, 4)
    failed, slow = (
        add_executions(task, 1, status=s)[0].pk for s in (Status.BUSINESS_FAILURE, Status.TIMEOUT)
    )
    by_hand = add_executions(task, 1, queued_at=NOON + timedelta(hours=1))[0].pk
    Execution.objects.filter(pk=by_hand).update(trigger=Trigger.MANUAL)

    def ids(query: str) -> list[int]:
        return [row["execution_id"] for row in editor.get(f"tasks/a/history?{query}").json()["results"]]

    assert (
        ids("status=timeout,business_failure")
        == ids("status=timeout&status=business_failure")
        == [slow, failed]
    )
    assert ids("trigger=manual") == ids("since=2026-06-01T13:00:00Z") == [by_hand]
    assert ids("since=2026-06-01T15:00:00+02:00") == [by_hand]
    assert ids("until=2026-06-01T12:00:00Z") == []


@pytest.mark.parametrize("path", ["tasks/a/history?page_size={}", "executions?page_size={}"])
def test_a_page_of_history_costs_the_same_queries_at_any_length_and_cursor(
    editor: TokenClient, make_task: Any, django_assert_num_queries: Any, path: str
) -> None:
    rows = add_executions(make_task("a"), 40)
    for row in rows:
        row.upstream_executions.add(rows[0])
    is_history = path.startswith("tasks")
    link = editor.get(path.format(2)).json()["next"].removeprefix("http://testserver")

    for url in (path.format(2), path.format(500), link):
        with django_assert_num_queries(6 if is_history else 5):  # token, 2 permissions, task, page, upstreams
            assert editor.get(url).json()["results"]


@each_case("cursor", ["x", "!!!", "bi4x", "by45OTk5OTk5OTk5OTk5OTk5OTk5OTk5OTkuMQ", "%00", "ü", "a" * 5000])
def test_a_bad_cursor_is_refused(editor: TokenClient, make_task: Any, cursor: str) -> None:
    make_task("a")

    response = editor.get(f"tasks/a/history?cursor={cursor}")

    assert response.status_code == 400
    assert [path for path, _ in errors_of(response)] == ["cursor"]


def test_the_history_of_a_deleted_task_stays_readable(editor: TokenClient, make_task: Any) -> None:
    [row] = add_executions(make_task("a"), 1)
    editor.call("DELETE", "tasks/a")

    assert [r["execution_id"] for r in editor.get("executions?task_id=a").json()["results"]] == [row.pk]


# --- logs -----------------------------------------------------------------------------------------


@pytest.fixture
def logged(make_task: Any) -> Execution:
    """Return an execution with 20 bytes of output, of which the middle 10 were not kept."""
    [row] = add_executions(make_task("a"), 1, log_size=20)
    ExecutionLog.objects.create(execution=row, offset=0, size=5, text="head\n")
    ExecutionLog.objects.create(execution=row, offset=15, size=5, text="tail\n")
    return row


def test_a_log_is_read_from_an_offset_and_says_what_is_left_out(
    editor: TokenClient, logged: Execution
) -> None:
    whole = editor.get(f"executions/{logged.pk}/log").json()
    rest = editor.get(f"executions/{logged.pk}/log?offset=17").json()

    assert whole == {
        "execution_id": logged.pk,
        "offset": 0,
        "next_offset": 20,
        "text": "head\n\n[… 10 bytes left out …]\ntail\n",
        "size": 20,
        "omitted": 10,
        "is_finished": True,
    }
    assert (rest["text"], rest["next_offset"], rest["omitted"]) == ("il\n", 20, 0)
    assert editor.get("tasks/a/logs").json() == whole


def test_a_log_is_text_when_text_is_asked_for(editor: TokenClient, logged: Execution) -> None:
    response = editor.get(f"executions/{logged.pk}/log?tail=8", Accept="text/plain")
    refused = editor.get(f"executions/{logged.pk}/log?tail=x", Accept="text/plain")

    assert response["Content-Type"] == "text/plain; charset=utf-8"
    assert response.content.decode() == "\n[… 3 bytes left out …]\ntail\n"
    assert errors_of(refused)[0][0] == "tail"


def test_a_task_that_never_ran_has_no_log(editor: TokenClient, make_task: Any) -> None:
    make_task("a")

    assert editor.get("tasks/a/logs").status_code == 404


# --- who may do what ------------------------------------------------------------------------------

READS = ["tasks", "tasks/a", "tasks/a/history", "tasks/a/next-runs", "executions", "config/schema"]
WRITES = [
    ("POST", "tasks/a/execute", "Operator"),
    ("POST", "tasks/a/toggle", "Operator"),
    ("POST", "executions/1/cancel", "Operator"),
    ("POST", "tasks", "Editor"),
    ("PATCH", "tasks/a", "Editor"),
    ("PUT", "tasks/a", "Editor"),
    ("DELETE", "tasks/a", "Editor"),
]


@each_case("path", [*READS, "/api/schema", "/api/docs"])
def test_nothing_is_shown_to_strangers(db: None, client: Client, path: str) -> None:
    response = client.get(path if path.startswith("/") else f"{API}/{path}")

    assert response.status_code == 401
    assert response["WWW-Authenticate"] == "Bearer"


@each_case(("method", "path", "role"), WRITES)
def test_each_write_needs_its_role(as_role: Any, make_task: Any, method: str, path: str, role: str) -> None:
    make_task("a")
    lower = {"Operator": "Viewer", "Editor": "Operator"}[role]

    assert as_role(lower).call(method, path, {}).status_code == 403
    assert as_role(role).call(method, path, {}).status_code not in (401, 403)


@each_case("path", READS)
def test_a_viewer_reads_everything_but_a_stranger_to_all_roles_nothing(
    as_role: Any, make_task: Any, path: str
) -> None:
    make_task("a")
    nobody = TokenClient(create_token(User.objects.create_user("nobody"), name=""))

    assert as_role("Viewer").get(path).status_code == 200
    assert nobody.get(path).status_code == 403


def test_an_expired_an_unknown_and_a_retired_token_are_refused(db: None) -> None:
    user = user_of("Viewer")
    expired = TokenClient(create_token(user, name="", expires_at=datetime.now(UTC) - timedelta(seconds=1)))
    valid = TokenClient(create_token(user, name=""))

    before = valid.get("tasks").status_code
    User.objects.update(is_active=False)

    assert before == 200
    assert [c.get("tasks").status_code for c in (expired, valid, TokenClient("x"), TokenClient("x y"))] == [
        401
    ] * 4


def test_a_token_is_stored_as_a_digest_and_its_use_is_noted_once_a_minute(
    db: None, django_assert_num_queries: Any
) -> None:
    token = create_token(user_of("Viewer"), name="ci")
    client = TokenClient(token)

    client.get("config/schema")
    first = ApiToken.objects.get().last_used_at
    with django_assert_num_queries(3):
        client.get("config/schema")

    stored = ApiToken.objects.get()
    assert first is not None and stored.last_used_at == first
    assert token not in str(stored.__dict__)


def test_a_session_writes_only_with_its_csrf_token(make_task: Any) -> None:
    make_task("a")
    client = Client(enforce_csrf_checks=True)
    client.force_login(user_of("Operator"))

    refused = client.post(f"{API}/tasks/a/execute", content_type="application/json")
    client.cookies["csrftoken"] = "x" * 32
    accepted = client.post(
        f"{API}/tasks/a/execute", content_type="application/json", headers={"X-CSRFToken": "x" * 32}
    )

    assert (refused.status_code, accepted.status_code) == (403, 202)
    assert Execution.objects.get().trigger == Trigger.MANUAL


def test_create_token_prints_a_token_that_works(make_task: Any, capsys: Any) -> None:
    user_of("Viewer")

    call_command("create_token", "a-viewer", "--name", "ci", "--days", "30")

    token = ApiToken.objects.get()
    assert TokenClient(capsys.readouterr().out.strip()).get("tasks").status_code == 200
    assert token.name == "ci" and token.expires_at is not None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["ghost"], 'there is no active user "ghost"'),
        (["a-viewer", "--days", "0"], "--days is 0; a whole number from 1 to 36500 is allowed"),
        (["a-viewer", "--name", "x" * 101], "--name has 101 characters; at most 100 are allowed"),
    ],
)
def test_create_token_says_what_is_wrong(db: None, arguments: list[str], message: str) -> None:
    user_of("Viewer")

    with pytest.raises(CommandError, match=message):
        call_command("create_token", *arguments)


# --- strictness -----------------------------------------------------------------------------------

BODIES = [
    b'{"task_id": "a", "task_id": "b"}',
    b'{"task_timeout": NaN}',
    b'{"task_timeout": Infinity}',
    b'{"task_timeout": 1e999}',
    b'{"task_retry": ' + b"9" * 5000 + b"}",
    b'{"task_name": "a\\u0000b"}',
    b'{"task_name": "\\ud800"}',
    b"[" * 100_000,
    b'{"a":' * 40 + b"1" + b"}" * 40,
    b"\xff\xfe{\x00}\x00",
    b"{'a': 1}",
    b"{",
    b"null",
    b"[]",
    b'"text"',
    b"0",
    b'{"nonsense": 1}',
    b'{"downstream": 1}',
    b'{"\\u0000": 1}',
    b"\x80",
    b" " * (5 * 1024 * 1024 + 1),
]


@each_case("body", BODIES, ids=lambda body: repr(body[:24]))
@each_case(
    ("method", "path"),
    [("POST", "tasks"), ("PATCH", "tasks/a"), ("POST", "tasks/a/execute"), ("POST", "validate-cron")],
)
def test_an_unsound_body_is_refused(
    editor: TokenClient, make_task: Any, method: str, path: str, body: bytes
) -> None:
    make_task("a")

    response = editor.call(method, path, body)

    assert response.status_code == 400, response.content
    assert errors_of(response)
    assert not Execution.objects.exists()


@each_case(
    ("path", "parameter"),
    [
        ("tasks?colour=red", "colour"),
        ("tasks/a?x=1", "x"),
        ("tasks?tag=%00", "tag"),
        ("tasks?enabled=1", "enabled"),
        ("tasks?page=0", "page"),
        ("tasks?page=1&page=2", "page"),
        ("tasks?status=fine", "status"),
        ("tasks/a/history?page_size=501", "page_size"),
        ("tasks/a/history?page_size=-1", "page_size"),
        ("tasks/a/history?page_size=٣", "page_size"),
        ("tasks/a/history?since=yesterday", "since"),
        ("tasks/a/history?since=2026-02-30T00:00:00Z", "since"),
        ("tasks/a/history?until=0001-01-01T00:00:00%2B14:00", "until"),
        ("executions?trigger=cron", "trigger"),
        ("config/schema?a=b", "a"),
    ],
)
def test_an_unsound_parameter_is_refused_by_name(
    editor: TokenClient, make_task: Any, path: str, parameter: str
) -> None:
    make_task("a")

    response = editor.get(path)

    assert response.status_code == 400
    assert [where for where, _ in errors_of(response)] == [parameter]


def test_an_unknown_parameter_is_answered_with_the_known_ones(editor: TokenClient, make_task: Any) -> None:
    make_task("a")

    [(_, message)] = errors_of(editor.get("tasks/a/next-runs?n=1"))

    assert message == 'unknown parameter "n"; allowed: count'


@each_case(
    ("path", "code", "params"),
    [
        ("config/schema?a=b", "unknown_parameter", {"name": "a"}),
        ("tasks/a/next-runs?n=1", "unknown_parameter_among", {"name": "n", "known": ["count"]}),
        ("tasks?page=1&page=2", "parameter_repeated", {"field": "page", "count": 2}),
        ("executions?cursor=abc", "cursor_not_valid", {"found": '"abc"'}),
        ("executions?task_id=nobody", "no_task", {"name": '"nobody"'}),
        (
            "tasks?page=0",
            "not_allowed",
            {
                "field": "page",
                "what": {"code": "whole_number_from_to", "params": {"low": 1, "high": 1000000}},
                "found": '"0"',
            },
        ),
        (
            "executions?since=yesterday",
            "not_allowed",
            {"field": "since", "what": {"code": "instant", "params": {}}, "found": '"yesterday"'},
        ),
    ],
)
def test_an_error_of_a_parameter_has_a_code_with_its_values(
    editor: TokenClient, make_task: Any, path: str, code: str, params: dict[str, Any]
) -> None:
    make_task("a")

    [error] = editor.get(path).json()["errors"]

    assert (error["code"], error["params"]) == (code, params)


@each_case(
    "path",
    [
        "tasks/",
        "nothing",
        "executions/x",
        f"executions/{'9' * 40}",
        "executions/-1",
        "tasks/a/b",
    ],
)
def test_paths_that_do_not_exist_are_problems_without_redirects(editor: TokenClient, path: str) -> None:
    response = editor.get(path)

    assert response.status_code == 404
    assert errors_of(response) == []


@each_case("path", [*READS, "tasks/a/execute"])
def test_head_and_options_change_nothing(editor: TokenClient, make_task: Any, path: str) -> None:
    make_task("a")

    assert editor.call("OPTIONS", path).status_code == 200
    assert editor.call("HEAD", path).status_code == (405 if path.endswith("execute") else 200)
    assert editor.call("TRACE", path).status_code == 405
    assert not Execution.objects.exists()


@each_case("path", [*READS, "tasks/nothing", "tasks?x=1", "tasks/a/logs"])
def test_people_get_pages(editor: TokenClient, logged: Execution, path: str) -> None:
    response = editor.get(path, Accept="text/html")

    assert response["Content-Type"].startswith("text/html")


def test_other_content_is_refused(editor: TokenClient, make_task: Any) -> None:
    response = editor.client.post(f"{API}/tasks", {"task_id": "a"}, headers=editor.headers)

    assert response.status_code == 415
    assert errors_of(response) == []


# --- health and documents -------------------------------------------------------------------------


def test_health_says_what_is_missing_to_anybody(db: None, client: Client) -> None:
    response = client.get("/healthz")

    body = response.json()
    assert response.status_code == 503
    assert body["reasons"] == [
        "no dispatcher gave a heartbeat in the last 30 s",
        "no worker gave a heartbeat in the last 30 s",
    ]
    assert (body["dispatchers"], body["workers"], body["backlog"], body["database"]) == (0, 0, 0, True)
    assert client.head("/healthz").status_code == 503
    assert Client(enforce_csrf_checks=True).post("/healthz").status_code == 405


def test_the_documents_are_complete_and_need_no_other_host(editor: TokenClient) -> None:
    call_command("spectacular", "--validate", "--fail-on-warn", "--file", "/dev/null")

    schema = editor.get("/api/schema?format=json").json()
    page = editor.get("/api/docs", Accept="text/html").content.decode()

    assert set(schema["components"]["schemas"]["Execution"]["properties"]) >= {"execution_id", "duration"}
    assert "//cdn." not in page and "https://" not in page


def test_the_schema_of_the_configuration_is_served(editor: TokenClient) -> None:
    assert "task" in editor.get("config/schema").json()["$defs"]


def test_the_root_leads_to_the_site(client: Client) -> None:
    assert client.get("/")["Location"] == "/admin/"


# --- hostile bodies and secrets -------------------------------------------------------------------


def test_a_refusal_tells_at_most_two_hundred_mistakes(editor: TokenClient, make_task: Any) -> None:
    make_task("a")

    answer = editor.call("PATCH", "tasks/a", {"task_tags": ["a b"] * 5000})

    assert answer.status_code == 400 and len(answer.json()["errors"]) == 200


def test_a_body_that_is_too_large_is_refused_by_name(
    editor: TokenClient, make_task: Any, settings: Any
) -> None:
    make_task("a")
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 1000

    answer = editor.call("PATCH", "tasks/a", {"task_desc": "x" * 2000})

    assert answer.status_code == 413
    assert answer.json()["detail"] == "The body is longer than 1,000 bytes; nothing was read."


def test_secrets_of_a_task_are_masked_and_a_mask_that_comes_back_keeps_them(
    editor: TokenClient, make_task: Any
) -> None:
    channel = {
        "type": "webhook",
        "url": "https://example.org/x",
        "secret": "s3cret",
        "headers": {"X-Team": "ops"},
    }
    make_task("a", task_env={"PW": "hidden"}, task_notify=[{"triggers": ["timeout"], "channels": [channel]}])

    shown = editor.get("tasks/a").json()
    mask = shown["task_notify"][0]["channels"][0]["secret"]
    kept = editor.call(
        "PATCH",
        "tasks/a",
        {"task_env": {"PW": mask}, "task_notify": shown["task_notify"], "task_desc": "new"},
    )
    refused = editor.call("PATCH", "tasks/a", {"task_env": {"OTHER": mask}})

    stored = Task.objects.get()
    assert kept.status_code == 200 and stored.description == "new"
    assert stored.env == {"PW": "hidden"} and stored.notify[0]["channels"][0]["secret"] == "s3cret"
    assert stored.notify[0]["channels"][0]["headers"] == {"X-Team": "ops"}
    assert "s3cret" not in json.dumps(shown) and "ops" not in json.dumps(shown["task_notify"])
    assert (
        refused.json()["errors"][0]["message"]
        == "OTHER is a mask, but no secret is stored here; enter the secret"
    )
