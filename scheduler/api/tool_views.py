"""Views of cron expressions, the configuration schema, health, and paths that do not exist."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils.translation import get_language
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_safe
from drf_spectacular.types import OpenApiTypes
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from scheduler.api.base import StrictViewSet, next_slots, now
from scheduler.api.operations import operation
from scheduler.api.permissions import VIEW_TASK
from scheduler.api.problems import NotFoundError
from scheduler.api.serializers.health import HealthSerializer
from scheduler.api.serializers.schedules import CronAnswerSerializer, CronRequestSerializer
from scheduler.config_file import load_schema
from scheduler.exceptions import InvalidScheduleError
from scheduler.selectors.health import health
from scheduler.wording.schedules import describe_schedule


class ToolViewSet(StrictViewSet):
    """Tools for clients: checking cron expressions, and the schema of config.json."""

    permissions_by_action = {"validate_cron": VIEW_TASK, "config_schema": VIEW_TASK}

    @operation("validate_cron", answer=CronAnswerSerializer, request=CronRequestSerializer)
    def validate_cron(self, request: Request) -> Response:
        """Return whether a cron expression is valid, its description, and its next five runs."""
        body = CronRequestSerializer.read(request)
        expression, zone = body["expression"], body["timezone"] or settings.SCHEDULER_TIME_ZONE
        try:
            next_runs = next_slots(expression, zone, 5)
        except InvalidScheduleError as error:
            return Response(CronAnswerSerializer({"valid": False, "error": str(error)}).data)
        words = describe_schedule(expression, get_language() or "en")
        answer = {"valid": True, "description": words, "timezone": zone, "next_runs": next_runs}
        return Response(CronAnswerSerializer(answer).data)

    @operation("read_config_schema", answer=OpenApiTypes.OBJECT)
    def config_schema(self, request: Request) -> Response:
        """Return the JSON Schema of config.json."""
        return Response(load_schema())


class NotFoundView(APIView):
    """Paths that do not exist: a problem, not a page, and no redirect to a slash."""

    permission_classes = (AllowAny,)

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Refuse whatever the method."""
        super().initial(request, *args, **kwargs)
        raise NotFoundError("There is nothing under this path; paths have no trailing slash.")


@csrf_exempt
@require_safe
def healthz(request: HttpRequest) -> HttpResponse:
    """Answer 200 when everything works, else 503 with the reasons. Open to anybody: it names no version or path."""
    found = health(now())
    response = JsonResponse(HealthSerializer(found).data, status=200 if found.is_healthy else 503)
    response["Cache-Control"] = "no-store"
    return response
