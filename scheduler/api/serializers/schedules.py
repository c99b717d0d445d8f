"""Schedules: what they say, and when they are due."""

from __future__ import annotations

from rest_framework import serializers

from scheduler.api.serializers.base import AnswerSerializer
from scheduler.api.serializers.bodies import BodySerializer, Text
from scheduler.api.serializers.fields import InstantField


class NextRunsSerializer(AnswerSerializer):
    """The next slots of a task."""

    task_id = serializers.CharField()
    timezone = serializers.CharField()
    next_runs = serializers.ListField(child=InstantField())


class CronRequestSerializer(BodySerializer):
    """A schedule to be checked."""

    expression = Text(help_text="Such as */15 8-18 * * mon-fri.")
    timezone = Text(default="", help_text="Such as Asia/Shanghai; empty: the server default.")


class CronAnswerSerializer(AnswerSerializer):
    """What a schedule says; only `error` when it is not valid."""

    valid = serializers.BooleanField()
    description = serializers.CharField(required=False)
    timezone = serializers.CharField(required=False)
    next_runs = serializers.ListField(child=InstantField(), required=False)
    error = serializers.CharField(required=False)
