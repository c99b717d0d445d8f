"""The views of executions and of their logs."""

from __future__ import annotations

import dataclasses
from typing import Any

from django.http import HttpResponse
from django.http.response import HttpResponseBase
from rest_framework.renderers import BaseRenderer, BrowsableAPIRenderer, JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from scheduler.api.base import StrictViewSet, now, task_named
from scheduler.api.operations import operation
from scheduler.api.pagination import ExecutionPage
from scheduler.api.parameters import EXECUTION_FILTERS, filter_executions, integer, single
from scheduler.api.permissions import RUN_TASK, VIEW_EXECUTION
from scheduler.api.problems import NotFoundError
from scheduler.api.serializers.bodies import NothingSerializer
from scheduler.api.serializers.executions import (
    ExecuteAnswerSerializer,
    ExecutionPageSerializer,
    ExecutionSerializer,
    LogPartSerializer,
)
from scheduler.choices import Trigger
from scheduler.engine.reasons import Code, Reason
from scheduler.exceptions import ConflictError
from scheduler.models import Execution
from scheduler.selectors.logs import read_log, read_log_bytes
from scheduler.services import runs
from scheduler.services.limits import Scope

JSON_LOG_PART = 1_000_000  # bytes


class PlainTextRenderer(BaseRenderer):
    """A log as text."""

    media_type = "text/plain"
    format = "txt"
    charset = "utf-8"

    def render(self, data: Any, accepted_media_type: str | None = None, renderer_context: Any = None) -> Any:
        """Return the text of a log, or of an error."""
        text = data.get("text", data.get("detail", "")) if isinstance(data, dict) else str(data)
        return str(text).encode("utf-8")


LOG_RENDERERS = (JSONRenderer, PlainTextRenderer, BrowsableAPIRenderer)


class ExecutionViewSet(StrictViewSet):
    """Executions of all tasks."""

    permissions_by_action = {
        "list": VIEW_EXECUTION,
        "retrieve": VIEW_EXECUTION,
        "log": VIEW_EXECUTION,
        "cancel": RUN_TASK,
        "resume": RUN_TASK,
    }
    limits_by_action = {"resume": Scope.RUN}

    @operation("list_executions", answer=ExecutionPageSerializer, takes=(*EXECUTION_FILTERS, "task_id"))
    def list(self, request: Request) -> Response:
        """Return executions, newest first, by cursor. A page has 50 when nothing is said."""
        rows = Execution.objects.all()
        if task_id := single(request, "task_id"):
            rows = rows.filter(task=task_named(task_id, with_deleted=True))
        rows = filter_executions(request, rows).select_related("task").prefetch_related("upstream_executions")
        return Response(ExecutionPageSerializer(ExecutionPage(request, rows)).data)

    @operation("read_execution", answer=ExecutionSerializer, of="execution_id")
    def retrieve(self, request: Request, execution_id: int) -> Response:
        """Return one execution."""
        return Response(ExecutionSerializer(_execution(execution_id)).data)

    @operation(
        "read_log", answer=LogPartSerializer, of="execution_id", takes=("offset", "tail"), is_text=True
    )
    def log(self, request: Request, execution_id: int) -> HttpResponseBase:
        """Return the log from `offset` (bytes of the true stream), or its last `tail` bytes.

        As JSON in parts of about 1 MB: read on from `next_offset`. As text/plain all at once, as the command wrote it.
        """
        return log_response(request, _execution(execution_id))

    @operation(
        "cancel_execution",
        answer=ExecutionSerializer,
        status=202,
        request=NothingSerializer,
        of="execution_id",
        conflicts=True,
    )
    def cancel(self, request: Request, execution_id: int) -> Response:
        """Cancel what is queued; stop what runs."""
        NothingSerializer.read(request)
        by = request.user.get_username()
        if not runs.cancel_execution(_execution(execution_id), by=by, now=now()):
            raise ConflictError(Reason(Code.EXECUTION_HAS_ENDED, {"execution": int(execution_id)}))
        return Response(ExecutionSerializer(_execution(execution_id)).data, status=202)

    @operation(
        "resume_execution",
        answer=ExecuteAnswerSerializer,
        status=202,
        request=NothingSerializer,
        of="execution_id",
        conflicts=True,
    )
    def resume(self, request: Request, execution_id: int) -> Response:
        """Run a failed, cancelled or skipped execution again in the same run, and let the run go on."""
        NothingSerializer.read(request)
        trigger = Trigger.API if request.auth else Trigger.MANUAL
        again = runs.resume(_execution(execution_id), trigger=trigger, now=now())
        return Response(ExecuteAnswerSerializer(again).data, status=202)


def log_response(request: Request, execution: Execution) -> HttpResponseBase:
    """Return the part of a log that the request asks for, as text or as JSON."""
    largest = 2**53
    offset = integer(request, "offset", 0, minimum=0, maximum=largest)
    given = integer(request, "tail", largest, minimum=1, maximum=largest)
    tail = None if given == largest else given
    response: HttpResponseBase
    if request.accepted_renderer.format == PlainTextRenderer.format:
        encoding, written = read_log_bytes(execution, offset=offset, tail=tail)
        response = HttpResponse(b"".join(written), content_type=f"text/plain; charset={encoding}")
    else:
        part = read_log(execution, offset=offset, tail=tail, limit=JSON_LOG_PART)
        fields = {"execution_id": execution.pk, **dataclasses.asdict(part)}
        response = Response(LogPartSerializer(fields).data)
    response["X-Content-Type-Options"] = "nosniff"
    return response


def _execution(execution_id: int) -> Execution:
    rows = Execution.objects.select_related("task", "run").prefetch_related("upstream_executions")
    execution = rows.filter(pk=execution_id).first()
    if execution is None:
        raise NotFoundError(f"There is no execution {execution_id}.")
    return execution
