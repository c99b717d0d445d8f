"""A kind of channel of its own, which stands in tests/pigeon: everything works with it once it is registered."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client
from django.urls import reverse

from notifications.channels.registry import get_channel, register, unregister
from notifications.choices import Scope
from notifications.engine.reasons import Code as CommonCode
from notifications.models import Delivery, NotificationRule
from notifications.services.definitions import save_rule, validate_rule
from notifications.services.send_threads import send_due
from scheduler.config_file import ConfigError, load_schema, validate_task
from scheduler.config_file.masking import masked_rule
from scheduler.config_file.secret_values import secret_values
from scheduler.config_file.url_masking import MASK
from scheduler.management.commands.generate_docs import configuration_page, reasons_page
from scheduler.models import Task
from tests.api_client import TokenClient, errors_of
from tests.conftest import NOON
from tests.notify import finish_all
from tests.pigeon.channel import PigeonChannel
from tests.support.pages import member, shown_form, text_of

pytestmark = pytest.mark.django_db

RING = "canary-ring"
BIRD = {"type": "pigeon", "loft": "tower-3", "ring": RING}
RULE = {"name": "tell", "triggers": ["technical_failure"], "channels": [BIRD]}
TASK = {"task_id": "a", "task_name": "A", "task_exec": "true", "task_notify": [RULE]}
RULES = reverse("admin:notifications_notificationrule_changelist")
ADD = reverse("admin:notifications_notificationrule_add")
DELIVERIES = reverse("admin:notifications_delivery_changelist")


@pytest.fixture(autouse=True)
def pigeons() -> Iterator[PigeonChannel]:
    """Let rules send pigeons during a test."""
    channel = PigeonChannel()
    register(channel)
    yield channel
    unregister(channel.kind)


@pytest.fixture
def admin(as_role: Any) -> TokenClient:
    """Return a client that may do everything."""
    client: TokenClient = as_role("Admin")
    return client


@pytest.fixture
def rule(db: None) -> NotificationRule:
    """Store a rule of all tasks that sends a pigeon."""
    return save_rule(validate_rule(RULE), scope=Scope.ALL, user=None, now=NOON)


def form(**fields: Any) -> dict[str, Any]:
    """Return the form of a rule of all tasks with one pigeon."""
    return {
        "form_is": "rule",
        "scope": "all",
        "rule": "r0",
        "asked": "r0",
        "r0-name": "Typed",
        "r0-enabled": "on",
        "r0-triggers": ["timeout"],
        "r0-threshold": "1",
        "r0-repeat": "every",
        "r0-cooldown": "0",
        "r0-cooldown_unit": "60",
        "r0-channel": ["c0"],
        "r0-c0-kind": "pigeon",
        "r0-c0-loft": "tower-4",
        "r0-c0-ring": RING,
        "r0-c0-body_template": "fly",
        **fields,
    }


def test_a_file_is_imported_exported_and_imported_again_without_a_change(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"tasks": [TASK]}), encoding="utf-8")

    call_command("import_config", str(path))
    call_command("export_config", str(path))
    call_command("import_config", str(path), "--check")

    [stored] = NotificationRule.objects.get().channels.all()
    assert (stored.kind, stored.config) == ("pigeon", {"loft": "tower-3", "ring": RING, "body_template": ""})
    assert RING in path.read_text(encoding="utf-8")


def test_what_its_schema_its_check_and_its_templates_refuse_is_told_with_its_place(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "config.json"
    birds = [{"type": "pigeon"}, {**BIRD, "loft": "cat house"}, {**BIRD, "body_template": "{{task}}"}]
    path.write_text(json.dumps({**TASK, "task_notify": [{**RULE, "channels": birds}]}), encoding="utf-8")

    with pytest.raises(SystemExit):
        call_command("import_config", str(path))

    said = capsys.readouterr().err
    assert (
        "task_notify[0].channels[0].loft: loft is missing; it must be text of at most 50 characters" in said
    )
    assert "task_notify[0].channels[1].loft: loft is refused: a cat lives there" in said
    assert (
        'task_notify[0].channels[2].body_template: body_template has the unknown placeholder "task"' in said
    )


def test_the_api_takes_it_masks_it_and_keeps_its_secret(admin: TokenClient, rule: NotificationRule) -> None:
    created = admin.post("tasks", TASK)
    shown = admin.get("tasks/a").json()["task_notify"][0]
    changed = admin.call("PATCH", "tasks/a", {"task_notify": [{**shown, "threshold": 2}]})
    listed = admin.get("notification-rules").json()["results"]
    unknown = admin.post("notification-rules", {"scope": "all", **RULE, "channels": [{**BIRD, "wing": 1}]})

    assert (created.status_code, changed.status_code) == (201, 200)
    assert shown["channels"] == [{**BIRD, "ring": MASK, "body_template": ""}]
    assert Task.objects.get().notify[0]["channels"][0]["ring"] == RING
    assert {one["channels"][0]["ring"] for one in listed} == {MASK}
    assert [path for path, _message in errors_of(unknown)] == ["channels[0].wing"]
    assert "pigeon" in admin.get("config/schema").json()["$defs"]


def test_a_form_adds_it_keeps_its_secret_and_says_what_is_refused(admin_client: Client) -> None:
    part = reverse("admin:notifications_channel_part")
    offered, fields = (
        text_of(admin_client.get(ADD)),
        text_of(admin_client.get(part, {"kind": "pigeon", "rule": "r0"})),
    )
    refused = text_of(admin_client.post(ADD, form(**{"r0-c0-loft": "cat"})))
    saved = admin_client.post(ADD, form())
    row = NotificationRule.objects.get()
    url = reverse("admin:notifications_notificationrule_change", args=[row.pk])
    edited = text_of(admin_client.get(url))
    again = admin_client.post(url, {**shown_form(edited), "r0-c0-loft": "tower-5"})

    assert "Add Carrier pigeon" in offered and "Loft of the bird" in fields
    assert "Refused: a cat lives there" in refused and saved.status_code == again.status_code == 302
    assert RING not in edited and 'value="tower-4"' in edited
    assert row.channels.get().config == {"loft": "tower-5", "ring": RING, "body_template": "fly"}


def test_a_test_message_is_sent_from_the_form_and_over_the_api(
    admin_client: Client, admin: TokenClient, rule: NotificationRule, pigeons: PigeonChannel
) -> None:
    said = text_of(admin_client.post(reverse("admin:notifications_test"), form()))
    answered = admin.post(f"notification-rules/{rule.pk}/test")

    assert "loft tower-4" in said and RING not in said
    assert answered.status_code == 200 and RING not in answered.content.decode()
    assert [(loft, ring) for loft, ring, _note in pigeons.landed] == [("tower-4", RING), ("tower-3", RING)]


def test_a_delivery_is_sent_and_shown_by_its_own_template(
    admin: TokenClient, rule: NotificationRule, make_task: Any, pigeons: PigeonChannel
) -> None:
    finish_all(make_task("b"), "F", begin=datetime.now(UTC))
    send_due()
    delivery = Delivery.objects.get()
    site = member("Viewer")
    page = text_of(site.get(reverse("admin:notifications_delivery_change", args=[delivery.pk])))
    listed = text_of(site.get(DELIVERIES, {"channel": "pigeon"}))
    found = admin.get("deliveries?channel=pigeon").json()["results"]

    assert (delivery.state, len(pigeons.landed)) == ("sent", 1)
    assert "Note on the leg" in page and "Carrier pigeon" in page and "it landed and shows" in page
    assert "Carrier pigeon" in listed and [one["delivery_id"] for one in found] == [delivery.pk]
    assert RING not in page + listed + json.dumps(found)
    assert "loft tower-3" in text_of(site.get(RULES))
    assert (delivery.response_code, found[0]["response_code"]) == ("bird_landed", "bird_landed")
    assert found[0]["response_params"] == {"ring": "***"} and "it landed and shows" in found[0]["response"]


def test_a_refusal_of_its_own_has_its_code_in_the_api(admin: TokenClient) -> None:
    refused = admin.post(
        "notification-rules", {"scope": "all", **RULE, "channels": [{**BIRD, "loft": "cat"}]}
    )

    [error] = refused.json()["errors"]
    assert (error["code"], error["allowed"]) == ("refused_by_channel", "a loft without a cat")
    assert error["params"]["why"] == {"code": "cat_lives_there", "params": {}}


def test_its_secret_is_masked_in_rules_exports_and_logs() -> None:
    spec = validate_task(TASK)

    assert masked_rule(spec["task_notify"][0], shows_address=True)["channels"][0]["ring"] == MASK
    assert secret_values({}, spec) == (RING,)


def test_the_reference_describes_it() -> None:
    page = configuration_page()

    assert "## A channel: pigeon\n\nWith `type` set to `pigeon`.\n" in page
    assert (
        '| `loft` | Where the bird flies to. | text of at most 50 characters | required | `"tower-3"` |'
        in page
    )
    assert "| `bird_landed` | `ring` | it landed and shows ‹ring› |" in reasons_page()


def test_a_code_that_another_part_uses_is_refused(pigeons: PigeonChannel) -> None:
    class Doubled(PigeonChannel):
        reasons = {CommonCode.CHANNEL_REMOVED: "it flew away"}

    with pytest.raises(ValueError, match="channel_removed has a template already"):
        register(Doubled())

    assert get_channel("pigeon") is pigeons


def test_once_it_is_taken_away_nothing_of_it_is_left(pigeons: PigeonChannel, rule: NotificationRule) -> None:
    unregister("pigeon")
    try:
        with pytest.raises(
            ConfigError, match='must be one of email, webhook, apprise, but "pigeon" was found'
        ):
            validate_rule(RULE)
        shown = masked_rule({"channels": [BIRD]}, shows_address=True)["channels"]

        assert "pigeon" not in json.dumps(load_schema()) + configuration_page()
        assert "bird_landed" not in reasons_page()
        assert shown == [{"type": "pigeon", "loft": MASK, "ring": MASK}]
        assert "not readable" in text_of(member("Viewer").get(RULES))
    finally:
        register(pigeons)
