"""Secrets in a running installation: printed by commands, repeated by receivers, and nowhere to be found after."""

from __future__ import annotations

import base64
import fcntl
import json
import socket
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from django.apps import apps
from django.test import Client
from django.urls import reverse

from notifications.choices import Scope
from notifications.models import Delivery, NotificationRule
from notifications.services.definitions import save_rule, validate_rule
from scheduler.choices import Trigger
from scheduler.models import Execution, Task
from scheduler.services.runs import request_run
from tests.sinks import Mailbox, Sink, mail_server
from tests.stack import Stack, kill_cluster, wait_until
from tests.support.pages import member

VARIABLE, FILED, LISTED, PASSWORD = (
    "canary/variable+1",
    "canary-from-file",
    "canary-licence",
    "canary@password",
)
HEADER, KEY, USER, SERVICE = "canary-header", "canary-signing-key", "canary-user", "canary-service"
PRINTED = (VARIABLE, FILED, LISTED, PASSWORD, HEADER, KEY)
CANARIES = (*PRINTED, USER, SERVICE, "canary-path")
#: Where secrets are kept to be used.
STORED = {
    *(("task", "env"), ("task", "notify"), ("taskrevision", "spec"), ("rulechannel", "config")),
}
SCRIPT = """
echo "started in $STAGE"
echo "variable: $DB_PASSWORD, file: $API_TOKEN, listed: $LICENCE, url: $DATABASE_URL"
printf %s "$DB_PASSWORD" | base64
printf %s "user:$DB_PASSWORD" | base64
printf "xx%s" "$API_TOKEN" | base64 | tr '+/' '-_'
python -c 'import os, urllib.parse, json; v = os.environ["DB_PASSWORD"]; print(urllib.parse.quote(v, safe=""), json.dumps(v))'
printf canary-sig; touch {folder}/begun
while [ ! -e {folder}/gate ]; do sleep 0.1; done
printf 'ning-key\\n'
echo "still masked: $API_TOKEN canary""-header"
python -c 'import os; raise ValueError("cannot log in with " + os.environ["DB_PASSWORD"])' 2>&1
exit 3
"""


