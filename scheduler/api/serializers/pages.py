"""Pages of lists; a list has a subclass with its `results`."""

from __future__ import annotations

from rest_framework import serializers

from scheduler.api.serializers.base import AnswerSerializer


class CursorPageSerializer(AnswerSerializer):
    """Some rows, newest first, with the links to their neighbours."""

    next = serializers.URLField(allow_null=True)
    previous = serializers.URLField(allow_null=True)


class NumberedPageSerializer(AnswerSerializer):
    """Some rows of a list, with the links to their neighbours."""

    count = serializers.IntegerField(min_value=0)
    page = serializers.IntegerField(min_value=0)
    next = serializers.URLField(allow_null=True)
    previous = serializers.URLField(allow_null=True)
