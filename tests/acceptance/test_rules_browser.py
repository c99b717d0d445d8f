"""Rules and deliveries in a real browser, with a real mail server and real web servers at the other end."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from notifications.models import Delivery, NotificationRule
from notifications.services.send_threads import send_due
from tests.notify import finish_all, outcomes
from tests.sinks import Mailbox, Sink, answer, mail_server

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

PATIENCE = 20_000  # milliseconds; three programs answer one after the other on a machine that may be busy


@pytest.fixture(autouse=True)
def permitted(settings: Any) -> None:
    """Let messages go to servers of this machine."""
    settings.SCHEDULER_WEBHOOK_ALLOW = ["127.0.0.1"]
    settings.EMAIL_BACKEND = "notifications.channels.email.smtp.EmailBackend"
    settings.EMAIL_HOST = "127.0.0.1"


def test_a_rule_is_rehearsed_tested_by_all_channels_and_saved(
    page: Any, live_server: Any, make_task: Any, settings: Any
) -> None:
    begin = datetime.now(UTC) - timedelta(days=1)
    outcomes(make_task("a", task_name="Alpha"), "FFFSFFFF", begin=begin, every=3600)
    mailbox = Mailbox()
    with mail_server(mailbox) as port, Sink(answer("200 OK")) as hook, Sink(answer("200 OK")) as service:
        settings.EMAIL_PORT = port
        page.goto(f"{live_server.url}/admin/notifications/notificationrule/")
        page.get_by_role("link", name="New rule").click()
        page.get_by_label("Name", exact=True).fill("Three in a row")
        page.get_by_label("Consecutive").fill("3")
        page.get_by_text("Technical failure or timeout: after every 3 in a row.").wait_for()
        page.get_by_role("button", name="Rehearse").click()
        trial = page.locator(".n-trial")
        trial.get_by_text("It would have sent 2 messages").wait_for(timeout=PATIENCE)
        told = trial.locator("tbody tr").count()

        page.get_by_label("Recipients").fill("ops@example.org")
        page.get_by_role("button", name="Add Webhook").click()
        page.get_by_label("URL", exact=True).fill(hook.url)
        page.get_by_role("button", name="Add Apprise").click()
        page.get_by_label("Apprise URL", exact=True).fill(f"json://127.0.0.1:{service.port}/x")
        page.get_by_role("button", name="Send a test").click()
        trial.get_by_text("Test messages").wait_for(timeout=PATIENCE * 2)
        states = trial.locator(".s-pill").all_text_contents()
        received = json.loads(hook.next().body)
        posted = json.loads(service.next().body)
        before = NotificationRule.objects.exists()

        page.get_by_role("button", name="Save rule").click()
        page.get_by_text("The rule was saved.").wait_for()

    assert told == 2 and not before
    assert states == ["Sent", "Sent", "Sent"]
    assert received["event"] == "test" and "Three in a row" in posted["title"]
    (recipients, mail), *others = mailbox.mails
    assert recipients == ["ops@example.org"] and "Three in a row" in mail["Subject"] and not others
    rule = NotificationRule.objects.get()
    assert (rule.threshold, [channel.kind for channel in rule.channels.all()]) == (
        3,
        ["email", "webhook", "apprise"],
    )


def test_what_an_answer_must_say_is_typed_tried_out_and_kept(page: Any, live_server: Any) -> None:
    body = '{"msgtype":"text","text":{"content":"{{task_name}}"}}'
    with Sink(answer("200 OK", body=b'{"data":{"code":7}}')) as hook:
        page.goto(f"{live_server.url}/admin/notifications/notificationrule/add/")
        page.get_by_role("button", name="Remove this channel: Email").click()
        page.get_by_role("button", name="Add Webhook").click()
        page.get_by_label("URL", exact=True).fill(hook.url)
        page.get_by_text("Method, signature, answer, headers").click()
        page.get_by_label("Success when this field of the answer").fill("data.code")
        page.get_by_label("equals").fill("0")
        page.get_by_text("Custom message").click()
        page.get_by_label("Body").fill(body)
        page.get_by_role("button", name="Send a test").click()
        refused = page.locator(".n-trial").get_by_text("data.code of the response is not 0")
        refused.wait_for(timeout=PATIENCE * 2)
        posted = json.loads(hook.next().body)
        page.get_by_label("equals").fill("7")
        page.get_by_role("button", name="Save rule").click()
        page.get_by_text("The rule was saved.").wait_for()

    channel = NotificationRule.objects.get().channels.get()
    page.goto(f"{live_server.url}/admin/notifications/notificationrule/{channel.rule_id}/change/")

    assert list(posted) == ["msgtype", "text"]
    assert channel.config["success_when"] == {"path": "data.code", "equals": 7}
    assert channel.config["body_template"] == body
    assert page.get_by_label("Success when this field of the answer").input_value() == "data.code"
    assert page.get_by_label("equals").input_value() == "7"


def test_the_address_of_a_robot_is_offered_in_its_form_for_apprise(page: Any, live_server: Any) -> None:
    page.goto(f"{live_server.url}/admin/notifications/notificationrule/add/")
    page.get_by_role("button", name="Remove this channel: Email").click()
    page.get_by_role("button", name="Add Apprise").click()
    page.get_by_label("Apprise URL", exact=True).fill(
        "https://oapi.dingtalk.com/robot/send?access_token=hush"
    )
    page.get_by_role("button", name="Save rule").click()

    page.get_by_text("for DingTalk use dingtalk://ACCESS_TOKEN").wait_for(timeout=PATIENCE)

    assert not NotificationRule.objects.exists()


def test_a_failed_delivery_is_read_and_sent_again(page: Any, live_server: Any, make_task: Any) -> None:
    with Sink(answer("200 OK")) as sink:
        words = {"name": "Told", "triggers": ["technical_failure"]}
        channels = [{"type": "webhook", "url": sink.url, "secret": "hush"}]
        finish_all(make_task("a", task_name="Alpha", task_notify=[{**words, "channels": channels}]), "F")
        Delivery.objects.update(state="failed", attempts=8, next_attempt_at=None, reason="HTTP 500")

        page.goto(f"{live_server.url}/admin/")
        page.get_by_text("Webhook channel is failing: HTTP 500").wait_for()
        page.goto(f"{live_server.url}/admin/notifications/delivery/?state=failed")
        page.get_by_role("link", name="Failed Delivery").click()
        page.get_by_role("button", name="Send again").click()
        question = page.locator("#s-confirm[open]")
        question.get_by_text("It failed. Try again").wait_for()
        question.get_by_role("button", name="Send again").click()
        page.get_by_text("A worker will send it shortly.").wait_for()
        page.locator("#delivery").get_by_text("Pending").wait_for()
        send_due()
        page.locator("#delivery").get_by_text("Sent", exact=True).first.wait_for(timeout=PATIENCE)
        sent = json.loads(sink.next().body)

    assert sent["task_name"] == "Alpha"
    assert "Alpha" in page.locator("#delivery pre").text_content()


def test_rules_of_a_task_are_added_moved_and_removed_on_its_form(
    page: Any, live_server: Any, make_task: Any
) -> None:
    words = {"triggers": ["timeout"], "channels": [{"type": "email", "recipients": ["a@example.org"]}]}
    task = make_task("a", task_notify=[{**words, "name": name} for name in ("one", "two")])
    page.goto(f"{live_server.url}/admin/scheduler/task/{task.pk}/change/")

    page.get_by_role("button", name="Add a rule").click()
    added = page.locator(".n-rule").nth(2)
    added.get_by_label("Name", exact=True).fill("three")
    added.get_by_label("Consecutive").fill("0")
    added.get_by_label("Recipients").fill("b@example.org")
    added.get_by_role("button", name="Move this rule up").click()
    page.get_by_role("button", name="Remove this rule").first.click()
    page.get_by_role("button", name="Save", exact=True).click()
    page.get_by_text("A whole number from 1 to 100,000 is allowed.").wait_for()
    page.locator(".n-rule", has_text="three").get_by_label("Consecutive").fill("2")
    page.get_by_role("button", name="Save", exact=True).click()
    page.wait_for_url(f"**/task/{task.pk}/")
    page.locator("#rules-card").get_by_role("link", name="three").wait_for()
    task.refresh_from_db()

    assert [(rule["name"], rule["threshold"]) for rule in task.notify] == [("three", 2), ("two", 1)]


def test_no_page_of_rules_is_wider_than_a_phone(page: Any, live_server: Any, make_task: Any) -> None:
    channels = [
        {"type": "email", "recipients": [f"somebody.with.a.long.name{n}@example.org" for n in range(3)]},
        {"type": "webhook", "url": f"https://hooks.example.org/{'x' * 200}", "headers": {"X-Team": "a"}},
        {"type": "apprise", "urls": ["ntfy://topic"]},
    ]
    words = {"name": "A name that is long enough to wrap", "triggers": ["technical_failure"]}
    task = make_task("a", task_notify=[{**words, "channels": channels}])
    execution = finish_all(task, "F")[0]
    Delivery.objects.update(state="failed", reason="no " * 60)
    rule, delivery = NotificationRule.objects.get(), Delivery.objects.latest("pk")
    page.set_viewport_size({"width": 390, "height": 844})

    wide = {}
    for address in (
        "notifications/notificationrule/",
        f"notifications/notificationrule/{rule.pk}/",
        f"notifications/notificationrule/{rule.pk}/change/",
        "notifications/notificationrule/add/",
        "notifications/delivery/",
        f"notifications/delivery/{delivery.pk}/change/",
        f"scheduler/task/{task.pk}/",
        f"scheduler/task/{task.pk}/change/",
        f"scheduler/execution/{execution.pk}/change/",
    ):
        page.goto(f"{live_server.url}/admin/{address}")
        width = page.evaluate("document.documentElement.scrollWidth")
        if width > 390:
            wide[address] = width

    assert wide == {}
