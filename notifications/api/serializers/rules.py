"""Notification rules in the words of config.json, and what they would have sent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rest_framework import serializers

from notifications.api.serializers.deliveries import LARGEST_ID, REPEATS, STREAK
from notifications.choices import Event, Scope
from notifications.models import NotificationRule
from notifications.services.rehearsal import MOST_DAYS
from notifications.services.rule_sync import rule_spec
from scheduler.api.serializers.base import AnswerSerializer
from scheduler.api.serializers.bodies import BodySerializer, WholeNumber
from scheduler.api.serializers.fields import (
    InstantField,
    ReasonCodeField,
    ReasonParamsField,
    ReasonTextField,
    TaskIdField,
)
from scheduler.api.serializers.pages import NumberedPageSerializer
from scheduler.config_file.masking import masked_rule


@dataclass(frozen=True)
class KnownRule:
    """A rule with all that its answer depends on.

    Attributes:
        rule: in lists `task` and `channels` should be prefetched.
        shows_address: whether the secret parts of addresses are shown.
    """

    rule: NotificationRule
    shows_address: bool


class NotificationRuleSerializer(AnswerSerializer):
    """A rule of a task, of the tasks with a tag, or of all tasks. Secrets come masked; a mask sent back keeps them."""

    # Renders a `KnownRule`.
    definition = "rule"

    rule_id = serializers.IntegerField(source="rule.pk", read_only=True, min_value=1, max_value=LARGEST_ID)
    scope = serializers.ChoiceField(Scope.values, source="rule.scope")
    task_id = TaskIdField(
        source="rule.task", allow_null=True, required=False, help_text="With the scope task."
    )
    tag = serializers.RegexField(
        r"^[^\s,]{0,50}$", source="rule.tag", default="", help_text="With the scope tag."
    )
    problem = serializers.CharField(
        source="rule.problem", read_only=True, help_text="Why the rule cannot be evaluated."
    )

    def to_representation(self, instance: KnownRule) -> dict[str, Any]:
        """Return the fields of the rule around its spec."""
        fields = super().to_representation(instance)
        problem = fields.pop("problem")
        spec = masked_rule(rule_spec(instance.rule), shows_address=instance.shows_address)
        return {**fields, **spec, "problem": problem}


class NotificationRulePageSerializer(NumberedPageSerializer):
    """Some rules of a list."""

    results = NotificationRuleSerializer(many=True, source="rows")


class RehearseRequestSerializer(NotificationRuleSerializer):
    """A rule that is not stored, and how many days of history it is tried on."""

    days = WholeNumber(min_value=1, max_value=MOST_DAYS, default=30)


class RuleBodySerializer(BodySerializer):
    """A body about a stored rule; what tells it in answers may be sent back."""

    ignored = tuple(NotificationRuleSerializer.read_only_fields())


class RehearseStoredRequestSerializer(RuleBodySerializer):
    """How many days of history a rule is tried on."""

    days = WholeNumber(min_value=1, max_value=MOST_DAYS, default=30)


class RehearsedMessageSerializer(AnswerSerializer):
    """A message that a rule would have caused, and why it would not have been sent."""

    at = InstantField()
    task_id = serializers.CharField()
    execution_id = serializers.IntegerField(allow_null=True)
    event = serializers.ChoiceField(Event.values)
    streak = serializers.IntegerField(min_value=0, help_text=STREAK)
    repeats = serializers.IntegerField(min_value=0, help_text=REPEATS)
    reason = ReasonTextField("reason")
    reason_code = ReasonCodeField("reason")
    reason_params = ReasonParamsField("reason")
    held_back = ReasonTextField("held_back", help_text="Why it would not have been sent; empty: it would.")
    held_back_code = ReasonCodeField("held_back")
    held_back_params = ReasonParamsField("held_back")


class RehearsalSerializer(AnswerSerializer):
    """What a rule would have sent."""

    since = InstantField()
    sent = serializers.IntegerField(min_value=0)
    suppressed = serializers.IntegerField(min_value=0)
    outcomes = serializers.IntegerField(min_value=0, help_text="Outcomes that were looked at.")
    is_complete = serializers.BooleanField(help_text="Whether all outcomes of the time were.")
    messages = RehearsedMessageSerializer(many=True)
