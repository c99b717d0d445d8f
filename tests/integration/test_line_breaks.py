"""Texts are stored with LF, whichever way they come, and an untouched form changes nothing."""

from __future__ import annotations

import html
import importlib
import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

import pytest
from django.apps import apps
from django.test import Client
from django.urls import reverse

from notifications.choices import Scope
from notifications.models import NotificationRule, RuleChannel
from notifications.services.definitions import save_rule, validate_rule
from scheduler.config_file import complete_spec, parse_config
from scheduler.models import Task, TaskRevision
from scheduler.services import claims
from scheduler.services.configuration import apply_import, export_specs, plan_import
from scheduler.services.runs import request_run
from scheduler.task_mapping import task_to_spec
from tests.conftest import NOON

pytestmark = pytest.mark.django_db

SCRIPT = "if true; then\n  echo yes\nfi\n"
TEXTS = "\nfirst\nsecond\n\n"
RULE = {
    "name": " mine ",
    "triggers": ["timeout"],
    "channels": [
        {
            "type": "email",
            "recipients": ["ops@example.org"],
            "subject_template": "one\ntwo",
            "body_template": "\nfirst\nsecond\n",
        }
    ],
}
FIELDS: dict[str, Any] = {
    "task_name": " with spaces ",
    "task_exec": SCRIPT,
    "task_desc": TEXTS,
    "task_env": {"LINES": "\na\nb\n", "ONE": " x "},
    "task_notify": [RULE],
    "task_schedule": " */5 * * * * ",
    "task_deadline": 93600,
    "task_retry_backoff": 1.1,
    "task_tags": ["b", "a"],
    "task_exit_codes": {"success": [0, "24-30"]},
    "task_python": ".venv",
}


def with_crlf(value: Any) -> Any:
    """Return what a client of another system sends."""
    return json.loads(json.dumps(value).replace("\\n", "\\r\\n"))


