"""Executions and their logs."""

from __future__ import annotations

from rest_framework import serializers

from scheduler.api.serializers.base import AnswerSerializer
from scheduler.api.serializers.bodies import BodySerializer, TrueOrFalse
from scheduler.api.serializers.fields import (
    InstantField,
    RowIdsField,
    code_of_reason,
    params_of_reason,
    text_of_reason,
)
from scheduler.api.serializers.pages import CursorPageSerializer
from scheduler.choices import Status, Trigger

SLOTS = "Number of consecutive skipped or missed slots in this record."


class ExecutionSerializer(AnswerSerializer):
    """One attempt to run one task, or the record of a slot that was skipped or missed."""

    # In lists the task should be joined, and `upstream_executions` prefetched.
    execution_id = serializers.IntegerField(source="pk")
    task_id = serializers.CharField(source="task.task_id")
    run_id = serializers.IntegerField(allow_null=True)
    status = serializers.ChoiceField(Status.values)
    attempt = serializers.IntegerField(min_value=1)
    trigger = serializers.ChoiceField(Trigger.values)
    scheduled_for = InstantField(allow_null=True)
    slot_count = serializers.IntegerField(min_value=1, help_text=SLOTS)
    covers_until = InstantField(allow_null=True, help_text="The last of several slots.")
    queued_at = InstantField()
    started_at = InstantField(allow_null=True)
    finished_at = InstantField(allow_null=True)
    duration = serializers.FloatField(allow_null=True, help_text="Seconds.")
    exit_code = serializers.IntegerField(allow_null=True)
    reason = text_of_reason()
    reason_code = code_of_reason()
    reason_params = params_of_reason()
    worker = serializers.CharField()
    log_size = serializers.IntegerField(min_value=0, help_text="Bytes of output.")
    upstream_executions = RowIdsField()


class ExecutionPageSerializer(CursorPageSerializer):
    """Some executions, newest first."""

    results = ExecutionSerializer(many=True, source="rows")


class ExecuteRequestSerializer(BodySerializer):
    """How to run a task now."""

    downstream = TrueOrFalse(default=True, help_text="Whether downstream tasks start as well.")


class ExecuteAnswerSerializer(AnswerSerializer):
    """What was queued."""

    execution_id = serializers.IntegerField(source="pk")
    run_id = serializers.IntegerField()
    status = serializers.CharField()


class LogPartSerializer(AnswerSerializer):
    """A part of the output of an execution."""

    execution_id = serializers.IntegerField()
    offset = serializers.IntegerField(min_value=0, help_text="First byte of the true stream in this part.")
    next_offset = serializers.IntegerField(min_value=0, help_text="First byte of the next part.")
    text = serializers.CharField()
    size = serializers.IntegerField(min_value=0, help_text="Bytes of output so far.")
    omitted = serializers.IntegerField(min_value=0, help_text="Bytes of this part that were not kept.")
    is_finished = serializers.BooleanField()
