"""The health of the installation."""

from __future__ import annotations

from rest_framework import serializers

from scheduler.api.serializers.base import AnswerSerializer
from scheduler.api.serializers.fields import InstantField
from scheduler.selectors.health import Health


class HealthSerializer(AnswerSerializer):
    """Whether the installation does its work, and the reasons when not."""

    status = serializers.SerializerMethodField()
    reasons = serializers.ListField(child=serializers.CharField())
    warnings = serializers.ListField(child=serializers.CharField())
    database = serializers.BooleanField()
    dispatchers = serializers.IntegerField()
    workers = serializers.IntegerField()
    backlog = serializers.IntegerField()
    dispatcher_heartbeat_at = InstantField(allow_null=True)

    def get_status(self, health: Health) -> str:
        """Return ``ok`` or ``unhealthy``."""
        return "ok" if health.is_healthy else "unhealthy"