class Form(HTMLParser):
    """What a browser sends of a form that nobody touched: HTML drops the first line break of a textarea, each line
    break is sent as CR LF, and a field of one line has none."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.sent: list[tuple[str, str]] = []
        self._area: tuple[str, list[str]] | None = None
        self._select, self._template = "", 0
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self._template += tag == "template"
        if self._template:
            return
        if tag == "textarea":
            self._area = (values.get("name", ""), [])
        elif tag == "select":
            self._select = values.get("name", "")
        elif tag == "option" and "selected" in values and self._select:
            self.sent.append((self._select, values["value"]))
        elif tag == "input" and values.get("name"):
            kind = values.get("type", "text")
            if kind not in ("checkbox", "radio", "submit") or "checked" in values:
                text = values.get("value", "on" if kind == "checkbox" else "")
                self.sent.append((values["name"], re.sub(r"[\r\n]", "", text)))

    def handle_data(self, data: str) -> None:
        if self._area:
            self._area[1].append(data)

    def handle_endtag(self, tag: str) -> None:
        self._template -= tag == "template"
        if tag == "textarea" and self._area:
            name, parts = self._area
            text = "".join(parts).replace("\r\n", "\n").removeprefix("\n")
            self.sent.append((name, text.replace("\n", "\r\n")))
            self._area = None

    def as_data(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for name, value in self.sent:
            found.setdefault(name, []).append(value)
        return found


def post_untouched(site: Client, url: str) -> Any:
    page = site.get(url).content.decode()
    start = page.index("<form", page.index("csrfmiddlewaretoken") - 2000)
    return site.post(url, Form(page[start:]).as_data())


@pytest.mark.parametrize("way", ["form", "api", "file"])
def test_texts_are_stored_with_lf_whichever_way_they_come(
    way: str, admin_client: Client, make_task: Any
) -> None:
    sent = with_crlf({"task_id": "a", **FIELDS})
    if way == "form":
        task = make_task("a")
        url = reverse("admin:scheduler_task_change", args=[task.pk])
        data = Form(admin_client.get(url).content.decode()).as_data()
        data |= {"command": [sent["task_exec"]], "description": [sent["task_desc"]]}
        data |= {"env_name": ["LINES"], "env_value": [sent["task_env"]["LINES"]]}
        assert admin_client.post(url, data).status_code == 302
    elif way == "api":
        response = admin_client.post(
            "/api/scheduler/tasks", json.dumps(sent), content_type="application/json"
        )
        assert response.status_code == 201, response.content
    else:
        document = parse_config(json.dumps([sent]), file="config.json")
        apply_import(document, prune=False, user=None, now=NOON)

    task = Task.objects.get()
    assert task.command == SCRIPT
    assert task.description == TEXTS
    assert task.env["LINES"] == "\na\nb\n"
    assert "\r" not in json.dumps(TaskRevision.objects.order_by("number").last().spec).replace("\\r", "\r")  # type: ignore[union-attr]


@pytest.mark.parametrize("way", ["task", "all"])
def test_texts_of_rules_are_stored_with_lf(way: str, make_task: Any) -> None:
    if way == "task":
        make_task("a", task_notify=[with_crlf(RULE)])
    else:
        save_rule(validate_rule(with_crlf(RULE)), scope=Scope.ALL, user=None, now=NOON)

    config = RuleChannel.objects.get().config
    assert config["body_template"] == "\nfirst\nsecond\n"
    assert config["subject_template"] == "one\ntwo"


def test_an_untouched_form_leaves_no_revision_and_the_same_next_run(
    admin_client: Client, make_task: Any
) -> None:
    upstreams = [
        "Zeta",
        "_x",
        "alpha",
        "b-c",
        "bA",
    ]  # in an order of letters that is not that of all databases
    for name in upstreams:
        make_task(name)
    task = make_task("a", task_dependencies=upstreams, **FIELDS)
    before = Task.objects.get(task_id="a")

    response = post_untouched(admin_client, reverse("admin:scheduler_task_change", args=[task.pk]))

    after = Task.objects.get(task_id="a")
    assert response.status_code == 302, re.findall(r"errorlist.*", html.unescape(response.content.decode()))
    assert task_to_spec(after) == task_to_spec(before)
    assert TaskRevision.objects.filter(task=task).count() == 1
    assert (after.next_run_at, after.updated_at) == (before.next_run_at, before.updated_at)


def test_an_untouched_form_of_a_rule_changes_nothing(admin_client: Client) -> None:
    rule = save_rule(validate_rule(RULE), scope=Scope.ALL, user=None, now=NOON)
    before = (rule.updated_at, rule.name, RuleChannel.objects.get().config)

    response = post_untouched(
        admin_client, reverse("admin:notifications_notificationrule_change", args=[rule.pk])
    )

    rule = NotificationRule.objects.get()
    assert response.status_code == 302
    assert (rule.updated_at, rule.name, RuleChannel.objects.get().config) == before


def test_what_is_sent_again_over_the_api_with_cr_lf_leaves_no_revision(
    admin_client: Client, make_task: Any
) -> None:
    make_task("a", **FIELDS)

    response = admin_client.put(
        "/api/scheduler/tasks/a",
        json.dumps(with_crlf({"task_id": "a", **FIELDS})),
        content_type="application/json",
    )

    assert response.status_code == 200
    assert TaskRevision.objects.count() == 1


def test_a_description_as_long_as_allowed_is_saved_untouched_though_a_browser_makes_it_longer(
    admin_client: Client, make_task: Any
) -> None:
    task = make_task("a", task_desc="x\n" * 5000)

    response = post_untouched(admin_client, reverse("admin:scheduler_task_change", args=[task.pk]))

    assert response.status_code == 302
    assert TaskRevision.objects.count() == 1


@pytest.fixture
def stored_with_cr(make_task: Any) -> Iterator[Task]:
    """Yield a task as a page stored it before, its revision too."""
    task = make_task("a", **FIELDS)
    old = with_crlf(task_to_spec(task))
    Task.objects.update(command=old["task_exec"], description=old["task_desc"], env=old["task_env"])
    Task.objects.update(notify=old["task_notify"])
    TaskRevision.objects.update(spec=old)
    for channel in RuleChannel.objects.all():
        RuleChannel.objects.update(config=with_crlf(channel.config))
    yield Task.objects.get()


def test_what_was_stored_with_cr_lf_gets_lf_by_the_migrations(stored_with_cr: Task) -> None:
    for name in ("scheduler.migrations.0006_line_breaks", "notifications.migrations.0004_line_breaks"):
        importlib.import_module(name).use_lf(apps, None)

    task = Task.objects.get()
    assert (task.command, task.description) == (SCRIPT, TEXTS)
    assert task.env == FIELDS["task_env"]
    assert task.notify[0]["channels"][0]["body_template"] == "\nfirst\nsecond\n"
    assert RuleChannel.objects.get().config["body_template"] == "\nfirst\nsecond\n"


def test_an_older_revision_is_run_and_compared_with_lf(
    admin_client: Client, stored_with_cr: Task, make_task: Any
) -> None:
    importlib.import_module("scheduler.migrations.0006_line_breaks").use_lf(apps, None)
    execution = request_run(stored_with_cr, trigger="manual", user=None, now=NOON)
    assert execution.revision_id is not None

    spec = claims.spec_of(execution.revision_id)
    plan = plan_import(parse_config(json.dumps(export_specs()), file="f"), prune=False, now=NOON)
    response = post_untouched(admin_client, reverse("admin:scheduler_task_change", args=[stored_with_cr.pk]))

    assert spec["task_exec"] == SCRIPT
    assert spec == complete_spec(TaskRevision.objects.get().spec)
    assert plan.unchanged == ["a"]
    assert response.status_code == 302 and TaskRevision.objects.count() == 1
