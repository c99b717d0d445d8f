"""Tasks in the words of config.json, with what is known of them, and why they run or do not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.translation import get_language
from rest_framework import serializers

from scheduler.api.serializers.base import AnswerSerializer
from scheduler.api.serializers.bodies import BodySerializer, TrueOrFalse
from scheduler.api.serializers.executions import ExecutionSerializer
from scheduler.api.serializers.fields import (
    PARAMS_OF_REASON,
    InstantField,
    ReasonCodeField,
    ReasonParamsField,
    ReasonTextField,
    SentenceField,
)
from scheduler.api.serializers.pages import NumberedPageSerializer
from scheduler.config_file.masking import masked_spec
from scheduler.engine.reasons import Reason
from scheduler.models import Execution, Task
from scheduler.services.folders import folder_error
from scheduler.task_mapping import task_to_spec
from scheduler.wording.schedules import describe_schedule

SCHEDULE_ERROR = "Why the schedule cannot be followed."
FOLDER_ERROR = "Why the task would not start: its folder is missing, for example after it was renamed."


@dataclass(frozen=True)
class KnownTask:
    """A task with all that its answer depends on.

    Attributes:
        latest: its latest execution.
        shows_env: whether what is secret in it is shown.
    """

    task: Task
    upstream_ids: Sequence[str]
    latest: Execution | None
    shows_env: bool


class TaskSerializer(AnswerSerializer):
    """A task in the words of config.json, with what is known of it."""

    # Renders a `KnownTask`.
    definition = "task"

    next_run_at = InstantField(source="task.next_run_at", allow_null=True, read_only=True)
    schedule_description = serializers.SerializerMethodField(help_text="The schedule in words.")
    schedule_error = serializers.CharField(
        source="task.schedule_error", read_only=True, help_text=SCHEDULE_ERROR
    )
    folder_error = serializers.SerializerMethodField(help_text=FOLDER_ERROR)
    last_execution = ExecutionSerializer(source="latest", allow_null=True, read_only=True)

    def get_schedule_description(self, known: KnownTask) -> str:
        """Return the schedule in the language of the request."""
        return describe_schedule(known.task.schedule, get_language() or "en")

    def get_folder_error(self, known: KnownTask) -> str:
        """Return why the task would not start; empty when it would."""
        missing = folder_error(known.task)
        return "" if missing is None else str(missing)

    def to_representation(self, instance: KnownTask) -> dict[str, Any]:
        """Return the spec and what is known."""
        spec = task_to_spec(instance.task, instance.upstream_ids)
        shown = masked_spec(spec, shows_env=instance.shows_env)
        return {**shown, **super().to_representation(instance)}


class TaskPageSerializer(NumberedPageSerializer):
    """Some tasks of a list."""

    results = TaskSerializer(many=True, source="rows")


class ToggleRequestSerializer(BodySerializer):
    """Whether the schedule counts; without the field it is switched over."""

    enabled = TrueOrFalse(required=False)


class CodedSentenceSerializer(AnswerSerializer):
    """A sentence as a code with values."""

    code = serializers.CharField()
    params = serializers.SerializerMethodField(help_text=PARAMS_OF_REASON)

    def get_params(self, reason: Reason) -> dict[str, Any]:
        """Return the values by name."""
        return reason.params_json()


class UpstreamSerializer(AnswerSerializer):
    """An upstream as the task sees it from outside of a run; the reason is what is missing."""

    task_id = serializers.CharField()
    is_fresh = serializers.BooleanField(help_text="Succeeded since this task last started.")
    last_success_at = InstantField(allow_null=True)
    execution_id = serializers.IntegerField(allow_null=True)
    used_by = serializers.IntegerField(allow_null=True)
    reason = ReasonTextField("reason")
    reason_code = ReasonCodeField("reason")
    reason_params = ReasonParamsField("reason")


class ExplanationSerializer(AnswerSerializer):
    """Why a task ran, why it does not, and what it waits for."""

    task_id = serializers.CharField()
    sentences = serializers.ListField(child=SentenceField())
    last = serializers.ListField(child=SentenceField())
    now = serializers.ListField(child=SentenceField())
    upcoming = serializers.ListField(child=SentenceField())
    reasons = CodedSentenceSerializer(
        many=True,
        source="sentences",
        help_text="The sentences as codes with values: docs/reasons.md lists them.",
    )
    upstreams = UpstreamSerializer(many=True)
