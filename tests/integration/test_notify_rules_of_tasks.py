"""Rules of tasks: what stands in task_notify is what the rows say, and what is unchanged keeps its row."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext

from notifications.choices import Scope
from notifications.models import Delivery, NotificationRule, RuleChannel
from notifications.services.definitions import delete_rule, save_rule, validate_rule
from notifications.services.rule_sync import rule_spec
from scheduler.config_file import ConfigError, parse_config, validate_task
from scheduler.models import Task
from scheduler.services.configuration import apply_import, plan_import
from scheduler.services.tasks import delete_task, save_task, set_enabled
from scheduler.task_mapping import task_to_spec
from scheduler.wording.import_plan import plan_lines
from tests.conftest import NOON
from tests.notify import finish_all, rule
from tests.support.cases import each_case

pytestmark = pytest.mark.django_db

SECRETS = {
    "name": "all kinds",
    "triggers": ["technical_failure", "recovered"],
    "threshold": 3,
    "repeat": "once",
    "cooldown": 90.5,
    "channels": [
        {"type": "email", "recipients": ["ops@example.org"], "subject_template": "{{task_name}} 失败"},
        {
            "type": "webhook",
            "url": "https://hooks.example.org/x?y=1",
            "headers": {"B": "2", "A": "1"},
            "secret": "hush",
        },
        {"type": "apprise", "urls": ["ntfy://token@ntfy.example.org/topic"]},
    ],
}


def change(task: Task, *rules: dict[str, Any]) -> Task:
    fresh = Task.objects.get(pk=task.pk)
    spec = validate_task({**task_to_spec(fresh), "task_notify": list(rules)})
    return save_task(spec, task=fresh, user=None, now=NOON)


def rows(task: Task) -> dict[str, int]:
    return dict(NotificationRule.objects.filter(task=task).order_by("position").values_list("name", "pk"))


def test_rows_say_what_the_task_says(make_task: Any) -> None:
    task = make_task("a", task_notify=[SECRETS, rule("overdue", name="late", enabled=False)])

    stored = list(NotificationRule.objects.order_by("position"))

    assert [rule_spec(row) for row in stored] == task.notify
    assert [(row.scope, row.watches_deadline) for row in stored] == [("task", False), ("task", True)]


def test_an_export_and_its_import_are_the_same_bytes_with_secrets(make_task: Any, tmp_path: Path) -> None:
    make_task("a", task_notify=[SECRETS])
    first, second = tmp_path / "1.json", tmp_path / "2.json"
    call_command("export_config", str(first))
    channels = list(RuleChannel.objects.order_by("pk").values_list("pk", "config"))

    apply_import(parse_config(first.read_text(), file="1"), prune=True, user=None, now=NOON)
    call_command("export_config", str(second))

    assert first.read_bytes() == second.read_bytes()
    assert b"hush" in first.read_bytes()
    assert list(RuleChannel.objects.order_by("pk").values_list("pk", "config")) == channels


def test_unchanged_rules_and_channels_keep_their_rows(make_task: Any) -> None:
    a, b = rule("timeout", name="a"), rule("success", name="b")
    task = make_task("t", task_notify=[a, b])
    before, channels = rows(task), set(RuleChannel.objects.values_list("pk", flat=True))

    change(task, rule("missed", name="new"), b, a)

    after = rows(task)
    assert list(after) == ["new", "b", "a"]
    assert {name: after[name] for name in "ab"} == before
    assert channels < set(RuleChannel.objects.values_list("pk", flat=True))


def test_a_changed_rule_is_known_by_its_name_or_its_place(make_task: Any) -> None:
    task = make_task("t", task_notify=[rule("timeout", name="named"), rule("success")])
    before = list(NotificationRule.objects.order_by("position").values_list("pk", flat=True))

    change(task, rule("timeout", name="named", threshold=5), rule("success", cooldown=60))

    stored = NotificationRule.objects.order_by("position")
    assert [row.pk for row in stored] == before
    assert [(row.threshold, row.cooldown) for row in stored] == [(5, 0), (1, 60)]


def test_a_changed_channel_keeps_its_row_and_its_deliveries(make_task: Any) -> None:
    task = make_task("t", task_notify=[rule("technical_failure")])
    finish_all(task, "F")
    channel = RuleChannel.objects.get()
    NotificationRule.objects.update(updated_at=NOON, problem="its channel cannot be read")

    change(task, rule("technical_failure", url="https://other.example.org/"))

    changed = RuleChannel.objects.get()
    assert changed.pk == channel.pk and changed.target != channel.target
    assert Delivery.objects.get().channel == changed
    row = NotificationRule.objects.get()
    assert (row.updated_at > NOON, row.problem) == (True, "")


def test_rules_that_are_gone_leave_their_deliveries(make_task: Any) -> None:
    task = make_task("t", task_notify=[rule("technical_failure", name="x")])
    finish_all(task, "F")

    change(task)

    assert not NotificationRule.objects.exists() and not RuleChannel.objects.exists()
    assert (Delivery.objects.get().rule, Delivery.objects.get().rule_name) == (None, "x")


def test_a_deleted_task_has_no_rules_and_gets_them_back(make_task: Any) -> None:
    task = make_task("t", task_notify=[rule("timeout")])

    delete_task(task, user=None, now=NOON)
    assert not NotificationRule.objects.exists()
    make_task("t", task_notify=[rule("timeout")])

    assert NotificationRule.objects.get().task == task


def test_switching_a_task_off_and_on_leaves_its_rules_alone(make_task: Any) -> None:
    task = make_task("t", task_notify=[SECRETS])
    before = list(NotificationRule.objects.values_list("pk", "updated_at"))

    set_enabled(task, False, user=None, now=NOON)

    assert list(NotificationRule.objects.values_list("pk", "updated_at")) == before


def test_many_tasks_cost_a_few_queries(make_task: Any) -> None:
    def import_tasks(count: int, name: str, **fields: Any) -> int:
        tasks = [
            {"task_id": f"{name}{n}", "task_name": "x", "task_exec": "true", **fields} for n in range(count)
        ]
        document = parse_config(json.dumps({"tasks": tasks}), file="c")
        with CaptureQueriesContext(connection) as captured:
            apply_import(document, prune=False, user=None, now=NOON)
        return sum("notifications_" in query["sql"] for query in captured)

    assert import_tasks(200, "plain") == 1
    assert (
        import_tasks(200, "ruled", task_notify=[rule("timeout")]) <= 6
    )  # SQLite inserts about a hundred at once
    assert import_tasks(200, "ruled", task_notify=[rule("timeout")], task_desc="new") == 2


def test_the_older_form_becomes_rules_and_the_plan_says_so() -> None:
    older = {
        "task_id": "a",
        "task_name": "A",
        "task_exec": "true",
        "task_notify": {"on_success": False, "on_failure": True, "email": "ops@example.org"},
    }
    document = parse_config(json.dumps(older), file="config.json")

    lines = plan_lines(plan_import(document, prune=False, now=NOON))
    apply_import(document, prune=False, user=None, now=NOON)

    assert "note: a: task_notify in its older form became 1 rule" in lines
    stored = NotificationRule.objects.get()
    assert sorted(stored.triggers) == ["business_failure", "technical_failure", "timeout"]
    assert stored.channels.get().config["recipients"] == ["ops@example.org"]


def test_the_migration_makes_rows_of_rules_that_tasks_have_already(make_task: Any) -> None:
    task = make_task("t", task_notify=[SECRETS, rule("overdue")])
    make_task("none")
    targets = list(RuleChannel.objects.order_by("pk").values_list("target", flat=True))
    NotificationRule.objects.all().delete()

    importlib.import_module("notifications.migrations.0002_rules_of_tasks").project(apps, None)

    stored = list(NotificationRule.objects.order_by("position"))
    assert [rule_spec(row) for row in stored] == task.notify
    assert [row.watches_deadline for row in stored] == [False, True]
    assert list(RuleChannel.objects.order_by("pk").values_list("target", flat=True)) == targets


# --- writing one rule -------------------------------------------------------------------------------


def test_a_rule_of_a_task_is_written_to_the_task(make_task: Any) -> None:
    task = make_task("t", task_notify=[rule("timeout", name="first")])
    spec = validate_rule(rule("success", name="second"))

    row = save_rule(spec, scope=Scope.TASK, task=task, user=None, now=NOON)
    save_rule({**spec, "threshold": 4}, scope=Scope.TASK, task=task, row=row, user=None, now=NOON)

    task.refresh_from_db()
    assert [one["name"] for one in task.notify] == ["first", "second"]
    assert task.notify[1]["threshold"] == 4
    assert rows(task)["second"] == row.pk
    assert task.revisions.count() == 3
    delete_rule(NotificationRule.objects.get(name="first"), user=None, now=NOON)
    task.refresh_from_db()
    assert [one["name"] for one in task.notify] == ["second"]
    assert rows(task) == {"second": row.pk}


def test_a_mask_keeps_the_secret_that_is_stored(make_task: Any) -> None:
    task = make_task("t", task_notify=[SECRETS])
    row = NotificationRule.objects.get()
    masked = json.loads(json.dumps(SECRETS))
    masked["channels"][1] |= {"secret": "••••••", "headers": {"A": "••••••", "C": "3"}}
    masked["channels"][2]["urls"] = ["ntfy://••••••", "ntfy://new"]

    spec = validate_rule(masked, stored=row)
    save_rule(spec, scope=Scope.TASK, task=task, row=row, user=None, now=NOON)

    task.refresh_from_db()
    _mail, webhook, apprise = task.notify[0]["channels"]
    assert (webhook["secret"], webhook["headers"]) == ("hush", {"A": "1", "C": "3"})
    assert apprise["urls"] == ["ntfy://token@ntfy.example.org/topic", "ntfy://new"]


def test_a_mask_without_a_secret_behind_it_is_refused() -> None:
    masked = rule("timeout")
    masked["channels"][0]["secret"] = "••••••"

    with pytest.raises(ConfigError) as caught:
        validate_rule(masked)

    [problem] = caught.value.problems
    assert problem.path == "channels[0].secret"
    assert problem.message == "secret is a mask, but no secret is stored here; enter the secret"


@each_case(
    ("fields", "path", "message"),
    [
        ({"triggers": ["failure"]}, "triggers[0]", "technical_failure"),
        ({"threshold": 0}, "threshold", "threshold must be"),
        ({"threshold": 1.5}, "threshold", "threshold must be"),
        ({"channels": []}, "channels", "channels must"),
        (
            {"channels": [{"type": "email", "recipients": ["a@b.example", "x, y@b.example"]}]},
            "channels[0].recipients[1]",
            "one mail address",
        ),
        (
            {"channels": [{"type": "webhook", "url": "http://127.0.0.1/"}]},
            "channels[0].url",
            "url is refused: ",
        ),
        (
            {"channels": [{"type": "webhook", "url": "https://a.example", "body_template": "{{no}}"}]},
            "channels[0].body_template",
            'unknown placeholder "no"',
        ),
        (
            {"channels": [{"type": "webhook", "url": "https://a.example", "body_template": "{{task_id"}]},
            "channels[0].body_template",
            "must have a placeholder name and }} after each {{",
        ),
    ],
)
def test_bad_input_is_refused_with_its_path(fields: dict[str, Any], path: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        validate_rule({**rule("timeout"), **fields})

    [problem] = caught.value.problems
    assert problem.path == path
    assert message in problem.message
    assert problem.allowed
