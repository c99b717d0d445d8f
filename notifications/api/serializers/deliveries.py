"""Deliveries: messages, and what became of them."""

from __future__ import annotations

from rest_framework import serializers

from notifications.choices import Event, State
from scheduler.api.serializers.base import AnswerSerializer
from scheduler.api.serializers.fields import (
    InstantField,
    TaskIdField,
    code_of_reason,
    params_of_reason,
    text_of_reason,
)
from scheduler.api.serializers.pages import CursorPageSerializer

LARGEST_ID = 10**18 - 1
STREAK = "Consecutive outcomes that the rule counts, whichever of its triggers they are; after recovered, those before."
REPEATS = "How many times in a row there was just this event."


class DeliverySerializer(AnswerSerializer):
    """One message to one channel, and what became of it."""

    # In lists `task` should be joined.
    delivery_id = serializers.IntegerField(source="pk", min_value=1, max_value=LARGEST_ID)
    rule_id = serializers.IntegerField(allow_null=True)
    rule_name = serializers.CharField()
    task_id = TaskIdField(source="task", allow_null=True)
    execution_id = serializers.IntegerField(allow_null=True)
    channel = serializers.CharField(source="kind", help_text="Kind of the channel.")
    event = serializers.ChoiceField(Event.values)
    state = serializers.ChoiceField(State.values)
    count = serializers.IntegerField(min_value=0, help_text="Number of suppressed messages in this delivery.")
    streak = serializers.IntegerField(allow_null=True, help_text=STREAK)
    repeats = serializers.IntegerField(allow_null=True, help_text=REPEATS)
    attempts = serializers.IntegerField(min_value=0)
    reason = text_of_reason("Why it failed, waits or was suppressed.")
    reason_code = code_of_reason()
    reason_params = params_of_reason()
    occurred_at = InstantField()
    created_at = InstantField()
    next_attempt_at = InstantField(allow_null=True)
    sent_at = InstantField(allow_null=True)
    content = serializers.DictField(allow_null=True)
    response = text_of_reason()
    response_code = code_of_reason()
    response_params = params_of_reason()


class DeliveryPageSerializer(CursorPageSerializer):
    """Some deliveries, newest first."""

    results = DeliverySerializer(many=True, source="rows")


class TestAnswerSerializer(AnswerSerializer):
    """The test messages, one for each channel; sent, or failed with the reason."""

    __test__ = False  # no test class

    results = DeliverySerializer(many=True)
