"""Runs, alone and with their graphs."""

from __future__ import annotations

from rest_framework import serializers

from scheduler.api.serializers.base import AnswerSerializer
from scheduler.api.serializers.executions import ExecutionSerializer
from scheduler.api.serializers.fields import (
    InstantField,
    ReasonCodeField,
    ReasonParamsField,
    ReasonTextField,
    UsernameField,
    code_of_reason,
    params_of_reason,
    text_of_reason,
)
from scheduler.api.serializers.graphs import EdgeSerializer
from scheduler.api.serializers.pages import CursorPageSerializer
from scheduler.choices import RunStatus, Trigger


class RunSerializer(AnswerSerializer):
    """Everything that one trigger set in motion."""

    # The run carries `status`; in lists its first task and who began it should be joined.
    run_id = serializers.IntegerField(source="pk")
    status = serializers.ChoiceField(RunStatus.values, help_text="Derived from the outcomes in it.")
    trigger = serializers.ChoiceField(Trigger.values)
    task_id = serializers.CharField(
        source="first_task.task_id", help_text="The task with which the run started."
    )
    created_at = InstantField()
    created_by = UsernameField(allow_null=True)
    finished_at = InstantField(allow_null=True)
    cancelled_at = InstantField(allow_null=True)
    cancel_reason = text_of_reason()
    cancel_reason_code = code_of_reason()
    cancel_reason_params = params_of_reason()


class RunPageSerializer(CursorPageSerializer):
    """Some runs, newest first."""

    results = RunSerializer(many=True, source="rows")


class RunNodeSerializer(AnswerSerializer):
    """A task in a run, and its latest attempt in it."""

    task_id = serializers.CharField(source="task.task_id")
    execution = ExecutionSerializer(allow_null=True)
    reason = ReasonTextField("waits", help_text="What a task without an execution waits for.")
    reason_code = ReasonCodeField("waits")
    reason_params = ReasonParamsField("waits")


class RunWithGraphSerializer(RunSerializer):
    """A run with its tasks, their latest attempts in it, and the dependencies that it follows."""

    # The run carries its `RunPicture` as `picture`.
    nodes = RunNodeSerializer(many=True, source="picture.places")
    edges = EdgeSerializer(many=True, source="picture.edges")
