"""Tasks and dependencies as a graph."""

from __future__ import annotations

from rest_framework import serializers

from scheduler.api.serializers.base import AnswerSerializer
from scheduler.choices import Status


class EdgeSerializer(AnswerSerializer):
    """A dependency: task ids."""

    upstream = serializers.CharField()
    downstream = serializers.CharField()


class GraphNodeSerializer(AnswerSerializer):
    """A task in a graph."""

    task_id = serializers.CharField()
    task_name = serializers.CharField(source="name")
    task_enabled = serializers.BooleanField(source="enabled")
    task_schedule = serializers.CharField(source="schedule")
    status = serializers.ChoiceField(Status.values, allow_null=True, help_text="Of the latest outcome.")
    execution_id = serializers.IntegerField(allow_null=True)


class GraphSerializer(AnswerSerializer):
    """Tasks and dependencies."""

    nodes = GraphNodeSerializer(many=True)
    edges = EdgeSerializer(many=True)
