"""Secrets of channels: who sees what of them, and that none reaches another host."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import Client
from django.urls import reverse

from notifications.choices import Scope
from notifications.models import NotificationRule, RuleChannel
from notifications.services.definitions import save_rule, validate_rule
from scheduler.config_file import ConfigError, parse_config
from scheduler.config_file.url_masking import MASK
from scheduler.models import Task
from scheduler.services.configuration import apply_import, export_specs, plan_import, stored_specs
from tests.api_client import TokenClient
from tests.conftest import NOON
from tests.sinks import Sink, answer
from tests.support.cases import each_case
from tests.support.pages import member, shown_form, text_of

pytestmark = pytest.mark.django_db

HOOK = {
    "type": "webhook",
    "url": "https://canary-user:canary-word@hooks.example.org/canary-path",
    "headers": {"X-Token": "canary-header"},
    "secret": "canary-key",
}
APPRISE = {"type": "apprise", "urls": ["ntfy://canary-service@ntfy.example.org/a"]}
RULE = {"name": "tell", "triggers": ["timeout"], "channels": [HOOK, APPRISE]}
ENV = {"PASSWORD": "canary-variable"}
OTHER_TARGET = "is the mask of a secret stored for another target; enter the secret again"
ALLOWED = "the secret; its mask only if kind, scheme, host and port are unchanged"

#: Which canaries may be seen by those who may change tasks, and by the others.
MAY_EDIT, MAY_READ = {"canary-variable", "canary-path"}, set[str]()
CANARIES = {
    *("canary-user", "canary-word", "canary-path", "canary-header"),
    *("canary-key", "canary-service", "canary-variable"),
}
SEES = {"Viewer": MAY_READ, "Operator": MAY_READ, "Editor": MAY_EDIT, "Admin": MAY_EDIT}


@pytest.fixture
def task(make_task: Any) -> Task:
    """Return a task with everything that is secret, and make a rule of all tasks with the same."""
    made: Task = make_task("a", task_notify=[RULE], task_env=ENV)
    save_rule(validate_rule(RULE), scope=Scope.ALL, user=None, now=NOON)
    return made


def without_secrets(url: str) -> dict[str, Any]:
    """Return the rule as an editor reads it, with another address of its webhook."""
    hook = {**HOOK, "url": url, "headers": {"X-Token": MASK}, "secret": MASK}
    return {**RULE, "channels": [hook, {**APPRISE, "urls": [f"ntfy://{MASK}"]}]}


def pages(task: Task) -> dict[str, str]:
    """Return all pages and paths that show something of a task or its rules."""
    own, of_all = NotificationRule.objects.order_by("-scope")
    assert (own.scope, of_all.scope) == ("task", "all")
    api = "/api/scheduler"
    return {
        "API: tasks": f"{api}/tasks",
        "API: a task": f"{api}/tasks/a",
        "API: rules": f"{api}/notification-rules",
        "API: a rule of a task": f"{api}/notification-rules/{own.pk}",
        "API: a rule of all": f"{api}/notification-rules/{of_all.pk}",
        "list of tasks": reverse("admin:scheduler_task_changelist"),
        "page of a task": reverse("admin:scheduler_task_page", args=[task.pk]),
        "form of a task": reverse("admin:scheduler_task_change", args=[task.pk]),
        "list of rules": reverse("admin:notifications_notificationrule_changelist"),
        "page of a rule": reverse("admin:notifications_rule_page", args=[own.pk]),
        "form of a rule": reverse("admin:notifications_notificationrule_change", args=[of_all.pk]),
        "export": reverse("admin:scheduler_export"),
        "exported file": reverse("admin:scheduler_export") + "?download=1",
    }


@pytest.mark.parametrize("role", SEES)
def test_who_sees_what_is_one_rule_for_every_page_path_and_export(task: Task, role: str) -> None:
    changed = stored_specs()["a"] | {"task_env": {**ENV, "MORE": "x"}}  # a change to be told on its page
    apply_import(parse_config(json.dumps(changed), file="c"), prune=False, user=None, now=NOON)
    client, may_edit = member(role), role in ("Editor", "Admin")

    for name, url in pages(task).items():
        response = client.get(url, follow=True)

        assert response.status_code in ((200,) if may_edit else (200, 403)), name
        seen = {canary for canary in CANARIES if canary in response.content.decode()}
        assert seen <= SEES[role], name
    chosen = {"action": "export", "_selected_action": [str(task.pk)]}
    response = client.post(reverse("admin:scheduler_task_changelist"), chosen, follow=True)
    assert ('"task_id": "a"' in response.content.decode()) == may_edit
    assert {canary for canary in CANARIES if canary in response.content.decode()} <= SEES[role]


@each_case("role", SEES)
@each_case("path", ["tasks/a", "tasks"])
def test_the_api_shows_variables_and_addresses_to_those_who_may_change_them(
    task: Task, as_role: Any, role: str, path: str
) -> None:
    body = as_role(role).get(path).json()
    shown = body["results"][0] if path == "tasks" else body
    hook, apprise = shown["task_notify"][0]["channels"]

    may_edit = role in ("Editor", "Admin")
    assert shown["task_env"] == (ENV if may_edit else {"PASSWORD": MASK})
    assert hook["url"] == (
        f"https://{MASK}@hooks.example.org/canary-path" if may_edit else f"https://hooks.example.org/{MASK}"
    )
    assert (hook["headers"], hook["secret"]) == ({"X-Token": MASK}, MASK)
    assert apprise["urls"] == [f"ntfy://{MASK}"]


def test_only_the_command_exports_secrets(task: Task, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("export_config")

    out = capsys.readouterr().out
    assert {name for name in CANARIES if name in out} == CANARIES


# --- export and import ----------------------------------------------------------------------------


def exported() -> str:
    """Return what an editor downloads."""
    name = "config.json"
    response = member("Editor").get(reverse("admin:scheduler_export") + "?download=1")
    assert name in response["Content-Disposition"]
    return str(response.content.decode())


def test_what_an_editor_exports_can_be_imported_again_and_changes_nothing(task: Task) -> None:
    before = export_specs()

    document = parse_config(exported(), file="config.json", known=(), stored=stored_specs)

    assert document.specs == before
    assert not plan_import(document, prune=True, now=NOON).has_changes


def test_an_import_with_masks_asks_for_the_secrets_of_another_target(task: Task) -> None:
    text = exported().replace(f"https://{MASK}@hooks.example.org/", "https://evil.example/")

    with pytest.raises(ConfigError) as caught:
        parse_config(text, file="config.json", known=(), stored=stored_specs)

    assert [(problem.path, problem.allowed) for problem in caught.value.problems] == [
        ("tasks[0].task_notify[0].channels[0].headers.X-Token", ALLOWED),
        ("tasks[0].task_notify[0].channels[0].secret", ALLOWED),
    ]
    assert caught.value.problems[1].message == f"secret {OTHER_TARGET}"
    assert caught.value.problems[1].line is not None


def test_an_import_with_masks_under_another_id_gets_nothing(task: Task) -> None:
    text = exported().replace('"task_id": "a"', '"task_id": "b"')

    with pytest.raises(ConfigError, match="url is a mask, but no secret is stored here; enter the secret"):
        parse_config(text, file="config.json", known=(), stored=stored_specs)


def test_the_page_of_the_import_takes_masks_and_shows_no_secret(task: Task) -> None:
    text = exported().replace('"name": "tell"', '"name": "told"')
    client = Client()
    client.force_login(User.objects.get())
    url = reverse("admin:scheduler_import")

    plan = text_of(client.post(url, {"text": text, "action": "plan"}))
    digest = shown_form(plan)["plan"][0]
    client.post(url, {"text": text, "action": "apply", "plan": digest})

    task.refresh_from_db()
    assert "told" in plan
    assert {name for name in CANARIES if name in plan} <= MAY_EDIT
    assert task.notify[0]["name"] == "told"
    assert task.notify[0]["channels"] == [
        {**validate_rule(RULE)["channels"][0]},
        validate_rule(RULE)["channels"][1],
    ]


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_the_plan_that_a_command_prints_shows_no_secret_of_a_channel(
    task: Task, tmp_path: Any, capsys: pytest.CaptureFixture[str], options: list[str]
) -> None:
    file = tmp_path / "config.json"
    changed = {**RULE, "channels": [{**HOOK, "secret": "canary-new"}, APPRISE]}
    file.write_text(
        json.dumps(
            {"task_id": "a", "task_name": "a", "task_exec": "true", "task_env": ENV, "task_notify": [changed]}
        )
    )

    call_command("import_config", str(file), "--dry-run", *options)

    out = capsys.readouterr().out
    assert "task_notify" in out
    assert {name for name in (*CANARIES, "canary-new") if name in out} <= MAY_EDIT


# --- the API --------------------------------------------------------------------------------------


def writes(url: str) -> list[tuple[str, str, Any]]:
    """Return all requests by which an editor could send a rule with masks."""
    rule = without_secrets(url)
    task = {"task_id": "a", "task_name": "a", "task_exec": "true", "task_notify": [rule]}
    own, of_all = NotificationRule.objects.order_by("-scope")
    return [
        ("PUT", "tasks/a", task),
        ("PATCH", "tasks/a", {"task_notify": [rule]}),
        ("PUT", f"notification-rules/{own.pk}", {"scope": "task", "task_id": "a", **rule}),
        ("PATCH", f"notification-rules/{own.pk}", {"channels": rule["channels"]}),
        ("PUT", f"notification-rules/{of_all.pk}", {"scope": "all", **rule}),
        ("PATCH", f"notification-rules/{of_all.pk}", {"channels": rule["channels"]}),
    ]


@each_case("number", range(6))
def test_no_request_sends_stored_secrets_to_another_target(
    task: Task, editor: TokenClient, number: int
) -> None:
    before = list(RuleChannel.objects.order_by("pk").values_list("config", flat=True))
    method, path, body = writes("https://evil.example/hook")[number]

    answer = editor.call(method, path, body)

    errors = answer.json()["errors"]
    assert answer.status_code == 400
    assert [error["path"].rpartition("channels[0].")[2] for error in errors] == ["secret", "headers.X-Token"]
    assert {error["allowed"] for error in errors} == {ALLOWED}
    assert errors[0]["message"] == f"secret {OTHER_TARGET}"
    assert list(RuleChannel.objects.order_by("pk").values_list("config", flat=True)) == before


@each_case("number", range(6))
def test_every_request_keeps_the_secrets_of_the_same_target(
    task: Task, editor: TokenClient, number: int
) -> None:
    url = f"https://{MASK}@HOOKS.example.org:443/other"
    method, path, body = writes(url)[number]

    answer = editor.call(method, path, body)

    assert answer.status_code == 200, answer.content
    changed = RuleChannel.objects.get(kind="webhook", config__url__endswith="/other")
    assert changed.config["url"] == "https://canary-user:canary-word@HOOKS.example.org:443/other"
    assert (changed.config["headers"], changed.config["secret"]) == (HOOK["headers"], HOOK["secret"])


@each_case("path", ["notification-rules", "notification-rules/rehearse", "tasks"])
def test_new_rules_and_drafts_have_no_secrets_to_keep(task: Task, editor: TokenClient, path: str) -> None:
    rule = without_secrets("https://hooks.example.org/a")
    body = {"scope": "all", **rule}
    if path == "tasks":
        body = {"task_id": "b", "task_name": "b", "task_exec": "true", "task_notify": [rule]}

    answer = editor.post(path, body)

    assert answer.status_code == 400
    assert (
        answer.json()["errors"][0]["message"]
        == "secret is a mask, but no secret is stored here; enter the secret"
    )


# --- forms ----------------------------------------------------------------------------------------


def test_a_form_asks_for_secrets_again_when_the_address_changes_host(task: Task) -> None:
    client = member("Editor")
    of_all = NotificationRule.objects.get(scope="all")
    url = reverse("admin:notifications_notificationrule_change", args=[of_all.pk])
    sent = shown_form(text_of(client.get(url)))
    assert sent["r0-c0-url"] == [f"https://{MASK}@hooks.example.org/canary-path"]

    refused = text_of(client.post(url, sent | {"r0-c0-url": ["https://evil.example/hook"]}))
    masked = text_of(client.post(url, sent | {"r0-c0-url": [f"https://{MASK}@evil.example/hook"]}))
    kept = client.post(url, sent | {"r0-c0-url": [f"https://{MASK}@hooks.example.org./moved"]})

    said = "The stored value belongs to another address. Enter it again;"
    assert (refused.count(said), masked.count(said)) == (2, 3)
    assert {name for name in CANARIES if name in refused + masked} <= MAY_EDIT
    assert kept.status_code == 302
    config = of_all.channels.get(kind="webhook").config
    assert config["url"] == "https://canary-user:canary-word@hooks.example.org./moved"
    assert (config["secret"], config["headers"]) == (HOOK["secret"], HOOK["headers"])


def test_a_form_keeps_no_secret_of_a_channel_of_another_kind(task: Task) -> None:
    client = member("Editor")
    of_all = NotificationRule.objects.get(scope="all")
    url = reverse("admin:notifications_notificationrule_change", args=[of_all.pk])
    sent = shown_form(text_of(client.get(url)))
    apprise = of_all.channels.get(kind="apprise")

    swapped = {"r0-c0-pk": [str(apprise.pk)], "r0-c0-url": ["https://hooks.example.org/a"]}
    html = text_of(client.post(url, sent | swapped))

    assert "It is no longer stored. Enter it again." in html


@pytest.mark.parametrize("is_form_of_task", [False, True])
def test_a_test_of_a_draft_with_another_address_sends_no_stored_secret(
    make_task: Any, settings: Any, is_form_of_task: bool
) -> None:
    settings.SCHEDULER_WEBHOOK_ALLOW = ["127.0.0.1"]
    client = member("Editor")
    with Sink(answer("200 OK")) as own, Sink(answer("200 OK")) as other:
        hook = {**HOOK, "url": own.url}
        task = make_task("a", task_notify=[{**RULE, "channels": [hook]}])
        row = NotificationRule.objects.get()
        if is_form_of_task:
            url, about = (
                reverse("admin:scheduler_task_change", args=[task.pk]),
                {"form_is": "task", "form_of": task.pk},
            )
        else:
            url = reverse("admin:notifications_notificationrule_change", args=[row.pk])
            about = {"form_is": "rule", "form_of": row.pk}
        sent = shown_form(text_of(client.get(url))) | about | {"asked": "r0"}
        refused = text_of(client.post(reverse("admin:notifications_test"), sent | {"r0-c0-url": [other.url]}))
        client.post(reverse("admin:notifications_test"), sent)
        received = own.next()

    assert refused.count("The stored value belongs to another address.") == 2
    assert other.received.empty()
    assert received.header("X-Token") == "canary-header"


def test_a_redirect_takes_no_secret_along(make_task: Any, settings: Any) -> None:
    settings.SCHEDULER_WEBHOOK_ALLOW = ["127.0.0.1"]
    client = member("Editor")
    with Sink(answer("200 OK")) as other, Sink(answer("307 Elsewhere", f"Location: {other.url}")) as own:
        make_task("a", task_notify=[{**RULE, "channels": [{**HOOK, "url": own.url}]}])
        row = NotificationRule.objects.get()
        html = text_of(client.post(reverse("admin:notifications_rule_test", args=[row.pk])))

    assert "redirects are not followed" in html
    assert other.received.empty()
