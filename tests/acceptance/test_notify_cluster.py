"""Notifications in a running installation: sent beside executions, whatever hangs, and after a crash."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from notifications.models import Delivery
from scheduler.choices import Status, Trigger
from scheduler.config_file.notify_rules import TEMPLATE_NAMES
from scheduler.models import Execution, Task
from scheduler.services.runs import request_run
from scheduler.services.tasks import set_enabled
from tests.notify import rule
from tests.sinks import Mailbox, Sink, answer, mail_server, silence
from tests.stack import Stack, kill_cluster, wait_until

OK = answer("200 OK", body=b"noted")
SMALL = {"SCHEDULER_WORKERS": "1", "SCHEDULER_NOTIFY_DEADLINE": "2", "SCHEDULER_WEBHOOK_ALLOW": "127.0.0.1"}


@pytest.fixture
def mailbox() -> Iterator[tuple[Mailbox, int]]:
    """Return a mail server that takes everything, and its port."""
    box = Mailbox()
    with mail_server(box) as port:
        yield box, port


@pytest.fixture
def stack(
    transactional_db: None, tmp_path: Path, settings: Any, mailbox: tuple[Mailbox, int]
) -> Iterator[Stack]:
    """Return an installation of one worker process for executions, which may send to this machine."""
    settings.SCHEDULER_WEBHOOK_ALLOW = ["127.0.0.1"]
    mail = {"EMAIL_HOST": "127.0.0.1", "EMAIL_PORT": str(mailbox[1])}
    made = Stack(tmp_path, **SMALL, **mail)
    made.start("dispatcher")
    yield made
    made.close()


def run(task: Task) -> Execution:
    return request_run(task, trigger=Trigger.MANUAL, user=None, now=datetime.now(UTC))


def ended(execution: Execution) -> bool:
    execution.refresh_from_db()
    return execution.finished_at is not None


def test_a_message_is_sent_while_executions_occupy_all_their_processes(stack: Stack, make_task: Any) -> None:
    with Sink(OK) as sink:
        busy = run(make_task("busy", task_exec="sleep 60"))
        failing = run(
            make_task("bad", task_exec="exit 3", task_notify=[rule("technical_failure", url=sink.url)])
        )
        stack.start("worker")

        body = json.loads(sink.next().body)
        wait_until(lambda: Delivery.objects.get().state == "sent", what="the record of the message")

    busy.refresh_from_db()
    assert busy.status == Status.RUNNING
    assert (body["event"], body["execution_id"], body["exit_code"]) == ("technical_failure", failing.pk, 3)


@pytest.mark.proves("G16")
def test_a_receiver_that_hangs_holds_up_no_execution_and_no_other_channel(
    stack: Stack, make_task: Any
) -> None:
    with Sink(silence) as hanging, Sink(OK) as sink:
        bad = make_task(
            "bad",
            task_exec="exit 3",
            task_concurrency="allow",
            task_notify=[
                rule("technical_failure", url=hanging.url),
                rule("technical_failure", url=sink.url),
            ],
        )
        stack.start("worker")
        runs = [run(bad) for _ in range(5)]

        wait_until(lambda: all(ended(execution) for execution in runs), what="the end of the executions")
        for _ in runs:
            sink.next()
        wait_until(
            lambda: Delivery.objects.filter(state="pending", attempts=1).count() == 5,
            what="the failed attempts",
        )

    assert Delivery.objects.filter(state="sent").count() == 5
    assert "no response within 2 s" in Delivery.objects.filter(state="pending")[0].reason


@pytest.mark.proves("G14")
@pytest.mark.faults
def test_a_message_whose_sender_was_killed_before_its_record_comes_again_with_its_key(
    stack: Stack, make_task: Any
) -> None:
    with Sink(OK) as sink:
        run(make_task("bad", task_exec="exit 3", task_notify=[rule("technical_failure", url=sink.url)]))
        stack.env["SCHED_CRASH_AT"] = "send.after:1"
        crashing = stack.start("worker")
        first = sink.next()
        kill_cluster(crashing)
        del stack.env["SCHED_CRASH_AT"]
        assert Delivery.objects.get().state == "sending"
        stack.start("worker")

        second = sink.next()
        wait_until(lambda: Delivery.objects.get().state == "sent", what="the record of the message")

    keys = {request.header("Idempotency-Key") for request in (first, second)}
    assert keys == {Delivery.objects.get().key}
    assert first.body == second.body
    assert Delivery.objects.get().attempts == 2


# --- the example of the specification ---------------------------------------------------------------

EVERY_NAME = "".join(f"{name}=[{{{{{name}}}}}]\n" for name in TEMPLATE_NAMES)
#: Ends its n-th run as the n-th letter says, in each of its attempts, and with success after the last.
ENDS_AS = """
[ "$ATTEMPT" = 1 ] && echo x >> {count}
number=$(wc -l < {count})
echo "run $number 第 $number 次"
case "$(echo {letters} | cut -c$number)" in F) echo "no route to host" >&2; exit 3;; B) exit 1;; esac
"""


def by_mail(subject: str) -> list[dict[str, Any]]:
    channel = {
        "type": "email",
        "recipients": ["ops@example.org"],
        "subject_template": subject,
        "body_template": EVERY_NAME,
    }
    return [{"name": "ops", "triggers": ["technical_failure"], "threshold": 3, "channels": [channel]}]


def test_three_failures_in_a_row_are_told_by_mail(
    stack: Stack, make_task: Any, tmp_path: Path, mailbox: tuple[Mailbox, int]
) -> None:
    """F F F S F F F F, each failure after one retry: mails after the 3rd and the 7th outcome, and no other."""
    subject = "任务「{{task_name}}」连续失败 {{threshold_count}} 次"
    patterns = {"nightly": "FFFSFFFF", "between": "FFBFF"}
    tasks = {
        name: make_task(
            name,
            task_name=f"夜间备份 {name}",
            task_exec=ENDS_AS.format(count=tmp_path / name, letters=letters),
            task_schedule="* * * * * *",
            task_timezone="Asia/Shanghai",
            task_retry=1,
            task_retry_interval=0,
            task_notify=by_mail(subject),
        )
        for name, letters in patterns.items()
    }
    stack.start("worker")

    def history(name: str) -> list[Execution]:
        ran = Execution.objects.filter(task=tasks[name], is_outcome=True, started_at__isnull=False)
        return list(ran.order_by("finished_at", "pk"))  # without the slots that came while it ran

    wait_until(
        lambda: all(len(history(name)) > len(letters) for name, letters in patterns.items()),
        what="all outcomes",
    )
    for task in Task.objects.all():
        set_enabled(task, False, user=None, now=datetime.now(UTC))
    wait_until(lambda: Delivery.objects.filter(state="sent").count() == 2, what="the mails")

    box, _port = mailbox
    letters = {"technical_failure": "F", "business_failure": "B", "success": "S"}
    for name, pattern in patterns.items():
        told = "".join(letters[execution.status] for execution in history(name))
        assert told[: len(pattern)] == pattern
    assert [recipients for recipients, _mail in box.mails] == [["ops@example.org"]] * 2
    for (_recipients, mail), execution in zip(
        box.mails, (history("nightly")[2], history("nightly")[6]), strict=True
    ):
        body = mail.get_body(("plain",))
        assert body is not None
        text = body.get_content().replace("\r\n", "\n")
        assert mail["Subject"] == "任务「夜间备份 nightly」连续失败 3 次"
        assert "=[]" not in text
        assert f"execution_id=[{execution.pk}]" in text and "attempt=[2]" in text
        assert f"run_id=[{execution.run_id}]" in text and "exit_code=[3]" in text
        number = history("nightly").index(execution) + 1
        assert f"execution_log_tail=[run {number} 第 {number} 次\nno route to host]" in text
    assert not Delivery.objects.exclude(state="sent").exists()
