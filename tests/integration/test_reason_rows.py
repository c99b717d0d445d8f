"""Rows keep the reason as a text, a code and its values; those of before there were codes keep their text."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from scheduler.choices import Status
from scheduler.engine.reasons import Code, Reason
from scheduler.models import Execution
from scheduler.runner import Exit
from scheduler.services import commands, runs
from scheduler.services.dispatch import dispatch_due
from scheduler.services.outcomes import finish
from scheduler.wording.reasons import told
from tests.api_client import TokenClient
from tests.conftest import NOON
from tests.simulation import Engine, F

MINUTE = timedelta(minutes=1)


def test_each_row_has_a_text_that_its_code_and_values_make(engine: Engine) -> None:
    engine.task("a")
    engine.task("b", "a")
    first = engine.start("a")

    engine.end(a=F)

    skipped = engine.latest("b")
    values = {"task": "a", "status": "technical_failure", "execution": first.pk}
    assert (skipped.reason_code, skipped.reason_params) == ("upstream_ended", values)
    assert skipped.reason == str(skipped.why) == f"upstream a ended technical_failure, execution {first.pk}"


def test_why_a_running_command_was_stopped_reaches_its_row_as_a_value(engine: Engine) -> None:
    engine.task("a")
    execution = engine.start("a")
    engine.claim()
    runs.cancel_execution(execution, by="ann", now=engine.clock.now)
    asked = Execution.objects.get(pk=execution.pk)
    claimed = engine.claimed["a"]

    report = commands.report_of(
        claimed, Exit(-15), now=engine.clock.now, stopped_for="cancel", cancel_reason=asked.cancelled_because
    )
    finish([report], now=engine.clock.now)

    row = Execution.objects.get(pk=execution.pk)
    assert asked.cancelled_because == row.why == Reason(Code.CANCELLED, {"user": "ann"})
    assert (row.status, row.reason) == (Status.CANCELLED, "cancelled by ann")


def test_a_row_of_before_keeps_its_text_and_has_no_code(engine: Engine, editor: TokenClient) -> None:
    engine.task("a")
    execution = engine.start("a")
    engine.end(a=F)
    text = "upstream z ended timeout, execution 3"
    Execution.objects.filter(pk=execution.pk).update(reason=text, reason_code=None, reason_params=None)

    row = editor.get(f"executions/{execution.pk}").json()

    assert (row["reason"], row["reason_code"], row["reason_params"]) == (text, None, None)
    assert told(Execution.objects.get(pk=execution.pk).why) == text


def test_a_series_of_slots_of_before_is_followed_by_a_row_of_its_own(make_task: Any) -> None:
    make_task("a", task_schedule="* * * * *")
    dispatch_due(NOON + MINUTE)
    dispatch_due(NOON + 2 * MINUTE)
    Execution.objects.filter(status=Status.SKIPPED).update(reason_code=None, reason_params=None)

    dispatch_due(NOON + 3 * MINUTE)
    dispatch_due(NOON + 4 * MINUTE)

    rows = Execution.objects.filter(status=Status.SKIPPED).order_by("scheduled_for")
    assert list(rows.values_list("slot_count", "reason_code")) == [(1, None), (2, "execution_active")]
