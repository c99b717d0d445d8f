"""Errors as problem details."""

from __future__ import annotations

from rest_framework import serializers

from scheduler.api.serializers.base import AnswerSerializer

CODES = "Stable; docs/reasons.md lists the codes."


class FieldErrorSerializer(AnswerSerializer):
    """What is wrong about a field or a parameter."""

    path = serializers.CharField()
    message = serializers.CharField()
    found = serializers.CharField()
    allowed = serializers.CharField()
    code = serializers.CharField(help_text=CODES)
    params = serializers.DictField()


class ProblemSerializer(AnswerSerializer):
    """Problem details, RFC 9457."""

    type = serializers.CharField()
    title = serializers.CharField()
    status = serializers.IntegerField()
    detail = serializers.CharField()
    errors = FieldErrorSerializer(many=True)  # type: ignore[assignment]  # the name is that of RFC 9457
    execution_id = serializers.IntegerField(
        required=False, help_text="The skipped row, when overlap refused it."
    )
    code = serializers.CharField(required=False, help_text=f"Of a 409. {CODES}")
    params = serializers.DictField(required=False)
