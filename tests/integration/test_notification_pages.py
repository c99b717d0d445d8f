"""Pages of rules and deliveries, as a browser without scripts sees them."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import translation

from notifications import selectors
from notifications.choices import Scope
from notifications.models import Delivery, NotificationRule, RuleChannel
from notifications.services.definitions import save_rule, validate_rule
from notifications.wording.rules import rule_sentence
from scheduler.models import Execution, Task
from tests.conftest import NOON
from tests.notify import finish_all, outcomes, rule
from tests.sinks import Sink, answer
from tests.support.cases import each_case
from tests.support.pages import FORM, NASTY, compact, member, shown_form, text_of

pytestmark = pytest.mark.django_db

SECRET, TOKEN, HEADER, APPRISE = "hush-key", "tok3n-path", "hush-header", "hush-apprise"
WEBHOOK = {
    "type": "webhook",
    "url": f"https://hooks.example.org/{TOKEN}",
    "headers": {"X-Team": HEADER},
    "secret": SECRET,
}
CHANNELS = [
    {"type": "email", "recipients": ["ops@example.org"], "subject_template": "{{task_name}} 失败"},
    WEBHOOK,
    {"type": "apprise", "urls": [f"ntfy://{APPRISE}@ntfy.example.org/a", "json://example.org/b"]},
]
RULES = reverse("admin:notifications_notificationrule_changelist")
ADD = reverse("admin:notifications_notificationrule_add")
DELIVERIES = reverse("admin:notifications_delivery_changelist")


@pytest.fixture
def site(admin_client: Client) -> Client:
    return admin_client


def make_rule(
    *channels: dict[str, Any], scope: Scope = Scope.ALL, task: Task | None = None, tag: str = "", **words: Any
) -> NotificationRule:
    """Store a rule."""
    given = {"triggers": ["technical_failure"], "channels": list(channels or CHANNELS[:1]), **words}
    return save_rule(validate_rule(given), scope=scope, task=task, tag=tag, user=None, now=NOON)


def url_of(name: str, row: Any) -> str:
    return reverse(f"admin:notifications_{name}", args=[row.pk])


def form(**fields: Any) -> dict[str, Any]:
    """Return the form of a rule of all tasks with one email channel."""
    return {
        "form_is": "rule",
        "scope": "all",
        "rule": "r0",
        "asked": "r0",
        "r0-name": "Typed",
        "r0-enabled": "on",
        "r0-triggers": ["technical_failure", "timeout"],
        "r0-threshold": "3",
        "r0-repeat": "every",
        "r0-cooldown": "2",
        "r0-cooldown_unit": "3600",
        "r0-channel": ["c0"],
        "r0-c0-kind": "email",
        "r0-c0-recipients": "ops@example.org\nnight@example.org",
        **fields,
    }


# --- what rules say ------------------------------------------------------------------------------


@each_case(
    ("words", "sentence"),
    [
        ({}, "Technical failure: each time"),
        ({"threshold": 3}, "Technical failure: after every 3 in a row"),
        ({"threshold": 3, "repeat": "once"}, "Technical failure: once, after 3 in a row"),
        ({"repeat": "once"}, "Technical failure: once, for the first of a series"),
        (
            {"threshold": 2, "repeat": "always", "cooldown": 5400},
            "Technical failure: each time, starting at 2 in a row; then muted for 1 h 30 min",
        ),
        ({"triggers": ["missed", "skipped", "overdue"]}, "Missed, skipped or overdue: each time"),
    ],
)
def test_a_rule_is_said_in_a_sentence(words: dict[str, Any], sentence: str) -> None:
    assert rule_sentence(validate_rule(rule("technical_failure", **words) | words)) == sentence


# --- all pages -----------------------------------------------------------------------------------


@pytest.fixture
def everything(make_task: Any) -> dict[str, Any]:
    """Store rules and deliveries with markup and secrets in every text."""
    task = make_task("a", task_name=NASTY, task_tags=["t"], task_notify=[
        {"name": NASTY, "triggers": ["technical_failure"], "channels": CHANNELS}
    ])  # fmt: skip
    save_rule(
        validate_rule({"name": NASTY, "triggers": ["timeout"], "channels": CHANNELS}),
        scope=Scope.TAG, tag="t", task=None, user=None, now=NOON,
    )  # fmt: skip
    NotificationRule.objects.filter(scope="tag").update(problem=NASTY)
    executions = finish_all(task, "F")
    Delivery.objects.update(
        state="failed",
        rule_name=NASTY,
        reason=NASTY,
        response=NASTY,
        created_at=datetime.now(UTC),
        content={
            "recipients": [NASTY], "subject": NASTY, "text": NASTY, "html": NASTY, "method": NASTY,
            "target": NASTY, "content_type": NASTY, "body": NASTY, "title": NASTY,
            "services": [{"kind": NASTY, "id": "x"}],
        },
    )  # fmt: skip
    return {"task": task, "execution": executions[0]}


def pages(keys: dict[str, Any]) -> list[str]:
    """Return the addresses of all pages on which rules and deliveries are shown."""
    rows = NotificationRule.objects.order_by("pk")
    return [
        reverse("admin:index"),
        reverse("admin:scheduler_task_page", args=[keys["task"].pk]),
        reverse("admin:scheduler_task_change", args=[keys["task"].pk]),
        reverse("admin:scheduler_execution_change", args=[keys["execution"].pk]),
        RULES,
        ADD,
        DELIVERIES,
        *(url_of(name, row) for row in rows for name in ("rule_page", "notificationrule_change")),
        *(url_of("delivery_change", row) for row in Delivery.objects.order_by("pk")),
    ]


def test_stored_text_is_text_on_every_page(site: Client, everything: dict[str, Any]) -> None:
    urls = pages(everything)
    for url in urls:
        response = site.get(url)

        assert response.status_code == 200, url
        assert "<script>alert" not in text_of(response), url
        assert "<img src=x" not in text_of(response), url
    assert len(urls) == 14


def test_no_page_has_a_script_or_style_of_its_own_or_names_another_host(
    site: Client, everything: dict[str, Any]
) -> None:
    for url in pages(everything):
        html = text_of(site.get(url))

        inline = re.findall(r"<script(?![^>]*\bsrc=)[^>]*>", html)
        assert [tag for tag in inline if "application/json" not in tag] == [], url
        assert re.findall(r"\s(?:on[a-z]+|style)=\"", html.partition('id="main"')[2]) == [], url
        assert re.findall(r'(?:src|href|action)="(?:https?:)?//[^"]+"', html) == [], url


@pytest.mark.parametrize("role", ["Viewer", "Operator", "Editor", "Admin"])
def test_secrets_are_on_no_page_for_anybody(everything: dict[str, Any], role: str) -> None:
    client = member(role)
    editors_form = {url_of("notificationrule_change", row) for row in NotificationRule.objects.all()} | {
        reverse(f"admin:scheduler_{name}", args=[everything["task"].pk])
        for name in ("task_change", "task_page")
    }

    for url in pages(everything):
        html = text_of(client.get(url))
        for secret in (SECRET, HEADER, APPRISE):
            assert secret not in html, url
        # The address of a webhook may be a secret; those who may change it have to see it, and nobody else.
        if role in ("Viewer", "Operator") or url not in editors_form:
            assert TOKEN not in html, url


def test_viewers_read_and_write_nothing(everything: dict[str, Any]) -> None:
    viewer, row = member("Viewer"), NotificationRule.objects.latest("pk")
    delivery = Delivery.objects.latest("pk")

    answers = {url: viewer.get(url).status_code for url in pages(everything)}
    posts = [
        viewer.post(url_of(name, row)).status_code
        for name in ("rule_switch", "rule_test", "notificationrule_delete")
    ]
    posts += [
        viewer.post(reverse(f"admin:notifications_{name}"), form()).status_code
        for name in ("rehearse", "test")
    ]
    posts += [viewer.post(url_of("resend", delivery)).status_code, viewer.post(ADD, form()).status_code]

    assert {url for url, status in answers.items() if status == 403} == {ADD}
    assert {url.rsplit("/", 2)[1] for url, status in answers.items() if status == 302} == {"change"}
    assert posts == [403] * 7
    assert viewer.post(url_of("rule_rehearse", NotificationRule.objects.get(scope="task"))).status_code == 200


def test_operators_test_and_resend_and_change_nothing(everything: dict[str, Any], notebook: Any) -> None:
    operator = member("Operator")
    row = make_rule(WEBHOOK, name="x")
    failed = Delivery.objects.filter(kind="webhook").latest("pk")

    page = text_of(operator.get(url_of("rule_page", row)))
    tested = text_of(operator.post(url_of("rule_test", row)))
    resent = operator.post(url_of("resend", failed))
    changed = [
        operator.post(ADD, form()).status_code,
        operator.post(url_of("rule_switch", row)).status_code,
        operator.post(reverse("admin:notifications_test"), form()).status_code,
    ]

    assert "Send a test" in page and "Disable" not in page and "Edit" not in page
    assert "Sent" in tested and "noted" in tested and len(notebook.sent) == 1
    assert (resent.status_code, Delivery.objects.get(pk=failed.pk).state) == (302, "pending")
    assert changed == [403] * 3


# --- the list ------------------------------------------------------------------------------------


def test_the_list_says_whom_when_by_what_and_how_the_last_message_went(site: Client, make_task: Any) -> None:
    task = make_task("a", task_name="Alpha", task_notify=[rule("timeout", name="own")])
    make_rule(WEBHOOK, name="everywhere", threshold=3)
    make_rule(name="tagged", scope=Scope.TAG, tag="nightly")
    finish_all(task, "T")
    Delivery.objects.update(state="failed", reason="HTTP 500")
    NotificationRule.objects.filter(name="tagged").update(triggers=["wrong"])

    html = compact(site.get(RULES))

    assert "Technical failure: after every 3 in a row" in html
    assert "Alpha" in html and "nightly" in html and "All tasks" in html
    assert "https://hooks.example.org/••••••" in html and "ops@example.org" in html
    assert 'title="HTTP 500">Failed' in html and "nothing sent yet" in html
    assert "triggers must be among" in html


def test_rules_are_found_by_state_and_words(site: Client, make_task: Any) -> None:
    task = make_task("alpha", task_name="First", task_notify=[rule("timeout", name="own")])
    make_rule(name="everywhere")
    make_rule(name="tagged", scope=Scope.TAG, tag="nightly", enabled=False)
    NotificationRule.objects.filter(task=task).update(problem="broken")

    def found(**query: str) -> list[str]:
        return [card.rule.name for card, _may in site.get(RULES, query).context["cards"]]

    assert found() == ["everywhere", "tagged", "own"]
    assert found(state="tag") == found(state="off") == found(q="night") == ["tagged"]
    assert found(state="broken") == found(q="alph") == found(q="first") == found(state="task") == ["own"]
    assert found(q="nothing like it") == []
    assert "No rules match" in text_of(site.get(RULES, {"q": "nothing like it"}))


def test_a_rule_is_switched_off_and_on_in_the_task_that_it_belongs_to(site: Client, make_task: Any) -> None:
    task = make_task("a", task_notify=[rule("timeout", name="one"), rule("missed", name="two")])
    own, everywhere = NotificationRule.objects.get(name="two"), make_rule(name="all")

    for row in (own, everywhere):
        site.post(url_of("rule_switch", row), {"enabled": "0"})
    off = dict(NotificationRule.objects.values_list("name", "enabled"))
    task.refresh_from_db()
    site.post(url_of("rule_switch", own), {"enabled": "1"})

    assert off == {"one": True, "two": False, "all": False}
    assert [words["enabled"] for words in task.notify] == [True, False]
    assert (
        NotificationRule.objects.get(name="two").pk == own.pk
        and NotificationRule.objects.get(name="two").enabled
    )


def test_a_rule_is_deleted_from_its_task_and_its_deliveries_stay(site: Client, make_task: Any) -> None:
    task = make_task("a", task_notify=[rule("technical_failure", name="gone"), rule("missed", name="left")])
    finish_all(task, "F")

    response = site.post(url_of("notificationrule_delete", NotificationRule.objects.get(name="gone")))
    task.refresh_from_db()

    assert response.status_code == 302
    assert [words["name"] for words in task.notify] == ["left"]
    delivery = Delivery.objects.get()
    assert (delivery.rule_id, delivery.rule_name) == (None, "gone")
    assert "gone" in text_of(site.get(url_of("delivery_change", delivery)))


@pytest.mark.parametrize("name", ["rules", "deliveries", "task", "execution", "overview"])
def test_lists_need_the_same_queries_for_one_and_for_many(
    site: Client, make_task: Any, django_assert_num_queries: Any, name: str
) -> None:
    task = make_task("a", task_tags=["t"])
    execution = outcomes(task, "F")[0]
    now = datetime.now(UTC)

    def fill(count: int) -> None:
        for number in range(count):
            row = make_rule(*CHANNELS, scope=Scope.TAG, tag="t", name=f"r{number}")
            NotificationRule.objects.filter(pk=row.pk).update(problem="x")
            for channel in row.channels.all():
                Delivery.objects.create(
                    rule=row, channel=channel, kind=channel.kind, target=channel.target, task=task,
                    execution=execution, event="timeout", occasion="x", state="failed", occurred_at=now,
                    created_at=now,
                )  # fmt: skip

    url = {
        "rules": RULES,
        "deliveries": DELIVERIES,
        "task": reverse("admin:scheduler_task_page", args=[task.pk]),
        "execution": reverse("admin:scheduler_execution_change", args=[execution.pk]),
        "overview": reverse("admin:scheduler_overview"),
    }[name]
    fill(1)
    site.get(url)
    with CaptureQueriesContext(connection) as one:
        site.get(url)
    fill(20)

    most = {"rules": 9, "deliveries": 4, "task": 21, "execution": 12, "overview": 22}[name]
    assert len(one) <= most
    with django_assert_num_queries(len(one)):
        site.get(url)


@pytest.mark.parametrize(("letters", "shown"), [("SSF", ""), ("SFF", "× 2"), ("FFF", "× 3")])
def test_the_number_beside_an_event_counts_that_event(
    site: Client, make_task: Any, letters: str, shown: str
) -> None:
    task = make_task("a", task_notify=[rule("success", "technical_failure", threshold=3)])
    finish_all(task, letters, begin=datetime.now(UTC) - timedelta(hours=1))
    delivery = Delivery.objects.get()

    listed = compact(site.get(DELIVERIES))
    page = compact(site.get(reverse("admin:notifications_delivery_change", args=[delivery.pk])))
    trial = compact(site.post(reverse("admin:notifications_rule_rehearse", args=[delivery.rule_id])))

    assert "".join(re.findall(r"× \d+", listed)) == shown
    assert "".join(re.findall(r"\d+ in a row", page)) == shown.replace("× ", "") + " in a row" * bool(shown)
    assert f"<td>{shown.removeprefix('× ') or 1}</td>" in trial


@pytest.mark.parametrize(("letters", "words"), [("F", "失败 1 次，时间："), ("FF", "连续失败 2 次，始于")])
def test_one_failure_is_no_series_in_chinese(site: Client, make_task: Any, letters: str, words: str) -> None:
    outcomes(make_task("a"), letters, begin=datetime.now(UTC) - timedelta(hours=1))
    site.post(reverse("set_language"), {"language": "zh-hans"})

    page = text_of(site.get(reverse("admin:scheduler_overview")))

    assert words in page
    assert ("连续失败" in page) is (len(letters) > 1)


# --- the form ------------------------------------------------------------------------------------


def test_a_rule_is_made_for_all_tasks_for_a_tag_and_for_a_task(site: Client, make_task: Any) -> None:
    task = make_task("a", task_notify=[rule("missed", name="first")])

    for place in ({}, {"scope": "tag", "tag": "nightly"}, {"scope": "task", "task": task.pk}):
        response = site.post(ADD, form(**place))
        assert response.status_code == 302, text_of(response)
    task.refresh_from_db()

    made = list(NotificationRule.objects.filter(name="Typed").order_by("pk"))
    assert [(row.scope, row.tag, row.task) for row in made] == [
        ("all", "", None), ("tag", "nightly", None), ("task", "", task),
    ]  # fmt: skip
    assert [words["name"] for words in task.notify] == ["first", "Typed"]
    assert (made[0].triggers, made[0].threshold, made[0].cooldown) == (
        ["technical_failure", "timeout"],
        3,
        7200,
    )
    assert made[0].channels.get().config["recipients"] == ["ops@example.org", "night@example.org"]


@each_case(
    ("typed", "stored", "shown"),
    [
        ("0", 0, "0"),
        ("true", True, "true"),
        ("null", None, "null"),
        ("ok", "ok", "ok"),
        ('"0"', "0", "&quot;0&quot;"),
        ("", "", "&quot;&quot;"),
        ("[1]", "[1]", "[1]"),
    ],
)
def test_what_an_answer_must_say_is_typed_and_shown_again(
    site: Client, typed: str, stored: Any, shown: str
) -> None:
    fields = {"r0-c0-kind": "webhook", "r0-c0-url": "https://e.org/", "r0-c0-success_path": "data.code"}

    response = site.post(ADD, form(**fields, **{"r0-c0-success_equals": typed}))
    page = site.get(
        reverse("admin:notifications_notificationrule_change", args=[NotificationRule.objects.get().pk])
    )

    assert response.status_code == 302, compact(response)
    assert RuleChannel.objects.get().config["success_when"] == {"path": "data.code", "equals": stored}
    assert f'name="r0-c0-success_equals" value="{shown}"' in compact(page)


def test_a_body_of_nested_json_is_taken_by_the_form(site: Client) -> None:
    body = '{"msgtype":"text","text":{"content":"{{task_name}}"}}'
    fields = {"r0-c0-kind": "webhook", "r0-c0-url": "https://e.org/", "r0-c0-body_template": body}

    response = site.post(ADD, form(**fields))

    assert response.status_code == 302, text_of(response)
    assert RuleChannel.objects.get().config["body_template"] == body


@each_case(
    ("fields", "shown"),
    [
        ({"r0-triggers": []}, "Choose at least one."),
        ({"r0-threshold": "1.5"}, "1.5 was found. A whole number from 1 to 100,000 is allowed."),
        ({"r0-threshold": "0"}, "0 was found. A whole number"),
        ({"r0-threshold": ""}, "A whole number from 1 to 100,000 is allowed."),
        ({"r0-cooldown": "-1"}, "-3600 was found. A number from 0 to 365 days is allowed; 0 is none."),
        ({"r0-cooldown": "soon"}, "&quot;soon&quot; was found. A number from 0 to 365 days is allowed"),
        ({"r0-channel": []}, "A rule needs from 1 to 20 channels. Add one."),
        ({"r0-c0-recipients": "ops@example.org, nobody"}, "&quot;nobody&quot; was found. Mail addresses such as"),
        ({"r0-c0-recipients": ""}, "Mail addresses such as ops@example.org are allowed, from 1 to 100."),
        ({"r0-c0-subject_template": "{{nam}}"}, "Unknown name {{nam}}; allowed: task_id"),
        ({"r0-c0-body_template": "{{task_name}"}, "Each {{ needs a known name and a }} after it. Known are task_id"),
        ({"r0-c0-kind": "webhook", "r0-c0-url": "ftp://x"}, "An http or https URL with a host is allowed"),
        ({"r0-c0-kind": "webhook", "r0-c0-url": "http://127.0.0.1/"}, "Refused: 127.0.0.1 is not a permitted target"),
        (
            {"r0-c0-kind": "webhook", "r0-c0-url": "https://e.org/", "r0-c0-header_name": "Host",
             "r0-c0-header_value": "x", "r0-c0-header_kept": ""},
            "Refused: the header Host is set by Schedsite",
        ),
        (
            {"r0-c0-kind": "webhook", "r0-c0-url": "https://e.org/", "r0-c0-header_name": ["A", "A"],
             "r0-c0-header_value": ["x", "y"], "r0-c0-header_kept": ["", ""]},
            "This name appears twice.",
        ),
        ({"r0-c0-kind": "apprise", "r0-c0-url_typed": "x", "r0-c0-url_kept": ""}, "Apprise URLs such as"),
        (
            {"r0-c0-kind": "apprise", "r0-c0-url_kept": "",
             "r0-c0-url_typed": "https://oapi.dingtalk.com/robot/send?access_token=abc"},
            "Refused: https://•••••• is not an Apprise URL; for DingTalk use dingtalk://ACCESS_TOKEN",
        ),
        (
            {"r0-c0-kind": "webhook", "r0-c0-url": "https://e.org/", "r0-c0-success_path": "two words",
             "r0-c0-success_equals": "0"},
            "A field of the answer such as errcode or data.status is allowed",
        ),
        (
            {"r0-c0-kind": "apprise", "r0-c0-url_typed": "syslog://x", "r0-c0-url_kept": ""},
            "Refused: syslog:// is not available",
        ),
        ({"scope": "tag", "tag": "two words"}, "A word of 1 to 50 characters without spaces"),
        ({"scope": "task"}, "Choose a task."),
        ({"r0-repeat": "often"}, "Choose one of the three."),
    ],
)  # fmt: skip
def test_each_error_stands_beside_its_field_and_nothing_typed_is_lost(
    site: Client, fields: dict[str, Any], shown: str
) -> None:
    response = site.post(ADD, form(**fields))
    html = compact(response)

    assert response.status_code == 200 and not NotificationRule.objects.exists()
    assert "Not saved" in html and shown in html.replace("&#x27;", "'")
    again = shown_form(html)
    for name, value in form(**fields).items():
        if name in ("task", "asked", "r0-repeat", "form_of", "r0-c0-url_kept", "r0-c0-header_kept"):
            continue
        expected = value if isinstance(value, list) else [value]
        if name.startswith("r0-c0-") and (form(**fields)["r0-channel"] == [] or name == "r0-c0-recipients"):
            continue  # belongs to another kind, or to no channel
        assert [text.replace("&quot;", '"') for text in again.get(name, [])] == expected, name


def test_errors_are_in_the_language_of_the_reader_where_it_has_words(site: Client) -> None:
    with translation.override("en"):
        assert "Choose at least one." in text_of(site.post(ADD, form(**{"r0-triggers": []})))


def test_saving_a_form_that_nobody_typed_into_changes_nothing_and_keeps_every_secret(
    site: Client, make_task: Any
) -> None:
    task = make_task("a", task_notify=[{"triggers": ["timeout"], "cooldown": 90.5, "channels": CHANNELS}])
    before, rows = task.notify, set(RuleChannel.objects.values_list("pk", flat=True))
    url = url_of("notificationrule_change", NotificationRule.objects.get())

    response = site.post(url, shown_form(text_of(site.get(url))))
    task.refresh_from_db()

    assert response.status_code == 302, text_of(response)
    assert task.notify == before
    assert set(RuleChannel.objects.values_list("pk", flat=True)) == rows


def test_secrets_are_replaced_renamed_and_removed_by_what_is_typed(site: Client) -> None:
    row = make_rule(*CHANNELS)
    url = url_of("notificationrule_change", row)
    sent = shown_form(text_of(site.get(url)))

    sent["r0-c1-secret"] = ["new key"]
    sent["r0-c1-header_name"] = ["X-Renamed"]
    sent["r0-c2-url_typed"] = ["", "json://example.org/c"]
    site.post(url, sent)
    changed = {channel.kind: channel.config for channel in row.channels.all()}
    sent = shown_form(text_of(site.get(url))) | {"r0-c1-drops_secret": ["on"]}
    site.post(url, sent)

    assert changed["webhook"]["secret"] == "new key"
    assert changed["webhook"]["headers"] == {"X-Renamed": HEADER}
    assert changed["apprise"]["urls"] == [CHANNELS[2]["urls"][0], "json://example.org/c"]  # type: ignore[index]
    assert row.channels.get(kind="webhook").config["secret"] == ""


def test_channels_that_change_places_keep_their_own_secrets(site: Client) -> None:
    other = {**WEBHOOK, "url": "https://other.example.org/", "secret": "other"}
    row = make_rule(WEBHOOK, other)
    url = url_of("notificationrule_change", row)
    sent = shown_form(text_of(site.get(url)))

    sent["r0-channel"].reverse()
    site.post(url, sent)

    stored = [(c.config["url"], c.config["secret"]) for c in row.channels.all()]
    assert stored == [(other["url"], "other"), (WEBHOOK["url"], SECRET)]


def test_a_form_keeps_no_secret_of_another_rule(site: Client) -> None:
    foreign = make_rule(WEBHOOK).channels.get()
    fields = {"r0-c0-kind": "webhook", "r0-c0-url": "https://e.org/", "r0-c0-pk": str(foreign.pk)}
    header = {"r0-c0-header_name": "X-Team", "r0-c0-header_value": "", "r0-c0-header_kept": "X-Team"}

    html = text_of(site.post(ADD, form(**fields, **header)))

    assert "It is no longer stored. Enter it again." in html and HEADER not in html
    assert NotificationRule.objects.count() == 1


def test_a_rule_that_is_broken_can_be_opened_and_repaired(site: Client) -> None:
    row = make_rule(name="x")
    NotificationRule.objects.filter(pk=row.pk).update(triggers="nonsense", problem="triggers must be …")
    url = url_of("notificationrule_change", row)
    sent = shown_form(text_of(site.get(url)))

    response = site.post(url, {**sent, "r0-triggers": ["timeout"]})
    row.refresh_from_db()

    assert response.status_code == 302
    assert (row.triggers, row.problem) == (["timeout"], "")


def test_a_new_channel_and_a_new_rule_come_as_parts(site: Client) -> None:
    part = reverse("admin:notifications_channel_part")
    found = {
        kind: text_of(site.get(part, {"kind": kind, "rule": "r0"}))
        for kind in ("email", "webhook", "apprise")
    }

    assert "Recipients" in found["email"] and "Method" not in found["email"]
    assert "Method" in found["webhook"] and "Recipients" not in found["webhook"]
    assert "Apprise URLs" in found["apprise"] and "Method" not in found["apprise"]
    assert site.get(part, {"kind": "pigeon", "rule": "r0"}).status_code == 404
    assert site.get(part, {"kind": "email", "rule": '"><b>'}).status_code == 404
    assert text_of(site.get(reverse("admin:notifications_rule_part"))).count('name="rule"') == 1


# --- trying out ----------------------------------------------------------------------------------


def test_a_new_rule_tells_of_all_failures(site: Client) -> None:
    part = compact(site.get(reverse("admin:notifications_rule_part")))

    for html in (compact(site.get(ADD)), part):
        assert set(re.findall(r'value="(\w+)" checked', html)) >= {
            "business_failure",
            "technical_failure",
            "timeout",
        }


def test_a_rehearsal_tells_what_the_rule_as_typed_would_have_sent(site: Client, make_task: Any) -> None:
    begin = datetime.now(UTC) - timedelta(days=2)
    outcomes(make_task("a", task_name="Alpha"), "FFFSFFFF", begin=begin, every=3600)

    html = text_of(site.post(reverse("admin:notifications_rehearse"), form(**{"r0-cooldown": "0"})))
    quiet = text_of(site.post(reverse("admin:notifications_rehearse"), form(**{"r0-cooldown": "10"})))

    assert "It would have sent 2 messages in the last 30 days." in html
    assert "8 outcomes were checked." in html and html.count("Alpha") == 2
    assert (
        "It would have sent one message in the last 30 days." in quiet
        and "1 more message would have been suppressed." in quiet
    )
    assert "cooldown of 10 h" in quiet
    assert not NotificationRule.objects.exists() and not Delivery.objects.exists()


def test_a_rule_is_rehearsed_before_its_channels_are_complete(site: Client) -> None:
    html = text_of(site.post(reverse("admin:notifications_rehearse"), form(**{"r0-c0-recipients": ""})))

    assert "It would have sent no messages in the last 30 days." in html


def test_a_rehearsal_of_a_draft_that_is_refused_says_why(site: Client) -> None:
    html = text_of(site.post(reverse("admin:notifications_rehearse"), form(**{"r0-threshold": "x"})))

    assert "Fix first:" in html and "A whole number from 1 to 100,000 is allowed." in html


def test_the_sentence_follows_what_is_typed(site: Client) -> None:
    url = reverse("admin:notifications_describe")

    good, bad = text_of(site.post(url, form())), text_of(site.post(url, form(**{"r0-threshold": "x"})))

    assert "Technical failure or timeout: after every 3 in a row; then muted for 2 h." in good
    assert bad.strip() == ""


def test_a_test_message_tells_for_each_channel_what_happened(site: Client, settings: Any) -> None:
    settings.SCHEDULER_WEBHOOK_ALLOW = ["127.0.0.1"]
    url = reverse("admin:notifications_test")
    with Sink(answer("200 OK", body=b"taken")) as good, Sink(answer("500 Oops")) as bad:
        fields = {"r0-channel": ["c0", "c1"], "r0-c0-kind": "webhook", "r0-c0-url": good.url}
        html = text_of(site.post(url, form(**fields, **{"r0-c1-kind": "webhook", "r0-c1-url": bad.url})))
        line = good.next().line

    assert line.startswith("POST /hook")
    assert html.count("Sent") == 1 and html.count("Failed") == 1 and "HTTP 500" in html
    assert list(Delivery.objects.order_by("pk").values_list("state", "attempts")) == [
        ("sent", 1),
        ("failed", 1),
    ]
    assert not NotificationRule.objects.exists()


def test_a_test_message_of_a_stored_rule_keeps_its_secrets(site: Client, settings: Any) -> None:
    settings.SCHEDULER_WEBHOOK_ALLOW = ["127.0.0.1"]
    with Sink(answer("200 OK")) as sink:
        row = make_rule({**WEBHOOK, "url": sink.url})
        sent = shown_form(text_of(site.get(url_of("notificationrule_change", row))))
        site.post(reverse("admin:notifications_test"), {**sent, "asked": "r0"})
        received = sink.next()

    assert received.header("X-Team") == HEADER
    assert (received.header("X-Schedsite-Signature") or "").startswith("sha256=")


# --- rules on the form of a task -----------------------------------------------------------------


def test_rules_of_a_task_are_edited_ordered_and_removed_on_its_form(site: Client, make_task: Any) -> None:
    task = make_task("b", task_notify=[
        {"name": name, "triggers": ["timeout"], "channels": CHANNELS} for name in ("one", "two", "three")
    ])  # fmt: skip
    url = reverse("admin:scheduler_task_change", args=[task.pk])
    sent = {
        name: value
        for name, value in shown_form(text_of(site.get(url))).items()
        if re.match(r"r\d|rule", name)
    }

    sent["rule"] = ["r2", "r0"]
    sent["r0-name"] = ["renamed"]
    response = site.post(url, {**FORM, **sent})
    task.refresh_from_db()

    assert response.status_code == 302, text_of(response)
    assert [words["name"] for words in task.notify] == ["three", "renamed"]
    assert task.notify[1]["channels"][1]["secret"] == SECRET
    assert NotificationRule.objects.count() == 2


def test_errors_of_rules_stand_beside_their_fields_on_the_form_of_a_task(
    site: Client, make_task: Any
) -> None:
    task = make_task("b", task_notify=[rule("timeout", name="one")])
    url = reverse("admin:scheduler_task_change", args=[task.pk])
    sent = shown_form(text_of(site.get(url)))

    response = site.post(url, {**FORM, **sent, "name": "Typed", "r0-threshold": "0", "r0-name": "typed too"})
    html = text_of(response)
    task.refresh_from_db()

    assert "0 was found. A whole number from 1 to 100,000 is allowed." in html
    assert "typed too" in html and 'value="Typed"' in html
    assert task.notify[0]["threshold"] == 1


def test_a_form_that_does_not_show_rules_keeps_them(site: Client, make_task: Any) -> None:
    task = make_task("b", task_notify=[rule("timeout", name="kept")])
    fields = {name: value for name, value in FORM.items() if name != "rules_shown"}

    site.post(reverse("admin:scheduler_task_change", args=[task.pk]), fields)
    task.refresh_from_db()

    assert [words["name"] for words in task.notify] == ["kept"]


def test_a_new_task_has_no_history_to_rehearse_with(site: Client) -> None:
    fields = form(form_is="task", form_of="")

    assert "A new task has no history yet." in text_of(
        site.post(reverse("admin:notifications_rehearse"), fields)
    )


# --- deliveries ----------------------------------------------------------------------------------


@pytest.fixture
def told(make_task: Any) -> Task:
    """Store a task with two rules and what an execution of it caused."""
    task: Task = make_task("alpha", task_name="Alpha", task_notify=[
        rule("technical_failure", name="hooked"),
        {"name": "mailed", "triggers": ["technical_failure"], "channels": [CHANNELS[0]]},
    ])  # fmt: skip
    finish_all(task, "F")
    return task


def test_deliveries_are_found_by_state_kind_task_rule_and_words(
    site: Client, told: Task, make_task: Any
) -> None:
    hooked, mailed = (Delivery.objects.get(rule_name=name) for name in ("hooked", "mailed"))
    Delivery.objects.filter(pk=mailed.pk).update(state="failed", reason="no")
    execution = Execution.objects.get()

    def found(**query: Any) -> list[int]:
        return [row.pk for row in site.get(DELIVERIES, query).context["rows"]]

    assert set(found()) == {hooked.pk, mailed.pk}
    assert found(state="failed") == found(channel="email") == found(rule=mailed.rule_id) == [mailed.pk]
    assert found(q="mailed") == found(q=str(mailed.pk)) == [mailed.pk] or mailed.pk == execution.pk
    assert set(found(q="alph")) == set(found(task="alpha")) == {hooked.pk, mailed.pk}
    assert found(task="beta") == found(event="timeout") == []
    assert set(found(state="nonsense", cursor="nonsense", rule="x")) == {hooked.pk, mailed.pk}


def test_the_list_of_deliveries_goes_on_by_cursor_and_counts_nothing(site: Client, make_task: Any) -> None:
    task = make_task("a")
    for number in range(65):
        Delivery.objects.create(
            kind="email", target="x", task=task, event="timeout", occasion=f"o{number}",
            occurred_at=NOON, created_at=NOON + timedelta(minutes=number // 2),
        )  # fmt: skip
    seen: list[int] = []
    url = DELIVERIES
    site.get(url)  # how many tasks fail is kept for some seconds
    with CaptureQueriesContext(connection) as queries:
        while url:
            context = site.get(url).context
            seen += [row.pk for row in context["rows"]]
            url = context["older"] and DELIVERIES + context["older"]

    assert seen == sorted(seen, reverse=True) and len(set(seen)) == 65
    assert not [q for q in queries if "COUNT(" in q["sql"]]


def test_a_delivery_shows_what_was_sent_and_what_became_of_it(site: Client, told: Task) -> None:
    mailed = Delivery.objects.get(rule_name="mailed")
    Delivery.objects.filter(pk=mailed.pk).update(
        state="sent", attempts=2, sent_at=NOON, response="accepted for 1 of 1 recipients", streak=3, repeats=3,
        content={"recipients": ["ops@example.org"], "subject": "Alpha 失败", "text": "the last lines", "html": "<p>"},
    )  # fmt: skip

    html = text_of(site.get(url_of("delivery_change", mailed)))

    for text in ("ops@example.org", "Alpha 失败", "the last lines", "accepted for 1 of 1", "3 in a row"):
        assert text in html
    assert reverse("admin:scheduler_execution_change", args=[mailed.execution_id]) in html
    assert 'hx-trigger="every' not in html.partition('id="delivery"')[2]


def test_a_delivery_that_waits_refreshes_itself_until_it_has_ended(site: Client, told: Task) -> None:
    hooked = Delivery.objects.get(rule_name="hooked")
    found = re.search(r'id="delivery" hx-get="([^"]+)"', compact(site.get(url_of("delivery_change", hooked))))
    assert found

    silent = site.get(found[1])
    Delivery.objects.filter(pk=hooked.pk).update(state="sent", sent_at=NOON)
    changed = site.get(found[1])

    assert silent.status_code == 204
    assert "Sent" in compact(changed) and "hx-get" not in compact(changed).partition(">")[0]


def test_resending_says_what_happens_and_keeps_the_first_delivery(site: Client, told: Task) -> None:
    sent, failed = Delivery.objects.order_by("rule_name")
    Delivery.objects.filter(pk=sent.pk).update(state="sent", sent_at=NOON)
    Delivery.objects.filter(pk=failed.pk).update(state="failed", attempts=8)
    removed = Delivery.objects.create(
        kind="email",
        target="x",
        event="timeout",
        occasion="y",
        state="failed",
        occurred_at=NOON,
        created_at=NOON,
    )

    first = text_of(site.post(url_of("resend", sent), follow=True))
    second = text_of(site.post(url_of("resend", failed), follow=True))
    third = text_of(site.post(url_of("resend", removed), follow=True))

    again = Delivery.objects.latest("pk")
    assert f"Delivery {again.pk} sends the message of delivery {sent.pk} again" in first
    assert "A worker will send it shortly." in second
    assert f"The channel of delivery {removed.pk} no longer exists." in third
    states = dict(Delivery.objects.values_list("pk", "state"))
    assert states == {sent.pk: "sent", failed.pk: "pending", removed.pk: "failed", again.pk: "pending"}
    assert "Send again" not in text_of(site.get(url_of("delivery_change", removed)))


# --- on the pages of the scheduler ---------------------------------------------------------------


def test_the_overview_names_broken_rules_and_channels_that_do_not_get_through(
    site: Client, told: Task
) -> None:
    now = datetime.now(UTC)
    Delivery.objects.filter(rule_name="mailed").update(
        state="failed", reason="connection refused", created_at=now
    )
    NotificationRule.objects.filter(name="hooked").update(problem="triggers must be words")
    url = reverse("admin:scheduler_overview")

    bad = text_of(site.get(url))
    Delivery.objects.filter(rule_name="mailed").update(state="sent", sent_at=now)
    NotificationRule.objects.update(problem="")
    good = text_of(site.get(url))

    assert "This rule is invalid and sends nothing: triggers must be words" in bad
    assert "Email channel is failing: connection refused" in bad
    assert "channel is failing" not in good and "is invalid" not in good


def test_a_channel_that_works_again_needs_no_attention(told: Task) -> None:
    mailed, now = Delivery.objects.get(rule_name="mailed"), datetime.now(UTC)
    Delivery.objects.filter(pk=mailed.pk).update(state="failed", created_at=now - timedelta(hours=1))
    before = selectors.failing_channels(now)
    mailed.pk, mailed.occasion, mailed.state, mailed.created_at = None, "later", "sent", now
    mailed._state.adding = True
    mailed.save()

    assert [delivery.rule_name for delivery in before] == ["mailed"]
    assert selectors.failing_channels(now) == []


def test_the_page_of_a_task_lists_its_rules_and_those_of_its_tags_and_of_all(
    site: Client, make_task: Any
) -> None:
    task = make_task("a", task_tags=["nightly"], task_notify=[rule("timeout", name="its own")])
    make_rule(name="for all")
    make_rule(name="for its tag", scope=Scope.TAG, tag="nightly")
    make_rule(name="for another tag", scope=Scope.TAG, tag="weekly")

    html = text_of(site.get(reverse("admin:scheduler_task_page", args=[task.pk])))
    html = html.partition('id="rules-card"')[2]

    assert [name for name in ("its own", "for all", "for its tag", "for another tag") if name in html] == [
        "its own", "for all", "for its tag",
    ]  # fmt: skip


def test_the_page_of_an_execution_lists_what_it_caused(site: Client, told: Task) -> None:
    url = reverse("admin:scheduler_execution_change", args=[Execution.objects.get().pk])

    html = text_of(site.get(url)).partition("Notifications sent")[2]

    assert html.count("Pending") == 2 and "hooked" in html and "mailed" in html


def test_pages_name_what_keeps_a_rule_from_telling(site: Client, make_task: Any) -> None:
    task = make_task("a", task_notify=[rule("overdue", name="late")])
    tagged = make_rule(scope=Scope.TAG, tag="nobody")

    late = text_of(site.get(url_of("rule_page", NotificationRule.objects.get(task=task))))
    nobody = text_of(site.get(url_of("rule_page", tagged)))

    assert "The task has no deadline, so it is never overdue." in late
    assert "No task has this tag." in nobody