def forms(value: str) -> set[str]:
    """Return texts by which a value would be found."""
    data = value.encode()
    return {
        value,
        quote(value, safe=""),
        json.dumps(value)[1:-1],
        base64.b64encode(data).decode()[: len(data) * 8 // 6],
        base64.b64encode(b"user:" + data).decode()[8:20],
    }


def found_in(text: str) -> set[str]:
    return {value for value in CANARIES if any(form in text for form in forms(value))}


def repeat(sock: socket.socket, _end: threading.Event) -> None:
    """Answer with what a receiver that is not careful repeats of a request."""
    said = f"bad token {HEADER} for {USER}, {KEY}, {SERVICE} at /canary-path".encode()
    sock.sendall(b"HTTP/1.1 500 Oops\r\nContent-Length: %d\r\n\r\n%b" % (len(said), said))


@pytest.fixture
def mailbox() -> Iterator[tuple[Mailbox, int]]:
    box = Mailbox()
    with mail_server(box) as port:
        yield box, port


def make(make_task: Any, folder: Path, url: str, service: str) -> Task:
    """Make the task, with rules that tell of it by every kind of channel."""
    (folder / "secrets.env").write_text(f"API_TOKEN={FILED}\nSTAGE=production\n")
    hook = {
        "type": "webhook",
        "url": url.replace("://", f"://{USER}:{USER}@") + "/canary-path",
        "headers": {"X-Token": HEADER},
        "secret": KEY,
        "body_template": '{"log": "{{execution_log_tail}}", "reason": "{{reason}}"}',
    }
    channels = [
        {
            "type": "email",
            "recipients": ["ops@example.org"],
            "body_template": "{{execution_log_tail}} {{reason}}",
        },
        hook,
        {"type": "apprise", "urls": [service]},
    ]
    rule = {"name": "all", "triggers": ["technical_failure"], "channels": channels}
    save_rule(validate_rule(rule), scope=Scope.ALL, user=None, now=datetime.now(UTC))
    made: Task = make_task(
        "leaky",
        task_exec=SCRIPT.format(folder=folder),
        task_env={
            "DB_PASSWORD": VARIABLE,
            "DATABASE_URL": f"postgres://app:{quote(PASSWORD)}@db.example/app",
            "LICENCE": LISTED,
            "_SECRETS": "LICENCE",
            "_ENV_FILE": "secrets.env",
        },
        task_notify=[rule],
    )
    return made


def is_held(spool: Path) -> bool:
    """Return whether a process moves the output of the command to its file in the spool."""
    (path,) = spool.glob("*.out")
    with path.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def stored_texts() -> Iterator[tuple[str, str]]:
    """Yield everything in the database, but where secrets are kept to be used."""
    for model in apps.get_models():
        for row in model._base_manager.values():
            for name, value in row.items():
                if (model._meta.model_name, name) not in STORED:
                    yield (
                        f"{model._meta.model_name}.{name}",
                        str(bytes(value) if isinstance(value, memoryview) else value),
                    )


def pages(task: Task, execution: Execution) -> list[str]:
    """Return addresses that show something of what happened."""
    api = "/api/scheduler"
    found = [
        *(f"{api}/tasks/leaky", f"{api}/tasks/leaky/logs", f"{api}/tasks/leaky/history", f"{api}/executions"),
        *(f"{api}/executions/{execution.pk}", f"{api}/executions/{execution.pk}/log"),
        *(f"{api}/executions/{execution.pk}/log?tail=200&format=txt", f"{api}/deliveries"),
        *(f"{api}/notification-rules", f"{api}/tasks/leaky/explain", "/admin/", "/metrics"),
        reverse("admin:scheduler_task_page", args=[task.pk]),
        reverse("admin:scheduler_task_history_list", args=[task.pk]),
        reverse("admin:scheduler_execution_change", args=[execution.pk]),
        reverse("admin:notifications_delivery_changelist"),
        reverse("admin:notifications_notificationrule_changelist"),
    ]
    found += [reverse("admin:notifications_delivery_change", args=[row.pk]) for row in Delivery.objects.all()]
    found += [
        reverse("admin:notifications_rule_page", args=[row.pk]) for row in NotificationRule.objects.all()
    ]
    return found + [f"{api}/deliveries/{row.pk}" for row in Delivery.objects.all()]


@pytest.mark.proves("G19")
@pytest.mark.parametrize(
    "is_killed",
    [
        pytest.param(False, id="undisturbed"),
        pytest.param(True, id="its worker is killed", marks=pytest.mark.faults),
    ],
)
def test_what_a_command_prints_of_its_secrets_is_found_nowhere(
    transactional_db: None,
    tmp_path: Path,
    settings: Any,
    make_task: Any,
    mailbox: tuple[Mailbox, int],
    is_killed: bool,
) -> None:
    settings.SCHEDULER_WEBHOOK_ALLOW = ["127.0.0.1"]
    box, port = mailbox
    stack = Stack(
        tmp_path,
        SCHEDULER_WEBHOOK_ALLOW="127.0.0.1",
        SCHEDULER_NOTIFY_ATTEMPTS="1",
        SCHEDULER_WORKERS="1",
        EMAIL_HOST="127.0.0.1",
        EMAIL_PORT=str(port),
        LOG_LEVEL="DEBUG",
    )
    try:
        with Sink(repeat) as hook, Sink(repeat) as robot:
            service = f"json://{USER}:{SERVICE}@127.0.0.1:{robot.url.rpartition(':')[2].partition('/')[0]}/canary-path"
            task = make(make_task, tmp_path, hook.url.removesuffix("/hook"), service)
            stack.start("dispatcher")
            worker = stack.start("worker")
            execution = request_run(task, trigger=Trigger.MANUAL, user=None, now=datetime.now(UTC))
            wait_until((tmp_path / "begun").exists, what="the first half of the output")
            if is_killed:
                wait_until(execution.log_pieces.exists, what="a stored piece of the log")
                dead = Execution.objects.get(pk=execution.pk).owner
                kill_cluster(worker)
                stack.start("worker")
                wait_until(
                    lambda: (
                        Execution.objects.get(pk=execution.pk).owner != dead
                        and is_held(settings.SCHEDULER_SPOOL_DIR)
                    ),
                    what="the worker that takes over the output",
                )
            (tmp_path / "gate").touch()
            wait_until(
                lambda: Delivery.objects.filter(state__in=("sent", "failed")).count() == 6,
                what="the messages",
            )
            bodies = [sink.next().body.decode() for sink in (hook, hook, robot, robot)]
    finally:
        stack.close()

    execution.refresh_from_db()
    log = "".join(execution.log_pieces.order_by("offset").values_list("text", flat=True))
    assert (execution.status, execution.exit_code) == ("technical_failure", 3)
    assert "started in production" in log
    assert "variable: ***, file: ***, listed: ***, url: postgres://app:***@db.example/app" in log
    assert "still masked: *** ***" in log and "ValueError: cannot log in with ***" in log
    assert (
        log.count("\n***\n") >= 1
    )  # the key of the signature, in two parts, one before and one after the death
    leaks = {name: found for name, text in stored_texts() if (found := found_in(text))}
    assert leaks == {}
    for name, text in [("log of the processes", stack.output()), *(("webhook", body) for body in bodies)]:
        assert found_in(text) == set(), name
    assert len(box.mails) == 2
    assert all(found_in(str(mail.get_body(("plain",)).get_content())) == set() for _to, mail in box.mails)  # type: ignore[union-attr]
    for role, seen in (
        ("Viewer", set()),
        ("Operator", set()),
        ("Editor", {VARIABLE, LISTED, PASSWORD, "canary-path"}),
    ):
        client: Client = member(role)
        for url in pages(task, execution):
            response = client.get(url, follow=True)
            assert found_in(response.content.decode()) <= seen, (role, url)
