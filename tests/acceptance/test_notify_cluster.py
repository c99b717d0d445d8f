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
from scheduler.models import Execution, Task
from scheduler.services.runs import request_run
from tests.notify import rule
from tests.sinks import Sink, answer, silence
from tests.stack import Stack, kill_cluster, wait_until

OK = answer("200 OK", body=b"noted")
SMALL = {"SCHEDULER_WORKERS": "1", "SCHEDULER_NOTIFY_DEADLINE": "2", "SCHEDULER_WEBHOOK_ALLOW": "127.0.0.1"}


@pytest.fixture
def stack(transactional_db: None, tmp_path: Path, settings: Any) -> Iterator[Stack]:
    """Return an installation of one worker process for executions, which may send to this machine."""
    settings.SCHEDULER_WEBHOOK_ALLOW = ["127.0.0.1"]
    made = Stack(tmp_path, **SMALL)
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
    assert "no answer within 2 s" in Delivery.objects.filter(state="pending")[0].reason


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
