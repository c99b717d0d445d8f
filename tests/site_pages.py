"""All pages of the site, by the names of their addresses: a new page without an entry fails the tests that walk them.

Pages that the admin makes for a model need none. What is no page is named with the reason.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.apps import apps
from django.urls import URLPattern, URLResolver, get_resolver, reverse


@dataclass(frozen=True)
class Page:
    """How the addresses of one page are made.

    Attributes:
        key: name of the model whose primary key is in the address; none when empty.
        queries: ends of its addresses, each a page to walk.
        picture: name of its file in docs/images; no picture is made when empty.
        is_closed: whether it answers 403 to everybody, the administrator included.
    """

    key: str = ""
    queries: tuple[str, ...] = ("",)
    picture: str = ""
    is_closed: bool = False


PAGES = {
    "admin:index": Page(picture="overview"),
    "admin:password_change": Page(),
    "admin:password_change_done": Page(),
    "admin:scheduler_graph": Page(picture="graph"),
    "admin:scheduler_run_changelist": Page(picture="runs"),
    "admin:scheduler_run_change": Page("run", picture="run"),
    "admin:scheduler_run_add": Page(is_closed=True),
    "admin:scheduler_run_delete": Page("run", is_closed=True),
    "admin:scheduler_execution_resume": Page("execution"),
    "admin:notifications_notificationrule_changelist": Page(picture="rules"),
    "admin:notifications_notificationrule_change": Page("notificationrule", picture="rule-form"),
    "admin:notifications_rule_page": Page("notificationrule", picture="rule"),
    "admin:notifications_delivery_changelist": Page(picture="deliveries"),
    "admin:notifications_delivery_change": Page("delivery", picture="delivery"),
    "admin:scheduler_timeline": Page(picture="timeline", queries=("", "?hours=3")),
    "admin:scheduler_system": Page(picture="system"),
    "admin:scheduler_import": Page(picture="import"),
    "admin:scheduler_export": Page(picture="export"),
    "admin:scheduler_task_new": Page(picture="task-new"),
    "admin:scheduler_task_page": Page("task", picture="task"),
    "admin:scheduler_task_history_list": Page("task", picture="history"),
    "admin:scheduler_task_changelist": Page(picture="tasks", queries=("?view=cards", "?view=table")),
    "admin:scheduler_task_change": Page("task", picture="task-form"),
    "admin:scheduler_execution_changelist": Page(picture="executions"),
    "admin:scheduler_execution_change": Page("execution", picture="execution"),
    "admin:scheduler_execution_add": Page(is_closed=True),
    "admin:scheduler_execution_delete": Page("execution", is_closed=True),
    "admin:scheduler_process_add": Page(is_closed=True),
    "admin:scheduler_process_delete": Page("process", is_closed=True),
    "admin:scheduler_auditevent_add": Page(is_closed=True),
    "admin:scheduler_auditevent_delete": Page("auditevent", is_closed=True),
    "admin:auth_user_password_change": Page("user"),
    "admin:scheduler_sessions": Page(),
    "docs": Page(),
}
"""Pages that are no plain page of a model, or have a picture, or several shapes."""

NO_PAGES = {
    "admin:search": "a part: what the search of the sidebar found",
    "admin:login": "leads those who are logged in elsewhere; walked by the tests on its own",
    "admin:logout": "an act",
    "admin:autocomplete": "JSON",
    "admin:jsi18n": "a script",
    "admin:view_on_site": "leads elsewhere",
    "admin:scheduler_execution_log": "text of a log",
    "admin:scheduler_execution_log_pane": "a part of the history",
    "admin:scheduler_execution_cancel": "an act",
    "admin:scheduler_run_cancel": "an act",
    "admin:notifications_notificationrule_delete": "an act",
    "admin:notifications_rule_part": "a part of the form of a rule",
    "admin:notifications_channel_part": "a part of the form of a rule",
    "admin:notifications_describe": "a part of the form of a rule",
    "admin:notifications_rehearse": "a part of the form of a rule",
    "admin:notifications_test": "an act",
    "admin:notifications_rule_switch": "an act",
    "admin:notifications_rule_test": "an act",
    "admin:notifications_rule_rehearse": "a part of the page of a rule",
    "admin:notifications_resend": "an act",
    "admin:scheduler_session_end": "an act",
    "admin:scheduler_overview": "a part of the overview",
    "admin:scheduler_schedule_hint": "a part of the form of a task",
    "admin:scheduler_task_history": "leads to the history of the executions",
    "admin:scheduler_task_restore": "leads to the task when it is not deleted",
    "admin:scheduler_task_run": "an act",
    "admin:scheduler_task_pause": "an act",
    "admin:scheduler_task_resume": "an act",
    "admin:scheduler_task_accept_days": "an act",
    "admin:scheduler_execution_count_as_technical": "an act",
    "admin:app_list": "a list of models that nothing links to",
    "set_language": "an act",
    "healthz": "JSON",
    "metrics": "text for Prometheus",
    "schema": "YAML",
}

OF_A_MODEL = re.compile(
    r"admin:(?P<app>[a-z]+)_(?P<model>[a-z]+)_(?P<kind>changelist|add|history|delete|change)"
)
WITH_A_KEY = ("history", "delete", "change")


def names() -> list[str]:
    """Return the names of all addresses outside the API, each once."""
    return list(dict.fromkeys(_names(get_resolver(), "")))


def _names(resolver: URLResolver, space: str) -> Iterator[str]:
    for entry in resolver.url_patterns:
        if isinstance(entry, URLResolver):
            if not str(entry.pattern).startswith("api/"):
                yield from _names(entry, f"{space}{entry.namespace}:" if entry.namespace else space)
        elif isinstance(entry, URLPattern) and entry.name:
            yield space + entry.name


def page_of(name: str) -> Page | None:
    """Return how the addresses of a name are made, None when it is no page.

    Raises:
        LookupError: nothing here says what it is.
    """
    if name in PAGES:
        return PAGES[name]
    if name in NO_PAGES:
        return None
    plain = OF_A_MODEL.fullmatch(name)
    if plain is None or not _is_model(plain["app"], plain["model"]):
        raise LookupError(f"{name} is in neither PAGES nor NO_PAGES of tests/site_pages.py")
    return Page(plain["model"] if plain["kind"] in WITH_A_KEY else "")


def _is_model(app: str, model: str) -> bool:
    return model in apps.get_app_config(app).models


def keys() -> dict[str, Any]:
    """Return a primary key for each model that has rows: the latest, and of executions the latest with a log.

    Rows of models that nothing else stores are made.
    """
    from django.contrib.auth.models import Group, User

    from scheduler.models import Execution, Process
    from scheduler.services.tokens import create_token

    if not Group.objects.exists():
        Group.objects.create(name="Night shift")
    if not apps.get_model("scheduler", "ApiToken").objects.exists():
        create_token(User.objects.latest("pk"), name="deployment")

    if not Process.objects.exists():
        now = datetime.now(UTC)
        of_host = {"host": "night-1", "host_id": "night-1", "pid": 17, "start_ticks": 1}
        Process.objects.create(kind="worker", started_at=now, heartbeat_at=now, queue="default", **of_host)
    _make_delivery()
    found: dict[str, Any] = {}
    for app in ("auth", "scheduler", "notifications"):
        for model in apps.get_app_config(app).get_models():
            latest = model._default_manager.order_by("-pk").values_list("pk", flat=True).first()
            if latest is not None:
                found[str(model._meta.model_name)] = latest
    told = Execution.objects.filter(log_size__gt=0).order_by("-pk").first()
    if told is not None:
        found |= {"execution": told.pk, "task": told.task_id}
        if told.run_id:
            found["run"] = told.run_id
    return found


def _make_delivery() -> None:
    """Store a rule with a channel of each kind, and a message about the latest execution."""
    from notifications.choices import Scope
    from notifications.models import Delivery, NotificationRule
    from notifications.services.definitions import save_rule, validate_rule
    from scheduler.models import Execution

    now = datetime.now(UTC)
    if not NotificationRule.objects.exists():
        channels = [
            {"type": "email", "recipients": ["night@example.org"]},
            {"type": "webhook", "url": "https://chat.example.org/hook", "secret": "kept"},
            {"type": "apprise", "urls": ["ntfy://night"]},
        ]
        rule = {"name": "Night shift", "triggers": ["technical_failure", "timeout"], "channels": channels}
        save_rule(validate_rule(rule), scope=Scope.ALL, task=None, tag="", user=None, now=now)
    latest = Execution.objects.order_by("-pk").first()
    if latest is not None and not Delivery.objects.exists():
        channel = NotificationRule.objects.latest("pk").channels.order_by("pk")[0]
        Delivery.objects.create(
            rule=channel.rule,
            channel=channel,
            rule_name=channel.rule.name,
            kind=channel.kind,
            target=channel.target,
            task=latest.task,
            execution=latest,
            event="technical_failure",
            occasion=f"execution {latest.pk}",
            state="failed",
            occurred_at=now,
            created_at=now,
            attempts=3,
            reason="the server refused the message",
            content={"subject": "Failed", "text": "It failed.", "html": "<p>It failed.</p>"},
        )


def walk(found: dict[str, Any], *, is_closed: bool = False) -> Iterator[tuple[str, str]]:
    """Yield name and address of each page, those that answer 403 left out unless they alone are asked for."""
    for name in names():
        page = page_of(name)
        if page is None or page.is_closed is not is_closed:
            continue
        if page.key and page.key not in found:
            raise LookupError(f"{name} needs a row of {page.key}")
        address = reverse(name, args=[found[page.key]] if page.key else [])
        for query in page.queries:
            yield name, address + query
