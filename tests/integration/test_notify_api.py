"""Rules and deliveries as a client of the API sees them."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core.management import call_command

from notifications.models import Delivery, NotificationRule, RuleChannel
from notifications.services.send_threads import send_due
from scheduler.models import Task
from tests.api_client import TokenClient, errors_of
from tests.notify import NotebookChannel, finish_all, outcomes, rule
from tests.support.cases import each_case

pytestmark = pytest.mark.django_db
MASK = "••••••"


@pytest.fixture
def admin(as_role: Any) -> TokenClient:
    """Return a client that may do everything."""
    client: TokenClient = as_role("Admin")
    return client


# --- rules ------------------------------------------------------------------------------------------


def test_a_rule_of_a_task_is_created_read_changed_and_deleted(admin: TokenClient, make_task: Any) -> None:
    make_task("a", task_notify=[rule("timeout", name="first")])

    created = admin.post(
        "notification-rules", {"scope": "task", "task_id": "a", **rule("success", name="second")}
    )
    path = f"notification-rules/{created.json()['rule_id']}"
    patched = admin.call("PATCH", path, {"threshold": 3})
    answer = admin.get(path).json()
    replaced = admin.call("PUT", path, {**answer, "name": "renamed"})
    of_task = admin.get("tasks/a").json()["task_notify"]
    deleted = admin.call("DELETE", path)

    assert (created.status_code, patched.status_code, replaced.status_code) == (201, 200, 200)
    assert (answer["scope"], answer["task_id"], answer["tag"], answer["threshold"]) == ("task", "a", "", 3)
    assert [(one["name"], one["threshold"]) for one in of_task] == [("first", 1), ("renamed", 3)]
    assert (deleted.status_code, admin.get(path).status_code) == (204, 404)
    assert [one["name"] for one in Task.objects.get().notify] == ["first"]


@pytest.mark.parametrize("place", [{"scope": "all"}, {"scope": "tag", "tag": "night"}])
def test_a_rule_beyond_one_task_is_created_changed_and_deleted(
    admin: TokenClient, place: dict[str, str]
) -> None:
    created = admin.post("notification-rules", {**place, **rule("timeout", name="x")}).json()
    path = f"notification-rules/{created['rule_id']}"

    changed = admin.call("PATCH", path, {"enabled": False, "cooldown": 60})
    listed = admin.get(f"notification-rules?scope={place['scope']}&enabled=false").json()

    assert (changed.json()["enabled"], changed.json()["cooldown"]) == (False, 60)
    assert [one["rule_id"] for one in listed["results"]] == [created["rule_id"]]
    assert admin.call("DELETE", path).status_code == 204
    assert not NotificationRule.objects.exists()


def test_the_list_costs_the_same_for_many_rules(
    admin: TokenClient, make_task: Any, django_assert_max_num_queries: Any
) -> None:
    for number in range(20):
        make_task(f"t{number:02}", task_notify=[rule("timeout", name="a"), rule("success", name="b")])

    with django_assert_max_num_queries(8):
        page = admin.get("notification-rules?page_size=30").json()

    assert (page["count"], len(page["results"]), page["previous"]) == (40, 30, None)
    assert [(one["task_id"], one["name"]) for one in page["results"][:2]] == [("t00", "a"), ("t00", "b")]
    assert page["next"] == "http://testserver/api/scheduler/notification-rules?page=2&page_size=30"


def test_secrets_come_masked_and_a_mask_sent_back_keeps_them(admin: TokenClient) -> None:
    body = {"scope": "all", **rule("timeout")}
    body["channels"][0] |= {"secret": "hush", "headers": {"X-Token": "hush too"}}

    answer = admin.post("notification-rules", body).json()
    again = admin.call("PUT", f"notification-rules/{answer['rule_id']}", {**answer, "threshold": 2})

    assert (answer["channels"][0]["secret"], answer["channels"][0]["headers"]) == (MASK, {"X-Token": MASK})
    assert again.status_code == 200
    config = NotificationRule.objects.get().channels.get().config
    assert (config["secret"], config["headers"]) == ("hush", {"X-Token": "hush too"})


BAD = [
    ({"triggers": ["failure"]}, "triggers[0]", "technical_failure"),
    ({"triggers": []}, "triggers", ""),
    ({"threshold": 0}, "threshold", "1"),
    ({"threshold": 1.5}, "threshold", "whole number"),
    ({"repeat": "never"}, "repeat", "every"),
    ({"cooldown": -1}, "cooldown", "0"),
    ({"channels": []}, "channels", ""),
    ({"channels": [{"type": "pigeon"}]}, "channels[0].type", "webhook"),
    (
        {"channels": [{"type": "email", "recipients": ["a@b.example", "x, y@b.example"]}]},
        "channels[0].recipients[1]",
        "one mail address",
    ),
    (
        {"channels": [{"type": "webhook", "url": "http://127.0.0.1/"}]},
        "channels[0].url",
        "SCHEDULER_WEBHOOK_ALLOW",
    ),
    (
        {
            "channels": [
                {"type": "webhook", "url": "https://a.example", "success_when": {"path": "a..b", "equals": 0}}
            ]
        },
        "channels[0].success_when.path",
        "names separated by dots",
    ),
    (
        {
            "channels": [
                {"type": "webhook", "url": "https://a.example", "success_when": {"path": "a", "equals": [0]}}
            ]
        },
        "channels[0].success_when.equals",
        "a number, true, false or null",
    ),
    (
        {"channels": [{"type": "webhook", "url": "https://a.example", "success_when": {"path": "a"}}]},
        "channels[0].success_when.equals",
        "a number, true, false or null",
    ),
    (
        {"channels": [{"type": "webhook", "url": "https://a.example", "success_when": "errcode == 0"}]},
        "channels[0].success_when",
        "an object with path and equals, or null",
    ),
    (
        {
            "channels": [
                {"type": "apprise", "urls": ["https://oapi.dingtalk.com/robot/send?access_token=hush"]}
            ]
        },
        "channels[0].urls[0]",
        "of a service that starts no local program",
    ),
    (
        {"channels": [{"type": "apprise", "urls": ["json://[::1]/"]}]},
        "channels[0].urls[0]",
        "SCHEDULER_WEBHOOK_ALLOW",
    ),
    (
        {"channels": [{"type": "webhook", "url": "https://a.example", "body_template": "{{no}}"}]},
        "channels[0].body_template",
        "task_id, task_name",
    ),
    (
        {"channels": [{"type": "webhook", "url": "https://a.example", "body_template": "{{task_id"}]},
        "channels[0].body_template",
        "{{name}}",
    ),
    (
        {"channels": [{"type": "email", "recipients": ["a@b.example"], "subject_template": "{{task_id}"}]},
        "channels[0].subject_template",
        "{{name}}",
    ),
]


@each_case(("fields", "path", "allowed"), BAD)
def test_bad_rules_are_refused_alike_by_rule_by_task_and_by_import(
    admin: TokenClient,
    make_task: Any,
    tmp_path: Any,
    capsys: Any,
    fields: dict[str, Any],
    path: str,
    allowed: str,
) -> None:
    """The same path below the rule, the same words, and what is allowed."""
    make_task("a")
    bad = {**rule("timeout"), **fields}
    config = tmp_path / "config.json"
    task = {"task_id": "b", "task_name": "B", "task_exec": "true", "task_notify": [bad]}
    config.write_text(json.dumps({"tasks": [task]}))

    by_rule = admin.post("notification-rules", {"scope": "all", **bad})
    by_change = admin.call("PATCH", "tasks/a", {"task_notify": [bad]})
    by_task = admin.post("tasks", task)
    with pytest.raises(SystemExit):
        call_command("import_config", str(config))
    by_import = capsys.readouterr().err

    assert {r.status_code for r in (by_rule, by_change, by_task)} == {400}
    [error] = by_rule.json()["errors"]
    assert error["path"] == path and allowed in error["allowed"]
    for answer in (by_change, by_task):
        [of_task] = answer.json()["errors"]
        assert of_task == {**error, "path": f"task_notify[0].{path}"}
    assert f"tasks[0].task_notify[0].{path}: {error['message']}\n" in by_import
    assert not NotificationRule.objects.exists()


NESTED = '{"msgtype":"text","text":{"content":"{{task_name}}"}}'
BLOCKS = '{"blocks":[{"type":"section","text":{"type":"mrkdwn","text":"*{{task_name}}*"}}]}'


@pytest.mark.parametrize("body", [NESTED, BLOCKS])
def test_closing_braces_of_nested_json_are_taken_by_rule_by_task_and_by_import(
    admin: TokenClient, make_task: Any, tmp_path: Any, body: str
) -> None:
    make_task("a")
    hook = {"type": "webhook", "url": "https://hooks.example.org/a", "body_template": body}
    mail = {"type": "email", "recipients": ["a@b.example"], "subject_template": body, "body_template": body}
    good = {"triggers": ["timeout"], "channels": [hook, mail]}
    config = tmp_path / "config.json"
    task = {"task_id": "c", "task_name": "C", "task_exec": "true", "task_notify": [good]}
    config.write_text(json.dumps({"tasks": [task]}))

    by_rule = admin.post("notification-rules", {"scope": "all", **good})
    by_change = admin.call("PATCH", "tasks/a", {"task_notify": [good]})
    by_task = admin.post("tasks", {**task, "task_id": "b"})
    call_command("import_config", str(config))

    assert [r.status_code for r in (by_rule, by_change, by_task)] == [201, 200, 201]
    stored = [row.config["body_template"] for row in RuleChannel.objects.all()]
    assert stored == [body] * 8


def test_what_an_answer_must_say_goes_in_and_comes_out_everywhere(
    admin: TokenClient, make_task: Any, tmp_path: Any, capsys: Any
) -> None:
    hook = {
        "type": "webhook",
        "url": "https://hooks.example.org/a",
        "success_when": {"path": "data.code", "equals": 0.0},
    }
    good = {"triggers": ["timeout"], "channels": [hook]}
    wanted = {"path": "data.code", "equals": 0}

    answer = admin.post("notification-rules", {"scope": "all", **good}).json()
    admin.post("tasks", {"task_id": "b", "task_name": "B", "task_exec": "true", "task_notify": [good]})
    call_command("export_config")
    exported = capsys.readouterr().out
    config = tmp_path / "config.json"
    config.write_text(exported)
    call_command("import_config", str(config))

    assert answer["channels"][0]["success_when"] == wanted
    assert admin.get("tasks/b").json()["task_notify"][0]["channels"][0]["success_when"] == wanted
    assert json.loads(exported)["tasks"][0]["task_notify"][0]["channels"][0]["success_when"] == wanted
    assert "0 changed, 1 unchanged" in capsys.readouterr().out
    assert [row.config["success_when"] for row in RuleChannel.objects.all()] == [wanted, wanted]


def test_a_refused_address_of_apprise_is_shown_without_its_secret(admin: TokenClient) -> None:
    for url in ("slack://hush", "https://oapi.dingtalk.com/robot/send?access_token=hush"):
        bad = {"triggers": ["timeout"], "channels": [{"type": "apprise", "urls": [url]}]}

        answer = admin.post("notification-rules", {"scope": "all", **bad})

        [error] = answer.json()["errors"]
        assert answer.status_code == 400
        assert "is not an Apprise URL" in str(error)
        assert "hush" not in answer.content.decode()


def test_all_problems_of_a_rule_are_told_at_once(admin: TokenClient) -> None:
    bad = rule("failure", threshold=0, repeat="never", surprise=1)

    found = errors_of(admin.post("notification-rules", {"scope": "all", **bad}))

    assert sorted(path for path, _message in found) == ["repeat", "surprise", "threshold", "triggers[0]"]


@each_case(
    ("place", "path"),
    [
        ({}, "scope"),
        ({"scope": "some"}, "scope"),
        ({"scope": "task"}, "task_id"),
        ({"scope": "task", "task_id": "nobody"}, "task_id"),
        ({"scope": "all", "task_id": "a"}, "task_id"),
        ({"scope": "all", "tag": "x"}, "tag"),
        ({"scope": "tag"}, "tag"),
        ({"scope": "tag", "tag": "a b"}, "tag"),
    ],
)
def test_a_rule_for_nobody_in_particular_is_refused(
    admin: TokenClient, place: dict[str, str], path: str
) -> None:
    [(found, _message)] = errors_of(admin.post("notification-rules", {**place, **rule("timeout")}))

    assert found == path


def test_scope_and_task_of_a_rule_stay(admin: TokenClient, make_task: Any) -> None:
    make_task("a", task_notify=[rule("timeout")])
    make_task("b")
    path = f"notification-rules/{NotificationRule.objects.get().pk}"

    for body in ({"scope": "all"}, {"task_id": "b"}):
        assert admin.call("PATCH", path, body).status_code == 400
    assert admin.call("PATCH", path, {"task_id": "a", "enabled": False}).status_code == 200


@pytest.mark.parametrize(
    ("role", "may_read", "may_test", "may_write"),
    [("Viewer", True, False, False), ("Operator", True, True, False), ("Editor", True, True, True)],
)
def test_what_the_roles_may(
    as_role: Any,
    make_task: Any,
    notebook: NotebookChannel,
    role: str,
    may_read: bool,
    may_test: bool,
    may_write: bool,
) -> None:
    make_task("a", task_notify=[rule("timeout")])
    path = f"notification-rules/{NotificationRule.objects.get().pk}"
    client = as_role(role)

    assert (client.get(path).status_code == 200) is may_read
    assert (client.post(f"{path}/rehearse").status_code == 200) is may_read
    assert (client.get("deliveries").status_code == 200) is may_read
    assert (client.post(f"{path}/test").status_code == 200) is may_test
    assert (client.call("PATCH", path, {"threshold": 2}).status_code == 200) is may_write


# --- trying out -------------------------------------------------------------------------------------


def test_a_test_message_answers_what_became_of_it(
    admin: TokenClient, make_task: Any, notebook: NotebookChannel
) -> None:
    make_task("a", task_notify=[rule("timeout", name="ops")])

    answer = admin.post(f"notification-rules/{NotificationRule.objects.get().pk}/test")

    [result] = answer.json()["results"]
    assert (result["state"], result["event"], result["response"]) == ("sent", "test", "noted")


def test_a_rehearsal_of_a_stored_rule_and_of_a_draft_are_the_same(admin: TokenClient, make_task: Any) -> None:
    words = rule("technical_failure", threshold=3)
    task = make_task("a", task_notify=[words])
    outcomes(task, "FFFSFFFF", begin=datetime.now(UTC) - timedelta(days=1))

    stored = admin.post(
        f"notification-rules/{NotificationRule.objects.get().pk}/rehearse", {"days": 2}
    ).json()
    draft = admin.post(
        "notification-rules/rehearse", {"scope": "task", "task_id": "a", "days": 2, **words}
    ).json()
    refused = admin.post("notification-rules/rehearse", {"scope": "all", "days": 0, **words})

    assert (stored["sent"], stored["outcomes"], stored["is_complete"]) == (2, 8, True)
    assert [m["streak"] for m in stored["messages"]] == [3, 3]
    assert stored["messages"] == draft["messages"]
    assert [path for path, _ in errors_of(refused)] == ["days"]
    assert not Delivery.objects.exists()


# --- deliveries -------------------------------------------------------------------------------------


def test_deliveries_are_listed_filtered_read_and_resent(
    admin: TokenClient, make_task: Any, notebook: NotebookChannel
) -> None:
    finish_all(make_task("a", task_notify=[rule("technical_failure", cooldown=600)]), "FF")
    finish_all(make_task("b", task_notify=[rule("timeout")]), "T")
    send_due()

    every = admin.get("deliveries").json()["results"]
    held = admin.get("deliveries?state=suppressed&task_id=a&channel=webhook").json()["results"]
    one = admin.get(f"deliveries/{every[0]['delivery_id']}").json()
    again = admin.post(f"deliveries/{held[0]['delivery_id']}/resend")
    send_due()

    assert [(d["task_id"], d["event"], d["state"]) for d in every] == [
        ("b", "timeout", "sent"),
        ("a", "technical_failure", "suppressed"),
        ("a", "technical_failure", "sent"),
    ]
    assert "cooldown of 10 min" in held[0]["reason"]
    assert (one["content"]["event"], one["attempts"], one["response"]) == ("timeout", 1, "noted")
    assert (again.status_code, again.json()["state"]) == (202, "pending")
    assert len(notebook.sent) == 3


def test_deliveries_cost_the_same_however_many(
    admin: TokenClient, make_task: Any, django_assert_max_num_queries: Any
) -> None:
    for number in range(5):
        finish_all(make_task(f"t{number}", task_notify=[rule("technical_failure")]), "FFFF")

    with django_assert_max_num_queries(8):
        page = admin.get("deliveries?page_size=15").json()

    assert len(page["results"]) == 15
    rest = admin.call("GET", page["next"].partition("testserver")[2]).json()
    assert len(rest["results"]) == 5 and rest["next"] is None


@each_case("query", ["state=lost", "event=boom", "channel=pigeon", "since=yesterday", "rule=x", "x=1"])
def test_a_filter_that_cannot_be_is_refused(admin: TokenClient, query: str) -> None:
    [(path, _message)] = errors_of(admin.get(f"deliveries?{query}"))

    assert path == query.partition("=")[0]


def test_a_delivery_that_is_not_there_is_404_and_one_being_sent_409(
    admin: TokenClient, make_task: Any
) -> None:
    finish_all(make_task("a", task_notify=[rule("technical_failure")]), "F")
    Delivery.objects.update(state="sending")

    assert admin.get("deliveries/999999").status_code == 404
    assert admin.post(f"deliveries/{Delivery.objects.get().pk}/resend").status_code == 409


def test_a_bad_part_of_a_rule_hides_no_other(admin: TokenClient) -> None:
    channels = [
        {"type": "email", "recipients": [5, "ops"], "subject_template": "{{no}}"},
        {"type": "webhook", "url": "http://127.0.0.1/hook", "method": "SING"},
        {"type": "fax"},
        7,
    ]
    bad = {"triggers": ["timeout", "late", "timeout"], "threshold": 1.5, "channels": channels}
    task = {"task_id": "b", "task_name": "B", "task_exec": "true", "task_notify": [bad, 3]}

    answer = admin.post("tasks", task)

    assert answer.status_code == 400
    assert sorted(error["path"].removeprefix("task_notify") for error in answer.json()["errors"]) == [
        "[0].channels[0].recipients[0]",
        "[0].channels[0].recipients[1]",
        "[0].channels[0].subject_template",
        "[0].channels[1].method",
        "[0].channels[1].url",
        "[0].channels[2].type",
        "[0].channels[3]",
        "[0].threshold",
        "[0].triggers[1]",
        "[0].triggers[2]",
        "[1]",
    ]


@each_case(
    ("body", "missing"),
    [
        ({}, {"triggers", "channels"}),
        ({"triggers": ["success"]}, {"channels"}),
        ({"channels": [{"type": "email", "recipients": ["a@b.example"]}]}, {"triggers"}),
        ({"triggers": ["success"], "channels": [{}]}, {"channels[0].type"}),
        ({"triggers": ["success"], "channels": [{"type": "email"}]}, {"channels[0].recipients"}),
        ({"triggers": ["success"], "channels": [{"type": "webhook"}]}, {"channels[0].url"}),
    ],
)
def test_a_rule_without_what_it_needs_is_refused_wherever_it_is_written(
    admin: TokenClient, body: dict[str, Any], missing: set[str]
) -> None:
    stored = admin.post("notification-rules", {"scope": "all", **rule("timeout")}).json()["rule_id"]

    for method, path in (
        ("POST", "notification-rules"),
        ("POST", "notification-rules/rehearse"),
        ("PUT", f"notification-rules/{stored}"),
    ):
        answer = admin.call(method, path, {"scope": "all", **body})
        assert answer.status_code == 400, answer.content
        assert {error["path"] for error in answer.json()["errors"]} == missing
    assert NotificationRule.objects.count() == 1
